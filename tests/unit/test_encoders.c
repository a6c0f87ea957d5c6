/* SPDX-License-Identifier: BSD-2-Clause */
/* The H.264 software encoders, judged by libavcodec's decoder and by ffprobe. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <libavcodec/avcodec.h>
#include <libavformat/version.h>

#include "capture/encode/encoder.h"
#include "encoder_rig.h"
#include "media/nal.h"

/* --- cases; state is the encoder's ops --- */

static void pictures_of_every_format_come_back_as_they_went_in(void **state)
{
	static const uint32_t fourccs[] = {FRAME_NV12, FRAME_I420, FRAME_YUYV};

	for (unsigned i = 0; i < 3; i++) {
		struct shape shape = usual(*state);
		struct recording *rec;
		struct decoded result;

		shape.fourcc = fourccs[i];
		shape.width = 328; /* neither a multiple of 16 */
		shape.height = 248;
		shape.bitrate = 3000000;
		shape.threads = 1 + i % 2;
		rec = record_begin(&shape);
		for (int j = 0; j < 40; j++)
			record(rec, false);
		result = decode(rec, 0, false);
		assert_int_equal(result.errors, 0);
		assert_int_equal(result.pictures, 40);
		if (result.worst_luma < 33 || result.worst_chroma < 33)
			fail_msg("%s: %.1f dB, %.1f dB", frame_fourcc_name(shape.fourcc),
				 result.worst_luma, result.worst_chroma);
		assert_int_equal(result.range, AVCOL_RANGE_MPEG);
		assert_int_equal(result.space, AVCOL_SPC_SMPTE170M);
		record_end(rec);
	}
}

static void every_profile_decodes(void **state)
{
	static const int expected[] = {66, 77, 100};

	for (unsigned i = 0; i < 3; i++) {
		struct shape shape = usual(*state);
		struct recording *rec;
		struct decoded result;

		shape.profile = (enum config_profile)i;
		rec = record_begin(&shape);
		for (int j = 0; j < 10; j++)
			record(rec, false);
		result = decode(rec, 0, false);
		assert_int_equal(result.errors, 0);
		assert_int_equal(result.pictures, 10);
		/* AUD (6 bytes), start code, SPS header, profile_idc */
		assert_int_equal(rec->bytes[11], expected[i]);
		record_end(rec);
	}
}

static void key_units_come_exactly_at_the_interval(void **state)
{
	/* Not a multiple of the temporal layers' period; a request in between restarts the
	 * interval. */
	struct shape shape = usual(*state);
	struct recording *rec;

	shape.keyframe_interval = 25;
	shape.layers = 3;
	rec = record_begin(&shape);
	for (unsigned i = 0; i < 110; i++) {
		record(rec, i == 57);
		assert_int_equal(rec->units[i].key, i < 57 ? i % 25 == 0 : (i - 57) % 25 == 0);
		if (rec->units[i].key)
			assert_false(rec->units[i].droppable);
	}
	record_end(rec);
}

static void a_cut_does_not_move_the_key_units(void **state)
{
	struct shape shape = usual(*state);
	struct recording *rec = record_begin(&shape);

	for (unsigned i = 0; i < 70; i++) {
		rec->camera.cut = i >= 50;
		record(rec, false);
		assert_int_equal(rec->units[i].key, i % 30 == 0);
	}
	record_end(rec);
}

static void a_forced_idr_comes_at_once_and_decodes_alone(void **state)
{
	struct shape shape = usual(*state);
	struct recording *rec;
	struct decoded result;

	shape.layers = 2;
	rec = record_begin(&shape);
	for (unsigned i = 0; i < 12; i++)
		record(rec, i == 7 || i == 8);
	assert_true(rec->units[7].key);
	assert_true(rec->units[8].key);
	for (unsigned from = 7; from <= 8; from++) {
		result = decode(rec, from, false);
		assert_int_equal(result.errors, 0);
		assert_int_equal(result.pictures, 12 - from);
	}
	record_end(rec);
}

static double bitrate_of(const struct recording *rec, unsigned from, unsigned to)
{
	size_t bytes = 0;

	for (unsigned i = from; i < to; i++)
		bytes += rec->units[i].len;
	return (double)bytes * 8 * 30 / (to - from);
}

static void a_bitrate_change_takes_while_running(void **state)
{
	static const double wanted[] = {800000, 300000, 1200000};
	struct shape shape = usual(*state);
	struct recording *rec;

	shape.bitrate = 800000;
	rec = record_begin(&shape);
	for (unsigned i = 0; i < 3; i++) {
		unsigned from = rec->n + 30; /* it has a second to settle */
		double got;

		if (i > 0)
			assert_int_equal(
				rec->encoder->ops->set_bitrate(rec->encoder, (uint32_t)wanted[i]),
				0);
		for (unsigned j = 0; j < 180; j++)
			record(rec, false);
		got = bitrate_of(rec, from, rec->n);
		if (got < wanted[i] * 0.75 || got > wanted[i] * 1.25)
			fail_msg("%.0f bit/s instead of %.0f", got, wanted[i]);
	}
	record_end(rec);
}

static void the_bitrate_holds_whatever_the_key_interval(void **state)
{
	static const uint32_t intervals[] = {2, 7, 30, 1000};

	for (unsigned i = 0; i < 4; i++) {
		struct shape shape = usual(*state);
		struct recording *rec;
		double got;

		shape.keyframe_interval = intervals[i];
		shape.bitrate = 1000000;
		rec = record_begin(&shape);
		for (unsigned j = 0; j < 240; j++)
			record(rec, false);
		got = bitrate_of(rec, 30, rec->n);
		if (got < shape.bitrate * 0.75 || got > shape.bitrate * 1.25)
			fail_msg("%.0f bit/s with IDRs every %u", got, intervals[i]);
		record_end(rec);
	}
}

static void an_idr_fits_half_a_second(void **state)
{
	struct shape shape = usual(*state);
	struct recording *rec;

	/* Before a still scene it wants all that there is. */
	shape.bitrate = 150000;
	rec = record_begin(&shape);
	rec->camera.still = true;
	for (unsigned j = 0; j < 200; j++)
		record(rec, false);
	for (unsigned j = 30; j < rec->n; j++)
		assert_in_range(rec->units[j].len, 1, shape.bitrate / 8 / 2);
	record_end(rec);
}

static void units_begin_with_aud_sps_pps_and_sei_in_order(void **state)
{
	struct shape shape = usual(*state);
	struct recording *rec;

	shape.sei = true;
	shape.keyframe_interval = 5;
	rec = record_begin(&shape);
	for (unsigned i = 0; i < 11; i++)
		record(rec, false);
	for (unsigned i = 0; i < rec->n; i++) {
		const uint8_t *data = rec->bytes + rec->units[i].offset;
		char order[64] = "";
		struct nal nal;
		size_t pos = 0;

		assert_memory_equal(data, "\0\0\0\1\x09", 5);
		while (nal_next(data, rec->units[i].len, &pos, &nal)) {
			char name = "?PABCIsSppEQf"[nal.type > 12 ? 0 : nal.type];

			if (nal.type == NAL_AUD)
				name = 'a';
			if (order[0] == '\0' || order[strlen(order) - 1] != name)
				strncat(order, &name, 1);
		}
		assert_string_equal(order, i % 5 == 0 ? "aSpsI" : "asP");
	}
	record_end(rec);
}

static void ffprobe_and_a_paced_player_see_the_right_rate(void **state)
{
	static const struct {
		struct rate rate;
		const char *expected, *fields; /* FFmpeg 7 may name the rate of fields */
	} rates[] = {{{30, 1}, "r_frame_rate=30/1\n", "r_frame_rate=60/1\n"},
		     {{30000, 1001}, "r_frame_rate=30000/1001\n", "r_frame_rate=60000/1001\n"}};

	for (unsigned i = 0; i < 2; i++) {
		struct shape shape = usual(*state);
		struct recording *rec;
		char path[] = "/tmp/camcast-test-XXXXXX", command[256], line[256];
		double seconds = 0;
		FILE *probe;
		int fd;

		shape.rate = rates[i].rate;
		shape.width = 160;
		shape.height = 128;
		shape.layers = 1;
		rec = record_begin(&shape);
		for (unsigned j = 0; j < 1800; j++)
			record(rec, false);
		fd = mkstemp(path);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, rec->bytes, rec->len), rec->len);
		close(fd);
		snprintf(command, sizeof(command),
			 "ffprobe -v error -show_entries stream=r_frame_rate -of "
			 "default=noprint_wrappers=1 %s",
			 path);
		probe = popen(command, "r");
		assert_non_null(probe);
		assert_non_null(fgets(line, sizeof(line), probe));
		if (LIBAVFORMAT_VERSION_MAJOR < 61 || strcmp(line, rates[i].fields) != 0)
			assert_string_equal(line, rates[i].expected);
		assert_int_equal(pclose(probe), 0);
		/* `ffmpeg -re` paces a raw stream by these fields. */
		snprintf(command, sizeof(command),
			 "ffprobe -v error -show_entries packet=duration_time -of csv=p=0 %s",
			 path);
		probe = popen(command, "r");
		assert_non_null(probe);
		for (unsigned j = 0; j < 1800; j++) {
			assert_non_null(fgets(line, sizeof(line), probe));
			seconds += strtod(line, NULL);
		}
		assert_null(fgets(line, sizeof(line), probe));
		assert_int_equal(pclose(probe), 0);
		unlink(path);
		if (fabs(seconds - 1800.0 * shape.rate.den / shape.rate.num) > 0.05)
			fail_msg("1800 pictures take %.3f s", seconds);
		record_end(rec);
	}
}

static void what_cannot_be_is_refused_with_a_reason(void **state)
{
	const struct encoder_ops *ops = *state;
	char level[] = "auto", why[256] = "";
	struct config_stream stream = {
		.bitrate = 100000, .keyframe_interval = 10, .temporal_layers = 1, .level = level};
	struct encoder_config config = {
		.stream = &stream,
		.format = {.fourcc = 0x34324742, .width = 320, .height = 240, .rate = {30, 1}}};
	struct encoder_events events = {0};
	struct encoder *encoder;

	assert_int_equal(ops->create(&encoder, &config, &events, why), -EINVAL);
	assert_non_null(strstr(why, ops->name));
	config.format.fourcc = FRAME_I420;
	config.format.width = 2;
	config.format.height = 2;
	why[0] = '\0';
	if (ops->create(&encoder, &config, &events, why) == 0)
		ops->destroy(encoder);
	else
		assert_non_null(strstr(why, "2x2"));
}

/* --- temporal layers: OpenH264 only --- */

static void droppable_pictures_can_be_left_out(void **state)
{
	for (unsigned layers = 2; layers <= 3; layers++) {
		struct shape shape = usual(*state);
		struct recording *rec;
		struct decoded result;
		unsigned droppable = 0;

		shape.layers = layers;
		rec = record_begin(&shape);
		for (unsigned i = 0; i < 64; i++) {
			record(rec, i == 21);
			droppable += rec->units[i].droppable;
		}
		assert_in_range(droppable, 30, 32);
		result = decode(rec, 0, true);
		assert_int_equal(result.errors, 0);
		assert_int_equal(result.pictures, 64 - droppable);
		assert_true(result.worst_luma > 22);
		record_end(rec);
	}
}

static void one_layer_has_nothing_droppable(void **state)
{
	struct shape shape = usual(*state);
	struct recording *rec = record_begin(&shape);

	for (unsigned i = 0; i < 40; i++) {
		record(rec, false);
		assert_false(rec->units[i].droppable);
	}
	record_end(rec);
}

#define FOR(test, encoder)                                                                         \
	{                                                                                          \
#test " (" #encoder ")", test, NULL, NULL, (void *)(uintptr_t)&encoder             \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR(pictures_of_every_format_come_back_as_they_went_in, encoder_openh264),
		FOR(every_profile_decodes, encoder_openh264),
		FOR(key_units_come_exactly_at_the_interval, encoder_openh264),
		FOR(a_cut_does_not_move_the_key_units, encoder_openh264),
		FOR(a_forced_idr_comes_at_once_and_decodes_alone, encoder_openh264),
		FOR(a_bitrate_change_takes_while_running, encoder_openh264),
		FOR(the_bitrate_holds_whatever_the_key_interval, encoder_openh264),
		FOR(units_begin_with_aud_sps_pps_and_sei_in_order, encoder_openh264),
		FOR(ffprobe_and_a_paced_player_see_the_right_rate, encoder_openh264),
		FOR(what_cannot_be_is_refused_with_a_reason, encoder_openh264),
		FOR(droppable_pictures_can_be_left_out, encoder_openh264),
		FOR(one_layer_has_nothing_droppable, encoder_openh264),

		FOR(pictures_of_every_format_come_back_as_they_went_in, encoder_x264),
		FOR(every_profile_decodes, encoder_x264),
		FOR(key_units_come_exactly_at_the_interval, encoder_x264),
		FOR(a_cut_does_not_move_the_key_units, encoder_x264),
		FOR(a_forced_idr_comes_at_once_and_decodes_alone, encoder_x264),
		FOR(a_bitrate_change_takes_while_running, encoder_x264),
		FOR(the_bitrate_holds_whatever_the_key_interval, encoder_x264),
		FOR(an_idr_fits_half_a_second, encoder_x264),
		FOR(units_begin_with_aud_sps_pps_and_sei_in_order, encoder_x264),
		FOR(ffprobe_and_a_paced_player_see_the_right_rate, encoder_x264),
		FOR(what_cannot_be_is_refused_with_a_reason, encoder_x264),
		FOR(one_layer_has_nothing_droppable, encoder_x264),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
