/* SPDX-License-Identifier: BSD-2-Clause */
/* The first pictures of a connection get the times at which they were taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "client/record/burst.h"
#include "media/sei.h"

#define SECOND 1000000LL

static struct burst burst;
static uint8_t picture[] = {0, 0, 0, 1, 0x65, 0x88, 0x84};

/* Pictures that came at first_us and then so far apart. */
static void add(int n, int64_t first_us, int64_t apart_us)
{
	for (int i = 0; i < n; i++) {
		struct reader_unit unit = {
			.data = picture,
			.len = sizeof picture,
			.codec = STREAM_H264,
			.received_us = first_us + i * apart_us,
		};

		assert_int_equal(burst_add(&burst, &unit), 0);
	}
}

static void the_history_is_dated_back_from_the_live_pictures(void **state)
{
	int64_t at_us = 9 * SECOND;

	(void)state;
	burst_open(&burst);
	add(10, at_us, 300); /* a second of history at once */
	add(10, at_us + 50000, 100000);
	assert_true(burst_is_complete(&burst, at_us + SECOND));
	assert_int_equal((int)burst_settle(&burst, 33333), 100000); /* the server says 30 fps */
	for (int64_t i = 0; i < 20; i++)
		assert_int_equal(burst.units[i].received_us, at_us + 50000 + (i - 10) * 100000);
	burst_close(&burst);
	assert_false(burst.open);
}

static void a_burst_ends_after_three_seconds_at_the_latest(void **state)
{
	(void)state;
	burst_open(&burst);
	assert_false(burst_is_complete(&burst, 100 * SECOND));
	add(1, SECOND, 0);
	assert_false(burst_is_complete(&burst, SECOND + 2900000));
	assert_true(burst_is_complete(&burst, 4 * SECOND));
	assert_int_equal((int)burst_settle(&burst, 33333), 33333); /* nothing else is known */
	assert_int_equal(burst.units[0].received_us, SECOND);
	burst_close(&burst);
}

static void live_pictures_keep_their_times(void **state)
{
	(void)state;
	burst_open(&burst);
	add(8, 0, 150000);
	assert_true(burst_is_complete(&burst, 7 * 150000));
	assert_int_equal((int)burst_settle(&burst, 33333), 150000);
	for (int64_t i = 0; i < 8; i++)
		assert_int_equal(burst.units[i].received_us, i * 150000);
	burst_close(&burst);
}

/* A server that stood still sends what its camera took before and after at once. */
static void times_of_the_capture_are_better_than_those_of_arrival(void **state)
{
	static const int64_t taken_us[] = {0, 33000, 70000, 8000000, 8033000, 8066000};
	uint8_t data[SEI_CAPTURE_MAX + sizeof picture];

	(void)state;
	burst_open(&burst);
	for (size_t i = 0; i < sizeof taken_us / sizeof taken_us[0]; i++) {
		struct sei_capture capture = {.sequence = i, .monotonic_us = 77 + taken_us[i]};
		size_t len = sei_write_capture(data, &capture);
		struct reader_unit unit = {
			.data = data,
			.len = len + sizeof picture,
			.codec = STREAM_H264,
			.received_us = 20 * SECOND + (i == 5 ? 40000 : 0),
		};

		memcpy(data + len, picture, sizeof picture);
		assert_int_equal(burst_add(&burst, &unit), 0);
	}
	burst_settle(&burst, 33333);
	for (size_t i = 0; i < burst.n; i++)
		assert_int_equal(burst.units[i].received_us, 20 * SECOND + taken_us[i] - 8033000);
	burst_close(&burst);
}

/* A hostile server dates its pictures as it likes: names of files follow them. */
static void times_that_cannot_be_right_do_not_count(void **state)
{
	static const int64_t taken_us[][2] = {
		{INT64_MIN, INT64_MAX},
		{-1, INT64_MAX},
		{INT64_MIN, 0},
		{0, BURST_AGE_MAX_US + SECOND},
		{INT64_MAX - 1, INT64_MAX},
	};
	uint8_t data[SEI_CAPTURE_MAX + sizeof picture];

	(void)state;
	for (size_t i = 0; i < sizeof taken_us / sizeof taken_us[0]; i++) {
		burst_open(&burst);
		for (int j = 0; j < 2; j++) {
			struct sei_capture capture = {.monotonic_us = taken_us[i][j]};
			size_t len = sei_write_capture(data, &capture);
			struct reader_unit unit = {.data = data,
						   .len = len + sizeof picture,
						   .codec = STREAM_H264,
						   .received_us = 20 * SECOND + j * 40000};

			memcpy(data + len, picture, sizeof picture);
			assert_int_equal(burst_add(&burst, &unit), 0);
		}
		burst_settle(&burst, 33333);
		assert_in_range(burst.units[0].received_us, 19 * SECOND, 20 * SECOND);
		assert_int_equal(burst.units[1].received_us, 20 * SECOND + 40000);
		burst_close(&burst);
	}
}

static void a_history_is_no_older_than_a_server_keeps_one(void **state)
{
	(void)state;
	burst_open(&burst);
	add(BURST_MAX, 20 * SECOND, 0);
	burst_settle(&burst, 60.0 * SECOND); /* as announced */
	assert_int_equal(burst.units[0].received_us, 20 * SECOND - BURST_AGE_MAX_US);
	burst_close(&burst);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_history_is_dated_back_from_the_live_pictures),
		cmocka_unit_test(a_burst_ends_after_three_seconds_at_the_latest),
		cmocka_unit_test(live_pictures_keep_their_times),
		cmocka_unit_test(times_of_the_capture_are_better_than_those_of_arrival),
		cmocka_unit_test(times_that_cannot_be_right_do_not_count),
		cmocka_unit_test(a_history_is_no_older_than_a_server_keeps_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
