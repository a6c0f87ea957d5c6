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

struct tap {
	int pair;	       /* camcastd's end; owned */
	int out_fd;	       /* borrowed */
	unsigned stream, feed; /* numbers within the camera */
	int64_t duration_us;   /* 0: until the pair's other end closes */

	int segment_fd;
	uint32_t segment;
	int64_t deadline_us;
	uint64_t units, keys, bytes;
	uint64_t dropped; /* pictures the encoder had no room for */
	char encoder[32], detail[160];
	int error; /* 0, or -errno of reading or writing */
	pthread_t thread;
};

/* Fill pair, out_fd, stream, feed and duration_us first. The thread closes the pair after
 * duration_us, or when writing fails: the worker then stops. 0 or -errno. */
int tap_start(struct tap *tap);
/* Waits for the thread and logs what was written. 0 or -errno; -ETIMEDOUT: nothing until the time
 * was over. */
int tap_finish(struct tap *tap);

#endif
