/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Admission of peers. Every protocol asks once, before a connection costs anything: is there a
 * place in all, one of its quota (a feed's, the status server's), one for its address, and a
 * descriptor to spare? Refusals are counted, and logged at most once a second. Loop thread only.
 *
 * Addresses share the places of viewers: when all are taken, a viewer of an address that has none
 * or few gets the place of the newest viewer of the address that has most.
 */
#ifndef DAEMON_SERVE_ADMISSION_H
#define DAEMON_SERVE_ADMISSION_H

#include "config/config.h"
#include "daemon/fdreserve.h"
#include "daemon/loop/loop.h"
#include "net/address.h"

struct admission;

enum admission_refusal {
	ADMISSION_OVER_TOTAL,
	ADMISSION_OVER_QUOTA,
	ADMISSION_OVER_ADDRESS,
	ADMISSION_NOT_ALLOWED, /* by its address: daemon/auth/gate.h */
	ADMISSION_NO_FDS,      /* the fd table is full */
	ADMISSION_NO_MEMORY,   /* or the socket could not be set up */
	ADMISSION_REFUSALS
};

/* Places of one kind. The caller's memory; it outlives the connections that it counts. */
struct quota {
	const char *name; /* "feed front/annexb"; for log lines */
	uint32_t max;	  /* 0: no limit of its own */
	bool viewers; /* they count in all and for their address, and may not take the last fds */
	unsigned used;
	uint64_t refused[ADMISSION_REFUSALS];
};

/* The limits are config's max_clients (at least 1) and max_clients_per_ip (for IPv6 an address is a
 * /64, as one host has that many; 0: three quarters of max_clients and at least 64, and no limit
 * for this machine itself). config and reserve are borrowed. 0 or -errno. */
int admission_create(struct admission **out, struct loop *loop, const struct config_daemon *config,
		     struct fdreserve *reserve);
void admission_destroy(struct admission *admission);

/* Makes room for the limits of another configuration. 0 or -ENOMEM. */
int admission_prepare(struct admission *admission, const struct config_daemon *config);
/* Other limits, from now on; viewers that are in stay. config is borrowed. After
 * admission_prepare(). */
void admission_renew(struct admission *admission, const struct config_daemon *config);

/* True: peer has a place until admission_leave(); false: refused, and counted. given: the quota of
 * the place that it gives up for this one, behind the call; NULL: it has none. A viewer: *fellows
 * is set to a list of the viewers of its address, to whose end the caller adds a link of its own;
 * the link leaves the list before admission_leave(). */
bool admission_enter(struct admission *admission, struct quota *quota, const struct quota *given,
		     const struct net_peer *peer, struct list **fellows);
void admission_leave(struct admission *admission, struct quota *quota, const struct net_peer *peer);
/* Counts, and logs, a refusal that came up later, for want of memory. */
void admission_refuse(struct admission *admission, struct quota *quota, enum admission_refusal why,
		      const struct net_peer *peer);

/* No descriptor is left for a peer that asks for a place of this quota: one is held back for a
 * request, and none for a viewer. From then on the reserve itself sees to it that some are free. */
void admission_no_fds(struct admission *admission, const struct quota *quota);

/* The link of the viewer that is to leave before this peer can enter: the newest of the address
 * with most viewers, while all places are taken, nothing else stands against the peer, and its
 * address has fewer viewers even after that. given: as above. NULL: there is none. */
struct list *admission_find_displaced(struct admission *admission, const struct quota *quota,
				      const struct quota *given, const struct net_peer *peer);
/* Calls each with the link of every viewer that is in. each() changes nothing here. */
void admission_for_each_viewer(struct admission *admission,
			       void (*each)(struct list *link, void *user), void *user);
/* The link of any viewer that is in; NULL: there is none. */
struct list *admission_any_viewer(const struct admission *admission);
/* Viewers that are in. */
unsigned admission_viewers(const struct admission *admission);

#endif
