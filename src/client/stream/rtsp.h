/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A conversation in RTSP/1.0 (RFC 2326) with the server of a stream: OPTIONS, DESCRIBE, SETUP of
 * its pictures within the connection (clause 10.12), PLAY, and then a request now and then that
 * keeps the session. Knows no socket and no clock: its owner moves the bytes. What the server sends
 * is hostile, and bounded. One thread.
 */
#ifndef CLIENT_STREAM_RTSP_H
#define CLIENT_STREAM_RTSP_H

#include "client/stream/cutter.h"
#include "client/stream/rtsp_sdp.h"

#define RTSP_TALK_US 10000000 /* from the connection to the answer to PLAY */

struct rtsp;

struct rtsp_target {
	const char *host; /* as in net/address.h */
	uint16_t port;
	const char *path; /* with its slash and query; or "" */
	unsigned login;	  /* client/stream/login.h */
	bool tls;
};

/* Makes ready for a sandbox. All is copied. 0; -ENOMEM, or -EINVAL: the path is too long. */
int rtsp_create(struct rtsp **out, const struct rtsp_target *target);
void rtsp_destroy(struct rtsp *rtsp); /* NULL is fine */

/* A new connection begins; what was known of the one before is forgotten. 0 or -ENOMEM. */
int rtsp_begin(struct rtsp *rtsp, int64_t now_us);

/* Bytes that are to be sent, and how many of them were. */
const char *rtsp_output(const struct rtsp *rtsp, size_t *len);
void rtsp_sent(struct rtsp *rtsp, size_t len);

/* Room for *len received bytes, and how many came. */
uint8_t *rtsp_room(struct rtsp *rtsp, size_t *len);
void rtsp_add(struct rtsp *rtsp, size_t len);
/* Whether no unit is under way. */
bool rtsp_is_empty(const struct rtsp *rtsp);

/*
 * The next unit of what has come, as a cutter_result, until that is CUTTER_MORE. -ENOMEM; or, with
 * a phrase in rtsp_why(): -EACCES (the user or the password is wrong, or missing), -ECONNABORTED
 * (the server refuses, or has no such stream), -EBADMSG (it does not speak RTSP).
 */
int rtsp_next(struct rtsp *rtsp, struct cutter_unit *unit, int64_t now_us);
const char *rtsp_why(const struct rtsp *rtsp);

/* When rtsp_turn() is to be called, and what is due then: 0, or -ETIMEDOUT with rtsp_why(). */
int64_t rtsp_due_us(const struct rtsp *rtsp);
int rtsp_turn(struct rtsp *rtsp, int64_t now_us);

#endif
