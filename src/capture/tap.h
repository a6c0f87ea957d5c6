/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For camcast-capture started by hand: a thread that replaces camcastd on the pair and writes the
 * units of one feed to a file descriptor. All other parts work as under camcastd: the log, its
 * segments, its messages, and its drops when the reader is slow.
 */
#ifndef CAPTURE_TAP_H
#define CAPTURE_TAP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "camcast/worker.h"
#include "config/config.h"

struct tap {
	int pair;		     /* camcastd's end; owned */
	int out_fd;		     /* borrowed */
	unsigned stream, feed;	     /* numbers within the camera */
	enum config_framing framing; /* of the feed */
	int64_t duration_us;	     /* 0: until the pair's other end closes */

	int segment_fd;
	uint32_t segment;
	int64_t deadline_us;
	struct camcast_msg_preamble preamble; /* the newest one; version 0: none */
	uint32_t preamble_written;	      /* version */
	uint64_t units, keys, bytes;
	uint64_t dropped; /* pictures the encoder had no room for */
	char encoder[32], detail[160];
	int error; /* 0, or -errno of reading or writing */
	pthread_t thread;
};

/* Fill pair, out_fd, stream, feed, framing and duration_us first; all else is 0. The thread closes
 * the pair after duration_us, or when writing fails: the worker then stops. 0 or -errno. */
int tap_start(struct tap *tap);
/* Waits for the thread and logs what was written. 0 or -errno; -ETIMEDOUT: nothing until the time
 * was over. */
int tap_finish(struct tap *tap);

#endif
