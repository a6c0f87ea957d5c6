/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams whose pictures come coded, or should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "capture/encode/stream.h"
#include "stream_rig.h"

static void give_packet(struct stream_rig *s, const uint8_t *data, size_t len, int64_t pts_us)
{
	struct packet packet = {.data = data, .len = len, .pts_us = pts_us};

	packet.capture_us = clock_now_us();
	stream_packet(s->stream, &packet);
}

static void make_coded(struct stream_rig *s, enum config_codec codec)
{
	s->info.coded = true;
	s->info.codec = codec;
}

static void coded_pictures_are_passed_on_from_a_key(void **state)
{
	struct stream_rig *s = *state;
	struct camcast_msg_unit unit;

	make_coded(s, CONFIG_CODEC_H264);
	s->info.bitrate_bps = 123456;
	start(s);
	give_packet(s, p_unit, sizeof(p_unit), 100);
	assert_no_unit(s);
	give_packet(s, idr_unit, sizeof(idr_unit), 200);
	unit = receive_unit(s);
	assert_true(unit.flags & CAMCAST_UNIT_KEY);
	assert_int_equal(unit.pts_us, 200);
	assert_int_equal(unit.duration_us, 33333);   /* the nominal one */
	give_packet(s, p_unit, sizeof(p_unit), 150); /* reordered */
	assert_int_equal(receive_unit(s).pts_us, 150);
	assert_string_equal(status(s).encoder, "copy");
	assert_int_equal(status(s).can_force_idr, 0);
	assert_int_equal(status(s).target_bps, 123456);
	for (int i = 0; i < KINDS; i++)
		assert_int_equal(fakes[i].creates, 0);
}

static void unwanted_coded_pictures_are_not_logged(void **state)
{
	struct stream_rig *s = *state;

	make_coded(s, CONFIG_CODEC_H264);
	s->stream_config.encoder = CONFIG_ENCODER_COPY;
	s->stream_config.on_demand = true;
	start(s);
	give_packet(s, idr_unit, sizeof(idr_unit), 100);
	assert_no_unit(s);
	stream_want(s->stream, 0, true);
	give_packet(s, p_unit, sizeof(p_unit), 200);
	assert_no_unit(s);
	give_packet(s, idr_unit, sizeof(idr_unit), 300);
	assert_true(next_is_key(s));
	stream_want(s->stream, 0, false);
	stream_want(s->stream, 0, true);
	give_packet(s, p_unit, sizeof(p_unit), 400);
	assert_no_unit(s);
}

static void copies_of_raw_pictures_are_refused_in_the_status(void **state)
{
	struct stream_rig *s = *state;

	s->stream_config.encoder = CONFIG_ENCODER_COPY;
	start(s);
	give_frame(s);
	assert_int_equal(s->released, 1);
	assert_string_equal(status(s).encoder, "");
	assert_non_null(strstr(status(s).detail, "copy needs coded pictures"));
}

static void coded_pictures_of_another_codec_are_refused_in_the_status(void **state)
{
	struct stream_rig *s = *state;

	make_coded(s, CONFIG_CODEC_MJPEG);
	start(s);
	give_packet(s, jpeg_unit, sizeof(jpeg_unit), 100);
	assert_no_unit(s);
	assert_string_equal(status(s).encoder, "");
	assert_non_null(strstr(status(s).detail, "delivers mjpeg"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(coded_pictures_are_passed_on_from_a_key),
		CASE(unwanted_coded_pictures_are_not_logged),
		CASE(copies_of_raw_pictures_are_refused_in_the_status),
		CASE(coded_pictures_of_another_codec_are_refused_in_the_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
