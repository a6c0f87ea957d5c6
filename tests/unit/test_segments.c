/* SPDX-License-Identifier: BSD-2-Clause */
/* When the pictures of HLS go on, and what a playlist may name. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "capture/source/segments.h"

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
	struct segments segments;
	AVIOContext *io = NULL;

	(void)state;
	assert_int_equal(segments_init(&segments, "https://x/y.m3u8", NULL), 0);
	segments_attach(&segments, input);
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
		assert_int_equal(input->io_open(input, &io, urls[i], AVIO_FLAG_READ, NULL),
				 AVERROR(EPERM));
	assert_int_equal(input->io_open(input, &io, "https://127.0.0.1:1/x", AVIO_FLAG_WRITE, NULL),
			 AVERROR(EPERM));
	assert_null(io);
	segments_finish(&segments);
	avformat_free_context(input);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_that_comes_at_once_keeps_its_rhythm),
		cmocka_unit_test(a_late_picture_goes_on_at_once_and_the_rhythm_stays),
		cmocka_unit_test(behind_a_stall_there_is_a_new_rhythm),
		cmocka_unit_test(timestamps_that_jump_hold_nothing_up),
		cmocka_unit_test(a_playlist_names_no_files_and_no_other_scheme),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
