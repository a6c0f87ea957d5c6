/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef BENCH_LIB_PACE_H
#define BENCH_LIB_PACE_H

#include <errno.h>
#include <stdint.h>
#include <time.h>

/* Sleeps until that time of CLOCK_MONOTONIC. */
static inline void pace_until_us(int64_t us)
{
	struct timespec at = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

#endif
