/* SPDX-License-Identifier: BSD-2-Clause */
/* Every sample kept, so that percentiles are exact. Microseconds. One thread. */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct samples {
	uint32_t *us;
	size_t n, room;
};

void samples_add(struct samples *samples, int64_t us); /* exits when memory is out */
/* p in 0..1; 0 if there are none. Sorts. */
uint32_t samples_percentile(struct samples *samples, double p);
/* A JSON object: n, p50, p90, p99, p99.9, max in ms, and a histogram of [upper bound in ms, count].
 */
void samples_print(struct samples *samples, FILE *out);
void samples_finish(struct samples *samples);

#endif
