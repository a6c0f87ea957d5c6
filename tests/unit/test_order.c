/* SPDX-License-Identifier: BSD-2-Clause */
/* Times of pictures that are shown in another order than they come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "client/record/order.h"

enum { STEP_US = 40000, PICTURES_MAX = 200 };

struct shown {
	int64_t position, at_us, shown_us;
};

/* The pictures in the order of arrival; check_growth() sorts them by the order of output. */
static struct shown shown[PICTURES_MAX];
static size_t n_shown;

static void note(const struct order_times *times, int64_t position)
{
	assert_true(n_shown < PICTURES_MAX);
	assert_true(times->shown_us >= times->at_us);
	assert_true(times->end_us > times->at_us);
	shown[n_shown++] = (struct shown){position, times->at_us, times->shown_us};
}

/* Adds pictures; counts[i] is the place in the order of output, as pictures, -1: it is lost.
 * Between two pictures passes between steps[0] and steps[1]. Key pictures have place 0. */
static void play(struct order *order, const int *counts, size_t n, int unit, int64_t jitter_us)
{
	int64_t at_us = 5000000, base = 0, last = 0;
	int64_t positions[PICTURES_MAX];
	size_t first = 0, added = 0;
	struct order_times times;
	uint32_t seed = 7;

	n_shown = 0;
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		at_us += STEP_US + (jitter_us ? (int64_t)(seed >> 8) % jitter_us : 0);
		if (counts[i] < 0)
			continue;
		if (counts[i] == 0)
			base = last + 1;
		positions[added++] = base + counts[i];
		if (base + counts[i] > last)
			last = base + counts[i];
		order_add(order, counts[i] == 0, (int64_t)counts[i] * unit, at_us);
		while (order_take(order, &times))
			note(&times, positions[first++]);
		assert_true(order->n < ORDER_HELD_MAX);
	}
	while (order_force(order, STEP_US, &times))
		note(&times, positions[first++]);
	assert_int_equal(first, added);
	assert_int_equal(order->n, 0);
}

static int compare(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;

	return (x->position > y->position) - (x->position < y->position);
}

static void check_growth(void)
{
	qsort(shown, n_shown, sizeof shown[0], compare);
	for (size_t i = 1; i < n_shown; i++)
		assert_true(shown[i].shown_us > shown[i - 1].shown_us);
}

/* x264 with three B pictures, one of which others refer to: two pictures are reordered. */
static const int pyramid[] = {0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11, 13, 0,
			      4, 2, 1, 3, 8, 6, 5, 7, 9, 0,  4,	 2, 1,	3};
#define N(array) (sizeof(array) / sizeof((array)[0]))

static void a_stream_in_order_is_shown_as_it_comes(void **state)
{
	static const int counts[] = {0, 1, 2, 3, 0, 1, 2};
	struct order order;

	(void)state;
	order_init(&order, 0);
	play(&order, counts, N(counts), 2, 0);
	assert_int_equal(n_shown, N(counts));
	for (size_t i = 0; i < n_shown; i++)
		assert_int_equal(shown[i].shown_us, shown[i].at_us);
}

static void every_picture_has_its_own_turn(void **state)
{
	struct order order;

	(void)state;
	order_init(&order, 2);
	play(&order, pyramid, N(pyramid), 2, 0);
	check_growth();
	for (size_t i = 0; i < n_shown; i++)
		assert_int_equal(shown[i].shown_us, 5000000 + (int64_t)(i + 3) * STEP_US);
}

static void times_grow_whatever_the_arrival_does(void **state)
{
	struct order order;

	(void)state;
	for (int64_t jitter_us = 1000; jitter_us < 10000000; jitter_us *= 7) {
		order_init(&order, 2);
		play(&order, pyramid, N(pyramid), 2, jitter_us);
		check_growth();
	}
}

static void a_stream_that_does_not_say_tells_by_its_pictures(void **state)
{
	struct order order;

	(void)state;
	order_init(&order, -1);
	play(&order, pyramid, N(pyramid), 2, 0);
	check_growth();
	assert_int_equal(order.reorder, 2);
	for (size_t i = 0; i < n_shown; i++)
		assert_int_equal(shown[i].shown_us, 5000000 + (int64_t)(i + 3) * STEP_US);
	/* Counts of pictures, too. */
	order_init(&order, -1);
	play(&order, pyramid, N(pyramid), 1, 0);
	check_growth();
	for (size_t i = 0; i < n_shown; i++)
		assert_int_equal(shown[i].shown_us, 5000000 + (int64_t)(i + 3) * STEP_US);
}

/* As many pictures as the largest DPB has: all come before the one that is shown first. */
static void a_whole_dpb_is_reordered(void **state)
{
	int counts[2 * 18];
	struct order order;

	(void)state;
	for (size_t i = 0; i < N(counts); i++)
		counts[i] = i % 18 == 0 ? 0 : 18 - (int)(i % 18);
	for (int stated = -1; stated <= 16; stated += 17) {
		order_init(&order, stated);
		play(&order, counts, N(counts), 2, 0);
		assert_int_equal(order.reorder, ORDER_REORDER_MAX);
		check_growth();
	}
}

static void lost_pictures_do_not_move_the_others(void **state)
{
	/* Every third one comes. */
	static const int counts[] = {0, 3, -1, -1, 6, -1, -1, 9, -1, -1, 12, -1, -1, 0, 3};
	struct order order;

	(void)state;
	order_init(&order, 1);
	play(&order, counts, N(counts), 2, 0);
	check_growth();
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(shown[i].shown_us, 5000000 + (int64_t)(3 * i + 2) * STEP_US);
}

/* Damage, and memory_management_control_operation 5. */
static void counts_that_jump_do_not_turn_time_back(void **state)
{
	static const int counts[] = {0, 4, 2, 1, 3, 90, 92, 91, 1, 5, 3, 2, 4, -1, 7, 3000, 6, 9};
	struct order order;
	int64_t last_us = 0;

	(void)state;
	order_init(&order, 2);
	play(&order, counts, N(counts), 2, 3000);
	for (size_t i = 0; i < n_shown; i++) {
		assert_true(shown[i].at_us > last_us);
		assert_true(shown[i].shown_us < shown[i].at_us + 40 * (STEP_US + 3000));
		last_us = shown[i].at_us;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_in_order_is_shown_as_it_comes),
		cmocka_unit_test(every_picture_has_its_own_turn),
		cmocka_unit_test(times_grow_whatever_the_arrival_does),
		cmocka_unit_test(a_stream_that_does_not_say_tells_by_its_pictures),
		cmocka_unit_test(a_whole_dpb_is_reordered),
		cmocka_unit_test(lost_pictures_do_not_move_the_others),
		cmocka_unit_test(counts_that_jump_do_not_turn_time_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
