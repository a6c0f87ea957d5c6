/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/pattern_draw.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "camcast/pattern.h"
#include "capture/source/pattern_font.h"

#define PERIOD 1024u /* pixels after which the waves repeat; a power of two */
#define BLACK 16
#define WHITE 235
#define GREY 128 /* chroma of black, white and grey */
#define SWEEP_STEPS 30u

struct pattern {
	struct frame_format format;
	char label[64];
	/* Waves, PERIOD + width long, so that a row starting anywhere is one memcpy(). */
	uint8_t *luma, *cb, *cr;
	int16_t bend[PERIOD]; /* pixels by which rows are shifted against each other */
};

/* A region of one picture, even numbers, clipped to it. */
struct box {
	uint32_t x, y, width, height;
};

static uint8_t *wave_create(uint32_t width, double middle, double amplitude, unsigned cycles)
{
	size_t n = PERIOD + width;
	uint8_t *wave = malloc(n);

	if (!wave)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		double at = 2 * M_PI * (double)i / PERIOD;

		wave[i] = (uint8_t)(middle + amplitude * (0.7 * sin(at * cycles) +
							  0.3 * sin(at * (2 * cycles + 1))));
	}
	return wave;
}

int pattern_create(struct pattern **out, const struct frame_format *format, const char *label)
{
	struct pattern *pattern;

	if (format->fourcc != FRAME_I420)
		return -EINVAL;
	pattern = calloc(1, sizeof(*pattern));
	if (!pattern)
		return -ENOMEM;
	pattern->format = *format;
	snprintf(pattern->label, sizeof(pattern->label), "%s", label);
	pattern->luma = wave_create(format->width, 112, 60, 3);
	pattern->cb = wave_create(format->width, GREY, 75, 2);
	pattern->cr = wave_create(format->width, GREY, 75, 1);
	if (!pattern->luma || !pattern->cb || !pattern->cr) {
		pattern_destroy(pattern);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < PERIOD; i++)
		pattern->bend[i] = (int16_t)(48 * sin(2 * M_PI * i / PERIOD));
	*out = pattern;
	return 0;
}

void pattern_destroy(struct pattern *pattern)
{
	if (!pattern)
		return;
	free(pattern->luma);
	free(pattern->cb);
	free(pattern->cr);
	free(pattern);
}

/* Three planes, three speeds and slants. */
static void draw_waves(const struct pattern *pattern, uint8_t *picture, uint64_t number)
{
	const struct frame_plane *planes = pattern->format.planes;
	uint32_t n = (uint32_t)(number % (PERIOD * 8u));
	uint32_t width = pattern->format.width;

	for (uint32_t y = 0; y < planes[0].rows; y++) {
		uint32_t bend = (uint32_t)pattern->bend[(2 * y + 5 * n) % PERIOD];

		memcpy(picture + planes[0].offset + (size_t)y * planes[0].stride,
		       pattern->luma + (y + 6 * n + bend) % PERIOD, width);
	}
	for (uint32_t y = 0; y < planes[1].rows; y++) {
		uint32_t bend = (uint32_t)pattern->bend[(4 * y + 3 * n) % PERIOD];

		memcpy(picture + planes[1].offset + (size_t)y * planes[1].stride,
		       pattern->cb + (y + 4 * n + bend) % PERIOD, width / 2);
		memcpy(picture + planes[2].offset + (size_t)y * planes[2].stride,
		       pattern->cr + (PERIOD * 64 - y - 3 * n + bend) % PERIOD, width / 2);
	}
}

static struct box box_clip(const struct pattern *pattern, uint32_t x, uint32_t y, uint32_t width,
			   uint32_t height)
{
	struct box box = {x & ~1u, y & ~1u, (width + 1) & ~1u, (height + 1) & ~1u};

	if (box.x > pattern->format.width)
		box.x = pattern->format.width;
	if (box.y > pattern->format.height)
		box.y = pattern->format.height;
	if (box.width > pattern->format.width - box.x)
		box.width = pattern->format.width - box.x;
	if (box.height > pattern->format.height - box.y)
		box.height = pattern->format.height - box.y;
	return box;
}

static void fill_luma(const struct pattern *pattern, uint8_t *picture, struct box box,
		      uint8_t value)
{
	const struct frame_plane *plane = &pattern->format.planes[0];

	for (uint32_t y = box.y; y < box.y + box.height; y++)
		memset(picture + plane->offset + (size_t)y * plane->stride + box.x, value,
		       box.width);
}

static void fill_grey(const struct pattern *pattern, uint8_t *picture, struct box box,
		      uint8_t value)
{
	fill_luma(pattern, picture, box, value);
	for (unsigned i = 1; i < 3; i++) {
		const struct frame_plane *plane = &pattern->format.planes[i];

		for (uint32_t y = box.y / 2; y < (box.y + box.height) / 2; y++)
			memset(picture + plane->offset + (size_t)y * plane->stride + box.x / 2,
			       GREY, box.width / 2);
	}
}

/* camcast/pattern.h has the layout. */
static void draw_strip(const struct pattern *pattern, uint8_t *picture, uint64_t number)
{
	const struct frame_plane *plane = &pattern->format.planes[0];
	uint32_t width = pattern->format.width, rows = pattern->format.height / 16;
	uint32_t check = (number >> 8 & 0xff) ^ (number & 0xff) ^ CAMCAST_PATTERN_CHECK;
	uint32_t bits = 0xau << 28 | (uint32_t)(number & 0xffff) << 12 | check << 4 | 0x5u;
	uint8_t *top = picture + plane->offset;

	/* Grey chroma under whole 2 x 2 blocks: one row more when rows is odd. */
	fill_grey(pattern, picture, box_clip(pattern, 0, 0, width, rows), BLACK);
	for (uint32_t i = 0; i < CAMCAST_PATTERN_BLOCKS; i++) {
		uint32_t x = i * width / CAMCAST_PATTERN_BLOCKS;
		uint32_t end = (i + 1) * width / CAMCAST_PATTERN_BLOCKS;

		memset(top + x, bits >> (31 - i) & 1 ? WHITE : BLACK, end - x);
	}
	for (uint32_t y = 1; y < rows; y++)
		memcpy(top + (size_t)y * plane->stride, top, width);
}

static void draw_sweep(const struct pattern *pattern, uint8_t *picture, uint64_t number)
{
	uint32_t width = pattern->format.width, height = pattern->format.height;
	uint32_t rows = height / 24, step = (uint32_t)(number % SWEEP_STEPS);
	uint32_t x = step * width / SWEEP_STEPS;

	fill_grey(pattern, picture, box_clip(pattern, 0, height - rows, width, rows), BLACK);
	fill_luma(pattern, picture, box_clip(pattern, x, height - rows, width / SWEEP_STEPS, rows),
		  WHITE);
}

static void draw_text(const struct pattern *pattern, uint8_t *picture, uint32_t x, uint32_t y,
		      uint32_t scale, const char *text)
{
	for (; *text; text++, x += (PATTERN_FONT_WIDTH + 1) * scale) {
		const uint8_t *rows = pattern_font[toupper((unsigned char)*text) & 0x7f];

		for (uint32_t row = 0; row < PATTERN_FONT_HEIGHT; row++) {
			for (uint32_t column = 0; column < PATTERN_FONT_WIDTH; column++) {
				struct box box = {x + column * scale, y + row * scale, scale,
						  scale};

				if (!(rows[row] >> (PATTERN_FONT_WIDTH - 1 - column) & 1))
					continue;
				if (box.x + scale <= pattern->format.width &&
				    box.y + scale <= pattern->format.height)
					fill_luma(pattern, picture, box, WHITE);
			}
		}
	}
}

static void draw_clock(const struct pattern *pattern, uint8_t *picture, uint64_t number,
		       int64_t utc_us)
{
	uint32_t width = pattern->format.width, height = pattern->format.height;
	uint32_t scale = width / 96 < height / 40 ? width / 96 : height / 40;
	uint32_t small, line, x, y;
	char clock[32], date[32], line2[96], line3[160];
	time_t seconds = (time_t)(utc_us / 1000000);
	struct tm tm;

	if (scale < 1)
		scale = 1;
	small = scale > 2 ? scale / 2 : 1;
	gmtime_r(&seconds, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	strftime(date, sizeof(date), "%Y-%m-%d", &tm);
	snprintf(line2, sizeof(line2), "%s.%03u", clock, (unsigned)(utc_us / 1000 % 1000));
	snprintf(line3, sizeof(line3), "%s UTC %s", date, pattern->label);

	line = (PATTERN_FONT_HEIGHT + 2) * scale;
	x = width / 8;
	y = height * 2 / 5 > line ? height * 2 / 5 - line : 0;
	/* 12 letters in the long line, the panel a letter wider at both ends */
	fill_grey(pattern, picture,
		  box_clip(pattern, x > 2 * scale ? x - 2 * scale : 0, y > scale ? y - scale : 0,
			   12 * (PATTERN_FONT_WIDTH + 1) * scale + 3 * scale,
			   2 * line + line * small / scale + scale),
		  BLACK);
	draw_text(pattern, picture, x, y, scale, line2);
	snprintf(line2, sizeof(line2), "#%llu", (unsigned long long)number);
	draw_text(pattern, picture, x, y + line, scale, line2);
	draw_text(pattern, picture, x, y + 2 * line, small, line3);
}

void pattern_draw(struct pattern *pattern, uint8_t *picture, uint64_t number, int64_t utc_us)
{
	draw_waves(pattern, picture, number);
	draw_clock(pattern, picture, number, utc_us);
	draw_sweep(pattern, picture, number);
	draw_strip(pattern, picture, number);
}
