/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients that lag: what is left out for them, where they go on, and who may stay behind. */
#include "tests/unit/feed_rig.h"

#include <string.h>

/* Adds n units of a GOP structure, a frame's time apart. flags[] by number. */
static void play(struct rig *rig, uint8_t *flags, int n, int gop, bool layers)
{
	for (int i = 0; i < n; i++) {
		bool key = rig->next % (unsigned)gop == 0;
		uint32_t f = key ? KEY : layers && rig->next % 2 ? DROPPABLE : 0;

		flags[rig->next] = (uint8_t)f;
		rig_unit(rig, key ? 30000 : 7000, f);
		rig_pass(rig, RIG_FRAME_US);
	}
}

struct seen_cursors {
	const struct cursor *last;
	unsigned n;
};

static void note_cursor(const struct cursor *cursor, void *user)
{
	struct seen_cursors *seen = user;

	seen->last = cursor;
	seen->n++;
}

static const struct cursor *only_cursor(const struct rig *rig)
{
	struct seen_cursors seen = {.n = 0};

	feed_for_each_cursor(rig->feed, note_cursor, &seen);
	assert_int_equal(seen.n, 1);
	return seen.last;
}

static void slow_reader_loses_units_but_never_a_part_of_one(void **state)
{
	static uint8_t flags[RIG_SEEN_MAX];
	struct viewer *slow, *fast;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	slow = viewer_join(&rig, 4096);
	fast = viewer_join(&rig, 0);
	for (int i = 0; i < 1800; i++) {
		play(&rig, flags, 1, 30, false);
		viewer_read(slow, 3500); /* half of what comes */
		viewer_drink(&rig, fast);
	}
	assert_int_equal(fast->n, 1800);
	viewer_check_gaps(slow, flags);
	assert_in_range(slow->n, 400, 1400);
	assert_true(feed_stats(rig.feed)->audience.units_dropped > 300);
	assert_true(feed_stats(rig.feed)->audience.resyncs > 10);
	assert_int_equal(feed_stats(rig.feed)->audience.left[CURSOR_END_STALL], 0);
	/* 3 s of history and a unit's segment are all that is kept. */
	assert_true(feed_stats(rig.feed)->log.segments <= 4);
	viewer_leave(slow);
	viewer_leave(fast);
	rig_stop(&rig);
}

static void slow_reader_is_never_far_behind(void **state)
{
	static uint8_t flags[RIG_SEEN_MAX];
	struct viewer *slow;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	slow = viewer_join(&rig, 4096);
	for (int i = 0; i < 1800; i++) {
		unsigned n = slow->n;

		play(&rig, flags, 1, 30, false);
		viewer_read(slow, 3500);
		/* max_lag, the time that one unit takes at this rate, and the kernel's 49 KB. */
		if (slow->n > n)
			assert_true(rig.next - slow->seen[slow->n - 1].number < 30 * 4);
	}
	viewer_leave(slow);
	rig_stop(&rig);
}

static void droppable_units_are_shed_first(void **state)
{
	static uint8_t flags[RIG_SEEN_MAX];
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	viewer = viewer_join(&rig, 4096);
	flags[0] = KEY;
	rig_unit(&rig, 1000, KEY);
	rig_fill(&rig, viewer);
	memset(flags + 1, 0, rig.next);
	play(&rig, flags, 40, 1000, true); /* the oldest lags 1.3 s, over shed and under max */
	assert_int_equal(only_cursor(&rig)->state, CURSOR_LIVE); /* nothing was decided yet */
	viewer_drink(&rig, viewer);
	viewer_check_gaps(viewer, flags);
	assert_in_range(feed_stats(rig.feed)->audience.units_shed, 6,
			10); /* of the 16 that lag 0.8 s */
	assert_int_equal(feed_stats(rig.feed)->audience.resyncs, 0);
	assert_int_equal(feed_stats(rig.feed)->audience.units_dropped, 0);
	assert_int_equal(rig.idrs, 1); /* for the join */
	/* Those that lag less than shed_lag come all. */
	assert_int_equal(viewer->seen[viewer->n - 1].number, rig.next - 1);
	assert_int_equal(viewer->seen[viewer->n - 2].number, rig.next - 2);
	assert_int_equal(viewer->n + feed_stats(rig.feed)->audience.units_shed, rig.next);
	assert_int_equal(only_cursor(&rig)->state, CURSOR_LIVE);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void lag_over_the_limit_jumps_to_the_newest_key_unit(void **state)
{
	struct viewer *viewer;
	uint32_t last;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 1000, KEY);
	rig_fill(&rig, viewer);
	last = rig.next - 2;
	rig_pass(&rig, 1500000);
	rig_unit(&rig, 1000, KEY);
	rig_unit(&rig, 1000, 0);
	rig_pass(&rig, 600000);
	assert_in_range(cursor_lag_us(only_cursor(&rig)), 2100000, 2100000);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, last + 1 + 2);
	assert_int_equal(viewer->seen[viewer->n - 2].number, last + 2);
	assert_int_equal(feed_stats(rig.feed)->audience.units_dropped, 1);
	assert_int_equal(feed_stats(rig.feed)->audience.resyncs, 1);
	assert_int_equal(rig.idrs, 1); /* the join's */
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void lapped_cursor_resumes_at_idr(void **state)
{
	struct viewer *viewer;
	uint32_t last, key;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 1000, KEY);
	rig_fill(&rig, viewer);
	last = rig.next - 2;
	for (int i = 0; i < 300; i++) {
		rig_unit(&rig, 7000, i % 30 == 0 ? KEY : 0);
		rig_pass(&rig, RIG_FRAME_US);
	}
	key = rig.next - 30;
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, last + 1 + 30);
	assert_int_equal(viewer->seen[last].number, last);
	assert_int_equal(viewer->seen[last + 1].number, key);
	assert_int_equal(feed_stats(rig.feed)->audience.units_dropped, key - last - 1);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void lapped_in_the_middle_of_a_unit_finishes_it_first(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 600000, KEY);
	for (int i = 0; i < 200; i++) {
		rig_unit(&rig, 7000, i % 30 == 0 ? KEY : 0);
		rig_pass(&rig, RIG_FRAME_US);
	}
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->seen[0].number, 0);
	assert_int_equal(viewer->seen[1].number, 1 + 180);
	assert_int_equal(viewer->n, 1 + 20);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void resync_without_a_key_unit_ahead_waits_and_asks_once_in_ten_seconds(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 1000, KEY);
	assert_int_equal(rig.idrs, 1);
	for (int round = 0; round < 3; round++) {
		rig_fill(&rig, viewer);
		rig_pass(&rig, 2100000);
		rig_unit(&rig, 1000, 0);
		viewer_drink(&rig, viewer);
		assert_int_equal(only_cursor(&rig)->state, CURSOR_WAIT_KEY);
		assert_in_range(cursor_lag_us(only_cursor(&rig)), 2000000, 2200000);
		assert_int_equal(rig.idrs, round < 2 ? 2 : 3);
		rig_unit(&rig, 1000, 0); /* not for one that waits */
		rig_unit(&rig, 1000, KEY);
		viewer_drink(&rig, viewer);
		assert_int_equal(viewer->seen[viewer->n - 1].number, rig.next - 1);
		assert_int_equal(only_cursor(&rig)->state, CURSOR_LIVE);
		assert_int_equal(only_cursor(&rig)->resyncs, round + 1);
		if (round == 1)
			rig_pass(&rig, 6000000);
	}
	assert_int_equal(feed_stats(rig.feed)->audience.idr_requests, 3);
	assert_int_equal(feed_stats(rig.feed)->audience.resyncs, 3);
	assert_int_equal(feed_stats(rig.feed)->audience.units_dropped,
			 only_cursor(&rig)->units_dropped);
	assert_int_equal(viewer->n + feed_stats(rig.feed)->audience.units_dropped, rig.next);
	viewer_leave(viewer);
	rig_stop(&rig);
}

/* The newest key unit ahead may lag too much itself. */
static void resync_to_a_key_unit_that_is_too_old_waits_for_a_new_one(void **state)
{
	struct viewer *viewer;
	uint32_t last;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 1000, KEY);
	rig_fill(&rig, viewer);
	last = rig.next - 2;
	rig_unit(&rig, 1000, KEY);
	rig_pass(&rig, 2500000);
	rig_unit(&rig, 1000, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(only_cursor(&rig)->state, CURSOR_WAIT_KEY);
	assert_int_equal(viewer->seen[viewer->n - 1].number, last);
	assert_int_equal(rig.idrs, 2);
	rig_unit(&rig, 1000, KEY);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->seen[viewer->n - 1].number, rig.next - 1);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void where_no_idr_can_be_forced_an_old_key_unit_is_no_lag(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.options.can_force_idr = false;
	rig_start(&rig);
	rig_unit(&rig, 1000, KEY);
	for (int i = 0; i < 100; i++) {
		rig_pass(&rig, 100000);
		rig_unit(&rig, 4000, 0);
	}
	viewer = viewer_join(&rig, 4096); /* ten seconds behind, and slow at first */
	rig_pass(&rig, 300000);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 101);
	assert_int_equal(feed_stats(rig.feed)->audience.resyncs, 0);
	viewer_leave(viewer);
	rig_stop(&rig);
}

/* The next one may be a minute away. */
static void where_no_idr_can_be_forced_a_late_picture_is_better_than_none(void **state)
{
	struct viewer *viewer;
	struct rig rig;
	uint32_t held_up;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.options.can_force_idr = false;
	rig_start(&rig);
	rig_unit(&rig, 1000, KEY);
	viewer = viewer_join(&rig, 4096);
	rig_fill(&rig, viewer);
	held_up = rig.next;
	rig_pass(&rig, 2100000);
	rig_unit(&rig, 1000, 0);
	assert_in_range(cursor_lag_us(only_cursor(&rig)), 2100000, 2200000);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, rig.next);

	/* Held up again: the key unit that comes meanwhile brings it to the present. */
	rig_fill(&rig, viewer);
	held_up = rig.next;
	for (int i = 0; i < 30; i++) {
		rig_unit(&rig, 1000, i == 28 ? KEY : 0);
		rig_pass(&rig, 100000);
	}
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->seen[viewer->n - 1].number, rig.next - 1);
	assert_int_equal(viewer->seen[viewer->n - 2].number, rig.next - 2);
	assert_true(viewer->seen[viewer->n - 3].number < held_up);
	assert_int_equal(rig.idrs, 0);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void lag_of_one_that_waits_for_a_key_unit_grows(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	rig_unit(&rig, 1000, KEY);
	viewer = viewer_join(&rig, 4096);
	rig_fill(&rig, viewer);
	rig_pass(&rig, 2100000);
	viewer_drink(&rig, viewer);
	assert_int_equal(only_cursor(&rig)->state, CURSOR_WAIT_KEY);
	rig_pass(&rig, 500000);
	assert_in_range(cursor_lag_us(only_cursor(&rig)), 2600000, 2700000);
	rig_unit(&rig, 1000, KEY);
	viewer_drink(&rig, viewer);
	assert_int_equal(cursor_lag_us(only_cursor(&rig)), 0);
	viewer_leave(viewer);
	rig_stop(&rig);
}

/* A frame's time in which the viewer reads as much as it plays in that time. */
static void play_in_step(struct rig *rig, struct viewer *viewer, uint8_t *flags, size_t len)
{
	size_t left = len;

	play(rig, flags, 1, 30, false);
	while (left > 0) {
		size_t n = viewer_read(viewer, left);

		if (n == 0)
			break;
		left -= n;
		rig_settle(rig->loop);
	}
}

enum { GOP_BYTES = 30000 + 29 * 7000 };

/* A viewer that takes half of what comes does not wait for max_lag, and needs no IDR of its own. */
static void watch_half(enum config_backend backend, bool can_force_idr)
{
	static uint8_t flags[RIG_SEEN_MAX];
	int64_t sum_us = 0, most_us = 0;
	struct viewer *slow;
	struct rig rig;

	rig_init(&rig, backend);
	rig.policy.history_ms = 8000;
	rig.options.can_force_idr = can_force_idr;
	rig_start(&rig);
	if (!can_force_idr) /* it joins at an old key unit */
		play(&rig, flags, 29, 30, false);
	slow = viewer_join(&rig, 4096);
	for (int i = 0; i < 1800; i++) {
		int64_t lag_us;

		play(&rig, flags, 1, 30, false);
		viewer_read(slow, GOP_BYTES / 60);
		lag_us = cursor_lag_us(only_cursor(&rig));
		sum_us += lag_us;
		most_us = lag_us > most_us ? lag_us : most_us;
	}
	assert_true(sum_us / 1800 < 1000000);
	assert_true(most_us < 1800000);
	assert_true(feed_stats(rig.feed)->audience.resyncs > 20);
	assert_int_equal(rig.idrs, can_force_idr); /* the join's */
	viewer_check_gaps(slow, flags);
	viewer_leave(slow);
	rig_stop(&rig);
}

static void a_viewer_that_falls_behind_goes_on_at_a_fresh_key_unit(void **state)
{
	watch_half(*(enum config_backend *)*state, true);
}

static void the_same_where_no_idr_can_be_forced(void **state)
{
	watch_half(*(enum config_backend *)*state, false);
}

static void who_was_held_up_and_catches_up_loses_nothing(void **state)
{
	static uint8_t flags[RIG_SEEN_MAX];
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	viewer = viewer_join(&rig, 4096);
	for (int round = 0; round < 5; round++) {
		play(&rig, flags, 57, 30, false);
		assert_in_range(cursor_lag_us(only_cursor(&rig)), 1000000, 1950000);
		for (int i = 0; i < 90; i++)
			play_in_step(&rig, viewer, flags, GOP_BYTES / 30 * 5 / 2);
		assert_true(cursor_lag_us(only_cursor(&rig)) < 200000);
	}
	assert_int_equal(feed_stats(rig.feed)->audience.resyncs, 0);
	assert_int_equal(feed_stats(rig.feed)->audience.units_dropped, 0);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static struct viewer *join_and_pause(struct rig *rig, uint8_t *flags, int frames)
{
	struct viewer *viewer = viewer_join(rig, 4096);

	play(rig, flags, 1, 30, false);
	viewer_drink(rig, viewer);
	play(rig, flags, frames, 30, false);
	return viewer;
}

static void viewer_that_paused_by_itself_goes_on_where_it_was(void **state)
{
	static uint8_t flags[RIG_SEEN_MAX];
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.policy.history_ms = 8000;
	rig_start(&rig);
	viewer = join_and_pause(&rig, flags, 150);
	rig_window_closed_us = 4500000;
	for (int i = 0; i < 1800; i++)
		play_in_step(&rig, viewer, flags, GOP_BYTES / 30);
	assert_int_equal(feed_stats(rig.feed)->audience.units_dropped, 0);
	assert_int_equal(feed_stats(rig.feed)->audience.resyncs, 0);
	assert_in_range(cursor_lag_us(only_cursor(&rig)), 4000000, 6000000);
	assert_in_range(cursor_delay_us(only_cursor(&rig)), 3500000,
			cursor_lag_us(only_cursor(&rig)));
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, rig.next);
	assert_int_equal(cursor_delay_us(only_cursor(&rig)), 0); /* it has caught up */
	viewer_leave(viewer);
	rig_stop(&rig);
}

/* The link was dead as long: the viewer wants what happens now. */
static void viewer_whose_link_was_dead_is_brought_up_to_date(void **state)
{
	static uint8_t flags[RIG_SEEN_MAX];
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.policy.history_ms = 8000;
	rig_start(&rig);
	viewer = join_and_pause(&rig, flags, 150);
	rig_window_closed_us = 1000000;
	viewer_drink(&rig, viewer);
	assert_int_equal(feed_stats(rig.feed)->audience.resyncs, 1);
	assert_int_equal(cursor_delay_us(only_cursor(&rig)), 0);
	assert_true(cursor_lag_us(only_cursor(&rig)) < 1000000);
	viewer_check_gaps(viewer, flags);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void viewer_that_paused_before_is_brought_up_to_date_as_well(void **state)
{
	static uint8_t flags[RIG_SEEN_MAX];
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.policy.history_ms = 8000;
	rig_start(&rig);
	rig_window_closed_us = 100000000;
	viewer = join_and_pause(&rig, flags, 150);
	viewer_drink(&rig, viewer);
	assert_int_equal(feed_stats(rig.feed)->audience.resyncs, 1);
	assert_int_equal(cursor_delay_us(only_cursor(&rig)), 0);
	viewer_check_gaps(viewer, flags);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void viewer_slower_than_its_own_pace_is_resynced(void **state)
{
	static uint8_t flags[RIG_SEEN_MAX];
	struct viewer *viewer;
	int frames = 0;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.policy.history_ms = 8000;
	rig_start(&rig);
	viewer = join_and_pause(&rig, flags, 90);
	rig_window_closed_us = 1000000000;
	/* Half the pace loses max_lag in twice that time. */
	while (feed_stats(rig.feed)->audience.resyncs == 0) {
		play_in_step(&rig, viewer, flags, GOP_BYTES / 60);
		assert_true(++frames < 30 * 8);
	}
	assert_in_range(frames, 30 * 3, 30 * 8);
	assert_int_equal(cursor_delay_us(only_cursor(&rig)), 0);
	viewer_check_gaps(viewer, flags);
	viewer_leave(viewer);
	rig_stop(&rig);
}

/* Else one that takes a little every few seconds would fall back as far as the history reaches. */
static void pause_is_granted_once(void **state)
{
	static uint8_t flags[RIG_SEEN_MAX];
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.policy.history_ms = 8000;
	rig_start(&rig);
	viewer = join_and_pause(&rig, flags, 75);
	rig_window_closed_us = 1000000000;
	for (int i = 0; i < 15; i++)
		play_in_step(&rig, viewer, flags, GOP_BYTES / 30);
	assert_true(cursor_delay_us(only_cursor(&rig)) > 0);
	play(&rig, flags, 75, 30, false);
	viewer_drink(&rig, viewer);
	assert_int_equal(feed_stats(rig.feed)->audience.resyncs, 1);
	assert_int_equal(cursor_delay_us(only_cursor(&rig)), 0);
	viewer_check_gaps(viewer, flags);

	/* It has caught up: the next pause is a new one. */
	play(&rig, flags, 75, 30, false);
	rig_window_closed_us += 2000000;
	viewer_drink(&rig, viewer);
	assert_int_equal(feed_stats(rig.feed)->audience.resyncs, 1);
	viewer_leave(viewer);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(slow_reader_loses_units_but_never_a_part_of_one),
		ON_BOTH(slow_reader_is_never_far_behind),
		ON_BOTH(droppable_units_are_shed_first),
		ON_BOTH(lag_over_the_limit_jumps_to_the_newest_key_unit),
		ON_BOTH(lapped_cursor_resumes_at_idr),
		ON_BOTH(lapped_in_the_middle_of_a_unit_finishes_it_first),
		ON_BOTH(resync_without_a_key_unit_ahead_waits_and_asks_once_in_ten_seconds),
		ON_BOTH(resync_to_a_key_unit_that_is_too_old_waits_for_a_new_one),
		ON_BOTH(where_no_idr_can_be_forced_an_old_key_unit_is_no_lag),
		ON_BOTH(where_no_idr_can_be_forced_a_late_picture_is_better_than_none),
		ON_BOTH(lag_of_one_that_waits_for_a_key_unit_grows),
		ON_BOTH(a_viewer_that_falls_behind_goes_on_at_a_fresh_key_unit),
		ON_BOTH(the_same_where_no_idr_can_be_forced),
		ON_BOTH(who_was_held_up_and_catches_up_loses_nothing),
		ON_BOTH(viewer_that_paused_by_itself_goes_on_where_it_was),
		ON_BOTH(viewer_whose_link_was_dead_is_brought_up_to_date),
		ON_BOTH(viewer_that_paused_before_is_brought_up_to_date_as_well),
		ON_BOTH(viewer_slower_than_its_own_pace_is_resynced),
		ON_BOTH(pause_is_granted_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
