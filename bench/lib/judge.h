/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Judges the units that clients receive: whether every stream begins at a key unit, whether every
 * gap ends at a key unit or lacks droppable units only, and how old each unit is. Whether a missing
 * unit was droppable is known from another client that received it, so that verdicts come at the
 * end. One thread.
 */
#ifndef BENCH_LIB_JUDGE_H
#define BENCH_LIB_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/lib/buffer.h"
#include "bench/lib/hist.h"

/* The results for clients of one kind. */
struct tally {
	/* Streams begun and over, whole units and their bytes. */
	uint64_t streams, units, unit_bytes;
	/* Units that never came, over all gaps; gaps that ended at a key unit; gaps that lacked
	 * only droppable units; all other gaps; streams that did not begin at a key unit; units
	 * that are malformed. */
	uint64_t missed, resyncs, shed, gap_ends_not_key, begins_not_key, malformed;
	uint64_t pictures, decode_errors; /* by libavcodec */
	struct hist latency;		  /* capture to last byte */
};

/* A gap after which no key unit came. */
struct judge_gap {
	struct tally *tally;
	uint64_t before, after;
};

/* The state that all judged streams share. */
struct judge_panel {
	bool timing; /* collect latencies */
	/* The kind of each unit, by number, as some client received it. */
	uint8_t *kinds;
	size_t n_kinds;
	struct judge_gap *open_gaps;
	size_t n_open_gaps, open_gaps_room;
	/* Capture to the last byte at the last of `timed` clients. */
	struct hist latency_last;
	unsigned timed;
	struct last {
		uint64_t seq;
		int64_t latest_us;
		unsigned count;
	} last[256];
};

/* One client's stream. */
struct judge {
	struct judge_panel *panel;
	struct tally *tally;
	bool counts_as_last; /* one of the `timed` clients */
	bool keep;	     /* for judge_decode() */
	bool begun, numbered;
	uint64_t seq, units;
	int64_t first_key_us; /* when the first key unit was complete; 0: not yet */
	struct buffer kept;   /* each unit's length as a size_t, and the unit */
};

void judge_init(struct judge *judge, struct judge_panel *panel, struct tally *tally);
/* Takes a whole unit, whose last byte came at complete_us. */
void judge_unit(struct judge *judge, const uint8_t *data, size_t len, int64_t complete_us);
/* When every stream is over: decides about the gaps after which no key unit came. */
void judge_panel_finish(struct judge_panel *panel);
/* Decodes the units that were kept, if any, and frees them; counts pictures and errors in the
 * tally. */
void judge_decode(struct judge *judge);

#endif
