/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No more than the configured number of pictures a second from a camera that makes more. A camera
 * that keeps to the rate, or 5 % above it, loses none, with up to a fifth of a period of jitter
 * either way. One thread at a time.
 */
#ifndef CAPTURE_SOURCE_PACER_H
#define CAPTURE_SOURCE_PACER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

struct pacer {
	int64_t period_us;
	int64_t due_us; /* the next picture is taken from two fifths of a period before this on */
	int64_t window_start_us; /* of the second in which pictures are counted */
	unsigned seen;		 /* pictures in it */
	unsigned flood;		 /* more than this in a second: the camera knows no pace */
	/* The camera knows no pace: it makes pictures as fast as it gets buffers (libcamera's
	 * `virtual` does). Then buffers are to be given back one a period, or it burns a core. */
	bool throttle;
};

void pacer_init(struct pacer *pacer, struct rate rate);
/* A picture taken at t_us (CLOCK_MONOTONIC): is it to be delivered? */
bool pacer_take(struct pacer *pacer, int64_t t_us);

#endif
