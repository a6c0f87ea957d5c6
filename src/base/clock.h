/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Microseconds of CLOCK_MONOTONIC. Any thread. */
static inline int64_t clock_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Microseconds of Unix time, CLOCK_REALTIME. Any thread. */
static inline int64_t clock_wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The Unix time, in microseconds, of a moment of CLOCK_MONOTONIC, as the clock is set now. Any
 * thread. */
static inline int64_t clock_utc_us(int64_t monotonic_us)
{
	return monotonic_us + clock_wall_us() - clock_now_us();
}

#endif
