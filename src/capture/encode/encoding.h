/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The current encoder of a stream: chosen by the ladder, fed, watched, and closed when it fails. A
 * wanted IDR is requested again until it arrives, because an encoder may ignore a request. All
 * functions run on the stream's thread.
 */
#ifndef CAPTURE_ENCODE_ENCODING_H
#define CAPTURE_ENCODE_ENCODING_H

#include <poll.h>

#include "capture/encode/encoder.h"
#include "capture/encode/ladder.h"

#define ENCODING_TIMES 32 /* frames in an encoder with a stored arrival time */

struct encoding {
	const struct config_stream *config;
	/* An access unit of a frame that came at arrived_us. Returns whether it is a key unit. */
	bool (*coded)(void *user, const struct access_unit *unit, int64_t arrived_us);
	void *user;

	struct encoder *encoder; /* NULL: none is open */
	struct ladder ladder;
	char failure[256]; /* why the encoder must be closed; "": it works */
	bool key_wanted;
	unsigned forced_ago;	/* access units since an IDR was forced, that one included; 0: none
				   is under way */
	unsigned in_since_out;	/* frames given or refused since the last access unit */
	int64_t waits_since_us; /* when the second of them was, or the first if there is no other */
	struct {
		int64_t capture_us, arrived_us;
	} times[ENCODING_TIMES];
	unsigned next_time;
};

void encoding_init(struct encoding *encoding, const struct config_stream *config,
		   bool (*coded)(void *user, const struct access_unit *unit, int64_t arrived_us),
		   void *user);
/* Opens an encoder for frames of this format. 0, -EAGAIN (all encoders failed a short while ago),
 * or -errno (there is none; ladder.trouble has the reason). The first access unit must be an
 * IDR. */
int encoding_open(struct encoding *encoding, const struct frame *frame);
/* Closes it, if one is open; may block (V4L2: 2 s). */
void encoding_close(struct encoding *encoding);
/* Closes an encoder that failed, and reports it to the ladder. True if another one may be opened
 * now. */
bool encoding_replace(struct encoding *encoding);

/* Encodes a frame (takes over a reference). *forced tells whether an IDR was asked for with it. 0;
 * -errno: it was not taken; see `failure` for whether the encoder is broken. */
int encoding_frame(struct encoding *encoding, struct frame *frame, int64_t arrived_us,
		   bool *forced);
/* What to poll for an asynchronous encoder, at most *timeout_ms (-1: any time). False: nothing. */
bool encoding_poll(const struct encoding *encoding, struct pollfd *pollfd, int *timeout_ms);
void encoding_dispatch(struct encoding *encoding, short revents);
/* Sets `failure` if an asynchronous encoder holds frames and has returned nothing for two
 * seconds. */
void encoding_watch(struct encoding *encoding);
/* Bit/s from the next frame on. 0, -ENOTSUP, -errno. */
int encoding_set_bitrate(struct encoding *encoding, uint32_t bitrate_bps);

#endif
