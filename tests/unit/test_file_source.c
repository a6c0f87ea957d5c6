/* SPDX-License-Identifier: BSD-2-Clause */
/* The file source: which recordings it plays, and how. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "media/nal.h"
#include "file_rig.h"

static bool has_sets(const uint8_t *data, size_t len)
{
	struct nal nal;
	size_t pos = 0;
	bool sps = false, pps = false;

	while (nal_next(data, len, &pos, &nal) && nal.type != NAL_IDR) {
		sps |= nal.type == NAL_SPS;
		pps |= nal.type == NAL_PPS;
	}
	return sps && pps;
}

static void assert_h264_is_passed_on(const char *name)
{
	const unsigned n = 3 * FRAMES + 1;
	struct player player;
	const uint8_t *data;

	play(&player, name, true, CONFIG_CODEC_H264, n);
	assert_true(source_info(player.source)->coded);
	assert_int_equal(source_info(player.source)->format.width, 320);
	assert_int_equal(source_info(player.source)->format.rate.num, RATE);
	assert_even(&player.seen, PERIOD_US);
	assert_never_early(&player.seen);
	data = player.seen.bytes;
	for (unsigned i = 0; i < player.seen.n; i++) {
		assert_int_equal(player.seen.pictures[i].key, i % 10 == 0);
		assert_true(player.seen.pictures[i].pts_us >= player.seen.pictures[i].capture_us);
		assert_in_range(player.seen.pictures[i].duration_us, PERIOD_US - 1000,
				PERIOD_US + 1000);
		if (player.seen.pictures[i].key)
			assert_true(has_sets(data, player.seen.sizes[i]));
		data += player.seen.sizes[i];
	}
	assert_int_equal(decode_all(&player.seen, AV_CODEC_ID_H264), player.seen.n);
	close_player(&player);
}

/* Every picture of three passes and a bit, in order. */
static void assert_decoded(const char *name, unsigned width, unsigned height, const char *note_part)
{
	const unsigned n = 3 * FRAMES + 1;
	struct player player;

	play(&player, name, false, CONFIG_CODEC_H264, n);
	assert_false(source_info(player.source)->coded);
	assert_int_equal(source_info(player.source)->format.width, width);
	assert_int_equal(source_info(player.source)->format.height, height);
	if (!strstr(source_info(player.source)->note, note_part))
		fail_msg("%s: note: %s", name, source_info(player.source)->note);
	assert_even(&player.seen, PERIOD_US);
	assert_never_early(&player.seen);
	for (unsigned i = 0; i < player.seen.n; i++) {
		const int expected = 40 + 8 * (int)(i % FRAMES);

		if (abs(player.seen.pictures[i].luma - expected) > 3)
			fail_msg("%s: picture %u is %d, not %d", name, i,
				 player.seen.pictures[i].luma, expected);
	}
	close_player(&player);
}

/* --- tests --- */

static void b_pictures_in_mp4_are_passed_on_in_decoding_order(void **state)
{
	(void)state;
	assert_h264_is_passed_on("b.mp4");
}

static void matroska_is_passed_on(void **state)
{
	(void)state;
	assert_h264_is_passed_on("b.mkv");
}

static void mpeg_ts_is_passed_on(void **state)
{
	(void)state;
	assert_h264_is_passed_on("b.ts");
}

static void a_raw_byte_stream_is_passed_on(void **state)
{
	(void)state;
	assert_h264_is_passed_on("b.h264");
}

static void parameter_sets_given_once_are_put_before_every_idr(void **state)
{
	(void)state;
	assert_h264_is_passed_on("once.h264");
}

static void whole_jpegs_are_passed_on(void **state)
{
	struct player player;
	const uint8_t *data;

	(void)state;
	play(&player, "jpeg.avi", true, CONFIG_CODEC_MJPEG, 2 * FRAMES + 1);
	assert_true(source_info(player.source)->coded);
	assert_even(&player.seen, PERIOD_US);
	data = player.seen.bytes;
	for (unsigned i = 0; i < player.seen.n; i++) {
		assert_true(player.seen.pictures[i].key);
		assert_memory_equal(data, "\xff\xd8\xff", 3);
		data += player.seen.sizes[i];
	}
	assert_int_equal(decode_all(&player.seen, AV_CODEC_ID_MJPEG), player.seen.n);
	close_player(&player);
}

static void what_nobody_copies_is_decoded_into_the_slots(void **state)
{
	(void)state;
	assert_decoded("b.mp4", 320, 240, "into the slots");
	assert_decoded("mpeg4.avi", 320, 240, "into the slots");
}

static void codecs_that_write_beyond_the_picture_have_room_for_it(void **state)
{
	(void)state;
	assert_decoded("padded.mp4", 1280, 720, "into the slots");
}

static void other_pixel_formats_are_converted(void **state)
{
	(void)state;
	assert_decoded("fine.mp4", 320, 240, "yuv444p converted to I420");
}

static void odd_sizes_lose_a_line_and_a_column(void **state)
{
	(void)state;
	assert_decoded("odd.mp4", 320, 240, "converted");
}

static void another_codec_than_the_one_to_copy_is_decoded(void **state)
{
	struct player player;

	(void)state;
	open_player(&player, "mpeg4.avi", true, CONFIG_CODEC_H264);
	assert_int_equal(player.error, 0);
	assert_false(source_info(player.source)->coded);
	close_player(&player);
}

static void an_image_is_shown_at_the_configured_rate(void **state)
{
	struct player player;

	(void)state;
	play(&player, "still.png", false, CONFIG_CODEC_H264, 10);
	assert_even(&player.seen, PERIOD_US);
	close_player(&player);
}

/* --- damage --- */

static void encoders_that_hold_every_slot_cost_pictures_only(void **state)
{
	struct player player;
	unsigned held;

	(void)state;
	open_player(&player, "mpeg4.avi", false, CONFIG_CODEC_H264);
	player.seen.hold = HELD_MAX;
	assert_int_equal(player.error, 0);
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.seen, 6);
	wait_until_none_comes(&player.seen); /* no slot is free */
	pthread_mutex_lock(&player.seen.lock);
	player.seen.hold = 0;
	held = player.seen.n_held;
	pthread_mutex_unlock(&player.seen.lock);
	assert_in_range(held, 6, 32);
	for (unsigned i = 0; i < held; i++)
		frame_unref(player.seen.held[i]);
	wait_for(&player.seen, held + FRAMES);
	source_stop(player.source);
	assert_false(player.seen.gone);
	close_player(&player);
}

static void frames_outlive_the_stop(void **state)
{
	struct player player;

	(void)state;
	open_player(&player, "b.mp4", false, CONFIG_CODEC_H264);
	player.seen.hold = 3;
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.seen, 3);
	source_stop(player.source);
	for (unsigned i = 0; i < player.seen.n_held; i++) {
		assert_in_range(luma_of(player.seen.held[i]), 37 + 8 * i, 43 + 8 * i);
		frame_unref(player.seen.held[i]);
	}
	close_player(&player);
}

static void stopping_does_not_wait_for_the_next_picture(void **state)
{
	struct player player;
	int64_t before;

	(void)state;
	open_player(&player, "slow.avi", false, CONFIG_CODEC_H264);
	assert_int_equal(player.error, 0);
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.seen, 1);
	before = clock_now_us();
	source_stop(player.source);
	assert_true(clock_now_us() - before < 2000000); /* pictures are 10 s apart */
	close_player(&player);
}

static void it_can_be_started_again(void **state)
{
	struct player player;

	(void)state;
	play(&player, "b.mp4", true, CONFIG_CODEC_H264, 5);
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.seen, player.seen.n + FRAMES);
	source_stop(player.source);
	close_player(&player);
}

static void assert_refused(const char *name, int error, const char *text)
{
	struct player player;

	open_player(&player, name, true, CONFIG_CODEC_H264);
	assert_int_equal(player.error, error);
	if (!strstr(player.why, text) || !strstr(player.why, name))
		fail_msg("%s: %s", name, player.why);
	close_player(&player);
}

static void what_cannot_be_played_is_refused_with_a_reason(void **state)
{
	(void)state;
	assert_refused("missing.mp4", -ENOENT, "No such file");
	assert_refused("missing-%d.png", -ENOENT, "stands for itself");
	assert_refused("", -EISDIR, "a folder; give one file");
	assert_refused("../../dev/null", -EINVAL, "cameras are `source = libcamera`");
	assert_refused("bare.ts", -EINVAL, "no parameter sets (SPS)");
	assert_refused("empty.mp4", -ENODATA, "empty");
	assert_refused("text.txt", -EINVAL, "no recording");
	assert_refused("sound.mp4", -EINVAL, "no video");
	assert_refused("cut.mp4", -EINVAL, "damaged");
}

static void names_are_taken_as_they_are(void **state)
{
	static const char *const names[] = {"image-%d.png", "x ;* .png", "odd.ffconcat"};
	struct player player;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		play(&player, names[i], false, CONFIG_CODEC_H264, 5);
		close_player(&player);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(b_pictures_in_mp4_are_passed_on_in_decoding_order),
		cmocka_unit_test(matroska_is_passed_on),
		cmocka_unit_test(mpeg_ts_is_passed_on),
		cmocka_unit_test(a_raw_byte_stream_is_passed_on),
		cmocka_unit_test(parameter_sets_given_once_are_put_before_every_idr),
		cmocka_unit_test(whole_jpegs_are_passed_on),
		cmocka_unit_test(what_nobody_copies_is_decoded_into_the_slots),
		cmocka_unit_test(codecs_that_write_beyond_the_picture_have_room_for_it),
		cmocka_unit_test(other_pixel_formats_are_converted),
		cmocka_unit_test(odd_sizes_lose_a_line_and_a_column),
		cmocka_unit_test(another_codec_than_the_one_to_copy_is_decoded),
		cmocka_unit_test(an_image_is_shown_at_the_configured_rate),
		cmocka_unit_test(encoders_that_hold_every_slot_cost_pictures_only),
		cmocka_unit_test(frames_outlive_the_stop),
		cmocka_unit_test(stopping_does_not_wait_for_the_next_picture),
		cmocka_unit_test(it_can_be_started_again),
		cmocka_unit_test(what_cannot_be_played_is_refused_with_a_reason),
		cmocka_unit_test(names_are_taken_as_they_are),
	};

	return cmocka_run_group_tests(tests, make_recordings, remove_recordings);
}
