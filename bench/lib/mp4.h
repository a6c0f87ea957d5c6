/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fragmented MP4 (ISO/IEC 14496-12) of one H.264 track, one picture a fragment: moof and mdat are a
 * unit, which is passed on as Annex B. Other boxes are skipped. One thread.
 */
#ifndef BENCH_LIB_MP4_H
#define BENCH_LIB_MP4_H

#include <stdbool.h>

#include "bench/lib/buffer.h"
#include "bench/lib/unit.h"

struct mp4_reader {
	bool in_fragment;   /* a moof came, its mdat did not */
	bool timed;	    /* time is that of a fragment */
	uint64_t time;	    /* baseMediaDecodeTime of the newest one */
	struct buffer unit; /* as Annex B */
	unit_fn *pass;
	void *ctx;
};

void mp4_init(struct mp4_reader *reader, unit_fn *pass, void *ctx);
/* Takes all whole boxes from the beginning of in. 0, or -EBADMSG: a box is malformed, a fragment
 * has no time or not exactly one picture, or times do not grow. */
int mp4_read(struct mp4_reader *reader, struct buffer *in, int64_t now_us);
void mp4_finish(struct mp4_reader *reader);

#endif
