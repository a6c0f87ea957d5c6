/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where clients come in: the listening sockets of all feeds, and who is let in. A client over a
 * limit is accepted and closed at once (left in the backlog it would only try again), counted, and
 * logged at most once a second. Loop thread only.
 */
#ifndef DAEMON_SERVE_LISTENER_H
#define DAEMON_SERVE_LISTENER_H

#include <stdio.h>

#include "daemon/log/feed.h"
#include "daemon/worker/fdreserve.h"

struct listeners;

enum listener_refusal {
	LISTENER_OVER_TOTAL,
	LISTENER_OVER_FEED,
	LISTENER_OVER_IP,
	LISTENER_NO_FDS,    /* the fd table is full */
	LISTENER_NO_MEMORY, /* or the socket could not be set up */
	LISTENER_REFUSALS
};

/*
 * Listens for every feed of config (borrowed) and says so in the log. names: the feeds' names by
 * index, feeds: by index; all borrowed. The limits are config's max_clients, max_clients_per_ip
 * (for IPv6 an "ip" is a /64, as one host has that many) and each stream's max_clients. 0 or
 * -errno after a line that says what to do.
 */
int listeners_create(struct listeners **out, struct loop *loop, const struct config *config,
		     char *const *names, struct feed **feeds, struct fdreserve *reserve);
/* After the feeds, which call back to tell that a client has gone. */
void listeners_destroy(struct listeners *listeners);
/* Stops listening. */
void listeners_stop(struct listeners *listeners);

/* Clients in all feeds. */
unsigned listeners_clients(const struct listeners *listeners);
uint64_t listeners_refused(const struct listeners *listeners, unsigned feed,
			   enum listener_refusal why);
const char *listener_refusal_name(enum listener_refusal why);
/* Port of a feed's first socket; 0: none. */
uint16_t listeners_port(const struct listeners *listeners, unsigned feed);

#endif
