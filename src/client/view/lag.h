/* SPDX-License-Identifier: BSD-2-Clause */
/* How old a picture is, from the SEI that camcastd adds with `sei = yes`. Any thread. */
#ifndef CLIENT_VIEW_LAG_H
#define CLIENT_VIEW_LAG_H

#include <stddef.h>

#include "media/sei.h"

/* Offsets of clocks beyond this are all the same: a million days. */
#define VIEW_LAG_OFFSET_MAX_US INT64_C(86400000000000000)

/*
 * The capture time in our CLOCK_MONOTONIC, now being now_us of it and utc_us of CLOCK_REALTIME.
 * Where both of the camera's clocks tell the same age it runs on this machine, or one with the same
 * clocks; else the UTC time is believed if it makes the picture between 0 and 10 s old (a picture
 * from at most 20 ms in the future is taken just now). false: the clocks disagree; *offset_us says by
 * how much the camera's is ahead of ours (negative: behind), at most VIEW_LAG_OFFSET_MAX_US.
 */
bool view_lag_capture_us(const struct sei_capture *capture, int64_t now_us, int64_t utc_us,
			 int64_t *out, int64_t *offset_us);

/* Such an offset in words: "12 s ahead", "3 h behind", "56 years behind". */
void view_lag_describe_offset(int64_t offset_us, char *out, size_t size);

#endif
