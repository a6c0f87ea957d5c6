/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the beginning of a recording says of all of it. Containers state a mean rate, or none, count
 * the fields of a frame as pictures, and do not say where a rate changes. One thread at a time.
 */
#ifndef CAPTURE_SOURCE_SURVEY_H
#define CAPTURE_SOURCE_SURVEY_H

#include <stdatomic.h>

#include "capture/source/demux.h"
#include "base/rate.h"

struct survey {
	struct rate rate; /* the highest one where it varies */
	bool rate_varies;
	uint32_t bitrate_bps; /* 0: not known */
	/* No key picture is among those that the edit list shows. */
	bool key_hidden;
	/* A JPEG is a field. */
	bool field_jpegs;
	/* What Exif says of the first JPEG. */
	struct orientation orientation;
};

/* Opens the recording once more, and reads up to a thousand pictures of it. url, rate, stop:
 * demux_open()'s. 0, or -errno with a text in why[DEMUX_WHY_SIZE]. */
int survey_recording(struct survey *out, const char *url, struct rate rate, const atomic_bool *stop,
		     char *why);

#endif
