/* SPDX-License-Identifier: BSD-2-Clause */
/* Recordings as libavformat reads them back. */
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
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>

#include "client/record/head.h"
#include "client/record/mp4.h"
#include "media/access_unit.h"
#include "media/nal.h"
#include "media/sei.h"

enum { PICTURES = 40, STEP_US = 40000 };

/* The units that a camera sends. */
static struct coded {
	uint8_t data[1 << 20];
	struct reader_unit units[PICTURES];
	size_t n;
} coded, other;

static void add_packet(struct coded *to, const AVPacket *packet, enum stream_codec codec)
{
	uint8_t *data = to->data;

	if (to->n > 0)
		data = (uint8_t *)(uintptr_t)to->units[to->n - 1].data + to->units[to->n - 1].len;
	assert_true(to->n < PICTURES);
	assert_true(data + packet->size <= to->data + sizeof(to->data));
	memcpy(data, packet->data, (size_t)packet->size);
	to->units[to->n++] = (struct reader_unit){
		.data = data,
		.len = (size_t)packet->size,
		.codec = codec,
		.key = packet->flags & AV_PKT_FLAG_KEY,
	};
}

static void code(struct coded *to, const char *encoder, enum AVPixelFormat format, int width,
		 int height, const char *options)
{
	AVCodecContext *codec = avcodec_alloc_context3(avcodec_find_encoder_by_name(encoder));
	const bool h264 = strcmp(encoder, "libx264") == 0;
	AVPacket *packet = av_packet_alloc();
	AVFrame *frame = av_frame_alloc();

	assert_non_null(codec);
	codec->width = frame->width = width;
	codec->height = frame->height = height;
	codec->pix_fmt = format;
	frame->format = format;
	codec->time_base = (AVRational){1, 25};
	codec->strict_std_compliance = FF_COMPLIANCE_UNOFFICIAL;
	codec->log_level_offset = 16;
	if (h264)
		av_opt_set(codec->priv_data, "x264-params", options, 0);
	assert_int_equal(avcodec_open2(codec, NULL, NULL), 0);
	assert_int_equal(av_frame_get_buffer(frame, 0), 0);
	to->n = 0;
	for (int i = 0; i <= PICTURES; i++) {
		assert_int_equal(av_frame_make_writable(frame), 0);
		for (int p = 0; p < 3 && frame->buf[p]; p++)
			memset(frame->buf[p]->data, 16 + 5 * i % 200, frame->buf[p]->size);
		frame->pts = i;
		assert_int_equal(avcodec_send_frame(codec, i < PICTURES ? frame : NULL), 0);
		while (avcodec_receive_packet(codec, packet) == 0) {
			add_packet(to, packet, h264 ? STREAM_H264 : STREAM_MJPEG);
			av_packet_unref(packet);
		}
	}
	assert_int_equal(to->n, PICTURES);
	av_packet_free(&packet);
	av_frame_free(&frame);
	avcodec_free_context(&codec);
}

static bool is_droppable(const struct reader_unit *unit)
{
	struct access_unit_head head;

	access_unit_read_head(unit->data, unit->len, &head);
	return !head.referenced;
}

#define BEGIN_US 1769860800000000

/* Records all of it, or all but what nothing refers to, into a file. */
static int record_file(const struct coded *from, bool lossy, int64_t utc_us)
{
	struct mp4_format *format;
	int fd = memfd_create("recording", MFD_CLOEXEC);
	struct mp4 *mp4;
	const uint8_t *data;
	size_t len;

	assert_int_equal(mp4_format_create(&format), 0);
	assert_int_equal(mp4_format_update(format, &from->units[0]), 1);
	assert_int_equal(mp4_create(&mp4, format, "a camera", utc_us), 0);
	mp4_format_destroy(format);
	for (size_t i = 0; i < from->n; i++) {
		if (lossy && is_droppable(&from->units[i]))
			continue;
		assert_true(mp4_add(mp4, &from->units[i], 7000000 + (int64_t)i * STEP_US) >= 0);
		data = mp4_take(mp4, &len);
		assert_int_equal(write(fd, data, len), len);
	}
	assert_int_equal(mp4_finish(mp4, STEP_US), 0);
	assert_true(lossy || mp4_duration_us(mp4) == (int64_t)from->n * STEP_US);
	data = mp4_take(mp4, &len);
	assert_int_equal(write(fd, data, len), len);
	mp4_destroy(mp4);
	return fd;
}

static AVFormatContext *open_file(int fd)
{
	AVFormatContext *input = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(avformat_open_input(&input, path, NULL, NULL), 0);
	close(fd);
	return input;
}

static AVFormatContext *record(const struct coded *from, bool lossy)
{
	return open_file(record_file(from, lossy, BEGIN_US));
}

static void check_size(const AVFormatContext *input, enum AVCodecID codec, int width, int height)
{
	assert_int_equal(input->nb_streams, 1);
	assert_int_equal(input->streams[0]->codecpar->codec_id, codec);
	assert_int_equal(input->streams[0]->codecpar->width, width);
	assert_int_equal(input->streams[0]->codecpar->height, height);
}

static int compare(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* Every picture is there, one step after the other, shown `reorder` steps after its turn or, if it
 * is shown in another order, at another's turn. */
static void check_times(AVFormatContext *input, int reorder)
{
	const AVRational us = {1, 1000000};
	AVPacket *packet = av_packet_alloc();
	int64_t shown[PICTURES] = {0};
	size_t n = 0;

	while (av_read_frame(input, packet) == 0) {
		assert_true(n < PICTURES);
		assert_int_equal(av_rescale_q(packet->dts, input->streams[0]->time_base, us),
				 (int64_t)n * STEP_US);
		assert_true(packet->pts >= packet->dts);
		shown[n++] = av_rescale_q(packet->pts, input->streams[0]->time_base, us);
		/* Samples begin with a length, and hold no parameter set and no delimiter. */
		if (input->streams[0]->codecpar->codec_id == AV_CODEC_ID_H264) {
			assert_int_not_equal(nal_type(packet->data[4]), NAL_SPS);
			assert_int_not_equal(nal_type(packet->data[4]), NAL_AUD);
		}
		av_packet_unref(packet);
	}
	assert_int_equal(n, PICTURES);
	qsort(shown, n, sizeof(*shown), compare);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(shown[i], ((int64_t)i + reorder) * STEP_US);
	av_packet_free(&packet);
}

static void h264_comes_back_with_its_size_and_order(void **state)
{
	static const struct {
		enum AVPixelFormat format;
		int width, height, reorder;
		const char *options;
	} cases[] = {
		{AV_PIX_FMT_YUV420P, 322, 242, 0, "bframes=0:keyint=10:aud=1"},
		{AV_PIX_FMT_YUV420P, 1920, 1080, 1, "bframes=1:b-adapt=0:keyint=10:scenecut=0"},
		{AV_PIX_FMT_YUV420P, 640, 360, 1, "bframes=5:b-adapt=0:b-pyramid=none:scenecut=0"},
		{AV_PIX_FMT_YUV420P, 640, 360, 2,
		 "bframes=3:b-adapt=0:b-pyramid=normal:scenecut=0"},
		{AV_PIX_FMT_YUV420P, 640, 360, 2,
		 "bframes=16:b-adapt=0:b-pyramid=normal:scenecut=0"},
		{AV_PIX_FMT_YUV422P10, 322, 242, 0, "bframes=0:slices=3"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		AVFormatContext *input;

		code(&coded, "libx264", cases[i].format, cases[i].width, cases[i].height,
		     cases[i].options);
		input = record(&coded, false);
		check_size(input, AV_CODEC_ID_H264, cases[i].width, cases[i].height);
		assert_int_equal(input->streams[0]->codecpar->extradata[0], 1); /* avcC */
		check_times(input, cases[i].reorder);
		avformat_close_input(&input);
	}
}

/* As on a slow link. The others are shown when they would be shown anyway, every third. */
static void pictures_that_were_left_out_do_not_move_the_others(void **state)
{
	const AVRational us = {1, 1000000};
	AVPacket *packet = av_packet_alloc();
	AVFormatContext *input;
	int64_t shown[PICTURES] = {0};
	size_t n = 0;

	(void)state;
	code(&coded, "libx264", AV_PIX_FMT_YUV420P, 640, 360,
	     "bframes=2:b-adapt=0:b-pyramid=none:keyint=100:scenecut=0");
	input = record(&coded, true);
	while (av_read_frame(input, packet) == 0) {
		shown[n++] = av_rescale_q(packet->pts, input->streams[0]->time_base, us);
		av_packet_unref(packet);
	}
	assert_int_equal(n, 14);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(shown[i], (3 * (int64_t)i + 1) * STEP_US);
	av_packet_free(&packet);
	avformat_close_input(&input);
}

/* The first unit with a display orientation in front of its slices. */
static struct coded *orient_first(const struct coded *from, struct orientation orientation)
{
	static struct coded turned;
	static uint8_t data[1 << 16];
	const struct reader_unit *first = &from->units[0];
	size_t len = 0, pos = 0;
	struct nal nal;

	memcpy(turned.units, from->units, sizeof(turned.units));
	turned.n = from->n;
	assert_true(first->len + SEI_ORIENTATION_MAX < sizeof(data));
	while (nal_next(first->data, first->len, &pos, &nal) && !nal_is_slice(nal.type))
		;
	pos = (size_t)(nal.data - 3 - first->data);
	memcpy(data, first->data, pos);
	len = pos + sei_write_orientation(data + pos, orientation);
	memcpy(data + len, first->data + pos, first->len - pos);
	turned.units[0].data = data;
	turned.units[0].len = len + first->len - pos;
	return &turned;
}

static const int32_t *matrix_of(const AVStream *stream)
{
	const uint8_t *data;

#if LIBAVFORMAT_VERSION_MAJOR >= 61
	const AVPacketSideData *side = av_packet_side_data_get(stream->codecpar->coded_side_data,
							       stream->codecpar->nb_coded_side_data,
							       AV_PKT_DATA_DISPLAYMATRIX);

	data = side ? side->data : NULL;
#else
	data = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, NULL);
#endif
	return (const int32_t *)(const void *)data;
}

static void an_orientation_is_the_matrix_of_the_track(void **state)
{
	(void)state;
	code(&coded, "libx264", AV_PIX_FMT_YUV420P, 322, 242, "bframes=0:keyint=100");
	for (unsigned way = 0; way < 8; way++) {
		const struct orientation orientation = {way & 1, way & 2, way & 4};
		AVFormatContext *input = record(orient_first(&coded, orientation), false);
		const int32_t *matrix = matrix_of(input->streams[0]);

		check_size(input, AV_CODEC_ID_H264, 322, 242);
		assert_int_equal(!matrix, way == 0);
		assert_true(orientation_is_same(orientation_of_matrix(matrix), orientation));
		check_times(input, 0);
		avformat_close_input(&input);
	}
}

static void a_format_changes_with_the_orientation(void **state)
{
	const struct coded *turned;
	struct mp4_format *format;

	(void)state;
	code(&coded, "libx264", AV_PIX_FMT_YUV420P, 322, 242, "bframes=0:keyint=100");
	turned = orient_first(&coded, (struct orientation){true, true, false});
	assert_int_equal(mp4_format_create(&format), 0);
	assert_int_equal(mp4_format_update(format, &coded.units[0]), 1);
	assert_int_equal(mp4_format_update(format, &turned->units[0]), 1);
	assert_int_equal(mp4_format_update(format, &turned->units[0]), 0);
	assert_int_equal(mp4_format_update(format, &coded.units[0]), 1);
	mp4_format_destroy(format);
}

static void jpegs_come_back_with_their_size(void **state)
{
	AVFormatContext *input;

	(void)state;
	code(&coded, "mjpeg", AV_PIX_FMT_YUVJ420P, 322, 242, NULL);
	input = record(&coded, false);
	check_size(input, AV_CODEC_ID_MJPEG, 322, 242);
	check_times(input, 0);
	avformat_close_input(&input);
}

static void a_format_changes_with_the_parameter_sets_or_the_size(void **state)
{
	struct mp4_format *format;
	struct reader_unit cut;

	(void)state;
	code(&coded, "libx264", AV_PIX_FMT_YUV420P, 322, 242, "bframes=0:keyint=10");
	code(&other, "libx264", AV_PIX_FMT_YUV420P, 322, 244, "bframes=0:keyint=10");
	assert_int_equal(mp4_format_create(&format), 0);
	assert_int_equal(mp4_format_update(format, &coded.units[0]), 1);
	assert_int_equal(mp4_format_update(format, &coded.units[0]), 0);
	assert_int_equal(mp4_format_update(format, &coded.units[10]), 0);
	assert_int_equal(mp4_format_update(format, &other.units[0]), 1);
	/* An undecodable unit has no format, and the next one has a new format. */
	assert_int_equal(mp4_format_update(format, &other.units[1]), -EINVAL);
	assert_int_equal(mp4_format_update(format, &other.units[0]), 1);
	cut = other.units[0];
	cut.len = 20;
	assert_int_equal(mp4_format_update(format, &cut), -EINVAL);

	code(&other, "mjpeg", AV_PIX_FMT_YUVJ420P, 322, 242, NULL);
	assert_int_equal(mp4_format_update(format, &other.units[0]), 1);
	assert_int_equal(mp4_format_update(format, &other.units[1]), 0);
	cut = other.units[0];
	cut.len = 20;
	assert_int_equal(mp4_format_update(format, &cut), -EINVAL);
	assert_int_equal(mp4_format_update(format, &coded.units[0]), 1);
	mp4_format_destroy(format);
}

/* What the muxer gave is written to fd. */
static void save(struct mp4 *mp4, int fd)
{
	size_t len;
	const uint8_t *data = mp4_take(mp4, &len);

	assert_int_equal(write(fd, data, len), len);
	if (len > 0)
		mp4_saved(mp4);
}

/* Adds pictures n to end - 1, and saves what comes of them. */
static void add_and_save(struct mp4 *mp4, int fd, size_t n, size_t end)
{
	for (; n < end; n++) {
		assert_true(mp4_add(mp4, &coded.units[n], 7000000 + (int64_t)n * STEP_US) >= 0);
		save(mp4, fd);
	}
}

/* The pictures of the file, the first of which is a key picture; their bytes are those of coded
 * from number `first` on. Closes fd. */
static size_t check_pictures(int fd, size_t first)
{
	AVFormatContext *input = open_file(fd);
	AVPacket *packet = av_packet_alloc();
	size_t n = 0;

	while (av_read_frame(input, packet) == 0) {
		const struct reader_unit *unit = &coded.units[first + n];

		assert_int_equal(n == 0 && !(packet->flags & AV_PKT_FLAG_KEY), 0);
		assert_memory_equal(packet->data + packet->size - 8, unit->data + unit->len - 8, 8);
		n++;
		av_packet_unref(packet);
	}
	av_packet_free(&packet);
	avformat_close_input(&input);
	return n;
}

static struct mp4 *begin_file(void)
{
	struct mp4_format *format;
	struct mp4 *mp4;

	assert_int_equal(mp4_format_create(&format), 0);
	assert_int_equal(mp4_format_update(format, &coded.units[0]), 1);
	assert_int_equal(mp4_create(&mp4, format, "a camera", BEGIN_US), 0);
	mp4_format_destroy(format);
	return mp4;
}

static void code_groups(int keyint, int bframes)
{
	char options[128];

	snprintf(options, sizeof(options),
		 "keyint=%d:min-keyint=%d:scenecut=0:bframes=%d:b-adapt=0", keyint, keyint,
		 bframes);
	code(&coded, "libx264", AV_PIX_FMT_YUV420P, 322, 242, options);
}

/* Whatever waits for its times, and whatever was taken and not saved. */
static void a_file_that_cannot_grow_goes_on_at_its_last_key_picture(void **state)
{
	(void)state;
	for (int bframes = 0; bframes < 3; bframes++) {
		code_groups(25, bframes);
		for (size_t met = 30; met < PICTURES; met++) {
			int fd = memfd_create("full", MFD_CLOEXEC),
			    more = memfd_create("more", MFD_CLOEXEC);
			struct mp4_cut cut;
			struct mp4 *full, *mp4;
			size_t lost;

			full = begin_file();
			add_and_save(full, fd, 0, met);
			assert_int_equal(mp4_end_fragment(full, STEP_US), 0);
			(void)mp4_take(full, &lost); /* and not saved */
			assert_true(lost > 0);
			assert_int_equal(mp4_go_on(&mp4, full, "a camera", BEGIN_US, &cut), 0);
			mp4_destroy(full);
			assert_int_equal(cut.us, 25 * STEP_US);
			assert_int_equal(ftruncate(fd, cut.bytes), 0);
			assert_int_equal(check_pictures(fd, 0), 25);
			add_and_save(mp4, more, met, PICTURES);
			assert_int_equal(mp4_finish(mp4, STEP_US), 0);
			save(mp4, more);
			assert_int_equal(mp4_duration_us(mp4), (PICTURES - 25) * STEP_US);
			mp4_destroy(mp4);
			assert_int_equal(check_pictures(more, 25), PICTURES - 25);
		}
	}
}

static void a_group_of_pictures_that_fills_a_file_goes_nowhere(void **state)
{
	int fd = memfd_create("full", MFD_CLOEXEC);
	struct mp4 *full, *mp4 = NULL;
	struct mp4_cut cut;

	(void)state;
	code_groups(100, 0);
	full = begin_file();
	add_and_save(full, fd, 0, PICTURES);
	assert_int_equal(mp4_go_on(&mp4, full, "a camera", BEGIN_US, &cut), -ENODATA);
	assert_null(mp4);
	mp4_destroy(full);
	close(fd);
}

/* Of more than 32 MiB nothing is kept; a later key picture is a place to go on again. */
static void a_group_of_pictures_that_is_too_large_is_not_kept(void **state)
{
	static uint8_t large[5 << 20];
	int fd = memfd_create("full", MFD_CLOEXEC);
	struct mp4 *full, *mp4 = NULL;
	struct mp4_cut cut;
	int64_t at_us = 7000000;
	size_t i = 0;

	(void)state;
	code_groups(100, 0);
	full = begin_file();
	memcpy(large, coded.units[0].data, coded.units[0].len);
	memset(large + coded.units[0].len, 0x55, sizeof(large) - coded.units[0].len);
	for (; i < 64; i++, at_us += STEP_US) {
		struct reader_unit unit = coded.units[i % 30 ? 1 : 0];

		if (i > 30 && i < 38)
			unit = (struct reader_unit){.data = large, .len = sizeof(large)};
		assert_true(mp4_add(full, &unit, at_us) >= 0);
		save(full, fd);
		if (i == 50)
			assert_int_equal(mp4_go_on(&mp4, full, "a camera", BEGIN_US, &cut),
					 -ENODATA);
	}
	assert_int_equal(mp4_go_on(&mp4, full, "a camera", BEGIN_US, &cut), 0);
	assert_int_equal(cut.us, 60 * STEP_US);
	mp4_destroy(mp4);
	mp4_destroy(full);
	close(fd);
}

static void check_created(const AVFormatContext *input, const char *time)
{
	assert_string_equal(av_dict_get(input->metadata, "creation_time", NULL, 0)->value, time);
	assert_string_equal(
		av_dict_get(input->streams[0]->metadata, "creation_time", NULL, 0)->value, time);
}

/* 32 bits of seconds since 1904 end in 2040. */
static void a_header_has_its_duration_and_the_time_it_was_made(void **state)
{
	static const struct {
		int64_t utc_us;
		const char *time;
	} cases[] = {
		{BEGIN_US, "2026-01-31T12:00:00.000000Z"},
		{2367446400000000, "2045-01-08T00:00:00.000000Z"},
	};

	(void)state;
	code(&coded, "libx264", AV_PIX_FMT_YUV420P, 322, 242, "bframes=0:keyint=10");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int fd = record_file(&coded, false, cases[i].utc_us);
		int64_t shift_us = cases[i].utc_us - BEGIN_US;
		AVFormatContext *input;
		uint8_t head[2048], *mehd;

		assert_int_equal(head_set_duration(fd, 1600000), 0);
		assert_true(pread(fd, head, sizeof(head), 0) > 0);
		mehd = memmem(head, sizeof(head), "\0\0\0\24mehd\1\0\0\0\0\0\0\0", 16);
		assert_non_null(mehd);
		assert_memory_equal(mehd + 16, "\0\0\6\100", 4); /* 1600 ms */
		input = open_file(dup(fd));
		check_created(input, cases[i].time);
		assert_true(avformat_find_stream_info(input, NULL) >= 0);
		assert_int_equal(input->duration, 1600000);
		check_times(input, 0);
		avformat_close_input(&input);

		assert_int_equal(head_set_created(fd, cases[i].utc_us - shift_us), 0);
		input = open_file(fd);
		check_created(input, cases[0].time);
		avformat_close_input(&input);
	}
}

static void what_is_no_header_is_left_alone(void **state)
{
	int fd = record_file(&coded, false, BEGIN_US), empty = memfd_create("empty", MFD_CLOEXEC);
	uint8_t header[1024], out[2048], cut[1024];

	(void)state;
	assert_int_equal(head_set_duration(empty, 1000), -EINVAL);
	assert_int_equal(pread(fd, header, sizeof(header), 0), sizeof(header));
	for (size_t len = 1; len < sizeof(header); len += 7) {
		assert_int_equal(ftruncate(empty, 0), 0);
		assert_int_equal(pwrite(empty, header, len, 0), len);
		if (head_set_created(empty, 0) < 0) {
			assert_int_equal(pread(empty, cut, sizeof(cut), 0), len);
			assert_memory_equal(cut, header, len);
		}
		assert_int_equal(head_write(out, header, len, 0), -EINVAL);
	}
	close(empty);
	close(fd);
}

static void samples_keep_their_shape(void **state)
{
	AVFormatContext *input;

	(void)state;
	code(&coded, "libx264", AV_PIX_FMT_YUV420P, 720, 576, "bframes=0:keyint=10:sar=64/45");
	input = record(&coded, false);
	assert_int_equal(input->streams[0]->sample_aspect_ratio.num, 64);
	assert_int_equal(input->streams[0]->sample_aspect_ratio.den, 45);
	avformat_close_input(&input);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(h264_comes_back_with_its_size_and_order),
		cmocka_unit_test(pictures_that_were_left_out_do_not_move_the_others),
		cmocka_unit_test(an_orientation_is_the_matrix_of_the_track),
		cmocka_unit_test(a_format_changes_with_the_orientation),
		cmocka_unit_test(a_file_that_cannot_grow_goes_on_at_its_last_key_picture),
		cmocka_unit_test(a_group_of_pictures_that_fills_a_file_goes_nowhere),
		cmocka_unit_test(a_group_of_pictures_that_is_too_large_is_not_kept),
		cmocka_unit_test(jpegs_come_back_with_their_size),
		cmocka_unit_test(a_format_changes_with_the_parameter_sets_or_the_size),
		cmocka_unit_test(a_header_has_its_duration_and_the_time_it_was_made),
		cmocka_unit_test(what_is_no_header_is_left_alone),
		cmocka_unit_test(samples_keep_their_shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
