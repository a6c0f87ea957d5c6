/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is let in. Every protocol asks once, before a connection costs anything: is there a place in
 * all, one of its quota (a feed's, the status server's), one for its address, and a descriptor to
 * spare? Refusals are counted, and logged at most once a second. Loop thread only.
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
	ADMISSION_NO_FDS,    /* the fd table is full */
	ADMISSION_NO_MEMORY, /* or the socket could not be set up */
	ADMISSION_REFUSALS
};

/* Places of one kind. The caller's memory; it outlives those who are in. */
struct quota {
	const char *name; /* "feed front/annexb"; for log lines */
	uint32_t max;	  /* 0: no limit of its own */
	bool viewers; /* they count in all and for their address, and may not take the last fds */
	unsigned used;
	uint64_t refused[ADMISSION_REFUSALS];
};

/* The limits are config's max_clients and max_clients_per_ip (for IPv6 an address is a /64, as one
 * host has that many). config and reserve are borrowed. 0 or -errno. */
int admission_create(struct admission **out, struct loop *loop, const struct config_daemon *config,
		     struct fdreserve *reserve);
void admission_destroy(struct admission *admission);

/* True: peer has a place until admission_leave(); false: refused, and counted. */
bool admission_enter(struct admission *admission, struct quota *quota, const struct net_peer *peer);
void admission_leave(struct admission *admission, struct quota *quota, const struct net_peer *peer);
/* Counts, and logs, a refusal that came up later, for want of memory. */
void admission_refuse(struct admission *admission, struct quota *quota, enum admission_refusal why,
		      const struct net_peer *peer);

/* Viewers that are in. */
unsigned admission_viewers(const struct admission *admission);
/* "max_clients"... */
const char *admission_refusal_name(enum admission_refusal why);

#endif
