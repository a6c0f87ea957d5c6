/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The time of a recording that loops: timestamps of one pass after the other become one clock that
 * grows for ever, without a jump back or a gap where a pass ends.
 */
#ifndef CAPTURE_SOURCE_TIMELINE_H
#define CAPTURE_SOURCE_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#define TIMELINE_NONE INT64_MIN /* no timestamp; libav's AV_NOPTS_VALUE */

struct timeline {
	int64_t num, den; /* of the time base: a tick is num/den seconds */
	int64_t frame_us; /* how long a picture lasts that does not say it */
	bool jumps;	  /* the format's clock may jump (MPEG-TS): long gaps are no pauses */
	bool fresh;	  /* a pass begins */
	int64_t first;	  /* ticks; timestamp of the pass's first picture */
	int64_t base_us;  /* media time of that */
	int64_t last_us, end_us; /* of the last picture: when it began, when it is over */
};

void timeline_init(struct timeline *timeline, int64_t num, int64_t den, int64_t frame_us,
		   bool jumps);
/* The recording begins again. */
void timeline_rewind(struct timeline *timeline);
/* Media time in us, from 0, of the next picture in order. timestamp may be TIMELINE_NONE, duration
 * 0 (ticks). Never less than the one before. */
int64_t timeline_place(struct timeline *timeline, int64_t timestamp, int64_t duration);
/* A picture is left out: returns when it would have been shown, if that is known, else 0. The next
 * one does not come before it is over. */
int64_t timeline_skip(struct timeline *timeline, int64_t timestamp);
/* The last picture of the pass ends at this timestamp, or TIMELINE_NONE: as it was placed. */
void timeline_end(struct timeline *timeline, int64_t timestamp);

#endif
