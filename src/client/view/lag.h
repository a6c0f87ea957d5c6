/* SPDX-License-Identifier: BSD-2-Clause */
/* When a picture was taken, from the SEI that camcastd adds with `sei = yes` (camcast/sei.h). Any
 * thread. */
#ifndef CLIENT_VIEW_LAG_H
#define CLIENT_VIEW_LAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct view_capture {
	uint64_t sequence;
	int64_t monotonic_us, utc_us; /* of the camera's machine */
};

/* Finds the SEI in front of the slices of an Annex B access unit. */
bool view_lag_find_sei(const uint8_t *data, size_t len, struct view_capture *out);

/*
 * The capture time in our CLOCK_MONOTONIC, now being now_us of it and utc_us of CLOCK_REALTIME.
 * Where both of the camera's clocks tell the same age it runs on this machine, or one with the same
 * clocks; else the UTC time is believed if it makes the picture between 0 and 10 s old (a picture
 * from at most 20 ms in the future is taken just now). false: the clocks cannot be compared.
 */
bool view_lag_capture_us(const struct view_capture *capture, int64_t now_us, int64_t utc_us,
			 int64_t *out);

#endif
