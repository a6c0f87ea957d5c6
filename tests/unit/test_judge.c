/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/lib/judge.h"
#include "bench/lib/unit.h"

#define SIZE 400 /* bytes of each unit */

static struct judge_panel panel;
static struct tally tally;
static struct judge good, tested;

static int begin(void **state)
{
	(void)state;
	memset(&panel, 0, sizeof(panel));
	memset(&tally, 0, sizeof(tally));
	panel.timing = true;
	judge_init(&good, &panel, &tally);
	judge_init(&tested, &panel, &tally);
	return 0;
}

/* Of each ten units the first is a key unit; of the others, even ones are droppable. */
static void give(struct judge *judge, uint64_t seq, int64_t latency_us)
{
	uint8_t data[SIZE];

	unit_build(data, sizeof(data), seq, seq % 10 == 0, seq % 10 != 0 && seq % 2 == 0, 1000);
	judge_unit(judge, data, sizeof(data), 1000 + latency_us);
}

/* The stream as another client got it, whole, and then what the tested one got. */
static void judge_stream(const uint64_t *numbers, size_t n)
{
	static struct tally whole;

	memset(&whole, 0, sizeof(whole));
	judge_init(&good, &panel, &whole);
	for (uint64_t seq = 0; seq < 60; seq++)
		give(&good, seq, 10);
	for (size_t i = 0; i < n; i++)
		give(&tested, numbers[i], 500);
	judge_panel_finish(&panel);
	assert_int_equal(whole.missed, 0);
	assert_int_equal(whole.gap_ends_not_key, 0);
}

#define JUDGE(...)                                                                                 \
	judge_stream((const uint64_t[]){__VA_ARGS__},                                              \
		     sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void a_whole_stream_has_no_gap(void **state)
{
	(void)state;
	JUDGE(10, 11, 12, 13, 14);
	assert_int_equal(tally.streams, 1);
	assert_int_equal(tally.units, 5);
	assert_int_equal(tally.missed, 0);
	assert_int_equal(tally.begins_not_key, 0);
	assert_int_equal(tally.resyncs, 0);
}

static void a_stream_that_begins_at_no_key_unit_is_found(void **state)
{
	(void)state;
	JUDGE(11, 12, 20, 21);
	assert_int_equal(tally.begins_not_key, 1);
}

static void a_gap_that_ends_at_a_key_unit_is_a_resync(void **state)
{
	(void)state;
	JUDGE(0, 1, 2, 20, 21, 50);
	assert_int_equal(tally.resyncs, 2);
	assert_int_equal(tally.missed, 17 + 28);
	assert_int_equal(tally.gap_ends_not_key, 0);
	assert_int_equal(tally.shed, 0);
}

static void leaving_out_droppable_units_is_no_fault(void **state)
{
	(void)state;
	JUDGE(0, 1, 3, 5, 7, 9, 10);
	assert_int_equal(tally.shed, 4);
	assert_int_equal(tally.missed, 4);
	assert_int_equal(tally.gap_ends_not_key, 0);
}

static void leaving_out_a_reference_is_a_fault(void **state)
{
	(void)state;
	JUDGE(0, 1, 2, 4, 5, 6);
	assert_int_equal(tally.gap_ends_not_key, 1);
	assert_int_equal(tally.shed, 0);
}

static void leaving_out_a_reference_among_droppable_ones_is_a_fault(void **state)
{
	(void)state;
	JUDGE(0, 1, 5, 6);
	assert_int_equal(tally.gap_ends_not_key, 1);
	assert_int_equal(tally.missed, 3);
}

static void a_unit_that_comes_twice_or_too_late_is_a_fault(void **state)
{
	(void)state;
	JUDGE(0, 1, 1, 2, 3, 2);
	assert_int_equal(tally.gap_ends_not_key, 2);
	assert_int_equal(tally.missed, 0);
}

static void what_nobody_received_cannot_be_called_droppable(void **state)
{
	(void)state;
	give(&tested, 0, 500);
	give(&tested, 1, 500);
	give(&tested, 3, 500);
	judge_panel_finish(&panel);
	assert_int_equal(tally.gap_ends_not_key, 1);
}

static void a_gap_is_judged_though_the_other_client_is_later(void **state)
{
	static struct tally whole;

	(void)state;
	judge_init(&good, &panel, &whole);
	give(&tested, 0, 500);
	give(&tested, 1, 500);
	give(&tested, 3, 500);
	for (uint64_t seq = 0; seq < 5; seq++)
		give(&good, seq, 9000);
	judge_panel_finish(&panel);
	assert_int_equal(tally.shed, 1);
	assert_int_equal(tally.gap_ends_not_key, 0);
}

static void latency_counts_from_capture(void **state)
{
	(void)state;
	give(&tested, 0, 77);
	give(&tested, 1, 99);
	assert_int_equal(hist_percentile_us(&tally.latency, 0.5), 77);
	assert_int_equal(tally.latency.max_us, 99);
	judge_panel_finish(&panel);
}

static void the_last_of_all_timed_clients_makes_the_last_latency(void **state)
{
	(void)state;
	panel.timed = 2;
	good.tally = &tally;
	good.counts_as_last = tested.counts_as_last = true;
	give(&good, 0, 20);
	assert_int_equal(panel.latency_last.n, 0);
	give(&tested, 0, 90);
	give(&tested, 1, 30);
	give(&good, 1, 40);
	assert_int_equal(panel.latency_last.n, 2);
	assert_int_equal(panel.latency_last.max_us, 90);
	assert_int_equal(hist_percentile_us(&panel.latency_last, 0.5), 40);
	judge_panel_finish(&panel);
}

static void the_first_key_unit_is_noted(void **state)
{
	(void)state;
	give(&tested, 9, 100);
	assert_int_equal(tested.first_key_us, 0);
	give(&tested, 10, 200);
	give(&tested, 20, 300);
	assert_int_equal(tested.first_key_us, 1200);
	judge_panel_finish(&panel);
}

static void neither_picture_nor_h264_is_malformed(void **state)
{
	(void)state;
	judge_unit(&tested, (const uint8_t *)"\xff\xd8\xff\xe0", 4, 1);
	assert_int_equal(tally.malformed, 0);
	judge_unit(&tested, (const uint8_t *)"hello, viewer", 13, 1);
	assert_int_equal(tally.malformed, 1);
}

static void noise_is_not_decoded_without_errors(void **state)
{
	(void)state;
	tested.keep = true;
	for (uint64_t seq = 0; seq < 5; seq++)
		give(&tested, seq, 1);
	judge_panel_finish(&panel);
	judge_decode(&tested);
	assert_int_equal(tally.pictures, 0);
	assert_true(tally.decode_errors > 0);
	assert_null(tested.kept.data);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_whole_stream_has_no_gap),
		TEST(a_stream_that_begins_at_no_key_unit_is_found),
		TEST(a_gap_that_ends_at_a_key_unit_is_a_resync),
		TEST(leaving_out_droppable_units_is_no_fault),
		TEST(leaving_out_a_reference_is_a_fault),
		TEST(leaving_out_a_reference_among_droppable_ones_is_a_fault),
		TEST(a_unit_that_comes_twice_or_too_late_is_a_fault),
		TEST(what_nobody_received_cannot_be_called_droppable),
		TEST(a_gap_is_judged_though_the_other_client_is_later),
		TEST(latency_counts_from_capture),
		TEST(the_last_of_all_timed_clients_makes_the_last_latency),
		TEST(the_first_key_unit_is_noted),
		TEST(neither_picture_nor_h264_is_malformed),
		TEST(noise_is_not_decoded_without_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
