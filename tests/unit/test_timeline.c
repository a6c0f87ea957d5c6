/* SPDX-License-Identifier: BSD-2-Clause */
/* The clock of a recording that is played again and again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capture/source/timeline.h"

#define FRAME_US 40000
#define HOUR_US INT64_C(3600000000)

static void time_goes_on_where_a_recording_repeats(void **state)
{
	struct timeline timeline;

	(void)state;
	timeline_init(&timeline, 1, 25, FRAME_US, false);
	assert_int_equal(timeline_place(&timeline, 100, 1), 0);
	assert_int_equal(timeline_place(&timeline, 101, 2), FRAME_US);
	timeline_rewind(&timeline);
	assert_int_equal(timeline_place(&timeline, 100, 1), INT64_C(3) * FRAME_US);
}

static void a_pause_of_a_recording_is_kept(void **state)
{
	struct timeline timeline;

	(void)state;
	timeline_init(&timeline, 1, 1000000, FRAME_US, false);
	assert_int_equal(timeline_place(&timeline, 0, 0), 0);
	assert_int_equal(timeline_place(&timeline, HOUR_US, 0), HOUR_US);
}

static void a_time_or_a_duration_of_more_than_a_day_is_damage(void **state)
{
	struct timeline timeline;

	(void)state;
	timeline_init(&timeline, 1, 1000000, FRAME_US, false);
	assert_int_equal(timeline_place(&timeline, 0, 0), 0);
	assert_int_equal(timeline_place(&timeline, 30 * HOUR_US, 30 * HOUR_US), FRAME_US);
	assert_int_equal(timeline_place(&timeline, TIMELINE_NONE, 0), INT64_C(2) * FRAME_US);
}

static void a_clock_that_may_jump_has_no_long_pauses(void **state)
{
	struct timeline timeline;

	(void)state;
	timeline_init(&timeline, 1, 1000000, FRAME_US, true);
	assert_int_equal(timeline_place(&timeline, 0, 0), 0);
	assert_int_equal(timeline_place(&timeline, HOUR_US, 0), FRAME_US);
	assert_int_equal(timeline_place(&timeline, HOUR_US + FRAME_US, 0), INT64_C(2) * FRAME_US);
}

static void a_clock_that_jumps_goes_on_evenly(void **state)
{
	struct timeline timeline;

	(void)state;
	timeline_init(&timeline, 1, 90000, 20000, true);
	assert_int_equal(timeline_place(&timeline, 900000, 1800), 0);
	assert_int_equal(timeline_place(&timeline, 901800, 1800), 20000);
	assert_int_equal(timeline_place(&timeline, TIMELINE_NONE, 1800), 40000);
	assert_int_equal(timeline_place(&timeline, 300, 1800), 60000); /* back */
	assert_int_equal(timeline_place(&timeline, 2100, 1800), 80000);
	assert_int_equal(timeline_place(&timeline, 90000000, 0), 100000); /* far ahead */
	assert_int_equal(timeline_place(&timeline, 90001800, 0), 120000);
	timeline_rewind(&timeline);
	assert_int_equal(timeline_place(&timeline, 900000, 1800), 140000);
}

static void a_long_pause_in_a_steady_clock_is_kept(void **state)
{
	struct timeline timeline;

	(void)state;
	timeline_init(&timeline, 1, 1000, 40000, false);
	assert_int_equal(timeline_place(&timeline, 5, 0), 0);
	assert_int_equal(timeline_place(&timeline, 60005, 0), 60000000);
}

static void a_pass_ends_when_the_recording_says(void **state)
{
	struct timeline timeline;

	(void)state;
	timeline_init(&timeline, 1, 1000, 40000, false);
	timeline_end(&timeline, 500); /* before the first picture: nothing */
	assert_int_equal(timeline_place(&timeline, 5, 0), 0);
	assert_int_equal(timeline_place(&timeline, 45, 0), 40000);
	timeline_end(&timeline, 545);
	timeline_rewind(&timeline);
	assert_int_equal(timeline_place(&timeline, 5, 0), 540000);
	assert_int_equal(timeline_place(&timeline, 45, 0), 580000);
	timeline_end(&timeline, 65); /* shorter than the interval of the rate */
	timeline_rewind(&timeline);
	assert_int_equal(timeline_place(&timeline, 5, 0), 600000);
}

static void an_end_that_cannot_be_true_is_ignored(void **state)
{
	static const int64_t ends[] = {TIMELINE_NONE, 0, INT64_MAX, INT64_MIN + 1, 86400000 + 50};
	struct timeline timeline;

	(void)state;
	timeline_init(&timeline, 1, 1000, 40000, false);
	assert_int_equal(timeline_place(&timeline, 5, 0), 0);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		timeline_end(&timeline, ends[i]);
		timeline_rewind(&timeline);
		assert_int_equal(timeline_place(&timeline, 5, 0), (int64_t)(i + 1) * 40000);
	}
}

static void pictures_that_are_left_out_take_their_time(void **state)
{
	struct timeline timeline;

	(void)state;
	timeline_init(&timeline, 1, 1000, 40000, false);
	assert_int_equal(timeline_skip(&timeline, 1000), 0); /* before the first picture */
	assert_int_equal(timeline_place(&timeline, 5, 0), 0);
	assert_int_equal(timeline_skip(&timeline, 85), 80000);
	assert_int_equal(timeline_skip(&timeline, TIMELINE_NONE), 0);
	assert_int_equal(timeline_skip(&timeline, INT64_MAX), 0);
	timeline_rewind(&timeline);
	assert_int_equal(timeline_place(&timeline, 5, 0), 120000);
}

/* A build with a sanitizer ends at a sum that does not fit. */
static void times_may_be_any_number(void **state)
{
	static const int64_t any[] = {0, INT64_MAX, INT64_MIN + 1, INT64_MIN / 2, INT64_MAX / 2};
	enum { N = sizeof(any) / sizeof(*any) };
	struct timeline timeline;
	int64_t last_us = 0;

	(void)state;
	timeline_init(&timeline, 1, 1000, 40000, false);
	for (unsigned i = 0; i < N * N * N; i++) {
		int64_t us = timeline_place(&timeline, any[i / N / N], any[i % N]);

		assert_in_range(us, last_us, last_us + 86400000000);
		last_us = us;
		us = timeline_place(&timeline, any[i / N % N], 0);
		assert_in_range(us, last_us, last_us + 86400000000);
		last_us = us;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_goes_on_where_a_recording_repeats),
		cmocka_unit_test(a_pause_of_a_recording_is_kept),
		cmocka_unit_test(a_time_or_a_duration_of_more_than_a_day_is_damage),
		cmocka_unit_test(times_may_be_any_number),
		cmocka_unit_test(a_clock_that_may_jump_has_no_long_pauses),
		cmocka_unit_test(a_clock_that_jumps_goes_on_evenly),
		cmocka_unit_test(a_long_pause_in_a_steady_clock_is_kept),
		cmocka_unit_test(a_pass_ends_when_the_recording_says),
		cmocka_unit_test(an_end_that_cannot_be_true_is_ignored),
		cmocka_unit_test(pictures_that_are_left_out_take_their_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
