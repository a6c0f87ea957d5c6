/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A histogram of times as HdrHistogram makes them: logarithmic steps, each divided into 64 equal
 * ones, so that a value is known to 1/64 (below 128 us: exactly) and memory does not grow with the
 * samples. In microseconds; negative values count as 0, values over HIST_MAX_US as that. One
 * thread.
 */
#ifndef BENCH_LIB_HIST_H
#define BENCH_LIB_HIST_H

#include <stdint.h>

#include <cjson/cJSON.h>

#define HIST_SUB_BITS 6
#define HIST_MAX_BITS 36 /* 19 hours */
#define HIST_MAX_US ((INT64_C(1) << HIST_MAX_BITS) - 1)
#define HIST_SLOTS ((HIST_MAX_BITS - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hist {
	uint64_t n;
	int64_t sum_us, max_us;
	uint32_t slots[HIST_SLOTS];
};

void hist_add(struct hist *hist, int64_t us);
void hist_reset(struct hist *hist);
/* Adds all samples of `from` to `to`. */
void hist_merge(struct hist *to, const struct hist *from);
/* The highest value in the step of the sample at rank ceil(p * n), but at most the highest sample;
 * p in 0..1. 0 without samples. */
int64_t hist_percentile_us(const struct hist *hist, double p);
double hist_mean_us(const struct hist *hist);
/* {n, mean, p50, p90, p99, p99.9, max, histogram: [[highest, count], ...]} in ms; the histogram's
 * steps are eight to an octave. The caller deletes it. */
cJSON *hist_json(const struct hist *hist);

#endif
