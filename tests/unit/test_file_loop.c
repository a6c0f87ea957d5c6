/* SPDX-License-Identifier: BSD-2-Clause */
/* The file source where a recording ends, is damaged or joined, and starts over. */
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

#include "media/nal.h"
#include "file_rig.h"

/* One file behind the other, without the first `skip` bytes of that. */
static void join(const char *first, const char *second, size_t skip, const char *to)
{
	static uint8_t bytes[1 << 20];
	size_t len = read_file(first, bytes, sizeof(bytes));
	size_t more = read_file(second, bytes + len, sizeof(bytes) - len) - skip;

	memmove(bytes + len, bytes + len + skip, more);
	write_file(to, (char *)bytes, len + more);
}

static void nothing_is_lost_where_transport_streams_are_joined(void **state)
{
	struct player player;

	(void)state;
	make("part.ts", "320x240", "yuv420p", X264 "-bf 0 -x264-params sliced-threads=0");
	join("part.ts", "part.ts", 0, "joined.ts");
	play(&player, "joined.ts", true, CONFIG_CODEC_H264, 2 * FRAMES + 1);
	assert_int_equal(decode_all(&player.seen, AV_CODEC_ID_H264), player.seen.n);
	for (unsigned i = 0; i <= 2 * FRAMES; i += 10)
		assert_true(player.seen.pictures[i].key);
	close_player(&player);
}

static void a_torn_last_picture_is_left_out_in_every_pass(void **state)
{
	static uint8_t bytes[1 << 20];
	struct player player;
	struct nal nal = {0};
	size_t len, pos = 0;
	unsigned keys = 0;

	(void)state;
	len = read_file("b.h264", bytes, sizeof(bytes));
	while (keys < 2 && nal_next(bytes, len, &pos, &nal))
		keys += nal.type == NAL_IDR;
	write_file("torn.h264", (char *)bytes, (size_t)(nal.data - bytes) + nal.len / 2);
	play(&player, "torn.h264", true, CONFIG_CODEC_H264, 21);
	assert_int_equal(decode_all(&player.seen, AV_CODEC_ID_H264), player.seen.n);
	assert_int_equal(player.seen.sizes[10], player.seen.sizes[0]);
	assert_int_equal(player.seen.sizes[20], player.seen.sizes[0]);
	close_player(&player);
}

static void a_recording_cut_short_loops_what_is_left(void **state)
{
	struct player player;

	(void)state;
	play(&player, "cut.avi", true, CONFIG_CODEC_MJPEG, 2 * FRAMES);
	assert_even(&player.seen, PERIOD_US);
	assert_int_equal(decode_all(&player.seen, AV_CODEC_ID_MJPEG), player.seen.n);
	close_player(&player);
}

static void a_jpeg_stays_whether_it_is_copied_or_decoded(void **state)
{
	struct player player;

	(void)state;
	for (int coded = 0; coded < 2; coded++) {
		play(&player, "still.jpg", coded, CONFIG_CODEC_MJPEG, 2 * FRAMES);
		assert_int_equal(source_info(player.source)->coded, coded);
		assert_even(&player.seen, PERIOD_US);
		close_player(&player);
	}
}

static void a_list_with_a_missing_file_plays_those_before_it(void **state)
{
	struct player player;

	(void)state;
	for (int coded = 0; coded < 2; coded++) {
		play(&player, "holes.ffconcat", coded, CONFIG_CODEC_H264, 3 * FRAMES);
		assert_int_equal(source_info(player.source)->coded, coded);
		assert_even(&player.seen, PERIOD_US);
		close_player(&player);
	}
}

/* Puts another file in the place of one that is being played. */
static void replace(const char *by, const char *name)
{
	char from[300], to[300], command[700];

	snprintf(from, sizeof(from), "%s/%s", folder, by);
	snprintf(to, sizeof(to), "%s/%s", folder, name);
	snprintf(command, sizeof(command), "cp %s %s.new", from, to);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "%s.new", to);
	assert_int_equal(rename(command, to), 0);
}

static void a_file_that_is_replaced_is_noticed_at_the_loop(void **state)
{
	struct player player;
	unsigned n;

	(void)state;
	replace("still.png", "changing.png");
	open_player(&player, "changing.png", false, CONFIG_CODEC_H264);
	assert_int_equal(player.error, 0);
	assert_int_equal(source_start(player.source), 0);
	wait_for(&player.seen, 3);
	replace("light.png", "changing.png");
	pthread_mutex_lock(&player.seen.lock);
	n = player.seen.n;
	pthread_mutex_unlock(&player.seen.lock);
	wait_for(&player.seen, n + 5);
	pthread_mutex_lock(&player.seen.lock);
	assert_false(player.seen.gone);
	assert_true(player.seen.pictures[n + 4].luma > player.seen.pictures[0].luma + 100);
	pthread_mutex_unlock(&player.seen.lock);
	/* One of another size needs other slots and encoders. */
	replace("b.mp4", "changing.png");
	wait_for(&player.seen, 1000);
	source_stop(player.source);
	assert_true(player.seen.gone);
	assert_int_equal(player.seen.error, 0);
	assert_non_null(strstr(player.seen.why, "another recording"));
	close_player(&player);
}

#define FLV_HEADER_LEN 13 /* of the file, with the length of no tag before the first */

static void a_second_sequence_header_in_flv_brings_its_parameter_sets(void **state)
{
	struct player player;

	(void)state;
	make("cabac.flv", "320x240", "yuv420p", X264 "-bf 0");
	make("cavlc.flv", "320x240", "yuv420p", X264 "-bf 0 -x264-params cabac=0");
	join("cabac.flv", "cavlc.flv", FLV_HEADER_LEN, "joined.flv");
	play(&player, "joined.flv", true, CONFIG_CODEC_H264, 3 * FRAMES + 1);
	assert_int_equal(decode_all(&player.seen, AV_CODEC_ID_H264), player.seen.n);
	for (unsigned i = 0; i <= 3 * FRAMES; i += 10)
		assert_true(player.seen.pictures[i].key);
	assert_int_not_equal(player.seen.sizes[0], player.seen.sizes[FRAMES]);
	assert_int_equal(player.seen.sizes[0], player.seen.sizes[2 * FRAMES]);
	close_player(&player);
}

/* One key picture, and a transport packet is missing soon after it. */
static void a_copy_without_another_key_picture_keeps_its_pace(void **state)
{
	static uint8_t bytes[1 << 20];
	struct player player;
	size_t len, hole;
	int64_t began_us = 0;
	unsigned passes = 0;

	(void)state;
	make("gap.ts", "320x240", "yuv420p",
	     "-c:v libx264 -preset veryfast -g 1000 -bf 0 -x264-params sliced-threads=0 "
	     "-pat_period 10 -vf noise=alls=40:allf=t");
	len = read_file("gap.ts", bytes, sizeof(bytes));
	hole = len / 188 * 3 / 10 * 188;
	memmove(bytes + hole, bytes + hole + 188, len - hole - 188);
	write_file("gap.ts", (char *)bytes, len - 188);
	play(&player, "gap.ts", true, CONFIG_CODEC_H264, FRAMES);
	assert_never_early(&player.seen);
	for (unsigned i = 0; i < FRAMES; i++) {
		if (!player.seen.pictures[i].key)
			continue;
		if (passes++ > 0)
			assert_true(player.seen.pictures[i].capture_us - began_us >
				    (FRAMES - 2) * PERIOD_US);
		began_us = player.seen.pictures[i].capture_us;
	}
	assert_in_range(passes, 2, FRAMES / 2);
	close_player(&player);
}

/* --- the end of a pass --- */

/* Plays two passes and a picture; returns the time from the last picture to the next pass. */
static int64_t seam_us(const char *name, bool coded, enum config_codec codec, unsigned pictures)
{
	struct player player;
	int64_t us;

	play(&player, name, coded, codec, pictures + 1);
	assert_int_equal(source_info(player.source)->coded, coded);
	us = player.seen.pictures[pictures].capture_us -
	     player.seen.pictures[pictures - 1].capture_us;
	close_player(&player);
	return us;
}

static void assert_lasts(const char *name, bool coded, enum config_codec codec, unsigned pictures,
			 int64_t expected_us)
{
	const int64_t us = seam_us(name, coded, codec, pictures);

	if (llabs(us - expected_us) > 3000)
		fail_msg("%s: the last picture lasts %lld us", name, (long long)us);
}

static void a_decoded_last_picture_lasts_as_long_as_it_says(void **state)
{
	(void)state;
	make("long.gif", "320x240", "rgb24", "-final_delay 50");
	assert_lasts("long.gif", false, CONFIG_CODEC_H264, FRAMES, 500000);
	make("long.apng", "320x240", "rgb24", "-plays 0 -final_delay 0.5");
	assert_lasts("long.apng", false, CONFIG_CODEC_H264, FRAMES, 500000);
	/* shorter than the interval of the rate, which is that of the others */
	make("short.gif", "320x240", "rgb24",
	     "-vf trim=end_frame=3,setpts=N*10 -fps_mode passthrough -final_delay 5");
	assert_lasts("short.gif", false, CONFIG_CODEC_H264, 3, 50000);
}

/* The same packets, but that the last one in decoding order lasts half a second. */
static void lengthen_last(const char *from, const char *to)
{
	char command[700];

	snprintf(command, sizeof(command),
		 "ffmpeg -nostdin -v error -y -i %s/%s -c copy "
		 "-bsf:v 'setts=duration=if(eq(N\\,19)\\,0.5/TB\\,DURATION)' %s/%s",
		 folder, from, folder, to);
	if (system(command) != 0)
		fail_msg("%s", command);
}

static void a_last_sample_lasts_as_long_as_its_duration(void **state)
{
	(void)state;
	make("plain.mp4", "320x240", "yuv420p", X264 "-bf 0");
	lengthen_last("plain.mp4", "last.mp4");
	assert_lasts("last.mp4", true, CONFIG_CODEC_H264, FRAMES, 500000);
	assert_lasts("last.mp4", false, CONFIG_CODEC_H264, FRAMES, 500000);
}

static void the_last_file_of_a_list_lasts_as_long_as_the_list_says(void **state)
{
	static const char list[] = "ffconcat version 1.0\nfile still.jpg\nduration 0.2\n"
				   "file still.jpg\nduration 0.3\nfile still.jpg\n"
				   "duration 0.6\n";

	(void)state;
	write_file("slides.ffconcat", list, strlen(list));
	assert_lasts("slides.ffconcat", false, CONFIG_CODEC_H264, 3, 600000);
	assert_lasts("slides.ffconcat", true, CONFIG_CODEC_MJPEG, 3, 600000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_where_transport_streams_are_joined),
		cmocka_unit_test(a_torn_last_picture_is_left_out_in_every_pass),
		cmocka_unit_test(a_recording_cut_short_loops_what_is_left),
		cmocka_unit_test(a_jpeg_stays_whether_it_is_copied_or_decoded),
		cmocka_unit_test(a_list_with_a_missing_file_plays_those_before_it),
		cmocka_unit_test(a_file_that_is_replaced_is_noticed_at_the_loop),
		cmocka_unit_test(a_second_sequence_header_in_flv_brings_its_parameter_sets),
		cmocka_unit_test(a_copy_without_another_key_picture_keeps_its_pace),
		cmocka_unit_test(a_decoded_last_picture_lasts_as_long_as_it_says),
		cmocka_unit_test(a_last_sample_lasts_as_long_as_its_duration),
		cmocka_unit_test(the_last_file_of_a_list_lasts_as_long_as_the_list_says),
	};

	return cmocka_run_group_tests(tests, make_recordings, remove_recordings);
}
