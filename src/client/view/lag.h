/* SPDX-License-Identifier: BSD-2-Clause */
/* How old a picture is, from the SEI that camcastd adds with `sei = yes`. Any thread. */
#ifndef CLIENT_VIEW_LAG_H
#define CLIENT_VIEW_LAG_H

#include "media/sei.h"

/*
 * The capture time in our CLOCK_MONOTONIC, now being now_us of it and utc_us of CLOCK_REALTIME.
 * Where both of the camera's clocks tell the same age it runs on this machine, or one with the same
 * clocks; else the UTC time is believed if it makes the picture between 0 and 10 s old (a picture
 * from at most 20 ms in the future is taken just now). false: the clocks cannot be compared.
 */
bool view_lag_capture_us(const struct sei_capture *capture, int64_t now_us, int64_t utc_us,
			 int64_t *out);

#endif
