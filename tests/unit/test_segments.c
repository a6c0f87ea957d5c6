/* SPDX-License-Identifier: BSD-2-Clause */
/* When the pictures of HLS go on, and what a playlist may name. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "capture/source/segments.h"

/* What was opened, and with which options. */
static unsigned n_opened;
static char opened[512];

int __wrap_avio_open2(AVIOContext **out, const char *url, int flags,
		      const AVIOInterruptCB *interrupt, AVDictionary **options);

int __wrap_avio_open2(AVIOContext **out, const char *url, int flags,
		      const AVIOInterruptCB *interrupt, AVDictionary **options)
{
	char *text;

	(void)out, (void)url, (void)flags, (void)interrupt;
	assert_true(av_dict_get_string(*options, &text, '=', '&') >= 0);
	snprintf(opened, sizeof opened, "%s", text);
	av_free(text);
	av_dict_set(options, "referer", NULL, 0); /* the one that is taken */
	n_opened++;
	return 0;
}

#define NOW_US INT64_C(5000000000)
#define STEP_US 33333

static void a_segment_that_comes_at_once_keeps_its_rhythm(void **state)
{
	struct segments segments = {.url = "http://x"};

	(void)state;
	for (int i = 0; i < 200; i++)
		assert_int_equal(segments_due_us(&segments, 77000000 + i * STEP_US, NOW_US + i),
				 NOW_US + i * STEP_US);
}

static void a_late_picture_goes_on_at_once_and_the_rhythm_stays(void **state)
{
	struct segments segments = {.url = "http://x"};

	(void)state;
	segments_due_us(&segments, 0, NOW_US);
	assert_true(segments_due_us(&segments, STEP_US, NOW_US + 900000) < NOW_US + 900000);
	assert_int_equal(segments_due_us(&segments, 1000000, NOW_US + 900000), NOW_US + 1000000);
}

static void behind_a_stall_there_is_a_new_rhythm(void **state)
{
	struct segments segments = {.url = "http://x"};

	(void)state;
	segments_due_us(&segments, 0, NOW_US);
	assert_int_equal(segments_due_us(&segments, STEP_US, NOW_US + 5000000), NOW_US + 5000000);
	assert_int_equal(segments_due_us(&segments, 2 * STEP_US, NOW_US + 5000000),
			 NOW_US + 5000000 + STEP_US);
}

static void timestamps_that_jump_hold_nothing_up(void **state)
{
	static const int64_t jumps[] = {SEGMENTS_JUMP_US + STEP_US + 1,
					-5000000,
					INT64_MAX,
					INT64_MIN,
					0,
					INT64_MIN,
					INT64_MAX};
	struct segments segments = {.url = "http://x"};

	(void)state;
	segments_due_us(&segments, STEP_US, NOW_US);
	for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++)
		assert_int_equal(segments_due_us(&segments, jumps[i], NOW_US), NOW_US);
}

static void a_playlist_names_no_files_and_no_other_scheme(void **state)
{
	static const char *const urls[] = {"file:///etc/passwd",
					   "/etc/passwd",
					   "http://127.0.0.1:1/x",
					   "httpsx://127.0.0.1:1/x",
					   "https",
					   "tcp://127.0.0.1:1",
					   "crypto+https://127.0.0.1:1/x",
					   "concat:/etc/passwd",
					   ""};
	AVFormatContext *input = avformat_alloc_context();
	AVDictionary *options = NULL;
	struct segments segments;
	AVIOContext *io = NULL;

	(void)state;
	assert_int_equal(segments_init(&segments, "https://x/y.m3u8", NULL), 0);
	assert_true(segments_attach(&segments, input, &options) >= 0);
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
		assert_int_equal(input->io_open(input, &io, urls[i], AVIO_FLAG_READ, NULL),
				 AVERROR(EPERM));
	assert_int_equal(input->io_open(input, &io, "https://127.0.0.1:1/x", AVIO_FLAG_WRITE, NULL),
			 AVERROR(EPERM));
	assert_null(io);
	assert_int_equal(n_opened, 0);
	av_dict_free(&options);
	segments_finish(&segments);
	avformat_free_context(input);
}

/* Writes the options with which a part of a playlist is opened. */
static void open_part(const char *playlist, const char *url, char *out, size_t size)
{
	AVFormatContext *input = avformat_alloc_context();
	AVDictionary *given = NULL, *options = NULL, *unused = NULL;
	struct segments segments;
	AVIOContext *io = NULL;

	assert_true(av_dict_parse_string(&given,
					 "headers=a&cookies=b&cert_file=c&key_file=d&ca_file=e&"
					 "tls_verify=1&timeout=5&user_agent=f&auth_type=basic",
					 "=", "&", 0) >= 0);
	/* From the playlist, or as libavformat is asked for a part of a file. */
	assert_true(av_dict_parse_string(&options, "cookies=g&referer=h&offset=7", "=", "&", 0) >=
		    0);
	assert_int_equal(segments_init(&segments, playlist, given), 0);
	assert_true(segments_attach(&segments, input, &unused) >= 0);
	assert_int_equal(input->io_open(input, &io, url, AVIO_FLAG_READ, &options), 0);
	snprintf(out, size, "%s", opened);
	/* What libavformat gave, and was not taken, is left; ours are not added to it. */
	assert_null(av_dict_get(options, "referer", NULL, 0));
	assert_null(av_dict_get(options, "ca_file", NULL, 0));
	assert_string_equal(av_dict_get(options, "offset", NULL, 0)->value, "7");
	av_dict_free(&given);
	av_dict_free(&options);
	av_dict_free(&unused);
	segments_finish(&segments);
	avformat_free_context(input);
}

static void secrets_go_to_the_server_of_the_playlist(void **state)
{
	static const struct {
		const char *playlist, *part;
	} cases[] = {
		{"https://x/y.m3u8", "https://x/z.ts"},
		{"https://x/y.m3u8", "https://X:443/z.ts"},
		{"https://x:443/y.m3u8", "https://x"},
		{"https://x:444/y.m3u8", "https://x:444/z.ts"},
		{"http://u:p@x:80/y.m3u8", "http://x/z.ts"},
		{"http://[::1]:81/y.m3u8", "http://[::1]:81/z.ts?a@b:82"},
	};
	char got[512];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		open_part(cases[i].playlist, cases[i].part, got, sizeof got);
		assert_non_null(strstr(got, "headers=a"));
		assert_non_null(strstr(got, "cookies=b"));
		assert_non_null(strstr(got, "cert_file=c"));
		assert_non_null(strstr(got, "key_file=d"));
		assert_non_null(strstr(got, "user_agent=f"));
	}
}

static void other_servers_get_no_secrets_and_are_checked(void **state)
{
	static const struct {
		const char *playlist, *part;
	} cases[] = {
		{"https://x/y.m3u8", "https://y/z.ts"},
		{"https://x/y.m3u8", "https://x:444/z.ts"},
		{"https://x:444/y.m3u8", "https://x/z.ts"},
		{"https://x/y.m3u8", "https://x.y/z.ts"},
		{"https://x/y.m3u8", "https://x@y/z.ts"},
		{"https://x/y.m3u8", "https://x:443@y/z.ts"},
		{"https://x.y/y.m3u8", "https://x/z.ts"},
		{"http://x/y.m3u8", "http://x:443/z.ts"},
		{"http://[::1]:81/y.m3u8", "http://[::2]:81/z.ts"},
	};
	char got[512];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		open_part(cases[i].playlist, cases[i].part, got, sizeof got);
		assert_string_equal(got, "offset=7&ca_file=e&tls_verify=1&timeout=5");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_that_comes_at_once_keeps_its_rhythm),
		cmocka_unit_test(a_late_picture_goes_on_at_once_and_the_rhythm_stays),
		cmocka_unit_test(behind_a_stall_there_is_a_new_rhythm),
		cmocka_unit_test(timestamps_that_jump_hold_nothing_up),
		cmocka_unit_test(a_playlist_names_no_files_and_no_other_scheme),
		cmocka_unit_test(secrets_go_to_the_server_of_the_playlist),
		cmocka_unit_test(other_servers_get_no_secrets_and_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
