/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connection to a receiver, through libavformat: FLV over RTMP, RTSP by TCP (ANNOUNCE, RECORD),
 * MPEG-TS over SRT. Pictures are sent as they are, each with its own time; calls wait for the
 * network. One thread.
 */
#ifndef PUSH_OUTPUT_H
#define PUSH_OUTPUT_H

#include "push/fragments.h"

#define OUTPUT_WHY_MAX 192 /* bytes of a reason, terminator included */
#define OUTPUT_WAIT_MS                                                                             \
	10000 /* for a receiver that takes nothing, and for each step of connecting */

struct output;

struct output_options {
	const char *url; /* push_url_parse() accepts it; borrowed */
	/* Called at least every 100 ms while a call waits for the network (not for a name server).
	 * False: the call shall end. */
	bool (*go_on)(void *user);
	void *user;
};

/* Once in a process, before everything else. Lines of the libraries go to the log at level debug,
 * without the secrets of the URL (borrowed for ever). */
void output_init(const char *url);

/* Connects, and announces the stream. 0, or -1 with the reason in why, which has no secrets. */
int output_open(struct output **out, const struct output_options *options,
		const struct fragments_setup *setup, char why[OUTPUT_WHY_MAX]);
/* Sends a picture. 0, or -1 with the reason: the connection is over. */
int output_write(struct output *output, const struct fragments_picture *picture,
		 char why[OUTPUT_WHY_MAX]);
/* Whether the picture's time is too far from the first one's for the format: a new connection is
 * needed before it. */
bool output_is_full(const struct output *output, const struct fragments_picture *picture);
/* Says goodbye, if the connection is not over, and closes it. NULL is allowed. */
void output_close(struct output *output);

#endif
