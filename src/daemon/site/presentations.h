/* SPDX-License-Identifier: BSD-2-Clause */
/* The streams that are served over RTSP: rtsp://HOST/STREAM, in capital or small letters. Loop
 * thread only. */
#ifndef DAEMON_SITE_PRESENTATIONS_H
#define DAEMON_SITE_PRESENTATIONS_H

#include "daemon/auth/access.h"
#include "daemon/cameras.h"
#include "daemon/rtsp/rtsp.h"

struct presentations {
	struct cameras *cameras; /* with their feeds */
	struct access *access;
};

/* Serves one more feed. */
void presentations_serve(struct rtsp *rtsp, struct output *output);
/* Sets rtsp up, and the endpoints of viewers. Everything is borrowed. */
void presentations_init(struct presentations *presentations, struct rtsp *rtsp);

#endif
