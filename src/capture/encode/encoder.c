/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/encode/encoder.h"

#include <string.h>
#include <unistd.h>

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
	case FRAME_COLOUR_BT2020:
		return (struct encoder_colour){9, 14, 9};
	case FRAME_COLOUR_BT2020_PQ:
		return (struct encoder_colour){9, 16, 9};
	case FRAME_COLOUR_BT2020_HLG:
		return (struct encoder_colour){9, 18, 9};
	case FRAME_COLOUR_UNKNOWN:
		break;
	}
	return (struct encoder_colour){2, 2, 2};
}

enum config_encoder encoder_software(const struct config_stream *stream)
{
	if (stream->codec == CONFIG_CODEC_MJPEG)
		return CONFIG_ENCODER_MJPEG;
	return stream->temporal_layers > 1 ? CONFIG_ENCODER_OPENH264 : ENCODER_SOFTWARE_DEFAULT;
}

unsigned encoder_threads(const struct encoder_config *config)
{
	/* 720p25 and 720p30 are two, 1080p30 three: a picture is as late as its coding takes, and
	 * on a small machine one thread for 720p would take a third of the time to the next. */
	const uint64_t pixels_per_thread = 22000000;
	const struct frame_format *format = &config->format;
	uint64_t threads;
	long cores;

	if (config->threads)
		return config->threads;
	threads = ((uint64_t)format->width * format->height * format->rate.num / format->rate.den +
		   pixels_per_thread - 1) /
		  pixels_per_thread;
	cores = sysconf(_SC_NPROCESSORS_ONLN);
	if (cores > 4)
		cores = 4; /* each is a slice, and slices cost bits */
	if (cores > 0 && threads > (uint64_t)cores)
		threads = (uint64_t)cores;
	return threads < 1 ? 1 : (unsigned)threads;
}
