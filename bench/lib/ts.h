/* SPDX-License-Identifier: BSD-2-Clause */
/* MPEG-TS (ISO/IEC 13818-1 clause 2.4.3) with one access unit a PES packet. One thread. */
#ifndef BENCH_LIB_TS_H
#define BENCH_LIB_TS_H

#include <stdbool.h>

#include "bench/lib/buffer.h"
#include "bench/lib/unit.h"

struct ts_reader {
	bool in_step;	   /* `in` begins with a packet */
	int pid;	   /* of the video; -1: not yet known */
	struct buffer pes; /* the unit that is being put together */
	int64_t byte_us;   /* when its newest byte came */
	unit_fn *unit;
	void *ctx;
};

void ts_init(struct ts_reader *reader, unit_fn *unit, void *ctx);
/* Takes all whole packets from the beginning of in. The stream may begin within a packet. 0, or
 * -EBADMSG. */
int ts_read(struct ts_reader *reader, struct buffer *in, int64_t now_us);
/* Passes on the unit that is being put together: no byte of it follows. */
void ts_end_unit(struct ts_reader *reader);
void ts_finish(struct ts_reader *reader);

#endif
