/* SPDX-License-Identifier: BSD-2-Clause */
/* A recording that is passed on as it is coded, and decoded as well while somebody wants frames. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "file_rig.h"

#define N (3 * FRAMES + 1)

static void open_both(struct player *player, const char *name, enum config_codec codec)
{
	open_player(player, name, true, codec);
	if (player->error)
		fail_msg("%s: %s", name, player->why);
	player->apart = true;
	assert_true(source_info(player->source)->coded);
}

static unsigned count(struct seen *seen)
{
	unsigned n;

	pthread_mutex_lock(&seen->lock);
	n = seen->n;
	pthread_mutex_unlock(&seen->lock);
	return n;
}

/* Which picture of the recording a frame is; -1: none. */
static int number_of(const struct player *player, unsigned i)
{
	const bool full_range = source_info(player->source)->codec == CONFIG_CODEC_MJPEG;
	const int seen = player->frames.pictures[i].luma;
	const int luma = full_range ? 16 + seen * 219 / 255 : seen;
	const int number = (luma - 40 + 4) / 8;

	return abs(luma - 40 - 8 * number) <= 3 && number < FRAMES ? number : -1;
}

/* Fails unless the frames are in the order of showing, and all of them: but decoding that is late,
 * on a busy machine, goes on at a key picture. */
static void assert_in_order(const struct player *player, const char *name)
{
	const int gop = source_info(player->source)->codec == CONFIG_CODEC_MJPEG ? 1 : 10;

	for (unsigned i = 0; i < player->frames.n; i++) {
		int number = number_of(player, i);

		if (number < 0 || (number % gop != 0 &&
				   (i == 0 || number != (number_of(player, i - 1) + 1) % FRAMES)))
			fail_msg("%s: frame %u is of luma %d", name, i,
				 player->frames.pictures[i].luma);
	}
}

/* Each at the time that its packet states. */
static void assert_frames_follow(struct player *player, const char *name)
{
	const struct seen *frames = &player->frames, *packets = &player->seen;
	unsigned packet;

	pthread_mutex_lock(&player->seen.lock); /* packets may still come */
	assert_in_order(player, name);
	for (unsigned i = 0; i < frames->n; i++) {
		for (packet = 0; packet < packets->n; packet++)
			if (packets->pictures[packet].pts_us == frames->pictures[i].pts_us)
				break;
		if (packet == packets->n)
			fail_msg("%s: frame %u has a time of its own", name, i);
	}
	pthread_mutex_unlock(&player->seen.lock);
	assert_never_early(frames);
}

static void assert_both(const char *name, enum config_codec codec)
{
	struct player player;

	open_both(&player, name, codec);
	source_want_frames(player.source, true);
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.seen, N);
	wait_for(&player.frames, N);
	source_stop(player.source);
	assert_false(player.seen.gone);
	assert_frames_follow(&player, name);
	assert_even(&player.frames, PERIOD_US);
	/* The copy is what it is without. */
	assert_even(&player.seen, PERIOD_US);
	assert_int_equal(decode_all(&player.seen, codec == CONFIG_CODEC_H264 ? AV_CODEC_ID_H264
									     : AV_CODEC_ID_MJPEG),
			 player.seen.n);
	close_player(&player);
}

static void a_copied_recording_is_decoded_picture_by_picture(void **state)
{
	(void)state;
	assert_both("b.mp4", CONFIG_CODEC_H264);
	assert_both("b.mkv", CONFIG_CODEC_H264);
	assert_both("b.ts", CONFIG_CODEC_H264);
	assert_both("once.h264", CONFIG_CODEC_H264);
	assert_both("jpeg.avi", CONFIG_CODEC_MJPEG);
}

static void it_says_before_what_frames_will_be(void **state)
{
	struct player player;

	(void)state;
	open_both(&player, "b.mp4", CONFIG_CODEC_H264);
	assert_int_equal(source_info(player.source)->decoded.width, 320);
	assert_int_equal(source_info(player.source)->decoded.height, 240);
	assert_int_equal(source_info(player.source)->decoded.rate.num, RATE);
	close_player(&player);
}

static void nothing_is_decoded_while_nobody_wants_frames(void **state)
{
	struct player player;
	unsigned before;

	(void)state;
	open_both(&player, "b.mp4", CONFIG_CODEC_H264);
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.seen, FRAMES + 3);
	assert_int_equal(count(&player.frames), 0);

	/* From the next key picture on. */
	source_want_frames(player.source, true);
	wait_for(&player.frames, 5);
	source_want_frames(player.source, false);
	wait_until_none_comes(&player.frames);
	before = player.frames.n;
	assert_int_equal(number_of(&player, 0) % 10, 0);
	assert_frames_follow(&player, "b.mp4");

	wait_for(&player.seen, count(&player.seen) + 2 * FRAMES + 3);
	assert_int_equal(count(&player.frames), before);
	source_want_frames(player.source, true);
	wait_for(&player.frames, before + 3);
	source_stop(player.source);
	assert_int_equal(number_of(&player, before) % 10, 0);
	assert_int_equal(decode_all(&player.seen, AV_CODEC_ID_H264), player.seen.n);
	close_player(&player);
}

static void encoders_that_hold_every_slot_do_not_hold_up_the_copy(void **state)
{
	struct player player;

	(void)state;
	open_both(&player, "b.mp4", CONFIG_CODEC_H264);
	player.frames.hold = HELD_MAX;
	source_want_frames(player.source, true);
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.seen, 2 * N);
	assert_in_range(count(&player.frames), 6, 2 * N - 2);
	pthread_mutex_lock(&player.frames.lock);
	player.frames.hold = 0;
	for (unsigned i = 0; i < player.frames.n_held; i++)
		frame_unref(player.frames.held[i]);
	pthread_mutex_unlock(&player.frames.lock);
	wait_for(&player.frames, count(&player.frames) + FRAMES);
	source_stop(player.source);
	assert_even(&player.seen, PERIOD_US);
	assert_int_equal(decode_all(&player.seen, AV_CODEC_ID_H264), player.seen.n);
	close_player(&player);
}

/* Bytes of the middle are lost, which the copy cannot know. */
static void damage_costs_pictures_only(void **state)
{
	static uint8_t bytes[1 << 20];
	const size_t len = read_file("b.h264", bytes, sizeof(bytes));
	struct player player;

	(void)state;
	memset(bytes + len / 2, 0x55, len / 20);
	write_file("damaged.h264", (char *)bytes, len);
	open_both(&player, "damaged.h264", CONFIG_CODEC_H264);
	source_want_frames(player.source, true);
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.seen, N);
	wait_for(&player.frames, N);
	source_stop(player.source);
	assert_false(player.seen.gone);
	for (unsigned i = 1; i < player.frames.n; i++)
		assert_true(player.frames.pictures[i].pts_us >
			    player.frames.pictures[i - 1].pts_us);
	assert_never_early(&player.frames);
	close_player(&player);
}

static void pictures_of_another_size_are_fitted_to_the_first(void **state)
{
	static uint8_t bytes[1 << 20];
	struct player player;
	size_t len;

	(void)state;
	make("small.ts", "160x120", "yuv420p", X264);
	len = read_file("b.ts", bytes, sizeof(bytes));
	len += read_file("small.ts", bytes + len, sizeof(bytes) - len);
	write_file("two.ts", (char *)bytes, len);
	open_both(&player, "two.ts", CONFIG_CODEC_H264);
	player.frames.hold = 1;
	source_want_frames(player.source, true);
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.frames, 4 * FRAMES + 1);
	source_stop(player.source);
	assert_in_order(&player, "two.ts");
	assert_int_equal(player.frames.held[0]->format->width, 320);
	frame_unref(player.frames.held[0]);
	close_player(&player);
}

static void it_can_be_started_again(void **state)
{
	struct player player;

	(void)state;
	open_both(&player, "b.mp4", CONFIG_CODEC_H264);
	source_want_frames(player.source, true);
	for (int round = 0; round < 2; round++) {
		const unsigned n = player.frames.n;

		assert_int_equal(source_start(player.source), 0);
		wait_for(&player.frames, n + 5);
		source_stop(player.source);
		assert_int_equal(number_of(&player, n) % 10, 0);
	}
	close_player(&player);
}

static void frames_outlive_the_stop(void **state)
{
	struct player player;

	(void)state;
	open_both(&player, "b.mp4", CONFIG_CODEC_H264);
	player.frames.hold = 3;
	source_want_frames(player.source, true);
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.frames, 3);
	source_stop(player.source);
	for (unsigned i = 0; i < player.frames.n_held; i++) {
		assert_int_equal(luma_of(player.frames.held[i]), player.frames.pictures[i].luma);
		frame_unref(player.frames.held[i]);
	}
	close_player(&player);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copied_recording_is_decoded_picture_by_picture),
		cmocka_unit_test(it_says_before_what_frames_will_be),
		cmocka_unit_test(nothing_is_decoded_while_nobody_wants_frames),
		cmocka_unit_test(encoders_that_hold_every_slot_do_not_hold_up_the_copy),
		cmocka_unit_test(damage_costs_pictures_only),
		cmocka_unit_test(pictures_of_another_size_are_fitted_to_the_first),
		cmocka_unit_test(it_can_be_started_again),
		cmocka_unit_test(frames_outlive_the_stop),
	};

	return cmocka_run_group_tests(tests, make_recordings, remove_recordings);
}
