/* SPDX-License-Identifier: BSD-2-Clause */
/* The streams that are served over RTSP: rtsp://HOST/STREAM, in capital or small letters, and their
 * multicast groups. Loop thread only. */
#ifndef DAEMON_SITE_PRESENTATIONS_H
#define DAEMON_SITE_PRESENTATIONS_H

#include "daemon/auth/access.h"
#include "daemon/cameras.h"
#include "daemon/rtsp/rtsp.h"
#include "daemon/serve/http.h"

struct presentations {
	struct cameras *cameras; /* with their feeds */
	struct access *access;
	struct loop *loop;
};

/* Serves one more feed. */
void presentations_serve(struct rtsp *rtsp, struct output *output);
/* Sets rtsp up, and the endpoints of viewers. Everything is borrowed. */
void presentations_init(struct presentations *presentations, struct rtsp *rtsp);
/* Answers with the description of the group of a stream (application/sdp), if it is sent to all the
 * time, or with why there is none. */
void presentations_answer(const struct stream *stream, struct http_question *question);

/* Makes the groups that the configuration has, and ends those that it has not any more, or has
 * otherwise; their members are disconnected. */
void presentations_renew(const struct presentations *presentations);
/* Says that the groups are gone; they are still sent to. */
void presentations_retract(const struct presentations *presentations);
/* Ends the group of a feed that goes; of all feeds. */
void presentations_forget(struct output *output);
void presentations_finish(const struct presentations *presentations);

#endif
