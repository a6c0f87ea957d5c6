/* SPDX-License-Identifier: BSD-2-Clause */
/* What camcastd consists of. Internal to daemon.c, which begins and ends it, and reload.c, which
 * changes it. Loop thread only. */
#ifndef DAEMON_PARTS_H
#define DAEMON_PARTS_H

#include "daemon/auth/access.h"
#include "daemon/daemon.h"
#include "daemon/discovery/discovery.h"
#include "daemon/leaving.h"
#include "daemon/mdns/mdns.h"
#include "daemon/push/push.h"
#include "daemon/reload.h"
#include "daemon/serve/handshakes.h"
#include "daemon/site/presentations.h"
#include "daemon/site/site.h"

struct daemon {
	struct daemon_options options; /* without config and text */
	struct config *config;	       /* the one in force */
	struct loop *loop;
	struct fdreserve *reserve;
	struct cameras *cameras;
	struct access *access;
	struct admission *admission;
	struct server *server;
	struct pushes *pushes;
	struct devices *devices; /* NULL: not watched */
	struct status *status;	 /* NULL: there was no HTTP yet, as site */
	struct site *site;
	struct onvif *onvif; /* NULL: off */
	struct mdns *mdns;   /* NULL: there was nothing yet to tell the network */
	struct http http;
	struct endpoint http_endpoint;
	struct rtsp rtsp;
	struct endpoint rtsp_endpoint;
	struct presentations presentations;
	struct status_view view;
	int signal_fd;
	struct loop_watch signals;
	struct loop_timer drain, notify;
	int64_t notify_period_us;
	bool stopping;
	size_t draining; /* feeds with clients in the middle of a unit */

	/* Of reload.c: */
	struct preparation *preparation; /* NULL: none is read */
	bool again;			 /* another SIGHUP came meanwhile */
	struct reload_status reload_status;
	struct leaving leaving;
	/* The thread of discovery has a configuration of its own, which may be an older one. */
	struct discovery *discovery; /* NULL: off */
	struct config *discovery_config;
	struct discovery *discovery_leaving; /* its end is waited for; NULL: none */
	struct config *discovery_leaving_config;
	struct loop_timer discovery_sweep;
};

/* --- daemon.c --- */

/* Says something to the service manager. */
void daemon_notify(struct daemon *daemon, const char *state);
/* Descriptors that a configuration needs besides cameras, feeds and viewers. */
unsigned daemon_other_fds(const struct config *config);
/* Makes the workers and feeds that are missing, and what serves them. 0 or -errno. */
int daemon_create_workers(struct daemon *daemon, const char *text, size_t len);
int daemon_create_feeds(struct daemon *daemon);
/* HTTP, if it is configured and is not there yet. 0 or -errno. */
int daemon_create_site(struct daemon *daemon);
/* Listens on all addresses of the configuration, and no others; server_listen(). */
int daemon_listen(struct daemon *daemon, const struct listen_hosts *hosts);
/* What endpoints have of the configuration. */
void daemon_set_endpoints(struct daemon *daemon);
/* Tells the network what this configuration serves. Without the memory for it, that waits for the
 * next configuration. */
void daemon_announce(struct daemon *daemon);
/* If it is configured. 0 or -errno. */
int daemon_create_discovery(struct daemon *daemon);

#endif
