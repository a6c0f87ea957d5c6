/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/flow.h"

#define SECOND 1000000ll

static void nothing_flows_before_the_first_picture(void **state)
{
	struct flow flow = {0};

	(void)state;
	flow_look(&flow, 0, SECOND);
	assert_false(flow_runs(&flow, SECOND));
	flow_look(&flow, 1, 2 * SECOND);
	assert_true(flow_runs(&flow, 2 * SECOND));
	assert_int_equal(flow.interval_us, 0);
}

static void pictures_flow_for_three_seconds_after_the_newest(void **state)
{
	struct flow flow = {0};

	(void)state;
	flow_look(&flow, 1, SECOND);
	flow_look(&flow, 1, 4 * SECOND);
	assert_true(flow_runs(&flow, 4 * SECOND));
	assert_false(flow_runs(&flow, 4 * SECOND + 1));
}

/* The looks are half a second apart, as those of `camcast view` are. */
static void a_picture_each_four_seconds_flows(void **state)
{
	struct flow flow = {0};
	int64_t now_us = 10 * SECOND;

	(void)state;
	for (uint64_t half = 0; half < 80; half++, now_us += SECOND / 2) {
		flow_look(&flow, 1 + half / 8, now_us);
		if (half > 8)
			assert_true(flow_runs(&flow, now_us));
	}
	assert_int_equal(flow.interval_us, 4 * SECOND);
	assert_true(flow_runs(&flow, flow.last_us + 7 * SECOND));
	assert_false(flow_runs(&flow, flow.last_us + 7 * SECOND + 1));
}

static void pictures_between_two_looks_share_the_time(void **state)
{
	struct flow flow = {0};

	(void)state;
	flow_look(&flow, 7, 10 * SECOND);
	flow_look(&flow, 22, 10 * SECOND + SECOND / 2);
	assert_int_equal(flow.interval_us, SECOND / 30);
}

static void a_count_that_goes_back_is_a_new_picture(void **state)
{
	struct flow flow = {0};

	(void)state;
	flow_look(&flow, 100, 10 * SECOND);
	flow_look(&flow, 101, 14 * SECOND);
	flow_look(&flow, 3, 30 * SECOND);
	assert_int_equal(flow.interval_us, 0);
	assert_true(flow_runs(&flow, 33 * SECOND));
	flow_look(&flow, UINT64_MAX, 31 * SECOND);
	assert_int_equal(flow.interval_us, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_flows_before_the_first_picture),
		cmocka_unit_test(pictures_flow_for_three_seconds_after_the_newest),
		cmocka_unit_test(a_picture_each_four_seconds_flows),
		cmocka_unit_test(pictures_between_two_looks_share_the_time),
		cmocka_unit_test(a_count_that_goes_back_is_a_new_picture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
