/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/orientation.h"

#include <stdlib.h>

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

struct orientation orientation_then_configured(struct orientation orientation,
					       const struct config_camera *config)
{
	const bool half_turn = config->rotation == 180;

	orientation.hflip ^= config->hflip != half_turn;
	orientation.vflip ^= config->vflip != half_turn;
	return orientation;
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
