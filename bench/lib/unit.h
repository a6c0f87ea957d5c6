/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Access units for benchmarks: builds synthetic ones of an exact size, and parses real ones for
 * camload. No thread affinity.
 */
#ifndef BENCH_LIB_UNIT_H
#define BENCH_LIB_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/sei.h"

#define UNIT_MIN 160 /* bytes: delimiter, parameter sets, SEI and a slice header */

/* Writes a unit of exactly size bytes (at least UNIT_MIN): AUD, SPS and PPS if key, the SEI of
 * camcast/sei.h unless capture_us is negative, and one slice of filling. The order of NAL units is
 * right, but no decoder can decode them. */
void unit_build(uint8_t *out, size_t size, uint64_t seq, bool key, bool droppable,
		int64_t capture_us);

/* Writes size bytes (at least UNIT_MIN) that begin and end as a JPEG, and that no decoder can
 * decode.
 */
void unit_build_jpeg(uint8_t *out, size_t size);

/* Writes the SEI of camcast/sei.h, start code included, both times capture_us; returns its length.
 */
size_t unit_build_sei(uint8_t out[SEI_CAPTURE_MAX], uint64_t seq, int64_t capture_us);

struct unit_info {
	bool h264;	/* begins with a start code */
	bool key;	/* IDR, SPS and PPS are there; anything that is not H.264 */
	bool droppable; /* nothing refers to it */
	bool numbered;	/* has the SEI: seq and capture_us are valid */
	uint64_t seq;
	int64_t capture_us; /* CLOCK_MONOTONIC of the camera's machine */
};

void unit_parse(const uint8_t *data, size_t len, struct unit_info *info);

/* Called for each unit: its bytes, valid during the call, and when the last of them came. */
typedef void unit_fn(void *ctx, const uint8_t *data, size_t len, int64_t complete_us);

#endif
