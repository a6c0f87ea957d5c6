/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/timeline.h"

#include <libavutil/avutil.h>
#include <libavutil/mathematics.h>

#define JUMP_US 10000000		  /* a longer gap in a clock that may jump is a jump */
#define PAUSE_MAX_US INT64_C(86400000000) /* in any other one, a longer gap is damage */

_Static_assert(TIMELINE_NONE == AV_NOPTS_VALUE, "timestamps are passed on as they come");

void timeline_init(struct timeline *timeline, int64_t num, int64_t den, int64_t frame_us,
		   bool jumps)
{
	*timeline = (struct timeline){
		.num = num, .den = den, .frame_us = frame_us, .jumps = jumps, .fresh = true};
}

void timeline_rewind(struct timeline *timeline)
{
	timeline->fresh = true;
}

static int64_t to_us(const struct timeline *timeline, int64_t ticks)
{
	return av_rescale(ticks, timeline->num * 1000000, timeline->den);
}

/* Where a timestamp of the pass lies. Times of a damaged file may be anything; the caller checks
 * what comes of them. */
static int64_t place_of(const struct timeline *timeline, int64_t timestamp)
{
	const uint64_t ticks = (uint64_t)timestamp - (uint64_t)timeline->first;

	return (int64_t)((uint64_t)timeline->base_us + (uint64_t)to_us(timeline, (int64_t)ticks));
}

int64_t timeline_place(struct timeline *timeline, int64_t timestamp, int64_t duration)
{
	int64_t us = timeline->end_us;

	if (timestamp != TIMELINE_NONE) {
		if (timeline->fresh) {
			timeline->first = timestamp;
			timeline->base_us = timeline->end_us;
			timeline->fresh = false;
		}
		us = place_of(timeline, timestamp);
		/* Back, or far ahead: go on as if nothing had happened. */
		if (us < timeline->last_us ||
		    us > timeline->end_us + (timeline->jumps ? JUMP_US : PAUSE_MAX_US)) {
			timeline->base_us = (int64_t)((uint64_t)timeline->base_us +
						      (uint64_t)timeline->end_us - (uint64_t)us);
			us = timeline->end_us;
		}
	}
	timeline->last_us = us;
	if (duration > 0)
		duration = to_us(timeline, duration);
	timeline->end_us =
		us + (duration > 0 && duration <= PAUSE_MAX_US ? duration : timeline->frame_us);
	return us;
}

/* False: not after the last picture, or so long after it that this is damage. */
static bool may_follow(const struct timeline *timeline, int64_t us)
{
	return us > timeline->last_us &&
	       us <= timeline->last_us + (timeline->jumps ? JUMP_US : PAUSE_MAX_US);
}

int64_t timeline_skip(struct timeline *timeline, int64_t timestamp)
{
	int64_t us;

	if (timestamp == TIMELINE_NONE || timeline->fresh)
		return 0;
	us = place_of(timeline, timestamp);
	if (!may_follow(timeline, us))
		return 0;
	timeline->end_us = us + timeline->frame_us;
	return us;
}

void timeline_end(struct timeline *timeline, int64_t timestamp)
{
	int64_t us;

	if (timestamp == TIMELINE_NONE || timeline->fresh)
		return;
	us = place_of(timeline, timestamp);
	if (may_follow(timeline, us))
		timeline->end_us = us;
}
