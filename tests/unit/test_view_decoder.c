/* SPDX-License-Identifier: BSD-2-Clause */
/* Coded pictures into the shared ring, and how old they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <libavcodec/avcodec.h>
#include <libavutil/opt.h>

#include "client/view/decoder.h"
#include "client/view/lag.h"
#include "media/sei.h"

/* --- an encoder of flat pictures --- */

struct coder {
	AVCodecContext *codec;
	AVFrame *picture;
	AVPacket *packet;
	uint8_t chroma[2]; /* Cb, Cr */
};

/* What the next coder states. */
static AVRational shape = {0, 1};
static enum AVColorSpace space = AVCOL_SPC_UNSPECIFIED;
static enum AVColorRange range = AVCOL_RANGE_UNSPECIFIED;

static void coder_init(struct coder *coder, enum AVCodecID id, enum AVPixelFormat pixels, int width,
		       int height)
{
	const AVCodec *codec = avcodec_find_encoder(id);

	assert_non_null(codec);
	coder->codec = avcodec_alloc_context3(codec);
	coder->codec->width = width;
	coder->codec->height = height;
	coder->codec->pix_fmt = pixels;
	coder->codec->time_base = (AVRational){1, 30};
	coder->codec->color_range = id == AV_CODEC_ID_MJPEG ? AVCOL_RANGE_JPEG : range;
	coder->codec->colorspace = space;
	coder->codec->sample_aspect_ratio = shape;
	memset(coder->chroma, 128, sizeof(coder->chroma));
	coder->codec->thread_count = 1;
	if (id == AV_CODEC_ID_H264) {
		av_opt_set(coder->codec->priv_data, "preset", "ultrafast", 0);
		av_opt_set(coder->codec->priv_data, "tune", "zerolatency", 0);
	}
	assert_int_equal(avcodec_open2(coder->codec, codec, NULL), 0);
	coder->picture = av_frame_alloc();
	coder->picture->format = pixels;
	coder->picture->width = width;
	coder->picture->height = height;
	assert_int_equal(av_frame_get_buffer(coder->picture, 0), 0);
	coder->packet = av_packet_alloc();
}

static void coder_finish(struct coder *coder)
{
	av_packet_free(&coder->packet);
	av_frame_free(&coder->picture);
	avcodec_free_context(&coder->codec);
}

/* Codes coder->picture into coder->packet. */
static void code_as_is(struct coder *coder)
{
	coder->picture->pts++;
	av_packet_unref(coder->packet);
	assert_int_equal(avcodec_send_frame(coder->codec, coder->picture), 0);
	assert_int_equal(avcodec_receive_packet(coder->codec, coder->packet), 0);
}

/* One coded picture, in coder->packet until the next. */
static void code(struct coder *coder, uint8_t luma)
{
	AVFrame *picture = coder->picture;
	const int chroma_rows = coder->codec->pix_fmt == AV_PIX_FMT_YUVJ422P
					? picture->height
					: (picture->height + 1) / 2;

	assert_int_equal(av_frame_make_writable(picture), 0);
	memset(picture->data[0], luma, (size_t)picture->linesize[0] * (size_t)picture->height);
	for (unsigned i = 1; i < 3; i++)
		memset(picture->data[i], coder->chroma[i - 1],
		       (size_t)picture->linesize[i] * (size_t)chroma_rows);
	code_as_is(coder);
}

/* --- the ring --- */

struct rig {
	struct view_shared *shared;
	struct view_ring ring;
	struct view_decoder *decoder;
	uint64_t seen;
};

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	if (!rig)
		return -1;
	rig->shared = mmap(NULL, sizeof(*rig->shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (rig->shared == MAP_FAILED) {
		free(rig);
		return -1;
	}
	view_ring_init(&rig->ring, rig->shared);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	view_decoder_destroy(rig->decoder);
	munmap(rig->shared, sizeof(*rig->shared));
	free(rig);
	return 0;
}

static void open_decoder(struct rig *rig, enum stream_codec codec)
{
	char why[256] = "";

	assert_int_equal(view_decoder_create(&rig->decoder, codec, "none", &rig->ring, why), 0);
	assert_false(view_decoder_hardware(rig->decoder));
}

static int decode(struct rig *rig, const struct coder *coder, int64_t since_us)
{
	char why[256];

	return view_decoder_decode(rig->decoder, coder->packet->data, (size_t)coder->packet->size,
				   since_us, true, why);
}

/* Codes, decodes and takes one picture of that luma, and reads all of it. */
static void pass(struct rig *rig, struct coder *coder, uint8_t luma, struct view_picture *picture)
{
	const int64_t since_us = 1000000000LL + luma;
	const uint8_t *area = rig->shared->area;

	code(coder, luma);
	assert_int_equal(decode(rig, coder, since_us), 1);
	assert_int_equal(view_ring_acquire(rig->shared, &rig->seen, picture), 1);
	assert_int_equal(picture->width, coder->codec->width);
	assert_int_equal(picture->height, coder->codec->height);
	assert_int_equal(picture->since_us, since_us);
	assert_true(picture->captured);
	for (uint32_t y = 0; y < picture->height; y++)
		for (uint32_t x = 0; x < picture->width; x++)
			assert_in_range(
				area[picture->offset[0] + (size_t)y * picture->stride[0] + x],
				luma - 3, luma + 3);
	for (uint32_t y = 0; y < picture->height / 2; y++)
		for (uint32_t x = 0; x < picture->width / 2; x++)
			assert_in_range(
				area[picture->offset[2] + (size_t)y * picture->stride[2] + x], 126,
				130);
	view_ring_release(rig->shared);
}

static void each_unit_gives_its_picture_at_once(void **state)
{
	struct rig *rig = *state;
	struct view_picture picture;
	struct coder coder;

	open_decoder(rig, STREAM_H264);
	coder_init(&coder, AV_CODEC_ID_H264, AV_PIX_FMT_YUV420P, 320, 180);
	for (unsigned i = 0; i < 40; i++)
		pass(rig, &coder, (uint8_t)(30 + 5 * i), &picture);
	assert_int_equal(picture.format, VIEW_I420);
	assert_int_equal(picture.colour, VIEW_REC601);
	coder_finish(&coder);
}

static void h264_is_decoded_straight_into_the_ring(void **state)
{
	struct rig *rig = *state;
	struct view_picture picture;
	struct coder coder;
	unsigned taken = 0;

	open_decoder(rig, STREAM_H264);
	coder_init(&coder, AV_CODEC_ID_H264, AV_PIX_FMT_YUV420P, 320, 180);
	for (unsigned i = 0; i < 10; i++)
		pass(rig, &coder, (uint8_t)(60 + i), &picture);
	/* The decoder keeps what it refers to: a copy would have been given back. */
	for (unsigned i = 0; i < rig->ring.n; i++)
		taken += atomic_load(&rig->ring.taken[i]);
	assert_true(taken > 0);
	assert_true(atomic_load(&rig->ring.taken[picture.offset[0] / rig->ring.slot_size]));
	coder_finish(&coder);
}

static void the_size_may_change_within_a_stream(void **state)
{
	static const int sizes[][2] = {
		{320, 180}, {1280, 720}, {640, 360}, {1920, 1080}, {322, 182}};
	struct rig *rig = *state;
	struct view_picture picture;

	open_decoder(rig, STREAM_H264);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		struct coder coder;

		coder_init(&coder, AV_CODEC_ID_H264, AV_PIX_FMT_YUV420P, sizes[s][0], sizes[s][1]);
		for (unsigned i = 0; i < 3; i++)
			pass(rig, &coder, (uint8_t)(50 + 20 * i + s), &picture);
		assert_int_equal(picture.colour, sizes[s][1] >= 720 ? VIEW_REC709 : VIEW_REC601);
		coder_finish(&coder);
	}
}

static void jpegs_keep_their_full_range(void **state)
{
	struct rig *rig = *state;
	struct view_picture picture;
	struct coder coder;

	open_decoder(rig, STREAM_MJPEG);
	coder_init(&coder, AV_CODEC_ID_MJPEG, AV_PIX_FMT_YUVJ420P, 322, 182);
	pass(rig, &coder, 250, &picture);
	pass(rig, &coder, 10, &picture);
	assert_int_equal(picture.colour, VIEW_JPEG);
	coder_finish(&coder);
}

static void other_pixel_formats_are_converted_into_the_ring(void **state)
{
	struct rig *rig = *state;
	struct view_picture picture;
	struct coder coder;

	open_decoder(rig, STREAM_MJPEG);
	coder_init(&coder, AV_CODEC_ID_MJPEG, AV_PIX_FMT_YUVJ422P, 320, 180);
	pass(rig, &coder, 240, &picture);
	assert_int_equal(picture.format, VIEW_I420);
	assert_int_equal(picture.colour, VIEW_JPEG);
	coder_finish(&coder);
}

static void the_shape_of_pixels_widens_the_picture(void **state)
{
	struct rig *rig = *state;
	struct view_picture picture;
	struct coder coder;

	open_decoder(rig, STREAM_H264);
	coder_init(&coder, AV_CODEC_ID_H264, AV_PIX_FMT_YUV420P, 320, 180);
	pass(rig, &coder, 90, &picture);
	assert_int_equal(view_picture_shown_width(&picture), 320);
	coder_finish(&coder);
	shape = (AVRational){4, 3};
	coder_init(&coder, AV_CODEC_ID_H264, AV_PIX_FMT_YUV420P, 320, 180);
	pass(rig, &coder, 90, &picture);
	assert_int_equal(view_picture_shown_width(&picture), 426);
	coder_finish(&coder);
	shape = (AVRational){0, 1};
	/* Whatever a child writes, a picture has some size. */
	picture.sar_width = UINT32_MAX;
	picture.sar_height = 1;
	assert_int_equal(view_picture_shown_width(&picture), VIEW_PICTURE_MAX);
	picture.sar_width = 1;
	picture.sar_height = UINT32_MAX;
	assert_int_equal(view_picture_shown_width(&picture), 1);
}

/* A unit with a display orientation in front of it, which libavcodec finds there. */
static int decode_turned(struct rig *rig, const struct coder *coder, struct orientation orientation)
{
	uint8_t data[1 << 16];
	size_t len = sei_write_orientation(data, orientation);
	char why[256];

	assert_true(len + (size_t)coder->packet->size <= sizeof(data));
	memcpy(data + len, coder->packet->data, (size_t)coder->packet->size);
	return view_decoder_decode(rig->decoder, data, len + (size_t)coder->packet->size, 1, true,
				   why);
}

static uint8_t sample(const struct rig *rig, const struct view_picture *picture, unsigned plane,
		      uint32_t x, uint32_t y)
{
	return rig->shared->area[picture->offset[plane] + (size_t)y * picture->stride[plane] + x];
}

/* A picture of which one corner is white, in each orientation, also in 4:4:4 and in BT.2020. */
static void a_picture_is_turned_as_the_stream_says(void **state)
{
	static const struct {
		enum AVPixelFormat pixels;
		enum AVColorSpace space;
	} cases[] = {
		{AV_PIX_FMT_YUV420P, AVCOL_SPC_UNSPECIFIED},
		{AV_PIX_FMT_YUV444P, AVCOL_SPC_UNSPECIFIED},
		{AV_PIX_FMT_YUV420P, AVCOL_SPC_BT2020_NCL},
	};
	struct rig *rig = *state;

	shape = (AVRational){4, 3};
	open_decoder(rig, STREAM_H264);
	for (unsigned i = 0; i < 3 * 8; i++) {
		const struct orientation o = {i & 1, i & 2, i & 4};
		struct view_picture picture;
		struct coder coder;
		uint32_t x, y;

		space = cases[i / 8].space;
		coder_init(&coder, AV_CODEC_ID_H264, cases[i / 8].pixels, 320, 180);
		/* The encoder reads lines from data[0]: a white upper left corner, on black. */
		memset(coder.picture->data[0], 16, (size_t)coder.picture->linesize[0] * 180);
		for (unsigned plane = 1; plane < 3; plane++)
			memset(coder.picture->data[plane], 128,
			       (size_t)coder.picture->linesize[plane] *
				       (cases[i / 8].pixels == AV_PIX_FMT_YUV444P ? 180 : 90));
		for (unsigned line = 0; line < 64; line++)
			memset(coder.picture->data[0] + (size_t)line * coder.picture->linesize[0],
			       235, 64);
		code_as_is(&coder);
		view_decoder_flush(rig->decoder); /* the IDR pictures have the same number */
		assert_int_equal(decode_turned(rig, &coder, o), 1);
		assert_int_equal(view_ring_acquire(rig->shared, &rig->seen, &picture), 1);
		assert_int_equal(picture.format, VIEW_I420);
		assert_int_equal(picture.width, o.transpose ? 180 : 320);
		assert_int_equal(picture.height, o.transpose ? 320 : 180);
		assert_int_equal(view_picture_shown_width(&picture), o.transpose ? 135 : 426);
		for (unsigned corner = 0; corner < 4; corner++) {
			x = corner & 1 ? picture.width - 20 : 20;
			y = corner & 2 ? picture.height - 20 : 20;
			if (!(corner & 1) == !o.hflip && !(corner & 2) == !o.vflip)
				assert_in_range(sample(rig, &picture, 0, x, y), 225, 245);
			else
				assert_in_range(sample(rig, &picture, 0, x, y), 6, 26);
			assert_in_range(sample(rig, &picture, 1, x / 2, y / 2), 124, 132);
		}
		view_ring_release(rig->shared);
		coder_finish(&coder);
	}
	shape = (AVRational){0, 1};
	space = AVCOL_SPC_UNSPECIFIED;
}

/* Red, as each matrix codes it, in limited or full range. */
static void colours_without_a_name_are_converted(void **state)
{
	static const struct {
		enum AVColorSpace space;
		enum AVColorRange range;
		uint8_t in[3], out[3];
		enum view_colour colour;
	} cases[] = {
		{AVCOL_SPC_BT2020_NCL,
		 AVCOL_RANGE_MPEG,
		 {74, 97, 240},
		 {63, 102, 240},
		 VIEW_REC709},
		{AVCOL_SPC_BT709, AVCOL_RANGE_JPEG, {54, 99, 255}, {76, 85, 255}, VIEW_JPEG},
	};
	struct rig *rig = *state;

	open_decoder(rig, STREAM_H264);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const uint8_t *area = rig->shared->area;
		struct view_picture picture;
		struct coder coder;

		space = cases[i].space;
		range = cases[i].range;
		coder_init(&coder, AV_CODEC_ID_H264, AV_PIX_FMT_YUV420P, 320, 180);
		memcpy(coder.chroma, cases[i].in + 1, 2);
		code(&coder, cases[i].in[0]);
		assert_int_equal(decode(rig, &coder, 1), 1);
		assert_int_equal(view_ring_acquire(rig->shared, &rig->seen, &picture), 1);
		assert_int_equal(picture.colour, cases[i].colour);
		for (unsigned plane = 0; plane < 3; plane++)
			assert_in_range(area[picture.offset[plane] +
					     (size_t)40 * picture.stride[plane] + 40],
					cases[i].out[plane] - 4, cases[i].out[plane] + 4);
		view_ring_release(rig->shared);
		coder_finish(&coder);
	}
	space = AVCOL_SPC_UNSPECIFIED;
	range = AVCOL_RANGE_UNSPECIFIED;
}

static void damaged_units_cost_themselves_only(void **state)
{
	struct rig *rig = *state;
	struct view_picture picture;
	struct coder coder;
	uint32_t random = 1;

	open_decoder(rig, STREAM_H264);
	for (unsigned round = 0; round < 20; round++) {
		coder_init(&coder, AV_CODEC_ID_H264, AV_PIX_FMT_YUV420P, 320, 180);
		code(&coder, 90);
		for (int i = 0; i < 8; i++) {
			random = random * 1664525 + 1013904223;
			coder.packet->data[(random >> 8) % (unsigned)coder.packet->size] ^=
				(uint8_t)(random >> 3);
		}
		decode(rig, &coder, 1);
		coder_finish(&coder);
		while (view_ring_acquire(rig->shared, &rig->seen, &picture) > 0)
			view_ring_release(rig->shared);
	}
	view_decoder_flush(rig->decoder);
	coder_init(&coder, AV_CODEC_ID_H264, AV_PIX_FMT_YUV420P, 320, 180);
	pass(rig, &coder, 120, &picture);
	coder_finish(&coder);
}

static void a_device_that_is_not_there_means_software(void **state)
{
	struct rig *rig = *state;
	struct view_picture picture;
	struct coder coder;
	char why[256];

	assert_int_equal(
		view_decoder_create(&rig->decoder, STREAM_H264, "no-such-device", &rig->ring, why),
		0);
	assert_false(view_decoder_hardware(rig->decoder));
	assert_string_equal(view_decoder_name(rig->decoder), "h264, software");
	coder_init(&coder, AV_CODEC_ID_H264, AV_PIX_FMT_YUV420P, 320, 180);
	pass(rig, &coder, 70, &picture);
	coder_finish(&coder);
}

/* --- how old a picture is --- */

#define UTC 1769860800000000LL

static void one_machines_clocks_are_compared_by_the_monotonic_one(void **state)
{
	const struct sei_capture capture = {0, 5000000, UTC};
	int64_t since, offset;

	(void)state;
	/* 20 ms old; the wall clock was set by 9 ms in between */
	assert_true(view_lag_capture_us(&capture, 5020000, UTC + 29000, &since, &offset));
	assert_int_equal(since, 5000000);
}

static void other_machines_by_the_wall_clock_if_that_makes_sense(void **state)
{
	const struct sei_capture capture = {0, 5000000, UTC};
	int64_t since, offset;

	(void)state;
	assert_true(view_lag_capture_us(&capture, 900000000, UTC + 40000, &since, &offset));
	assert_int_equal(since, 900000000 - 40000);
	/* slightly ahead of ours: now */
	assert_true(view_lag_capture_us(&capture, 900000000, UTC - 10000, &since, &offset));
	assert_int_equal(since, 900000000);
	assert_false(view_lag_capture_us(&capture, 900000000, UTC - 1000000, &since, &offset));
	assert_int_equal(offset, 1000000);
	assert_false(view_lag_capture_us(&capture, 900000000, UTC + 3600000000LL, &since, &offset));
	assert_int_equal(offset, -3600000000LL);
}

static void absurd_times_do_not_overflow(void **state)
{
	static const int64_t times[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX};
	int64_t since, offset;

	(void)state;
	for (size_t i = 0; i < 6; i++)
		for (size_t j = 0; j < 6; j++) {
			const struct sei_capture capture = {0, times[i], times[j]};

			assert_false(
				view_lag_capture_us(&capture, 900000000, UTC, &since, &offset));
		}
}

static void an_offset_of_clocks_is_said_in_the_largest_unit_that_fits(void **state)
{
	static const struct {
		int64_t us;
		const char *text;
	} cases[] = {
		{1999000, "1999 ms ahead"},
		{-2000000, "2 s behind"},
		{7200000000LL, "2 h ahead"},
		{-1767225600000000LL, "56 years behind"},
		{VIEW_LAG_OFFSET_MAX_US, "2737 years ahead"},
		{INT64_MIN, "292271 years behind"},
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		view_lag_describe_offset(cases[i].us, text, sizeof text);
		assert_string_equal(text, cases[i].text);
	}
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(each_unit_gives_its_picture_at_once),
		test(h264_is_decoded_straight_into_the_ring),
		test(the_size_may_change_within_a_stream),
		test(jpegs_keep_their_full_range),
		test(other_pixel_formats_are_converted_into_the_ring),
		test(the_shape_of_pixels_widens_the_picture),
		test(a_picture_is_turned_as_the_stream_says),
		test(colours_without_a_name_are_converted),
		test(damaged_units_cost_themselves_only),
		test(a_device_that_is_not_there_means_software),
		cmocka_unit_test(one_machines_clocks_are_compared_by_the_monotonic_one),
		cmocka_unit_test(other_machines_by_the_wall_clock_if_that_makes_sense),
		cmocka_unit_test(absurd_times_do_not_overflow),
		cmocka_unit_test(an_offset_of_clocks_is_said_in_the_largest_unit_that_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
