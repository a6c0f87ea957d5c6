/* SPDX-License-Identifier: BSD-2-Clause */
/* The benchmark's player of HLS: its playlists, its requests, and its clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bench/lib/hls.h"
#include "bench/lib/playlist.h"

#define MS INT64_C(1000)

/* Three segments of a second, the last two with parts, and two parts of an open segment. */
static const char low_latency[] =
	"#EXTM3U\n#EXT-X-TARGETDURATION:1\n"
	"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.6,HOLD-BACK=2.5\n"
	"#EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:7\n"
	"#EXT-X-MAP:URI=\"a/init-1.mp4\"\n"
	"#EXTINF:1.0,\na/s-1.m4s\n"
	"#EXT-X-PART:DURATION=0.5,URI=\"a/p-2.m4s\",INDEPENDENT=YES\n"
	"#EXT-X-PART:DURATION=0.5,URI=\"a/p-3.m4s\"\n"
	"#EXTINF:1.0,\r\na/s-2.m4s\r\n"
	"#EXT-X-MAP:URI=\"a/init-2.mp4\"\n"
	"#EXT-X-PART:DURATION=0.5,URI=\"a/p-4.m4s\",INDEPENDENT=YES\n"
	"#EXT-X-PART:DURATION=0.25,URI=\"a/p-5.m4s\"\n";

static struct playlist playlist;

static void parts_are_listed_where_they_are_wanted(void **state)
{
	(void)state;
	assert_int_equal(playlist_parse(&playlist, low_latency, sizeof(low_latency) - 1, true), 0);
	assert_int_equal(playlist.n, 4);
	assert_string_equal(playlist.entries[0].uri, "a/p-2.m4s");
	assert_string_equal(playlist.entries[0].map, "a/init-1.mp4");
	assert_string_equal(playlist.entries[2].map, "a/init-2.mp4");
	assert_true(playlist.entries[2].independent);
	assert_false(playlist.entries[3].independent);
	assert_int_equal(playlist.entries[3].duration_us, 250 * MS);
	assert_int_equal(playlist.hold_back_us, 600 * MS);
	assert_true(playlist.can_block);
	assert_int_equal(playlist.next_msn, 9);
	assert_int_equal(playlist.next_part, 2);
	assert_int_equal(playlist_find(&playlist, "a/p-3.m4s"), 1);
	assert_int_equal(playlist_find(&playlist, "a/s-1.m4s"), -1);
	/* 0.75 s from the end */
	assert_int_equal(playlist_begin(&playlist), 2);
}

static void without_parts_there_are_segments_only(void **state)
{
	(void)state;
	assert_int_equal(playlist_parse(&playlist, low_latency, sizeof(low_latency) - 1, false), 0);
	assert_int_equal(playlist.n, 2);
	assert_string_equal(playlist.entries[1].uri, "a/s-2.m4s");
	assert_int_equal(playlist.part_target_us, 0);
	assert_int_equal(playlist.hold_back_us, 2500 * MS);
	assert_int_equal(playlist_begin(&playlist), -1);
}

static void without_a_hold_back_it_is_three_target_durations(void **state)
{
	static const char text[] = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ns-0.ts\n"
				   "#EXTINF:2,\ns-1.ts\n#EXTINF:2,\ns-2.ts\n#EXTINF:2,\ns-3.ts";

	(void)state;
	assert_int_equal(playlist_parse(&playlist, text, sizeof(text) - 1, true), 0);
	assert_int_equal(playlist.hold_back_us, 6000 * MS);
	assert_int_equal(playlist_begin(&playlist), 1);
	assert_int_equal(playlist.next_msn, 4);
}

static void other_files_and_long_names_are_no_playlists(void **state)
{
	char text[400] = "#EXTM3U\n#EXT-X-MAP:URI=\"";
	size_t len = strlen(text);

	(void)state;
	assert_int_not_equal(playlist_parse(&playlist, "<html>", 6, true), 0);
	memset(text + len, 'a', PLAYLIST_URI);
	strcpy(text + len + PLAYLIST_URI, "\"\n");
	assert_int_not_equal(playlist_parse(&playlist, text, strlen(text), true), 0);
}

/* --- the player --- */

static struct hls_tally tally;
static struct hls_player *player;
static struct buffer in, out;

static void ignore_unit(void *ctx, const uint8_t *data, size_t len, int64_t complete_us)
{
	(void)ctx;
	(void)data;
	(void)len;
	(void)complete_us;
}

static void play(bool plain)
{
	tally.timing = true;
	player = hls_create("h:80", "live/s.m3u8", &tally, &out, plain, ignore_unit, NULL);
	hls_stop_passing(player);
}

static int stop(void **state)
{
	(void)state;
	hls_destroy(player);
	player = NULL;
	buffer_finish(&in);
	buffer_finish(&out);
	memset(&tally, 0, sizeof(tally));
	return 0;
}

static void expect_request(const char *path)
{
	char text[256];
	size_t len = (size_t)sprintf(text, "GET /%s HTTP/1.1\r\nHost: h:80\r\n\r\n", path);

	assert_int_equal(out.len, len);
	assert_memory_equal(out.data, text, len);
	buffer_drop(&out, len);
}

static void answer_with(int status, const char *body, int64_t now_us)
{
	char head[100];

	sprintf(head, "HTTP/1.1 %d X\r\ncontent-length: %zu\r\n\r\n", status, strlen(body));
	buffer_append(&in, head, strlen(head));
	assert_int_equal(hls_received(player, &in, now_us), 0);
	buffer_append(&in, body, strlen(body));
	assert_int_equal(hls_received(player, &in, now_us), 0);
	assert_int_equal(in.len, 0);
}

static void answer(const char *body, int64_t now_us)
{
	answer_with(200, body, now_us);
}

static void a_player_of_parts_waits_at_the_server_for_the_next_one(void **state)
{
	(void)state;
	play(false);
	expect_request("live/s.m3u8");
	answer(low_latency, 1 * MS);
	expect_request("live/a/init-2.mp4");
	answer("init", 2 * MS);
	expect_request("live/a/p-4.m4s");
	answer("part", 3 * MS);
	expect_request("live/a/p-5.m4s");
	answer("part", 4 * MS);
	expect_request("live/s.m3u8?_HLS_msn=9&_HLS_part=2");
	assert_int_equal(tally.playlists, 1);
	assert_int_equal(tally.objects, 2);
	assert_int_equal(tally.late, 0);
}

#define PLAIN(first, last)                                                                         \
	"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:2,\ns-0.ts\n"          \
	"#EXTINF:2,\ns-1.ts\n#EXTINF:2,\n" first ".ts\n#EXTINF:2,\n" last ".ts\n"

static void a_player_of_segments_loads_the_playlist_in_its_time(void **state)
{
	(void)state;
	play(true);
	expect_request("live/s.m3u8");
	answer(PLAIN("s-2", "s-3"), 1 * MS);
	for (int i = 1; i <= 3; i++) {
		char path[20];

		sprintf(path, "live/s-%d.ts", i);
		expect_request(path);
		answer("segment", 10 * MS);
	}
	/* A target duration after the last time, then half of it, because nothing was new. */
	hls_tick(player, 1999 * MS);
	assert_int_equal(out.len, 0);
	hls_tick(player, 2000 * MS);
	expect_request("live/s.m3u8");
	answer(PLAIN("s-2", "s-3"), 2001 * MS);
	hls_tick(player, 2999 * MS);
	assert_int_equal(out.len, 0);
	hls_tick(player, 3000 * MS);
	expect_request("live/s.m3u8");
	answer(PLAIN("s-3", "s-4"), 3001 * MS);
	expect_request("live/s-4.ts");
}

static void an_object_that_comes_after_its_time_is_late_once(void **state)
{
	(void)state;
	play(true);
	buffer_drop(&out, out.len);
	answer(PLAIN("s-2", "s-3"), 0);
	buffer_drop(&out, out.len);
	answer("s-1", 100 * MS); /* shown from now on */
	buffer_drop(&out, out.len);
	answer("s-2", 2100 * MS); /* in time */
	assert_int_equal(tally.late, 0);
	buffer_drop(&out, out.len);
	answer("s-3", 4101 * MS);
	assert_int_equal(tally.late, 1);
	assert_int_equal(tally.late_by.max_us, 1 * MS);
	hls_tick(player, 4101 * MS);
	buffer_drop(&out, out.len);
	answer(PLAIN("s-3", "s-4"), 4102 * MS);
	expect_request("live/s-4.ts");
	/* The clock was set back: the next one is due 2 s later. */
	answer("s-4", 6101 * MS);
	assert_int_equal(tally.late, 1);
}

static void a_player_that_is_refused_or_lost_begins_again(void **state)
{
	(void)state;
	play(true);
	expect_request("live/s.m3u8");
	answer_with(503, "no", 0);
	assert_int_equal(tally.failed, 1);
	hls_tick(player, 499 * MS);
	assert_int_equal(out.len, 0);
	hls_tick(player, 500 * MS);
	expect_request("live/s.m3u8");
	answer(PLAIN("s-2", "s-3"), 501 * MS);
	for (int i = 1; i <= 3; i++) {
		buffer_drop(&out, out.len);
		answer("segment", 510 * MS);
	}
	hls_tick(player, 9000 * MS);
	expect_request("live/s.m3u8");
	answer(PLAIN("s-8", "s-9"), 9001 * MS);
	assert_int_equal(tally.lost, 1);
	assert_int_equal(out.len, 0);
}

static void what_is_not_read_can_be_skipped(void **state)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";

	(void)state;
	play(true);
	answer(PLAIN("s-2", "s-3"), 0);
	assert_int_equal(hls_skippable(player), 0);
	buffer_append(&in, head, sizeof(head) - 1);
	assert_int_equal(hls_received(player, &in, 1 * MS), 0);
	assert_int_equal(hls_skippable(player), 1000);
	hls_skipped(player, 400, 2 * MS);
	assert_int_equal(hls_skippable(player), 600);
	assert_int_equal(tally.objects, 0);
	hls_skipped(player, 600, 3 * MS);
	assert_int_equal(hls_skippable(player), 0);
	assert_int_equal(tally.objects, 1);
	assert_int_equal(tally.answer.max_us, 3 * MS);
}

static void an_answer_without_a_length_is_refused(void **state)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

	(void)state;
	play(true);
	buffer_append(&in, head, sizeof(head) - 1);
	assert_true(hls_received(player, &in, 0) < 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parts_are_listed_where_they_are_wanted),
		TEST(without_parts_there_are_segments_only),
		TEST(without_a_hold_back_it_is_three_target_durations),
		TEST(other_files_and_long_names_are_no_playlists),
		TEST(a_player_of_parts_waits_at_the_server_for_the_next_one),
		TEST(a_player_of_segments_loads_the_playlist_in_its_time),
		TEST(an_object_that_comes_after_its_time_is_late_once),
		TEST(a_player_that_is_refused_or_lost_begins_again),
		TEST(what_is_not_read_can_be_skipped),
		TEST(an_answer_without_a_length_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
