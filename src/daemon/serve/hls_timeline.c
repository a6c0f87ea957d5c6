/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/hls_timeline.h"

#include <errno.h>
#include <stdlib.h>

#define SECOND_US INT64_C(1000000)
#define PART_US 200000
#define PART_MIN_US 1000 /* a duration of 0 is not allowed */
/* A segment is long enough to end at a key unit. Less than a second, for cameras that are a little
 * fast. */
#define SEGMENT_US 900000
/* RFC 8216 clause 4.3.3.1: durations are rounded before they are compared to the target. */
#define OVER_US 490000
/* A key unit that is due at the target is not asked for before this time has passed. */
#define KEY_PATIENCE_US 100000
/* A jump of time at a key unit that is a discontinuity; a shorter one players seek over. */
#define JUMP_US 500000

/* --- what is fixed from the start --- */

static uint32_t ceil_seconds(int64_t us)
{
	return (uint32_t)((us + SECOND_US - 1) / SECOND_US);
}

/* The longest part: a number of steps, and as much above it as their unevenness may need, while the
 * part stays longer than 85 % of it (rfc8216bis clause 4.4.4.9). */
static uint32_t part_target(uint32_t step_us)
{
	int64_t steps = (PART_US + step_us / 2) / step_us;
	int64_t exact = (steps > 0 ? steps : 1) * step_us;
	int64_t above = exact * 15 / 100;

	return (uint32_t)(exact + (above < step_us / 2 ? above : step_us / 2));
}

static uint32_t segment_target(const struct hls_options *options, uint32_t part_us)
{
	/* A camera that is a little slow needs no longer target. */
	uint32_t target = options->gop_us ? ceil_seconds((int64_t)options->gop_us * 95 / 100)
					  : HLS_TARGET_MAX;
	uint32_t least = ceil_seconds(part_us);

	if (target > HLS_TARGET_MAX)
		target = HLS_TARGET_MAX;
	return target > least ? target : least;
}

int hls_timeline_create(struct hls_timeline **out, const struct hls_options *options)
{
	struct hls_timeline *timeline = calloc(1, sizeof(*timeline));

	if (!timeline)
		return -ENOMEM;
	timeline->options = *options;
	timeline->part_us = part_target(options->step_us);
	timeline->target_s = segment_target(options, timeline->part_us);
	timeline->first = timeline->listed = timeline->open = options->first_msn;
	timeline->fresh = options->first_msn;
	timeline->wait_key = true;
	*out = timeline;
	return 0;
}

void hls_timeline_destroy(struct hls_timeline *timeline)
{
	free(timeline);
}

int64_t hls_timeline_history_us(const struct hls_timeline *timeline)
{
	/* Up to 5 targets are listed, for up to 5 more they are asked for, and one grows. */
	return 11 * SECOND_US * timeline->target_s;
}

/* --- the oldest segments --- */

static struct hls_segment *segment_at(struct hls_timeline *timeline, uint64_t msn)
{
	return &timeline->segments[msn % HLS_SEGMENTS_MAX];
}

/* After a restart of camcastd the discontinuity sequence begins with 0 again, against clause 6.2.2
 * of RFC 8216. A number from the clock, as the first segment has one, was tried: at each reload
 * hls.js walks an array up to this number, and does not come to play. It adds what it has counted
 * itself if the number is lower than before, and other players were not seen to mind. */
static void unlist_oldest(struct hls_timeline *timeline)
{
	timeline->removed += hls_segment(timeline, timeline->listed)->discontinuity;
	timeline->listed++;
}

static bool drop_oldest(struct hls_timeline *timeline)
{
	bool listed = timeline->first == timeline->listed;

	if (listed)
		unlist_oldest(timeline);
	timeline->first++;
	return listed;
}

bool hls_timeline_trim(struct hls_timeline *timeline, uint64_t tail)
{
	bool lost = false;

	timeline->tail = tail;
	while (timeline->first < timeline->open &&
	       hls_segment(timeline, timeline->first)->from < tail)
		lost |= drop_oldest(timeline);
	return lost;
}

/* The playlist stays at least as long as three targets (RFC 8216 clause 6.2.2), and has another one
 * for players that come a little late. */
static void unlist_old(struct hls_timeline *timeline)
{
	int64_t window_us = 4 * SECOND_US * timeline->target_s, rest_us = 0;

	for (uint64_t msn = timeline->listed; msn < timeline->open; msn++)
		rest_us += hls_segment(timeline, msn)->duration_us;
	while (timeline->listed < timeline->open) {
		rest_us -= hls_segment(timeline, timeline->listed)->duration_us;
		if (rest_us < window_us)
			break;
		unlist_oldest(timeline);
	}
}

/* --- the newest segment --- */

static int64_t part_length_us(const struct hls_timeline *timeline)
{
	return timeline->in_part ? timeline->part_end_us - timeline->part_start_us : 0;
}

static int64_t segment_length_us(const struct hls_timeline *timeline)
{
	return hls_segment(timeline, timeline->open)->duration_us + part_length_us(timeline);
}

static void end_part(struct hls_timeline *timeline)
{
	struct hls_segment *segment = segment_at(timeline, timeline->open);
	struct hls_part *part = &timeline->parts[timeline->next_part % HLS_PARTS_MAX];

	/* Pictures that are shown before the part's beginning, because they are reordered. */
	if (part_length_us(timeline) < PART_MIN_US)
		timeline->part_end_us = timeline->part_start_us + PART_MIN_US;
	part->until = timeline->next_seq;
	part->duration_us = part_length_us(timeline);
	segment->until = timeline->next_seq;
	segment->duration_us += part->duration_us;
	segment->n_parts++;
	timeline->next_part++;
	timeline->part_start_us = timeline->part_end_us;
	timeline->in_part = false;
}

static void end_segment(struct hls_timeline *timeline)
{
	if (timeline->in_part)
		end_part(timeline);
	timeline->started = false;
	timeline->open++;
	unlist_old(timeline);
	if (timeline->open - timeline->first == HLS_SEGMENTS_MAX)
		(void)drop_oldest(timeline);
	*segment_at(timeline, timeline->open) = (struct hls_segment){0};
}

static void begin_segment(struct hls_timeline *timeline, const struct hls_unit *unit)
{
	struct hls_segment *segment = segment_at(timeline, timeline->open);
	const struct hls_segment *before =
		timeline->newest_map ? hls_segment(timeline, timeline->open - 1) : NULL;

	if (!before || before->preamble != unit->preamble)
		timeline->newest_map++;
	*segment = (struct hls_segment){
		.from = unit->seq,
		.until = unit->seq,
		.wall_us = unit->wall_us,
		.first_part = timeline->next_part,
		.map = timeline->newest_map,
		.preamble = unit->preamble,
		.discontinuity = timeline->discontinuity,
		.independent = unit->key,
	};
	if (timeline->discontinuity || !before)
		timeline->part_start_us = timeline->part_end_us = unit->pts_us;
	timeline->discontinuity = false;
	timeline->started = true;
}

static void begin_part(struct hls_timeline *timeline, const struct hls_unit *unit)
{
	int64_t off_us = unit->pts_us - timeline->part_end_us;

	/* Parts follow each other without a hole, so that errors of durations do not add up. But a
	 * time in which there were no pictures is of no part. */
	if (off_us > timeline->part_us / 2 || off_us < -JUMP_US)
		timeline->part_end_us = unit->pts_us;
	timeline->part_start_us = timeline->part_end_us;
	timeline->parts[timeline->next_part % HLS_PARTS_MAX] = (struct hls_part){
		.from = unit->seq,
		.independent = unit->key,
	};
	timeline->in_part = true;
}

/* Ends what is open; only a key unit continues. */
static void end_run(struct hls_timeline *timeline)
{
	if (timeline->started)
		end_segment(timeline);
	timeline->wait_key = true;
	timeline->discontinuity = timeline->newest_map > 0;
}

void hls_timeline_pause(struct hls_timeline *timeline)
{
	end_run(timeline);
	timeline->fresh = timeline->open;
}

bool hls_timeline_is_ready(const struct hls_timeline *timeline)
{
	return timeline->open > timeline->fresh && timeline->open > timeline->listed;
}

uint64_t hls_timeline_wants_key(const struct hls_timeline *timeline)
{
	int64_t over_us = segment_length_us(timeline) - SECOND_US * timeline->target_s;

	if (timeline->wait_key)
		return timeline->open;
	return over_us >= KEY_PATIENCE_US || over_us + timeline->options.step_us > OVER_US
		       ? timeline->open + 1
		       : 0;
}

/* --- a unit --- */

static int64_t step_us(const struct hls_timeline *timeline, const struct hls_unit *unit)
{
	return unit->duration_us ? unit->duration_us : timeline->options.step_us;
}

static bool is_gap(const struct hls_timeline *timeline, const struct hls_unit *unit)
{
	int64_t off_us = unit->pts_us - timeline->part_end_us;

	if (unit->after_gap || unit->seq != timeline->next_seq)
		return true;
	if (timeline->started && unit->preamble != hls_segment(timeline, timeline->open)->preamble)
		return true;
	return unit->key && (off_us > JUMP_US || off_us < -JUMP_US);
}

/* Whether the open segment ends before this unit, which follows without a gap. */
static bool ends_segment(const struct hls_timeline *timeline, const struct hls_unit *unit)
{
	int64_t length_us = segment_length_us(timeline);
	int64_t max_us = SECOND_US * timeline->target_s + OVER_US;
	/* Where the distance of key units is not known, segments are half of the target. */
	int64_t enough_us =
		timeline->options.gop_us ? SEGMENT_US : SECOND_US * timeline->target_s * 45 / 100;
	int64_t gop_us = timeline->gop_us > timeline->options.gop_us ? timeline->gop_us
								     : timeline->options.gop_us;

	if (length_us + step_us(timeline, unit) > max_us)
		return true;
	return unit->key && (length_us >= enough_us || length_us + gop_us > max_us);
}

static void note_key(struct hls_timeline *timeline, const struct hls_unit *unit, bool gap)
{
	if (!unit->key)
		return;
	timeline->gop_us = gap ? 0 : unit->pts_us - timeline->last_key_us;
	timeline->last_key_us = unit->pts_us;
}

bool hls_timeline_add(struct hls_timeline *timeline, const struct hls_unit *unit)
{
	uint64_t open = timeline->open, parts = timeline->next_part;
	bool gap = is_gap(timeline, unit);
	int64_t step = step_us(timeline, unit), end_us = unit->pts_us + step;

	if (gap)
		end_run(timeline);
	if (timeline->wait_key && !unit->key)
		return timeline->open != open;
	timeline->wait_key = false;
	note_key(timeline, unit, gap);
	if (timeline->started && ends_segment(timeline, unit))
		end_segment(timeline);
	if (!timeline->started)
		begin_segment(timeline, unit);
	if (timeline->in_part && end_us - timeline->part_start_us > timeline->part_us)
		end_part(timeline);
	if (!timeline->in_part)
		begin_part(timeline, unit);
	if (end_us > timeline->part_end_us)
		timeline->part_end_us = end_us;
	timeline->next_seq = unit->seq + 1;
	if (part_length_us(timeline) + step > timeline->part_us)
		end_part(timeline);
	return timeline->open != open || timeline->next_part != parts;
}
