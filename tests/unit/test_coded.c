/* SPDX-License-Identifier: BSD-2-Clause */
/* The times of coded pictures, which a demuxer may state as anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <libavformat/avformat.h>

#include "capture/source/coded.h"

/* As much of a JPEG as is looked at: its size, and where its scan begins. */
static const uint8_t jpeg[] = {
	0xff, 0xd8, 0xff, 0xc0, 0x00, 0x0b, 0x08, 0x00, 0x10, 0x00, 0x10, 0x01, 0x01, 0x11,
	0x00, 0xff, 0xda, 0x00, 0x08, 0x01, 0x01, 0x00, 0x00, 0x3f, 0x00, 0x00, 0xff, 0xd9,
};

struct fixture {
	AVFormatContext *context;
	AVPacket *packet;
	struct coded *coded;
};

static void set_up(struct fixture *fixture, bool immediate)
{
	struct coded_options options = {.codec = CONFIG_CODEC_MJPEG, .immediate = immediate};
	AVStream *stream;
	char why[256];

	fixture->context = avformat_alloc_context();
	assert_non_null(fixture->context);
	stream = avformat_new_stream(fixture->context, NULL);
	assert_non_null(stream);
	stream->time_base = (AVRational){1, 90000};
	stream->codecpar->codec_id = AV_CODEC_ID_MJPEG;
	options.stream = stream;
	assert_int_equal(coded_create(&fixture->coded, &options, why), 0);
	fixture->packet = av_packet_alloc();
	assert_non_null(fixture->packet);
}

static void tear_down(struct fixture *fixture)
{
	av_packet_free(&fixture->packet);
	coded_destroy(fixture->coded);
	avformat_free_context(fixture->context);
}

/* An empty packet says that the picture before is shown for longer. */
static void feed(struct fixture *fixture, bool empty, int64_t dts, int64_t pts, int64_t duration)
{
	AVPacket *packet = fixture->packet;

	assert_int_equal(av_new_packet(packet, empty ? 0 : (int)sizeof(jpeg)), 0);
	if (!empty)
		memcpy(packet->data, jpeg, sizeof(jpeg));
	packet->dts = dts;
	packet->pts = pts;
	packet->duration = duration;
	assert_int_equal(coded_send(fixture->coded, packet), 0);
	av_packet_unref(packet);
}

static int64_t reorder_us(bool immediate, int64_t later_us)
{
	struct fixture fixture;
	struct coded_picture picture;

	set_up(&fixture, immediate);
	feed(&fixture, false, 1000, 1000 + later_us * 9 / 100, 0);
	if (!immediate)
		assert_int_equal(coded_send(fixture.coded, NULL), 0);
	assert_int_equal(coded_receive(fixture.coded, &picture), 0);
	tear_down(&fixture);
	return picture.reorder_us;
}

static void a_live_picture_is_shown_soon_or_its_time_is_damaged(void **state)
{
	(void)state;
	assert_int_equal(reorder_us(true, 0), 0);
	assert_int_equal(reorder_us(true, 1900000), 1900000);
	assert_int_equal(reorder_us(true, 9000000), 0);
	assert_int_equal(reorder_us(true, 600000000), 0);
	/* A recording may be slow, and nothing waits for its next connection. */
	assert_int_equal(reorder_us(false, 9000000), 9000000);
	assert_int_equal(reorder_us(false, 11000000), 0);
}

static void a_picture_lasts_for_what_follows_it_without_data(void **state)
{
	struct fixture fixture;
	struct coded_picture picture;

	(void)state;
	set_up(&fixture, false);
	feed(&fixture, false, 0, 0, 3000);
	feed(&fixture, true, 3000, 3000, 3000);
	assert_int_equal(coded_send(fixture.coded, NULL), 0);
	assert_int_equal(coded_receive(fixture.coded, &picture), 0);
	assert_int_equal(picture.duration, 6000);
	tear_down(&fixture);
}

static void durations_that_cannot_be_true_do_not_overflow(void **state)
{
	static const int64_t wrong[] = {INT64_MAX, INT64_MAX, INT64_MIN, -1, 0};
	struct fixture fixture;
	struct coded_picture picture;

	(void)state;
	set_up(&fixture, false);
	feed(&fixture, false, 0, 0, 3000);
	for (int i = 0; i < 5; i++)
		feed(&fixture, true, AV_NOPTS_VALUE, AV_NOPTS_VALUE, wrong[i]);
	assert_int_equal(coded_send(fixture.coded, NULL), 0);
	assert_int_equal(coded_receive(fixture.coded, &picture), 0);
	assert_int_equal(picture.duration, 3000);
	tear_down(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_live_picture_is_shown_soon_or_its_time_is_damaged),
		cmocka_unit_test(a_picture_lasts_for_what_follows_it_without_data),
		cmocka_unit_test(durations_that_cannot_be_true_do_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
