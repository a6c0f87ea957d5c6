/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the manager of `camcast record` and its children, one for each server. */
#ifndef CLIENT_RECORD_RECORD_H
#define CLIENT_RECORD_RECORD_H

#include "client/children.h"

struct record_shared {
	struct child_header header;
	/* Written by the child, each on its own. */
	atomic_llong unit_us;	    /* CLOCK_MONOTONIC when the last unit came; 0: none yet */
	atomic_ullong units, bytes; /* received since the first start of the child */
};

/* argv of record-child */
enum {
	RECORD_ARG_NAME = 1, /* of the server */
	RECORD_ARG_URL,
	RECORD_ARG_CODEC,     /* "h264", "mjpeg" */
	RECORD_ARG_FRAMERATE, /* pictures in 1000 s */
	RECORD_ARG_DIR,	      /* of all recordings */
	RECORD_ARG_SEGMENT,   /* s */
	RECORD_ARG_FILE_MAX,  /* bytes; 0: no limit */
	RECORD_ARG_JSON,      /* "json" or "" */
	RECORD_ARGS
};

#endif
