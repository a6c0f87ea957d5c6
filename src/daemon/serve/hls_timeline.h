/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stream cut into the segments and parts of HLS (RFC 8216; parts: draft-pantos-hls-rfc8216bis).
 * Both are runs of units of one log. The timeline stores numbers of units, never their bytes, and
 * what it has listed it never changes. Loop thread only; no call allocates memory except create().
 *
 * - A segment begins at a key unit and ends before another one, when it is about a second long or
 *   the next group of pictures would not fit into the target duration. If no key unit comes in
 *   time, the segment ends without one: the target duration is a promise, and is never exceeded by
 *   more than the rounding that the RFC allows. A single unit that is longer is the only exception.
 * - A part is about 200 ms long and closes with its last unit: it does not wait for the next one.
 * - A discontinuity, that is a gap in the log, other parameters, or a time that jumps, ends both.
 */
#ifndef DAEMON_SERVE_HLS_TIMELINE_H
#define DAEMON_SERVE_HLS_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HLS_SEGMENTS_MAX 64 /* stored; the playlist lists the newest of them */
#define HLS_PARTS_MAX 256
/* Parts are listed for the open segment and this number of finished ones. */
#define HLS_SEGMENTS_WITH_PARTS 3
/* Seconds: the target duration where key pictures are further apart, or their distance is not
 * known. */
#define HLS_TARGET_MAX 4

struct hls_options {
	uint32_t gop_us;    /* from one key unit to the next one, as configured; 0: not known */
	uint32_t step_us;   /* from one unit to the next one, as configured; not 0 */
	uint64_t first_msn; /* the first segment's media sequence number; not 0 */
};

/* What the timeline needs to know of a unit. */
struct hls_unit {
	uint64_t seq;	      /* its number in the log */
	int64_t pts_us;	      /* CLOCK_MONOTONIC */
	int64_t wall_us;      /* the same moment by the wall clock, since 1970 */
	uint32_t duration_us; /* 0: not known */
	uint16_t preamble;    /* its id in the log */
	bool key;
	bool after_gap; /* units before it are missing, or it is of another worker */
};

struct hls_part {
	uint64_t from, until; /* units from..until-1 */
	int64_t duration_us;  /* at least 1000 */
	bool independent;     /* begins with a key unit */
};

struct hls_segment {
	uint64_t from, until; /* until: so far, while it is open */
	int64_t wall_us;      /* of its first unit */
	int64_t duration_us;  /* the sum of its parts' */
	uint64_t first_part;  /* number of its first part */
	uint64_t n_parts;
	uint32_t map; /* number of its initialization section, from 1 */
	uint16_t preamble;
	bool discontinuity; /* stands between the segment before and this one */
	bool independent;
};

struct hls_timeline {
	struct hls_options options;
	uint32_t target_s;  /* TARGETDURATION */
	uint32_t part_us;   /* PART-TARGET */
	uint64_t first;	    /* media sequence number of the oldest stored segment */
	uint64_t listed;    /* of the oldest one in the playlist */
	uint64_t open;	    /* of the one that grows; it may have no part yet */
	uint64_t removed;   /* discontinuities before `listed` */
	uint64_t next_part; /* number of the open part */
	uint64_t next_seq;  /* the unit that comes next without a gap; 0: none came yet */
	uint64_t tail;	    /* units before it are no longer in the log */
	struct hls_segment segments[HLS_SEGMENTS_MAX]; /* by media sequence number */
	struct hls_part parts[HLS_PARTS_MAX];	       /* by part number */

	/* --- below: of hls_timeline.c --- */
	uint64_t fresh;	       /* the first segment since the last pause */
	int64_t part_start_us; /* on the line of declared durations */
	int64_t part_end_us;   /* likewise, behind the newest unit */
	int64_t last_key_us, gop_us;
	uint32_t newest_map;
	bool started;	    /* the open segment has units */
	bool in_part;	    /* the open part has units */
	bool wait_key;	    /* units are skipped until a key unit */
	bool discontinuity; /* before the next segment */
};

/* 0 or -ENOMEM. options are copied. */
int hls_timeline_create(struct hls_timeline **out, const struct hls_options *options);
/* NULL is allowed. */
void hls_timeline_destroy(struct hls_timeline *timeline);

/* Adds the next unit. Units that were skipped count as a gap, and so does the time until the first
 * key unit after one. True: there is something new to list. */
bool hls_timeline_add(struct hls_timeline *timeline, const struct hls_unit *unit);
/* Units before `tail` are no longer in the log. True: a listed segment was lost. */
bool hls_timeline_trim(struct hls_timeline *timeline, uint64_t tail);
/* Nothing is added for a while: ends the open segment. What exists already is not fresh. */
void hls_timeline_pause(struct hls_timeline *timeline);
/* Whether a segment was finished since the last pause: there is something to play. */
bool hls_timeline_is_ready(const struct hls_timeline *timeline);
/* The media sequence number of a segment for which a key unit is due now, because the one before it
 * would have to end without one, or because nothing begins without one; 0: none is. */
uint64_t hls_timeline_wants_key(const struct hls_timeline *timeline);
/* Microseconds for which the log has to keep units: what is listed, and as long again until no
 * player asks for what was listed (RFC 8216 clause 6.2.2). */
int64_t hls_timeline_history_us(const struct hls_timeline *timeline);

/* A segment, first <= msn <= open. All is 0 in an open one that has no units yet. */
static inline const struct hls_segment *hls_segment(const struct hls_timeline *timeline,
						    uint64_t msn)
{
	return &timeline->segments[msn % HLS_SEGMENTS_MAX];
}

/* A part by number; its segment says which there are. NULL: it is no longer stored. */
static inline const struct hls_part *hls_part(const struct hls_timeline *timeline, uint64_t number)
{
	return number < timeline->next_part && timeline->next_part - number <= HLS_PARTS_MAX
		       ? &timeline->parts[number % HLS_PARTS_MAX]
		       : NULL;
}

/* The first unit of the part that is not finished, whether it is there or not; 0: nothing came. */
static inline uint64_t hls_open_part(const struct hls_timeline *timeline)
{
	return timeline->in_part ? timeline->parts[timeline->next_part % HLS_PARTS_MAX].from
				 : timeline->next_seq;
}

#endif
