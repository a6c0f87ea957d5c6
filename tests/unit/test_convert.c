/* SPDX-License-Identifier: BSD-2-Clause */
/* Conversions, and the JPEGs that are made with them, read back by libjpeg as everybody does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "capture/encode/convert.h"
#include "capture/encode/encoder.h"

struct rgb {
	double r, g, b; /* 0..1 */
};

/* --- a picture of one slot --- */

struct raw {
	struct frame_format format;
	struct slot_ring *ring;
	struct frame frame;
	uint8_t *map;
	unsigned released;
};

static void handle_release(struct frame *frame)
{
	((struct raw *)frame->source)->released++;
}

static void raw_init(struct raw *raw, uint32_t fourcc, uint32_t width, uint32_t height,
		     enum frame_colour colour, bool full_range)
{
	*raw = (struct raw){.format = {.fourcc = fourcc,
				       .width = width,
				       .height = height,
				       .colour = colour,
				       .full_range = full_range,
				       .rate = {30, 1}}};
	assert_int_equal(frame_format_layout(&raw->format, 0), 0);
	assert_int_equal(slot_ring_create(&raw->ring, "memfd", 1, raw->format.size), 0);
	assert_int_equal(slot_map(raw->ring, 0, true, &raw->map), 0);
	/* Bytes outside of the picture must have no effect. */
	memset(raw->map, 0xff, raw->format.size);
	raw->frame = (struct frame){.format = &raw->format,
				    .ring = raw->ring,
				    .capture_us = 42,
				    .release = handle_release,
				    .source = raw};
	atomic_init(&raw->frame.refs, 1);
}

static void raw_finish(struct raw *raw)
{
	slot_ring_destroy(raw->ring);
}

static uint8_t *at(struct raw *raw, unsigned plane, uint32_t x, uint32_t y)
{
	return raw->map + raw->format.planes[plane].offset +
	       (size_t)y * raw->format.planes[plane].stride + x;
}

static void set_luma(struct raw *raw, uint32_t x, uint32_t y, uint8_t value)
{
	*at(raw, 0, raw->format.fourcc == FRAME_YUYV ? 2 * x : x, y) = value;
}

/* x, y count chroma samples of 4:2:0. */
static void set_chroma(struct raw *raw, uint32_t x, uint32_t y, uint8_t cb, uint8_t cr)
{
	switch (raw->format.fourcc) {
	case FRAME_NV12:
		*at(raw, 1, 2 * x, y) = cb;
		*at(raw, 1, 2 * x + 1, y) = cr;
		break;
	case FRAME_I420:
		*at(raw, 1, x, y) = cb;
		*at(raw, 2, x, y) = cr;
		break;
	default:
		for (uint32_t i = 0; i < 2; i++) {
			*at(raw, 0, 4 * x + 1, 2 * y + i) = cb;
			*at(raw, 0, 4 * x + 3, 2 * y + i) = cr;
		}
	}
}

/* Of red and blue, by ITU-R BT.601, BT.709 and BT.2020. */
static void luma_weights(enum frame_colour colour, double *kr, double *kb)
{
	*kr = colour == FRAME_COLOUR_REC709   ? 0.2126
	      : colour >= FRAME_COLOUR_BT2020 ? 0.2627
					      : 0.299;
	*kb = colour == FRAME_COLOUR_REC709   ? 0.0722
	      : colour >= FRAME_COLOUR_BT2020 ? 0.0593
					      : 0.114;
}

/* Converts a colour as a camera of that matrix and range does. */
static void camera_colour(const struct raw *raw, struct rgb c, uint8_t ycc[3])
{
	double kr, kb;

	luma_weights(raw->format.colour, &kr, &kb);
	const double y = kr * c.r + (1 - kr - kb) * c.g + kb * c.b;
	const double cb = (c.b - y) / (2 * (1 - kb)), cr = (c.r - y) / (2 * (1 - kr));

	if (raw->format.full_range) {
		ycc[0] = (uint8_t)lrint(fmin(255, 255 * y));
		ycc[1] = (uint8_t)lrint(fmin(255, 128 + 255 * cb));
		ycc[2] = (uint8_t)lrint(fmin(255, 128 + 255 * cr));
	} else {
		ycc[0] = (uint8_t)lrint(16 + 219 * y);
		ycc[1] = (uint8_t)lrint(128 + 224 * cb);
		ycc[2] = (uint8_t)lrint(128 + 224 * cr);
	}
}

static const struct rgb colours[] = {
	{0, 0, 0}, {1, 1, 1}, {0.5, 0.5, 0.5}, {1, 0, 0},	{0, 1, 0},	 {0, 0, 1},
	{1, 1, 0}, {0, 1, 1}, {1, 0, 1},       {0.8, 0.6, 0.4}, {0.1, 0.2, 0.3},
};
enum { N_COLOURS = sizeof(colours) / sizeof(*colours) };

/* The colour of a patch: they are 32x32, in rows. */
static struct rgb patch(uint32_t x, uint32_t y)
{
	return colours[(x / 32 + 3 * (y / 32)) % N_COLOURS];
}

static void draw_patches(struct raw *raw)
{
	for (uint32_t y = 0; y < raw->format.height; y++) {
		for (uint32_t x = 0; x < raw->format.width; x++) {
			uint8_t ycc[3];

			camera_colour(raw, patch(x, y), ycc);
			set_luma(raw, x, y, ycc[0]);
			if (x % 2 == 0 && y % 2 == 0)
				set_chroma(raw, x / 2, y / 2, ycc[1], ycc[2]);
		}
	}
}

/* --- JPEG out and in --- */

struct jpeg {
	uint8_t *data;
	size_t len;
	unsigned coded;
};

static void handle_coded(void *user, const struct access_unit *unit)
{
	struct jpeg *jpeg = user;

	free(jpeg->data);
	jpeg->data = malloc(unit->len);
	assert_non_null(jpeg->data);
	memcpy(jpeg->data, unit->data, unit->len);
	jpeg->len = unit->len;
	jpeg->coded++;
	assert_true(unit->key);
	assert_false(unit->droppable);
	assert_int_equal(unit->capture_us, 42);
}

static struct jpeg encode(struct raw *raw, uint32_t quality, unsigned times)
{
	char why[256] = "";
	struct config_stream stream = {.codec = CONFIG_CODEC_MJPEG, .quality = quality};
	struct encoder_config config = {
		.format = raw->format, .stream = &stream, .ring = raw->ring};
	struct jpeg jpeg = {0};
	struct encoder_events events = {.coded = handle_coded, .user = &jpeg};
	struct encoder *encoder;

	assert_int_equal(encoder_mjpeg.create(&encoder, &config, &events, why), 0);
	for (unsigned i = 0; i < times; i++) {
		atomic_init(&raw->frame.refs, 1);
		raw->released = 0;
		assert_int_equal(encoder_mjpeg.encode(encoder, &raw->frame, false), 0);
		assert_int_equal(raw->released, 1);
	}
	encoder_mjpeg.destroy(encoder);
	assert_int_equal(jpeg.coded, times);
	return jpeg;
}

struct image {
	uint32_t width, height;
	uint8_t *rgb;
	long warnings;
};

static struct image decode(const struct jpeg *jpeg)
{
	struct jpeg_decompress_struct in;
	struct jpeg_error_mgr errors;
	struct image image;

	in.err = jpeg_std_error(&errors);
	jpeg_create_decompress(&in);
	jpeg_mem_src(&in, jpeg->data, jpeg->len);
	assert_int_equal(jpeg_read_header(&in, TRUE), JPEG_HEADER_OK);
	assert_true(in.saw_JFIF_marker);
	in.out_color_space = JCS_RGB;
	jpeg_start_decompress(&in);
	image.width = in.output_width;
	image.height = in.output_height;
	image.rgb = malloc((size_t)image.width * image.height * 3);
	assert_non_null(image.rgb);
	while (in.output_scanline < in.output_height) {
		JSAMPROW row = image.rgb + (size_t)in.output_scanline * image.width * 3;

		jpeg_read_scanlines(&in, &row, 1);
	}
	jpeg_finish_decompress(&in);
	image.warnings = errors.num_warnings;
	jpeg_destroy_decompress(&in);
	return image;
}

static void assert_patches(const struct image *image, int tolerance, const char *what)
{
	/* In the middles of the patches, where 4:2:0 does not blur. */
	for (uint32_t y = 8; y < image->height; y++) {
		for (uint32_t x = 8; x < image->width; x++) {
			const uint8_t *p = image->rgb + ((size_t)y * image->width + x) * 3;
			struct rgb c = patch(x, y);

			if (x % 32 < 8 || x % 32 >= 24 || y % 32 < 8 || y % 32 >= 24)
				continue;
			if (fabs(p[0] - 255 * c.r) > tolerance ||
			    fabs(p[1] - 255 * c.g) > tolerance ||
			    fabs(p[2] - 255 * c.b) > tolerance)
				fail_msg("%s at %u,%u: %d %d %d instead of %.0f %.0f %.0f", what, x,
					 y, p[0], p[1], p[2], 255 * c.r, 255 * c.g, 255 * c.b);
		}
	}
}

/* --- cases --- */

static void colours_of_a_jpeg_are_right_for_every_camera(void **state)
{
	static const uint32_t fourccs[] = {FRAME_NV12, FRAME_I420, FRAME_YUYV};
	static const struct {
		enum frame_colour colour;
		bool full_range;
	} cameras[] = {
		{FRAME_COLOUR_JPEG, true},	 {FRAME_COLOUR_SMPTE170M, true},
		{FRAME_COLOUR_SMPTE170M, false}, {FRAME_COLOUR_REC709, false},
		{FRAME_COLOUR_REC709, true},	 {FRAME_COLOUR_UNKNOWN, false},
		{FRAME_COLOUR_BT2020, false},	 {FRAME_COLOUR_BT2020_PQ, true},
	};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned j = 0; j < sizeof(cameras) / sizeof(*cameras); j++) {
			char what[64];
			struct raw raw;
			struct jpeg jpeg;
			struct image image;

			raw_init(&raw, fourccs[i], 384, 192, cameras[j].colour,
				 cameras[j].full_range);
			draw_patches(&raw);
			jpeg = encode(&raw, 98, 1);
			image = decode(&jpeg);
			snprintf(what, sizeof(what), "%s, colour %d, range %d",
				 frame_fourcc_name(fourccs[i]), cameras[j].colour,
				 cameras[j].full_range);
			assert_int_equal(image.warnings, 0);
			assert_patches(&image, 5, what);
			free(image.rgb);
			free(jpeg.data);
			raw_finish(&raw);
		}
	}
}

static void sizes_that_are_no_multiple_of_16_have_clean_edges(void **state)
{
	static const struct {
		uint32_t width, height;
	} sizes[] = {{1920, 1080}, {648, 486}, {34, 34}, {2, 2}, {642, 362}};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (unsigned j = 0; j < 4; j++) {
			struct raw raw;
			struct jpeg jpeg;
			struct image image;

			raw_init(&raw, j % 2 ? FRAME_I420 : FRAME_NV12, sizes[i].width,
				 sizes[i].height, FRAME_COLOUR_SMPTE170M, j / 2);
			for (uint32_t y = 0; y < sizes[i].height; y++) {
				for (uint32_t x = 0; x < sizes[i].width; x++) {
					set_luma(&raw, x, y, 100);
					set_chroma(&raw, x / 2, y / 2, 128, 128);
				}
			}
			jpeg = encode(&raw, 90, 1);
			image = decode(&jpeg);
			assert_int_equal(image.width, sizes[i].width);
			assert_int_equal(image.height, sizes[i].height);
			assert_int_equal(image.warnings, 0);
			/* All one grey: nothing of what lies outside has got in. */
			for (size_t k = 0; k < (size_t)image.width * image.height * 3; k++)
				assert_in_range(image.rgb[k], image.rgb[0] - 1, image.rgb[0] + 1);
			assert_in_range(image.rgb[0], j / 2 ? 99 : 97, j / 2 ? 101 : 99);
			free(image.rgb);
			free(jpeg.data);
			raw_finish(&raw);
		}
	}
}

static void a_jpeg_is_whole_and_has_its_huffman_tables(void **state)
{
	struct raw raw;
	struct jpeg jpeg;
	size_t pos = 2;
	unsigned tables = 0;

	(void)state;
	raw_init(&raw, FRAME_NV12, 384, 192, FRAME_COLOUR_REC709, false);
	draw_patches(&raw);
	jpeg = encode(&raw, 80, 3);
	assert_memory_equal(jpeg.data, "\xff\xd8", 2);
	assert_memory_equal(jpeg.data + jpeg.len - 2, "\xff\xd9", 2);
	/* Marker segments up to the start of scan: JFIF first, four Huffman tables. */
	assert_memory_equal(jpeg.data + 2, "\xff\xe0", 2);
	while (jpeg.data[pos + 1] != 0xda) {
		assert_int_equal(jpeg.data[pos], 0xff);
		tables += jpeg.data[pos + 1] == 0xc4;
		pos += 2 + (size_t)jpeg.data[pos + 2] * 256 + jpeg.data[pos + 3];
		assert_true(pos + 4 < jpeg.len);
	}
	assert_int_equal(tables, 4);
	free(jpeg.data);
	raw_finish(&raw);
}

static void a_picture_larger_than_any_before_fits(void **state)
{
	struct raw raw;
	struct jpeg jpeg;
	struct image image;
	uint32_t noise = 1;

	(void)state;
	raw_init(&raw, FRAME_NV12, 1280, 720, FRAME_COLOUR_JPEG, true);
	for (uint32_t i = 0; i < raw.format.size; i++) {
		noise = noise * 1664525 + 1013904223;
		raw.map[i] = (uint8_t)(noise >> 24);
	}
	jpeg = encode(&raw, 100, 2);
	assert_true(jpeg.len > 1000000);
	image = decode(&jpeg);
	assert_int_equal(image.warnings, 0);
	free(image.rgb);
	free(jpeg.data);
	raw_finish(&raw);
}

static void luma_of_nv12_and_all_of_i420_go_by_pointer(void **state)
{
	struct i420_buffer buffer;
	struct picture in, out;
	struct raw raw;

	(void)state;
	raw_init(&raw, FRAME_NV12, 66, 34, FRAME_COLOUR_JPEG, true);
	for (uint32_t y = 0; y < 17; y++) {
		for (uint32_t x = 0; x < 33; x++)
			set_chroma(&raw, x, y, (uint8_t)(x + y), (uint8_t)(200 - x));
	}
	assert_int_equal(i420_buffer_init(&buffer, &raw.format), 0);
	assert_int_equal(picture_begin(&in, &raw.frame), 0);
	convert_to_i420(&buffer, &in, &out);
	assert_int_equal(out.fourcc, FRAME_I420);
	assert_ptr_equal(out.data[0], raw.map);
	for (uint32_t y = 0; y < 17; y++) {
		for (uint32_t x = 0; x < 33; x++) {
			assert_int_equal(out.data[1][y * out.stride[1] + x], x + y);
			assert_int_equal(out.data[2][y * out.stride[2] + x], 200 - x);
		}
	}
	picture_end(&raw.frame);
	i420_buffer_finish(&buffer);
	raw_finish(&raw);

	raw_init(&raw, FRAME_I420, 66, 34, FRAME_COLOUR_JPEG, true);
	assert_int_equal(i420_buffer_init(&buffer, &raw.format), 0);
	assert_null(buffer.memory);
	assert_int_equal(picture_begin(&in, &raw.frame), 0);
	convert_to_i420(&buffer, &in, &out);
	assert_memory_equal(&in, &out, sizeof(in));
	picture_end(&raw.frame);
	i420_buffer_finish(&buffer);
	raw_finish(&raw);
}

static void yuyv_chroma_is_the_mean_of_two_rows(void **state)
{
	struct i420_buffer buffer;
	struct picture in, out;
	struct raw raw;

	(void)state;
	raw_init(&raw, FRAME_YUYV, 4, 2, FRAME_COLOUR_JPEG, true);
	memcpy(at(&raw, 0, 0, 0), "\x01\x10\x02\x20\x03\x30\x04\x40", 8);
	memcpy(at(&raw, 0, 0, 1), "\x05\x20\x06\x40\x07\x31\x08\x40", 8);
	assert_int_equal(i420_buffer_init(&buffer, &raw.format), 0);
	assert_int_equal(picture_begin(&in, &raw.frame), 0);
	convert_to_i420(&buffer, &in, &out);
	assert_memory_equal(out.data[0], "\1\2\3\4", 4);
	assert_memory_equal(out.data[0] + out.stride[0], "\5\6\7\10", 4);
	assert_memory_equal(out.data[1], "\x18\x31", 2);
	assert_memory_equal(out.data[2], "\x30\x40", 2);
	picture_end(&raw.frame);
	i420_buffer_finish(&buffer);
	raw_finish(&raw);
}

static void jfif_colours_are_within_one_level_of_the_exact_ones(void **state)
{
	static const enum frame_colour cameras[] = {FRAME_COLOUR_SMPTE170M, FRAME_COLOUR_REC709,
						    FRAME_COLOUR_BT2020, FRAME_COLOUR_BT2020_HLG};

	(void)state;
	for (size_t camera = 0; camera < sizeof(cameras) / sizeof(*cameras); camera++) {
		struct jfif_colour c;
		double kr, kb;
		int worst = 0;

		luma_weights(cameras[camera], &kr, &kb);
		jfif_colour_init(&c, cameras[camera], false);
		assert_false(c.same);
		for (int cb = 16; cb <= 240; cb += 4) {
			for (int cr = 16; cr <= 240; cr += 4) {
				uint8_t luma[2][256], b[128], r[128];
				const uint8_t *in[2] = {luma[0], luma[1]};
				uint8_t *out[2] = {luma[0], luma[1]};
				double u = (cb - 128) / 224.0, v = (cr - 128) / 224.0;

				for (int i = 0; i < 256; i++)
					luma[0][i] = luma[1][i] = (uint8_t)i;
				memset(b, cb, sizeof(b));
				memset(r, cr, sizeof(r));
				jfif_colour_rows(&c, in, out, b, r, 256);
				for (int i = 16; i <= 235; i++) {
					double y = (i - 16) / 219.0;
					double red = y + 2 * (1 - kr) * v;
					double blue = y + 2 * (1 - kb) * u;
					double green = (y - kr * red - kb * blue) / (1 - kr - kb);
					double y601 = 0.299 * red + 0.587 * green + 0.114 * blue;
					double want = fmin(255, fmax(0, 255 * y601));
					int d = abs((int)lrint(want) - luma[0][i]);

					worst = d > worst ? d : worst;
					want = 128 + 255 * (blue - y601) / 1.772;
					d = abs((int)lrint(fmin(255, fmax(0, want))) - b[i / 2]);
					worst = d > worst ? d : worst;
					want = 128 + 255 * (red - y601) / 1.402;
					d = abs((int)lrint(fmin(255, fmax(0, want))) - r[i / 2]);
					worst = d > worst ? d : worst;
				}
				assert_memory_equal(luma[0], luma[1], 256);
			}
		}
		assert_in_range(worst, 0, 1);
	}
}

static void levels_and_vui_colours_are_translated(void **state)
{
	(void)state;
	assert_int_equal(encoder_level_idc("4.0"), 40);
	assert_int_equal(encoder_level_idc("5.2"), 52);
	assert_int_equal(encoder_level_idc("3"), 30);
	assert_int_equal(encoder_level_idc("1b"), 9);
	assert_int_equal(encoder_level_idc("auto"), 0);
	assert_int_equal(encoder_level_idc(""), 0);
	assert_int_equal(encoder_level_idc(NULL), 0);
	assert_int_equal(encoder_level_idc("4.01"), 0);
	assert_int_equal(encoder_vui_colour(FRAME_COLOUR_REC709).matrix, 1);
	assert_int_equal(encoder_vui_colour(FRAME_COLOUR_BT2020_PQ).transfer, 16);
	assert_int_equal(encoder_vui_colour(FRAME_COLOUR_BT2020_HLG).transfer, 18);
	assert_int_equal(encoder_vui_colour(FRAME_COLOUR_UNKNOWN).primaries, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(colours_of_a_jpeg_are_right_for_every_camera),
		cmocka_unit_test(sizes_that_are_no_multiple_of_16_have_clean_edges),
		cmocka_unit_test(a_jpeg_is_whole_and_has_its_huffman_tables),
		cmocka_unit_test(a_picture_larger_than_any_before_fits),
		cmocka_unit_test(luma_of_nv12_and_all_of_i420_go_by_pointer),
		cmocka_unit_test(yuyv_chroma_is_the_mean_of_two_rows),
		cmocka_unit_test(jfif_colours_are_within_one_level_of_the_exact_ones),
		cmocka_unit_test(levels_and_vui_colours_are_translated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
