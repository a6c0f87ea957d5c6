/* SPDX-License-Identifier: BSD-2-Clause */
/* The times of pictures from a live source, and how long to wait before it is tried again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/backoff.h"
#include "base/arrival.h"

#define FRAME_US 40000
#define NOW_US INT64_C(1000000000)
#define HOUR_US INT64_C(3600000000)

static void uneven_arrival_keeps_the_rhythm_of_the_source(void **state)
{
	static const int late_us[] = {0, 12000, 3000, 35000, 1000, 0, 20000};
	struct arrival arrival = {0};

	(void)state;
	for (int i = 0; i < 7; i++) {
		const int64_t now_us = NOW_US + i * FRAME_US + late_us[i];
		const int64_t us = arrival_place(&arrival, now_us, HOUR_US + i * FRAME_US);

		assert_true(us <= now_us);
		assert_in_range(us - NOW_US - i * FRAME_US, 0, 500);
	}
}

static void without_a_clock_the_time_is_that_of_arrival(void **state)
{
	struct arrival arrival = {0};

	(void)state;
	assert_int_equal(arrival_place(&arrival, NOW_US, ARRIVAL_NONE), NOW_US);
	assert_int_equal(arrival_place(&arrival, NOW_US + 7, ARRIVAL_NONE), NOW_US + 7);
}

static void a_burst_is_not_put_into_the_future(void **state)
{
	struct arrival arrival = {0};
	int64_t last_us = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		const int64_t us = arrival_place(&arrival, NOW_US, i * FRAME_US);

		assert_true(us > last_us && us < NOW_US + 100);
		last_us = us;
	}
	/* The rhythm is that of the last one. */
	assert_in_range(arrival_place(&arrival, NOW_US + FRAME_US, 100 * FRAME_US) - NOW_US,
			FRAME_US, FRAME_US + 500);
}

static void a_clock_that_jumps_begins_again(void **state)
{
	static const int64_t jumps[] = {-HOUR_US, HOUR_US, INT64_MAX, INT64_MIN / 2, 0};
	struct arrival arrival = {0};
	int64_t now_us = NOW_US;

	(void)state;
	for (int i = 0; i < 5; i++, now_us += FRAME_US)
		assert_int_equal(arrival_place(&arrival, now_us, jumps[i]), now_us);
}

static void a_clock_at_the_end_of_its_range_goes_on(void **state)
{
	struct arrival arrival = {0};
	int64_t now_us = NOW_US, last_us = 0;

	(void)state;
	/* The difference of the two clocks is as large as it can be, and grows. */
	for (int i = 0; i < 3; i++, now_us += FRAME_US) {
		const int64_t us = arrival_place(&arrival, now_us, NOW_US - INT64_MAX);

		assert_true(us > last_us && us <= now_us);
		last_us = us;
	}
}

static void a_clock_that_stands_still_falls_behind_by_no_more_than_the_limit(void **state)
{
	struct arrival arrival = {0};
	int64_t now_us = NOW_US, last_us = 0;

	(void)state;
	for (int i = 0; i < 1000; i++, now_us += FRAME_US) {
		const int64_t us = arrival_place(&arrival, now_us, 5);

		assert_true(us > last_us);
		assert_true(us >= now_us - ARRIVAL_BEHIND_MAX_US);
		last_us = us;
	}
}

/* A quartz that is slow by 0.1 ms a second: an hour is 0.36 s, which would be a jump. */
static void a_slow_clock_is_followed(void **state)
{
	struct arrival arrival = {0};

	(void)state;
	for (int64_t i = 0; i < 90000; i++) {
		const int64_t now_us = NOW_US + i * FRAME_US;
		const int64_t us = arrival_place(&arrival, now_us, i * FRAME_US * 9999 / 10000);

		assert_in_range(now_us - us, 0, 2000);
	}
}

static void after_a_reconnection_time_goes_on(void **state)
{
	struct arrival arrival = {0};

	(void)state;
	assert_int_equal(arrival_place(&arrival, NOW_US, 0), NOW_US);
	arrival_restart(&arrival);
	assert_int_equal(arrival_place(&arrival, NOW_US + HOUR_US, 100000), NOW_US + HOUR_US);
}

static void waits_double_up_to_the_limit_and_begin_again_when_it_worked(void **state)
{
	static const uint32_t waits[] = {250, 500, 1000, 2000, 4000, 8000, 10000, 10000};
	struct backoff backoff = {.first_ms = 250, .most_ms = 10000, .healthy_ms = 10000};

	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(backoff_after(&backoff, 9999), waits[i]);
	assert_int_equal(backoff_after(&backoff, 10000), 250);
	assert_int_equal(backoff_after(&backoff, 0), 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uneven_arrival_keeps_the_rhythm_of_the_source),
		cmocka_unit_test(without_a_clock_the_time_is_that_of_arrival),
		cmocka_unit_test(a_burst_is_not_put_into_the_future),
		cmocka_unit_test(a_clock_that_jumps_begins_again),
		cmocka_unit_test(a_clock_at_the_end_of_its_range_goes_on),
		cmocka_unit_test(a_clock_that_stands_still_falls_behind_by_no_more_than_the_limit),
		cmocka_unit_test(a_slow_clock_is_followed),
		cmocka_unit_test(after_a_reconnection_time_goes_on),
		cmocka_unit_test(waits_double_up_to_the_limit_and_begin_again_when_it_worked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
