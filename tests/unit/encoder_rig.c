/* SPDX-License-Identifier: BSD-2-Clause */
#include "encoder_rig.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- a camera: a moving picture with some noise, the same for each number --- */

static void handle_release(struct frame *frame)
{
	struct camera *camera = frame->source;

	camera->out--;
}

static void camera_init(struct camera *camera, uint32_t fourcc, uint32_t width, uint32_t height,
			struct rate rate)
{
	*camera = (struct camera){.format = {.fourcc = fourcc,
					     .width = width,
					     .height = height,
					     .colour = FRAME_COLOUR_SMPTE170M,
					     .rate = rate}};
	assert_int_equal(frame_format_layout(&camera->format, 0), 0);
	assert_int_equal(slot_ring_create(&camera->ring, "memfd", SLOTS, camera->format.size), 0);
}

static void camera_finish(struct camera *camera)
{
	slot_ring_destroy(camera->ring);
}

static uint8_t luma_at(uint32_t x, uint32_t y, unsigned number)
{
	uint32_t noise = (x * 2654435761u) ^ (y * 2246822519u) ^ (number * 3266489917u);

	noise ^= noise >> 15;
	noise *= 2654435761u;
	return (uint8_t)(64 + ((x + 3 * number) / 2 + y) % 128 + (noise >> 29));
}

static uint8_t cb_at(uint32_t x, uint32_t y, unsigned number)
{
	(void)y;
	return (uint8_t)(64 + (x / 4 + number) % 128);
}

static uint8_t cr_at(uint32_t x, uint32_t y, unsigned number)
{
	(void)x;
	return (uint8_t)(64 + (y / 4 + 2 * number) % 128);
}

static void draw(const struct frame_format *format, uint8_t *map, unsigned number)
{
	const struct frame_plane *planes = format->planes;

	for (uint32_t y = 0; y < format->height; y++) {
		uint8_t *row = map + planes[0].offset + (size_t)y * planes[0].stride;

		for (uint32_t x = 0; x < format->width; x++) {
			if (format->fourcc != FRAME_YUYV) {
				row[x] = luma_at(x, y, number);
				continue;
			}
			row[2 * x] = luma_at(x, y, number);
			row[2 * x + 1] =
				x % 2 ? cr_at(x / 2, y / 2, number) : cb_at(x / 2, y / 2, number);
		}
	}
	for (uint32_t y = 0; y < format->height / 2 && format->fourcc != FRAME_YUYV; y++) {
		for (uint32_t x = 0; x < format->width / 2; x++) {
			uint8_t *cb = map + planes[1].offset + (size_t)y * planes[1].stride;
			uint8_t *cr = map + planes[2].offset + (size_t)y * planes[2].stride;

			if (format->fourcc == FRAME_NV12) {
				cb[2 * x] = cb_at(x, y, number);
				cb[2 * x + 1] = cr_at(x, y, number);
			} else {
				cb[x] = cb_at(x, y, number);
				cr[x] = cr_at(x, y, number);
			}
		}
	}
}

static struct frame *camera_take(struct camera *camera, unsigned number)
{
	struct frame *frame = &camera->frames[number % SLOTS];
	uint8_t *map;

	assert_int_equal(slot_map(camera->ring, number % SLOTS, true, &map), 0);
	draw(&camera->format, map, camera->still ? 0 : number);
	for (uint32_t i = 0; camera->cut && i < camera->format.width * camera->format.height; i++)
		map[i] ^= (uint8_t)(i % 61 * 3);
	*frame = (struct frame){.format = &camera->format,
				.ring = camera->ring,
				.slot = number % SLOTS,
				.sequence = number,
				.capture_us = 1000000 + number,
				.release = handle_release,
				.source = camera};
	atomic_init(&frame->refs, 1);
	camera->out++;
	return frame;
}

/* --- an encoder with its writer, and what came out --- */

static void handle_coded(void *user, const struct access_unit *coded)
{
	struct recording *rec = user;
	struct h264_unit unit;

	assert_int_equal(
		h264_writer_unit(rec->writer, coded->data, coded->len, coded->capture_us, &unit),
		0);
	assert_int_equal(unit.key, coded->key);
	assert_int_equal(unit.droppable, coded->droppable);
	assert_false(unit.parameter_sets_missing);
	assert_true(rec->n < UNITS_MAX);
	if (rec->len + unit.len > rec->cap) {
		rec->cap = 2 * (rec->len + unit.len);
		rec->bytes = realloc(rec->bytes, rec->cap + AV_INPUT_BUFFER_PADDING_SIZE);
		assert_non_null(rec->bytes);
	}
	rec->units[rec->n++] = (struct coded_unit){rec->len, unit.len, unit.key, unit.droppable};
	for (int i = 0; i < unit.iovcnt; i++) {
		memcpy(rec->bytes + rec->len, unit.iov[i].iov_base, unit.iov[i].iov_len);
		rec->len += unit.iov[i].iov_len;
	}
	rec->capture_us = coded->capture_us;
}

static void handle_failed(void *user, int error, const char *why)
{
	(void)user;
	fail_msg("failed: %d %s", error, why);
}

struct shape usual(const struct encoder_ops *ops)
{
	return (struct shape){.ops = ops,
			      .fourcc = FRAME_NV12,
			      .width = 320,
			      .height = 240,
			      .rate = {30, 1},
			      .bitrate = 600000,
			      .keyframe_interval = 30,
			      .layers = 1,
			      .profile = CONFIG_PROFILE_HIGH};
}

struct recording *record_begin(const struct shape *shape)
{
	struct recording *rec = calloc(1, sizeof(*rec));
	char level[] = "auto", why[256] = "";
	struct config_stream stream = {.bitrate = shape->bitrate,
				       .keyframe_interval = shape->keyframe_interval,
				       .temporal_layers = shape->layers,
				       .profile = shape->profile,
				       .level = level};
	struct encoder_config config = {.stream = &stream, .threads = shape->threads};
	struct encoder_events events = {handle_coded, handle_failed, rec};

	assert_non_null(rec);
	camera_init(&rec->camera, shape->fourcc, shape->width, shape->height, shape->rate);
	config.format = rec->camera.format;
	config.ring = rec->camera.ring;
	assert_int_equal(h264_writer_create(&rec->writer, &(struct sps_edit){.rate = shape->rate},
					    shape->sei),
			 0);
	if (shape->ops->create(&rec->encoder, &config, &events, why) != 0)
		fail_msg("%s", why);
	return rec;
}

void record(struct recording *rec, bool force_idr)
{
	struct frame *frame = camera_take(&rec->camera, rec->frames);
	unsigned n = rec->n;

	assert_int_equal(rec->encoder->ops->encode(rec->encoder, frame, force_idr), 0);
	/* No delay, and the slot is back. */
	assert_int_equal(rec->n, n + 1);
	assert_int_equal(rec->capture_us, 1000000 + rec->frames);
	assert_int_equal(rec->camera.out, 0);
	rec->frames++;
}

void record_end(struct recording *rec)
{
	rec->encoder->ops->destroy(rec->encoder);
	h264_writer_destroy(rec->writer);
	camera_finish(&rec->camera);
	free(rec->bytes);
	free(rec);
}

/* --- decoding --- */

static double psnr(uint64_t squares, uint64_t n)
{
	return squares == 0 ? 99 : 10 * log10(255.0 * 255.0 * (double)n / (double)squares);
}

/* pts is the picture's number. */
static void compare(const struct recording *rec, const AVFrame *picture, struct decoded *result)
{
	uint64_t luma = 0, chroma = 0;
	uint32_t width = rec->camera.format.width, height = rec->camera.format.height;
	unsigned number = (unsigned)picture->pts;
	double db;

	assert_int_equal(picture->width, width);
	assert_int_equal(picture->height, height);
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			int d = picture->data[0][(int)y * picture->linesize[0] + (int)x] -
				luma_at(x, y, number);

			luma += (uint64_t)(d * d);
			if (y % 2 || x % 2)
				continue;
			d = picture->data[1][(int)y / 2 * picture->linesize[1] + (int)x / 2] -
			    cb_at(x / 2, y / 2, number);
			chroma += (uint64_t)(d * d);
			d = picture->data[2][(int)y / 2 * picture->linesize[2] + (int)x / 2] -
			    cr_at(x / 2, y / 2, number);
			chroma += (uint64_t)(d * d);
		}
	}
	db = psnr(luma, (uint64_t)width * height);
	result->worst_luma = fmin(result->worst_luma, db);
	db = psnr(chroma, (uint64_t)width * height / 2);
	result->worst_chroma = fmin(result->worst_chroma, db);
}

static void take_pictures(const struct recording *rec, AVCodecContext *codec, AVFrame *picture,
			  struct decoded *result)
{
	int rc;

	while ((rc = avcodec_receive_frame(codec, picture)) == 0) {
		result->pictures++;
		result->errors += picture->decode_error_flags != 0;
		result->range = picture->color_range;
		result->space = picture->colorspace;
		compare(rec, picture, result);
	}
	result->errors += rc != AVERROR(EAGAIN) && rc != AVERROR_EOF;
}

struct decoded decode(const struct recording *rec, unsigned first, bool leave_out)
{
	AVCodecContext *codec = avcodec_alloc_context3(avcodec_find_decoder(AV_CODEC_ID_H264));
	struct decoded result = {.worst_luma = 99, .worst_chroma = 99};
	AVFrame *picture = av_frame_alloc();
	AVPacket *packet = av_packet_alloc();

	assert_non_null(codec);
	codec->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER;
	codec->thread_count = 1;
	assert_int_equal(avcodec_open2(codec, NULL, NULL), 0);
	for (unsigned i = first; i < rec->n; i++) {
		const struct coded_unit *unit = &rec->units[i];

		if (leave_out && unit->droppable)
			continue;
		packet->data = rec->bytes + unit->offset;
		packet->size = (int)unit->len;
		packet->pts = packet->dts = i;
		result.errors += avcodec_send_packet(codec, packet) != 0;
		take_pictures(rec, codec, picture, &result);
		/* max_num_reorder_frames = 0: each picture comes out at once */
		assert_int_equal(codec->has_b_frames, 0);
	}
	avcodec_send_packet(codec, NULL);
	take_pictures(rec, codec, picture, &result);
	av_packet_free(&packet);
	av_frame_free(&picture);
	avcodec_free_context(&codec);
	return result;
}
