/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The multicast group of a stream: one cursor, whose packets everybody gets who has joined the
 * group, and so one send for all of them. Loop thread only.
 *
 * It sends while at least one session of RTSP plays it, or always. Reports of both sides go through
 * the port above that of RTP, in the same group (RFC 3550 clause 11): a receiver report from the
 * address of a session shows that the session lives.
 *
 * A group needs nothing of the network until it is sent to. Where it cannot be, because there is no
 * such interface or no route yet, or a firewall refuses it for five seconds, that is said in the
 * log once, and tried again each second, until packets are sent.
 */
#ifndef DAEMON_RTSP_MULTICAST_H
#define DAEMON_RTSP_MULTICAST_H

#include "daemon/log/feed.h"
#include "daemon/rtsp/receivers.h"

struct multicast;

struct multicast_settings {
	struct net_peer group; /* net_group_parse() */
	uint8_t ttl;	       /* routers that may pass packets on, and one more; 1..255 */
	bool always;	       /* also while no session plays it */
	/* Through which it is sent: a name, or an address of this machine; "" : as the routes say.
	 */
	char interface[NET_HOST_MAX];
};

struct multicast_options {
	struct loop *loop;
	struct feed *feed; /* of RTP packets; borrowed */
	const char *name;  /* of the stream, copied */
	uint32_t ssrc;	   /* of its packets */
	struct multicast_settings settings;
};

/* 0 or -ENOMEM. If it is to send always, it begins. */
int multicast_create(struct multicast **out, const struct multicast_options *options);
/* Ends its members. NULL is allowed. */
void multicast_destroy(struct multicast *group);
const struct multicast_settings *multicast_settings(const struct multicast *group);
/* Whether its members can stay: everything is the same except `always`. */
bool multicast_is_set(const struct multicast *group, const struct multicast_settings *settings);
void multicast_set_always(struct multicast *group, bool always);
/* The server's end of its packets. False: it sends none. */
bool multicast_source(const struct multicast *group, struct net_peer *out);

/* Sends a datagram from the server's port of reports to the group in which announcements of this
 * one are heard (RFC 2974 clause 3): that of its scope. One that cannot be sent is lost. */
void multicast_announce(const struct multicast *group, const void *data, size_t len);

/* --- members: sessions that know the group --- */

/* The session's memory; zeroed: of no group. */
struct multicast_member {
	struct net_peer peer; /* only its address matters */
	/* Its receiver reports that it lives; the member stays one in there. */
	void (*alive)(struct multicast_member *member);
	/* The group ends, or becomes another one; it is of no group any more. */
	void (*ended)(struct multicast_member *member, bool at_once);
	/* --- below: the group's --- */
	struct multicast *group; /* NULL: none */
	struct list link;
	bool plays;
	struct receiver receiver;
};

/* Makes it a member, if it is none. 0, or -errno: the group cannot be sent to. */
int multicast_join(struct multicast *group, struct multicast_member *member);
/* The group sends, and a key unit is asked for. 0 or -errno. */
int multicast_play(struct multicast_member *member);
void multicast_pause(struct multicast_member *member);
/* One that is no member is left as it is. */
void multicast_leave(struct multicast_member *member);

#endif
