/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One camera at work: its source, its streams, and the worker's main loop, which sends heartbeats,
 * does what camcastd asks for, and watches the source. Pictures do not pass through it: the
 * source's thread hands them to the streams.
 */
#ifndef CAPTURE_CAPTURE_H
#define CAPTURE_CAPTURE_H

#include "capture/guard.h"
#include "config/config.h"

/* Exit codes of camcast-capture. camcastd starts it again after all but 2; they tell people and
 * tests apart what happened. */
enum capture_exit {
	CAPTURE_STOPPED = 0,	 /* was told to: SIGTERM, SIGINT, the pair was closed */
	CAPTURE_BROKEN = 1,	 /* out of memory or file descriptors */
	CAPTURE_USAGE = 2,	 /* arguments or configuration */
	CAPTURE_NO_CAMERA = 3,	 /* the source does not open or start */
	CAPTURE_LOST_CAMERA = 4, /* it ended, or was silent for too long */
};

struct capture_options {
	const struct config *config; /* borrowed */
	unsigned camera;	     /* index */
	int only_stream;	     /* index of the one stream to run; -1: all of the camera's */
	int pair;		     /* borrowed */
	struct guard *guard;	     /* borrowed */
};

/* Works until told to stop, or until the source fails. Returns the exit code. Main thread. */
enum capture_exit capture_run(const struct capture_options *options);

#endif
