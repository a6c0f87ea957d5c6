/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Judges what clients receive: units by their framing, when each was complete, and whether every
 * stream begins at a key unit and every gap ends at one or left out droppable units only. Judging
 * what was missing needs another client that got it, so that verdicts come at the end. One thread.
 */
#ifndef BENCH_JUDGE_H
#define BENCH_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/lib/samples.h"

enum judge_framing { JUDGE_ANNEXB, JUDGE_LENGTH };

struct judge_gap {
	uint64_t before, after; /* numbers around what is missing; the unit after is no key unit */
};

/* What all judged streams share. */
struct judge_panel {
	enum judge_framing framing;
	bool timing; /* collect the samples below */
	/* A number's kind, as some client received it. */
	uint8_t *kinds;
	size_t n_kinds;
	struct judge_gap *open_gaps;
	size_t n_open_gaps;
	/* Capture to complete at a client, and complete at the last of `timed` clients. */
	struct samples latency, latency_last;
	unsigned timed;
	struct last {
		uint64_t seq;
		int64_t latest_us;
		unsigned count;
	} last[256];

	/* Sums over all streams judged so far. */
	uint64_t streams, units, unit_bytes, gaps, gap_ends_not_key, begins_not_key, malformed;
	uint64_t pictures, decode_errors; /* by libavcodec */
};

/* One client's byte stream. */
struct judge {
	struct judge_panel *panel;
	bool counts_as_last; /* one of the `timed` clients */
	bool keep;	     /* for judge_decode() */
	uint8_t *data;	     /* from the first byte not yet part of a judged unit on */
	size_t len, room, searched;
	uint8_t *kept;
	size_t kept_len, kept_room;
	bool begun, numbered;
	uint64_t seq;
	int64_t byte_us;      /* when the newest byte came */
	int64_t first_key_us; /* when the first key unit was complete; 0: not yet */
};

void judge_init(struct judge *judge, struct judge_panel *panel);
/* Where to read the next bytes to: at least size bytes of room. */
uint8_t *judge_room(struct judge *judge, size_t size);
/* n bytes came there at now_us. */
void judge_received(struct judge *judge, size_t n, int64_t now_us);
/* The stream is over, or cut by us. What was kept for decoding stays. */
void judge_finish(struct judge *judge);
/* Once every stream is over: counts the gaps that broke the rule. */
void judge_panel_finish(struct judge_panel *panel);
/* Decodes all that was kept, counting pictures and errors in the panel. */
void judge_decode(struct judge *judge);

#endif
