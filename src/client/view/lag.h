/* SPDX-License-Identifier: BSD-2-Clause */
/* How old a picture is, from the SEI that camcastd adds with `sei = yes`. Any thread. */
#ifndef CLIENT_VIEW_LAG_H
#define CLIENT_VIEW_LAG_H

#include <stddef.h>

#include "media/sei.h"

/* A million days: a larger offset between two clocks is reported as this one. */
#define VIEW_LAG_OFFSET_MAX_US INT64_C(86400000000000000)

/*
 * The capture time in our CLOCK_MONOTONIC, now being now_us of it and utc_us of CLOCK_REALTIME. If
 * both clocks of the camera give the same age, the camera is on this machine or on one with the
 * same clocks. Otherwise the UTC time is used if it makes the picture between 0 and 10 s old (a
 * picture from at most 20 ms in the future counts as taken now). false: the clocks disagree;
 * *offset_us says by how much the camera's is ahead of ours (negative: behind), at most
 * VIEW_LAG_OFFSET_MAX_US.
 */
bool view_lag_capture_us(const struct sei_capture *capture, int64_t now_us, int64_t utc_us,
			 int64_t *out, int64_t *offset_us);

/* Such an offset in words: "12 s ahead", "3 h behind", "56 years behind". */
void view_lag_describe_offset(int64_t offset_us, char *out, size_t size);

#endif
