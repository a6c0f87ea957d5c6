/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/encoder.h"

#include <string.h>

int encoder_level_idc(const char *level)
{
	if (!level)
		return 0;
	if (strcmp(level, "1b") == 0)
		return 9;
	if (level[0] < '1' || level[0] > '6')
		return 0;
	if (level[1] == '\0')
		return (level[0] - '0') * 10;
	if (level[1] != '.' || level[2] < '0' || level[2] > '3' || level[3] != '\0')
		return 0;
	return (level[0] - '0') * 10 + level[2] - '0';
}

struct encoder_colour encoder_vui_colour(enum frame_colour colour)
{
	switch (colour) {
	case FRAME_COLOUR_SMPTE170M:
		return (struct encoder_colour){6, 6, 6};
	case FRAME_COLOUR_REC709:
		return (struct encoder_colour){1, 1, 1};
	case FRAME_COLOUR_JPEG:
		/* V4L2_COLORSPACE_JPEG, libcamera's Sycc: primaries of 709, sRGB, matrix of 601. */
		return (struct encoder_colour){1, 13, 6};
	case FRAME_COLOUR_UNKNOWN:
		break;
	}
	return (struct encoder_colour){2, 2, 2};
}
