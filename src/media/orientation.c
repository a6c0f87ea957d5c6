/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/orientation.h"

#include <stdlib.h>
#include <string.h>

#define TURN_BLOCK 16 /* columns that are turned at a time: their lines fit into the cache */

struct orientation orientation_of_matrix(const int32_t *matrix)
{
	struct orientation out = {0};

	if (!matrix)
		return out;
	/* x' = m[0] x + m[3] y, y' = m[1] x + m[4] y */
	out.transpose = llabs((long long)matrix[1]) + llabs((long long)matrix[3]) >
			llabs((long long)matrix[0]) + llabs((long long)matrix[4]);
	out.hflip = matrix[out.transpose ? 3 : 0] < 0;
	out.vflip = matrix[out.transpose ? 1 : 4] < 0;
	return out;
}

void orientation_to_matrix(struct orientation orientation, int32_t matrix[ORIENTATION_MATRIX_LEN])
{
	const int32_t one = 1 << 16; /* 16.16; the last column is 2.30 */
	const bool transpose = orientation.transpose;

	memset(matrix, 0, ORIENTATION_MATRIX_LEN * sizeof(*matrix));
	matrix[transpose ? 3 : 0] = orientation.hflip ? -one : one;
	matrix[transpose ? 1 : 4] = orientation.vflip ? -one : one;
	matrix[8] = 1 << 30;
}

const char *orientation_name(struct orientation orientation)
{
	static const char *const names[2][2][2] = {
		{{"upright", "mirrored top to bottom"},
		 {"mirrored left to right", "turned by 180 degrees"}},
		{{"mirrored at its diagonal", "turned by 270 degrees"},
		 {"turned by 90 degrees", "mirrored at its other diagonal"}},
	};

	return names[orientation.transpose][orientation.hflip][orientation.vflip];
}

void orientation_turn_plane(struct orientation orientation, const uint8_t *in, ptrdiff_t in_step,
			    ptrdiff_t in_stride, uint8_t *out, ptrdiff_t out_stride, uint32_t width,
			    uint32_t height)
{
	/* From a sample of the result to the one on its right, and below it. */
	ptrdiff_t right = orientation.transpose ? in_stride : in_step;
	ptrdiff_t below = orientation.transpose ? in_step : in_stride;

	if (orientation.hflip) {
		in += right * (ptrdiff_t)(width - 1);
		right = -right;
	}
	if (orientation.vflip) {
		in += below * (ptrdiff_t)(height - 1);
		below = -below;
	}
	for (uint32_t x0 = 0; x0 < width; x0 += TURN_BLOCK) {
		const uint32_t x1 = x0 + TURN_BLOCK < width ? x0 + TURN_BLOCK : width;

		for (uint32_t y = 0; y < height; y++) {
			const uint8_t *from = in + below * (ptrdiff_t)y + right * (ptrdiff_t)x0;
			uint8_t *to = out + out_stride * (ptrdiff_t)y;

			for (uint32_t x = x0; x < x1; x++, from += right)
				to[x] = *from;
		}
	}
}
