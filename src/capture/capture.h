/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One camera at work: its source, its streams, and the worker's main loop, which sends heartbeats,
 * handles camcastd's requests, and watches the source. Pictures do not pass through it: the
 * source's thread gives them to the streams.
 */
#ifndef CAPTURE_CAPTURE_H
#define CAPTURE_CAPTURE_H

#include "capture/guard.h"
#include "config/config.h"

/* Exit codes of camcast-capture. camcastd restarts it after every code except 2; they say what
 * happened. */
enum capture_exit {
	CAPTURE_STOPPED = 0,	 /* on request: SIGTERM, SIGINT, or the pair was closed */
	CAPTURE_BROKEN = 1,	 /* out of memory or file descriptors */
	CAPTURE_USAGE = 2,	 /* arguments or configuration */
	CAPTURE_NO_CAMERA = 3,	 /* the source cannot be opened or started */
	CAPTURE_LOST_CAMERA = 4, /* the source ended, or was silent for too long */
	CAPTURE_OUTDATED = 5,	 /* an encoder came that the sandbox of this worker refuses */
};

struct program;

struct capture_options {
	const struct config *config; /* borrowed */
	unsigned camera;	     /* index */
	int only_stream;	     /* index of the one stream to run; -1: all of the camera's */
	int pair;		     /* borrowed */
	struct guard *guard;	     /* borrowed */
	const char *sandbox;	     /* of HELLO; borrowed */
	struct program *program;     /* of a camera with exec:, borrowed; else NULL */
};

/* Runs until it is asked to stop, or until the source fails. Returns the exit code. Main thread. */
enum capture_exit capture_run(const struct capture_options *options);

#endif
