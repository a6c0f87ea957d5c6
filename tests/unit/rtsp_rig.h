/* SPDX-License-Identifier: BSD-2-Clause */
/* A feed of RTP packets behind an RTSP server, and peers that speak to it. */
#ifndef TESTS_UNIT_RTSP_RIG_H
#define TESTS_UNIT_RTSP_RIG_H

#include "tests/unit/feed_rig.h"

#include "daemon/rtsp/rtsp.h"

#define RTSP_HEARD_MAX (1 << 20)
#define RTSP_SSRC 0xabcdef01u
#define RTSP_TS_SSRC 0xabcdef02u
#define RTSP_URL "rtsp://user:pa%40ss@cam:8554/front"
#define RTSP_TRANSPORT "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"

struct rtsp_rig {
	struct rig rig;
	struct rtsp rtsp;
	struct endpoint door, viewers;
	struct quota places;
	struct multicast *multicast; /* of the stream; the test's */
	bool multicast_ts;	     /* it is that of the transport stream */
	bool jpeg, forbidden, users_only;
	bool ts;	   /* the packets are also those of a transport stream, with RTSP_TS_SSRC */
	uint16_t sequence; /* of the next packet */
	uint32_t time;	   /* of the next unit */
	char heard[RTSP_HEARD_MAX + 1];
	size_t len;
	bool ended;
	char session[17]; /* of the last answer that named one */
};

/* The state of cmocka is the backend. */
struct rtsp_rig *rtsp_rig_start(void **state);
void rtsp_rig_stop(struct rtsp_rig *r);

int rtsp_dial(struct rtsp_rig *r, int rcvbuf);
void rtsp_say(struct rtsp_rig *r, int fd, const char *text);
/* Reads what there is, into heard. */
const char *rtsp_hear(struct rtsp_rig *r, int fd);
/* Sends a request with CSeq 7 and further headers, and returns the status of the answer, which is
 * in heard with what follows it; 0: none came. */
int rtsp_ask(struct rtsp_rig *r, int fd, const char *method, const char *url, const char *headers);
/* DESCRIBE is left out: SETUP, and PLAY. */
void rtsp_play(struct rtsp_rig *r, int fd);

/* Opens a UDP socket of a peer, 127.0.0.1; port 0: the kernel chooses one. -1: it is taken. */
int rtsp_bind_port(uint16_t port);
/* Opens two at an even port, which is returned, and at the next one. */
uint16_t rtsp_bind_pair(int *rtp, int *rtcp);

/* Adds a unit of len bytes of payload in packets, with a report before those of a key unit. Returns
 * its bytes, valid up to the next call. */
const uint8_t *rtsp_unit(struct rtsp_rig *r, bool key, size_t len, size_t *unit_len);

#endif
