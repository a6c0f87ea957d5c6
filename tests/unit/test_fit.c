/* SPDX-License-Identifier: BSD-2-Clause */
/* Pictures of every kind into frames of one format. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture/source/fit.h"
#include "capture/source/source.h"

/* --- pictures --- */

static AVFrame *picture_new(enum AVPixelFormat pixels, int width, int height)
{
	AVFrame *picture = av_frame_alloc();

	assert_non_null(picture);
	picture->format = pixels;
	picture->width = width;
	picture->height = height;
	assert_int_equal(av_frame_get_buffer(picture, 0), 0);
	return picture;
}

/* One colour: Y, Cb, Cr, or for RGB one grey. */
static AVFrame *plain(enum AVPixelFormat pixels, int width, int height, uint8_t y, uint8_t cb,
		      uint8_t cr)
{
	const uint8_t values[] = {y, cb, cr};
	AVFrame *picture = picture_new(pixels, width, height);

	for (int i = 0; i < 3 && picture->data[i]; i++)
		memset(picture->data[i], values[i],
		       (size_t)picture->linesize[i] *
			       (size_t)(i && pixels == AV_PIX_FMT_YUV420P ? height / 2 : height));
	return picture;
}

/* Samples that tell where they came from. */
static uint8_t mark(unsigned plane, int x, int y)
{
	return (uint8_t)(17 * plane + 3 * x + 7 * y);
}

static AVFrame *marked(int width, int height)
{
	AVFrame *picture = picture_new(AV_PIX_FMT_YUV420P, width, height);

	for (unsigned i = 0; i < 3; i++)
		for (int y = 0; y < (i ? height / 2 : height); y++)
			for (int x = 0; x < (i ? width / 2 : width); x++)
				picture->data[i][y * picture->linesize[i] + x] = mark(i, x, y);
	return picture;
}

/* --- frames --- */

struct slot_memory {
	struct frame_format format;
	struct fit *fit;
	uint8_t *map;
};

static void open_slot(struct slot_memory *slot, uint32_t fourcc, uint32_t width, uint32_t height,
		      struct orientation orientation)
{
	slot->format.fourcc = fourcc;
	slot->format.width = width;
	slot->format.height = height;
	assert_int_equal(frame_format_layout(&slot->format, 0), 0);
	slot->map = malloc(slot->format.size);
	assert_non_null(slot->map);
	memset(slot->map, 0xee, slot->format.size);
	assert_int_equal(fit_create(&slot->fit, &slot->format, orientation), 0);
}

static void close_slot(struct slot_memory *slot)
{
	fit_destroy(slot->fit);
	free(slot->map);
	*slot = (struct slot_memory){0};
}

static void write_picture(struct slot_memory *slot, AVFrame *picture)
{
	assert_int_equal(fit_write(slot->fit, picture, slot->map), 0);
	av_frame_free(&picture);
}

static int sample(const struct slot_memory *slot, unsigned plane, uint32_t x, uint32_t y)
{
	const struct frame_plane *p = &slot->format.planes[plane];

	return slot->map[p->offset + (size_t)y * p->stride + x];
}

static void assert_sample(const struct slot_memory *slot, unsigned plane, uint32_t x, uint32_t y,
			  int expected)
{
	const int is = sample(slot, plane, x, y);

	if (abs(is - expected) > 1)
		fail_msg("plane %u at %u,%u: %d instead of %d", plane, x, y, is, expected);
}

/* --- cases --- */

static void every_orientation_is_turned_as_it_says(void **state)
{
	enum { WIDTH = 70, HEIGHT = 36 };

	(void)state;
	for (unsigned way = 0; way < 8; way++) {
		const struct orientation o = {way & 1, way & 2, way & 4};
		const uint32_t width = o.transpose ? HEIGHT : WIDTH;
		const uint32_t height = o.transpose ? WIDTH : HEIGHT;
		struct slot_memory slot = {0};

		open_slot(&slot, FRAME_I420, width, height, o);
		write_picture(&slot, marked(WIDTH, HEIGHT));
		assert_false(fit_was_scaled(slot.fit));
		for (unsigned i = 0; i < 3; i++) {
			const uint32_t w = i ? width / 2 : width, h = i ? height / 2 : height;

			for (uint32_t y = 0; y < h; y++) {
				for (uint32_t x = 0; x < w; x++) {
					const int tx = (int)(o.hflip ? w - 1 - x : x);
					const int ty = (int)(o.vflip ? h - 1 - y : y);

					assert_int_equal(sample(&slot, i, x, y),
							 o.transpose ? mark(i, ty, tx)
								     : mark(i, tx, ty));
				}
			}
		}
		close_slot(&slot);
	}
}

static void a_display_matrix_is_an_orientation(void **state)
{
	static const int32_t one = 1 << 16;
	const struct {
		int32_t matrix[9];
		struct orientation orientation;
		const char *name;
	} cases[] = {
		{{one, 0, 0, 0, one}, {false, false, false}, "upright"},
		{{0, one, 0, -one, 0}, {true, true, false}, "turned by 90 degrees"},
		{{-one, 0, 0, 0, -one}, {false, true, true}, "turned by 180 degrees"},
		{{0, -one, 0, one, 0}, {true, false, true}, "turned by 270 degrees"},
		{{-one, 0, 0, 0, one}, {false, true, false}, "mirrored left to right"},
		{{INT32_MIN, 0, 0, 0, INT32_MIN}, {false, true, true}, "turned by 180 degrees"},
		/* ten degrees are no turn */
		{{64540, 11380, 0, -11380, 64540}, {false, false, false}, "upright"},
	};

	(void)state;
	assert_true(orientation_is_upright(orientation_of_matrix(NULL)));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct orientation o = orientation_of_matrix(cases[i].matrix);

		assert_int_equal(o.transpose, cases[i].orientation.transpose);
		assert_int_equal(o.hflip, cases[i].orientation.hflip);
		assert_int_equal(o.vflip, cases[i].orientation.vflip);
		assert_string_equal(orientation_name(o), cases[i].name);
	}
}

static void an_orientation_has_a_display_matrix(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 8; way++) {
		const struct orientation in = {way & 1, way & 2, way & 4};
		int32_t matrix[ORIENTATION_MATRIX_LEN];

		orientation_to_matrix(in, matrix);
		assert_true(orientation_is_same(orientation_of_matrix(matrix), in));
	}
}

static void the_configuration_turns_what_is_upright(void **state)
{
	const struct config_camera half = {.rotation = 180}, mirror = {.hflip = true};
	const struct config_camera both = {.rotation = 180, .hflip = true};
	const struct orientation quarter = {true, true, false};

	(void)state;
	assert_string_equal(orientation_name(source_orientation(quarter, &half)),
			    "turned by 270 degrees");
	assert_string_equal(orientation_name(source_orientation((struct orientation){0}, &mirror)),
			    "mirrored left to right");
	assert_string_equal(orientation_name(source_orientation((struct orientation){0}, &both)),
			    "mirrored top to bottom");
}

static void a_picture_of_another_shape_has_black_bars(void **state)
{
	static const uint32_t fourccs[] = {FRAME_I420, FRAME_NV12};
	struct slot_memory slot = {0};

	(void)state;
	for (int i = 0; i < 2; i++) {
		open_slot(&slot, fourccs[i], 96, 64, (struct orientation){0});
		write_picture(&slot, plain(AV_PIX_FMT_YUV420P, 96, 64, 180, 90, 90));
		assert_false(fit_was_scaled(slot.fit));
		/* Twice as wide as high: 96x48, from line 8 to 55. */
		write_picture(&slot, plain(AV_PIX_FMT_YUV420P, 128, 64, 180, 90, 90));
		assert_true(fit_was_scaled(slot.fit));
		assert_sample(&slot, 0, 0, 0, 16);
		assert_sample(&slot, 0, 95, 7, 16);
		assert_sample(&slot, 0, 0, 8, 180);
		assert_sample(&slot, 0, 95, 55, 180);
		assert_sample(&slot, 0, 50, 56, 16);
		assert_sample(&slot, 1, 0, 0, 128);
		assert_sample(&slot, 1, 20, 4, 90);
		/* And back: no bar stays. */
		write_picture(&slot, plain(AV_PIX_FMT_YUV420P, 96, 64, 180, 90, 90));
		assert_sample(&slot, 0, 0, 0, 180);
		assert_sample(&slot, 1, 0, 0, 90);
		close_slot(&slot);
	}
	/* Packed: the chroma of black is in between. */
	open_slot(&slot, FRAME_YUYV, 96, 64, (struct orientation){0});
	write_picture(&slot, plain(AV_PIX_FMT_YUV420P, 128, 64, 180, 90, 90));
	assert_sample(&slot, 0, 0, 0, 16);
	assert_sample(&slot, 0, 1, 0, 128);
	assert_sample(&slot, 0, 0, 20, 180);
	assert_sample(&slot, 0, 1, 20, 90);
	close_slot(&slot);
}

static void a_shape_of_pixels_that_changes_has_bars_too(void **state)
{
	struct slot_memory slot = {.format = {.sar_width = 4, .sar_height = 3}};
	AVFrame *picture = plain(AV_PIX_FMT_YUV420P, 96, 64, 180, 90, 90);

	(void)state;
	open_slot(&slot, FRAME_I420, 96, 64, (struct orientation){0});
	/* The container's word on the first picture counts, whatever that says itself. */
	picture->sample_aspect_ratio = (AVRational){1, 1};
	assert_true(fit_is_same(slot.fit, picture));
	picture->sample_aspect_ratio = (AVRational){2, 3};
	assert_false(fit_is_same(slot.fit, picture));
	write_picture(&slot, picture);
	/* Half as wide as before: columns 24 to 71. */
	assert_sample(&slot, 0, 23, 30, 16);
	assert_sample(&slot, 0, 24, 30, 180);
	assert_sample(&slot, 0, 71, 30, 180);
	assert_sample(&slot, 0, 72, 30, 16);
	close_slot(&slot);
}

static void a_turned_picture_keeps_its_shape_as_well(void **state)
{
	struct slot_memory slot = {0};

	(void)state;
	open_slot(&slot, FRAME_I420, 64, 96, (struct orientation){true, true, false});
	write_picture(&slot, plain(AV_PIX_FMT_YUV420P, 96, 64, 180, 90, 90));
	assert_false(fit_was_scaled(slot.fit));
	assert_sample(&slot, 0, 0, 0, 180);
	write_picture(&slot, plain(AV_PIX_FMT_YUV420P, 128, 64, 180, 90, 90));
	assert_true(fit_was_scaled(slot.fit));
	assert_sample(&slot, 0, 7, 50, 16);
	assert_sample(&slot, 0, 8, 50, 180);
	assert_sample(&slot, 0, 55, 0, 180);
	assert_sample(&slot, 0, 56, 0, 16);
	close_slot(&slot);
}

static void rgb_becomes_limited_range(void **state)
{
	static const struct {
		uint8_t rgb;
		int luma;
	} greys[] = {{0, 16}, {255, 235}, {190, 179}};

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct slot_memory slot = {.format = {.colour = FRAME_COLOUR_SMPTE170M}};
		AVFrame *picture = plain(AV_PIX_FMT_RGB24, 96, 64, greys[i].rgb, 0, 0);

		picture->color_range = AVCOL_RANGE_JPEG;
		picture->colorspace = AVCOL_SPC_RGB;
		open_slot(&slot, FRAME_I420, 96, 64, (struct orientation){0});
		write_picture(&slot, picture);
		assert_sample(&slot, 0, 40, 30, greys[i].luma);
		assert_sample(&slot, 1, 20, 15, 128);
		close_slot(&slot);
	}
}

static void later_pictures_get_the_colours_of_the_format(void **state)
{
	struct slot_memory slot = {.format = {.colour = FRAME_COLOUR_REC709}};
	AVFrame *picture;

	(void)state;
	open_slot(&slot, FRAME_I420, 96, 64, (struct orientation){0});
	picture = plain(AV_PIX_FMT_YUV420P, 96, 64, 180, 128, 128);
	picture->colorspace = AVCOL_SPC_BT709;
	assert_true(fit_is_same(slot.fit, picture));
	/* full range */
	picture->color_range = AVCOL_RANGE_JPEG;
	assert_false(fit_is_same(slot.fit, picture));
	write_picture(&slot, picture);
	assert_sample(&slot, 0, 40, 30, 171);
	/* red of BT.601, 81 90 240, is 63 102 240 in BT.709 */
	picture = plain(AV_PIX_FMT_YUV420P, 96, 64, 81, 90, 240);
	picture->colorspace = AVCOL_SPC_SMPTE170M;
	assert_false(fit_is_same(slot.fit, picture));
	write_picture(&slot, picture);
	assert_in_range(sample(&slot, 0, 40, 30), 60, 66);
	assert_in_range(sample(&slot, 1, 20, 15), 99, 105);
	close_slot(&slot);
}

static void what_has_no_size_is_refused(void **state)
{
	struct slot_memory slot = {0};
	AVFrame *picture = plain(AV_PIX_FMT_YUV420P, 96, 1, 180, 128, 128);

	(void)state;
	open_slot(&slot, FRAME_I420, 96, 64, (struct orientation){0});
	assert_int_equal(fit_write(slot.fit, picture, slot.map), -EINVAL);
	av_frame_free(&picture);
	write_picture(&slot, plain(AV_PIX_FMT_YUV420P, 96, 64, 180, 90, 90));
	assert_sample(&slot, 0, 0, 0, 180);
	/* A line of pictures is still seen. */
	write_picture(&slot, plain(AV_PIX_FMT_YUV420P, 4096, 2, 180, 90, 90));
	assert_sample(&slot, 0, 0, 30, 180);
	assert_sample(&slot, 0, 0, 29, 16);
	close_slot(&slot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_orientation_is_turned_as_it_says),
		cmocka_unit_test(a_display_matrix_is_an_orientation),
		cmocka_unit_test(an_orientation_has_a_display_matrix),
		cmocka_unit_test(the_configuration_turns_what_is_upright),
		cmocka_unit_test(a_picture_of_another_shape_has_black_bars),
		cmocka_unit_test(a_shape_of_pixels_that_changes_has_bars_too),
		cmocka_unit_test(a_turned_picture_keeps_its_shape_as_well),
		cmocka_unit_test(rgb_becomes_limited_range),
		cmocka_unit_test(later_pictures_get_the_colours_of_the_format),
		cmocka_unit_test(what_has_no_size_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
