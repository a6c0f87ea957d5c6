/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The announcement of a multicast group (SAP, RFC 2974): its description is sent to the group in
 * which players listen for such, every five seconds, and at the end that it is gone. Another
 * version of the description takes the place of the one before (clause 5). Loop thread only.
 *
 * Clause 3.1 asks for at least 300 s between two, and for 4 kbit/s of all together. A player has no
 * list when it begins, so that somebody would wait five minutes for it. Half a kilobyte every five
 * seconds is 0.8 kbit/s, nothing beside the stream itself.
 */
#ifndef DAEMON_RTSP_SAP_H
#define DAEMON_RTSP_SAP_H

#include "daemon/rtsp/multicast.h"
#include "daemon/rtsp/sdp.h"

#define SAP_HEAD_MAX 40 /* bytes before the description */
#define SAP_MAX (SAP_HEAD_MAX + SDP_MAX)

/* Writes a packet: that there is a group, or not any more (clause 6: the line of its origin alone).
 * source: who announces it. Returns its length. Any thread. */
size_t sap_write(uint8_t out[SAP_MAX], bool gone, const struct net_peer *source, const char *sdp);

struct sap;

struct sap_options {
	struct loop *loop;
	struct multicast *group; /* which is sent to always; borrowed */
	/* Writes the description. False: it is not known yet. */
	bool (*describe)(void *user, char sdp[SDP_MAX]);
	void *user;
};

/* 0 or -ENOMEM. */
int sap_create(struct sap **out, const struct sap_options *options);
/* Says that the group is gone. NULL is allowed. */
void sap_destroy(struct sap *sap);

#endif
