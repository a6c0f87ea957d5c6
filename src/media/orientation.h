/* SPDX-License-Identifier: BSD-2-Clause */
/* How a picture is turned before it is shown: one of the eight ways that keep its axes. Any thread.
 */
#ifndef MEDIA_ORIENTATION_H
#define MEDIA_ORIENTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows become columns first, then the result is mirrored. */
struct orientation {
	bool transpose;
	bool hflip, vflip; /* left and right, top and bottom */
};

static inline bool orientation_is_upright(struct orientation orientation)
{
	return !orientation.transpose && !orientation.hflip && !orientation.vflip;
}

static inline bool orientation_is_same(struct orientation a, struct orientation b)
{
	return a.transpose == b.transpose && a.hflip == b.hflip && a.vflip == b.vflip;
}

#define ORIENTATION_MATRIX_LEN 9

/* The orientation of a display matrix (ISO/IEC 14496-12, clause 8.2.2: nine numbers), NULL for
 * none. An angle between two quarter turns counts as the nearer one. */
struct orientation orientation_of_matrix(const int32_t *matrix);
/* The display matrix of an orientation, without a translation. */
void orientation_to_matrix(struct orientation orientation, int32_t matrix[ORIENTATION_MATRIX_LEN]);

/* "turned by 90 degrees" (clockwise), "mirrored"...; "upright". */
const char *orientation_name(struct orientation orientation);

/* Turns a plane of samples of one byte. width and height, at least 1, are those of the result.
 * in_step: bytes from one sample of the input to the next one in its line (2: interleaved chroma);
 * the strides are bytes from one line to the next. */
void orientation_turn_plane(struct orientation orientation, const uint8_t *in, ptrdiff_t in_step,
			    ptrdiff_t in_stride, uint8_t *out, ptrdiff_t out_stride, uint32_t width,
			    uint32_t height);

#endif
