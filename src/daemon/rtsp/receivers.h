/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Those to whom packets go outside of a connection, found by where their reports come from (RTCP):
 * viewers over UDP by an address and a port, members of a group by an address. Loop thread only.
 */
#ifndef DAEMON_RTSP_RECEIVERS_H
#define DAEMON_RTSP_RECEIVERS_H

#include "base/list.h"
#include "media/rtcp.h"
#include "net/address.h"

#define RECEIVERS_BUCKETS 64

struct receivers {
	struct list buckets[RECEIVERS_BUCKETS];
};

/* The user's memory. */
struct receiver {
	struct net_peer end; /* not changed while it is added */
	bool reported;
	struct rtcp_report report; /* the newest one; valid if `reported` */
	struct list link;	   /* of receivers.c */
};

void receivers_init(struct receivers *receivers);
void receivers_add(struct receivers *receivers, struct receiver *receiver);
void receivers_remove(struct receiver *receiver);
/* The next one with this address, interface and port, behind `last` (NULL: the first one); NULL:
 * there is none. */
struct receiver *receivers_find(struct receivers *receivers, const struct net_peer *end,
				struct receiver *last);

/* Reads datagrams from a socket of RTCP, a bounded number: those of at most RTCP_MAX bytes. A flood
 * that is read more slowly than it comes pushes reports of viewers out of the socket's buffer, but
 * by chance, and a viewer who says nothing else needs only one of a minute. A larger buffer would
 * make the loop read more of the flood. */
void receivers_hear(int fd,
		    void (*take)(void *user, const struct net_peer *from, const uint8_t *data,
				 size_t len),
		    void *user);

#endif
