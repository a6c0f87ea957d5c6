/* SPDX-License-Identifier: BSD-2-Clause */
/* Policy: what slow, stalled, waiting and late clients get, and when they go. */
#include "tests/unit/feed_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_US 33333

/* Fills the viewer's socket with small units until one does not begin. */
static void fill_between_units(struct rig *rig)
{
	uint64_t before = loop_stats(rig->loop)->send_again;

	while (loop_stats(rig->loop)->send_again == before)
		rig_unit(rig, RIG_UNIT_MIN, 0);
}

/* Adds n units of a GOP structure, a frame's time apart. flags[] by number. */
static void play(struct rig *rig, uint8_t *flags, int n, int gop, bool layers)
{
	for (int i = 0; i < n; i++) {
		bool key = rig->next % (unsigned)gop == 0;
		uint32_t f = key ? KEY : layers && rig->next % 2 ? DROPPABLE : 0;

		flags[rig->next] = (uint8_t)f;
		rig_unit(rig, key ? 30000 : 7000, f);
		rig_pass(rig, FRAME_US);
	}
}

struct seen_info {
	struct client_info last;
	unsigned n;
};

static void note_info(const struct client_info *info, void *user)
{
	struct seen_info *seen = user;

	seen->last = *info;
	seen->n++;
}

static struct client_info only_client(const struct rig *rig)
{
	struct seen_info seen = {.n = 0};

	feed_for_each_client(rig->feed, note_info, &seen);
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
	assert_true(feed_stats(rig.feed)->units_dropped > 300);
	assert_true(feed_stats(rig.feed)->resyncs > 10);
	assert_int_equal(feed_stats(rig.feed)->out[FEED_OUT_STALLED], 0);
	/* 3 s of history and a unit's segment are all that is kept. */
	assert_true(feed_stats(rig.feed)->segments <= 4);
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
	fill_between_units(&rig);
	memset(flags + 1, 0, rig.next);
	play(&rig, flags, 40, 1000, true); /* the oldest lags 1.3 s, over shed and under max */
	assert_int_equal(only_client(&rig).state, CLIENT_LIVE); /* nothing was decided yet */
	viewer_drink(&rig, viewer);
	viewer_check_gaps(viewer, flags);
	assert_in_range(feed_stats(rig.feed)->units_shed, 6, 10); /* of the 16 that lag 0.8 s */
	assert_int_equal(feed_stats(rig.feed)->resyncs, 0);
	assert_int_equal(feed_stats(rig.feed)->units_dropped, 0);
	assert_int_equal(rig.idrs, 1); /* for the join */
	/* Those that lag less than shed_lag come all. */
	assert_int_equal(viewer->seen[viewer->n - 1].number, rig.next - 1);
	assert_int_equal(viewer->seen[viewer->n - 2].number, rig.next - 2);
	assert_int_equal(viewer->n + feed_stats(rig.feed)->units_shed, rig.next);
	assert_int_equal(only_client(&rig).state, CLIENT_LIVE);
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
	fill_between_units(&rig);
	last = rig.next - 2;
	rig_pass(&rig, 1500000);
	rig_unit(&rig, 1000, KEY);
	rig_unit(&rig, 1000, 0);
	rig_pass(&rig, 600000);
	assert_in_range(only_client(&rig).lag_us, 2100000, 2100000);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, last + 1 + 2);
	assert_int_equal(viewer->seen[viewer->n - 2].number, last + 2);
	assert_int_equal(feed_stats(rig.feed)->units_dropped, 1);
	assert_int_equal(feed_stats(rig.feed)->resyncs, 1);
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
	fill_between_units(&rig);
	last = rig.next - 2;
	for (int i = 0; i < 300; i++) {
		rig_unit(&rig, 7000, i % 30 == 0 ? KEY : 0);
		rig_pass(&rig, FRAME_US);
	}
	key = rig.next - 30;
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, last + 1 + 30);
	assert_int_equal(viewer->seen[last].number, last);
	assert_int_equal(viewer->seen[last + 1].number, key);
	assert_int_equal(feed_stats(rig.feed)->units_dropped, key - last - 1);
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
		rig_pass(&rig, FRAME_US);
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
		fill_between_units(&rig);
		rig_pass(&rig, 2100000);
		rig_unit(&rig, 1000, 0);
		viewer_drink(&rig, viewer);
		assert_int_equal(only_client(&rig).state, CLIENT_WAIT_KEY);
		assert_int_equal(only_client(&rig).lag_us, 0);
		assert_int_equal(rig.idrs, round < 2 ? 2 : 3);
		rig_unit(&rig, 1000, 0); /* not for one that waits */
		rig_unit(&rig, 1000, KEY);
		viewer_drink(&rig, viewer);
		assert_int_equal(viewer->seen[viewer->n - 1].number, rig.next - 1);
		assert_int_equal(only_client(&rig).state, CLIENT_LIVE);
		assert_int_equal(only_client(&rig).resyncs, round + 1);
		if (round == 1)
			rig_pass(&rig, 6000000);
	}
	assert_int_equal(feed_stats(rig.feed)->idr_requests, 3);
	assert_int_equal(feed_stats(rig.feed)->resyncs, 3);
	assert_int_equal(feed_stats(rig.feed)->units_dropped, only_client(&rig).units_dropped);
	assert_int_equal(viewer->n + feed_stats(rig.feed)->units_dropped, rig.next);
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
	fill_between_units(&rig);
	last = rig.next - 2;
	rig_unit(&rig, 1000, KEY);
	rig_pass(&rig, 2500000);
	rig_unit(&rig, 1000, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(only_client(&rig).state, CLIENT_WAIT_KEY);
	assert_int_equal(viewer->seen[viewer->n - 1].number, last);
	assert_int_equal(rig.idrs, 2);
	rig_unit(&rig, 1000, KEY);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->seen[viewer->n - 1].number, rig.next - 1);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void where_no_idr_can_be_forced_lag_counts_once_caught_up(void **state)
{
	struct viewer *viewer;
	unsigned caught_up;
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
	rig_pass(&rig, 500000);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 101);
	assert_int_equal(feed_stats(rig.feed)->resyncs, 0);

	fill_between_units(&rig);
	caught_up = rig.next;
	rig_pass(&rig, 2100000);
	rig_unit(&rig, 1000, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(only_client(&rig).state, CLIENT_WAIT_KEY);
	assert_int_equal(viewer->seen[viewer->n - 1].number, caught_up - 2);
	rig_unit(&rig, 1000, KEY);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->seen[viewer->n - 1].number, rig.next - 1);
	assert_int_equal(rig.idrs, 0);
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
	assert_int_equal(feed_stats(rig.feed)->units_dropped, 0);
	assert_int_equal(feed_stats(rig.feed)->resyncs, 0);
	assert_in_range(only_client(&rig).lag_us, 4000000, 6000000);
	assert_in_range(only_client(&rig).delay_us, 3500000, only_client(&rig).lag_us);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, rig.next);
	assert_int_equal(only_client(&rig).delay_us, 0); /* it has caught up */
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
	assert_int_equal(feed_stats(rig.feed)->resyncs, 1);
	assert_int_equal(only_client(&rig).delay_us, 0);
	assert_true(only_client(&rig).lag_us < 1000000);
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
	while (feed_stats(rig.feed)->resyncs == 0) {
		play_in_step(&rig, viewer, flags, GOP_BYTES / 60);
		assert_true(++frames < 30 * 8);
	}
	assert_in_range(frames, 30 * 3, 30 * 8);
	assert_int_equal(only_client(&rig).delay_us, 0);
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
	assert_true(only_client(&rig).delay_us > 0);
	play(&rig, flags, 75, 30, false);
	viewer_drink(&rig, viewer);
	assert_int_equal(feed_stats(rig.feed)->resyncs, 1);
	assert_int_equal(only_client(&rig).delay_us, 0);
	viewer_check_gaps(viewer, flags);

	/* It has caught up: the next pause is a new one. */
	play(&rig, flags, 75, 30, false);
	viewer_drink(&rig, viewer);
	assert_int_equal(feed_stats(rig.feed)->resyncs, 1);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void whether_an_idr_can_be_forced_may_be_learnt_later(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	feed_set_can_force_idr(rig.feed, false);
	rig_unit(&rig, 1000, KEY);
	rig_pass(&rig, 60000000);
	rig_unit(&rig, 1000, 0);
	viewer = viewer_join(&rig, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 2);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void key_only_feeds_send_the_newest_picture(void **state)
{
	struct viewer *viewer;
	unsigned n;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.policy.codec = CONFIG_CODEC_MJPEG;
	rig.options.key_only = true;
	rig_start(&rig);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 400000, KEY);
	for (int i = 0; i < 20; i++) {
		rig_unit(&rig, 40000, KEY);
		rig_pass(&rig, FRAME_US);
	}
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 2);
	assert_int_equal(viewer->seen[0].number, 0);
	assert_int_equal(viewer->seen[1].number, 20);
	assert_int_equal(feed_stats(rig.feed)->units_dropped, 19);
	assert_int_equal(rig.idrs, 0);
	n = viewer->n;
	rig_unit(&rig, 4000, 0); /* every unit is one */
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, n + 1);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void stalled_client_is_reset_however_much_it_trickles(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 600000, KEY);
	for (int i = 0; i < 19; i++) {
		rig_pass(&rig, 500000);
		assert_true(viewer_read(viewer, 2000) > 0);
		rig_settle(rig.loop);
		rig_unit(&rig, 1000, 0);
		assert_int_equal(feed_stats(rig.feed)->out[FEED_OUT_STALLED], 0);
	}
	rig_pass(&rig, 500000);
	assert_int_equal(feed_stats(rig.feed)->out[FEED_OUT_STALLED], 1);
	assert_int_equal(rig.gone, 1);
	viewer_read(viewer, SIZE_MAX);
	assert_int_equal(viewer->error, ECONNRESET);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void stall_time_begins_with_each_unit(void **state)
{
	struct viewer *early, *late;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	early = viewer_join(&rig, 4096);
	rig_unit(&rig, 200000, KEY);
	rig_pass(&rig, 400000);
	late = viewer_join(&rig, 4096); /* begins the same unit 0.4 s later */
	rig_pass(&rig, 9500000);
	viewer_drink(&rig, early); /* in time; and begins the next */
	rig_unit(&rig, 200000, KEY);
	rig_pass(&rig, 100000);
	assert_int_equal(rig.gone, 0); /* the timer came for the unit that early has finished */
	rig_pass(&rig, 400000);
	assert_int_equal(rig.gone, 1);
	viewer_read(late, SIZE_MAX);
	assert_int_equal(late->error, ECONNRESET);
	rig_pass(&rig, 9400000);
	assert_int_equal(rig.gone, 1);
	rig_pass(&rig, 100000);
	assert_int_equal(rig.gone, 2);
	assert_int_equal(feed_stats(rig.feed)->out[FEED_OUT_STALLED], 2);
	viewer_leave(early);
	viewer_leave(late);
	rig_stop(&rig);
}

/* Its socket is full exactly at a unit's end: nothing is begun, but it takes nothing either. */
static void stalled_between_units_is_as_stalled(void **state)
{
	struct viewer *stalled, *slow;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	stalled = viewer_join(&rig, 4096);
	rig_unit(&rig, 1000, KEY);
	fill_between_units(&rig);
	rig_pass(&rig, 9000000);
	slow = viewer_join(&rig, 4096);
	rig_unit(&rig, 1000, KEY);
	fill_between_units(&rig);
	rig_pass(&rig, 999999);
	assert_int_equal(rig.gone, 0);
	rig_pass(&rig, 1);
	assert_int_equal(rig.gone, 1);
	viewer_read(stalled, SIZE_MAX);
	assert_int_equal(stalled->error, ECONNRESET);
	rig_pass(&rig, 8999999);
	assert_int_equal(rig.gone, 1);
	rig_pass(&rig, 1);
	assert_int_equal(rig.gone, 2);
	assert_int_equal(feed_stats(rig.feed)->out[FEED_OUT_STALLED], 2);
	viewer_leave(stalled);
	viewer_leave(slow);
	rig_stop(&rig);
}

static void who_owes_nothing_is_never_timed_out(void **state)
{
	struct viewer *idle, *waiting;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	rig_unit(&rig, 1000, KEY);
	idle = viewer_join(&rig, 0);
	viewer_drink(&rig, idle);
	rig_pass(&rig, 1000000);
	waiting = viewer_join(&rig, 0);
	for (int i = 0; i < 60; i++)
		rig_pass(&rig, 60000000); /* the camera is dead for an hour */
	assert_int_equal(rig.gone, 0);
	assert_int_equal(feed_stats(rig.feed)->clients, 2);
	rig_unit(&rig, 1000, KEY);
	viewer_drink(&rig, idle);
	viewer_drink(&rig, waiting);
	assert_int_equal(idle->seen[idle->n - 1].number, rig.next - 1);
	assert_int_equal(waiting->seen[0].number, rig.next - 1);
	viewer_leave(idle);
	viewer_leave(waiting);
	rig_stop(&rig);
}

/* The socket is filled to where one more unit does not fit and then drained at moments at which no
 * send has failed: an implementation that waits for an edge that nobody asked for stays silent. */
static void no_edge_is_lost_when_a_socket_drains(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 1000, KEY);
	for (uint32_t i = 0; i < 600; i++) {
		rig_unit(&rig, 500 + i * 37 % 9000, 0);
		if (i % 3)
			viewer_read(viewer, i * 101 % 13000);
		if (i % 7 == 0)
			viewer_drink(&rig, viewer);
	}
	viewer_drink(&rig, viewer);
	assert_true(loop_stats(rig.loop)->send_again > 20);
	assert_int_equal(viewer->n, 601);
	rig_unit(&rig, 100, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 602);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void catching_up_takes_turns_with_the_others(void **state)
{
	struct viewer *late;
	struct rig rig;
	uint64_t sends;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.options.send_buffer = 4 << 20;
	rig.options.notsent_lowat = 0;
	rig_start(&rig);
	rig_unit(&rig, 30000, KEY);
	for (int i = 0; i < 29; i++)
		rig_unit(&rig, 30000, 0);
	sends = feed_stats(rig.feed)->sendfiles;
	late = viewer_join(&rig, 4 << 20);
	viewer_drink(&rig, late);
	assert_int_equal(late->n, 30);
	/* 900 KB in runs of at most 128 KiB: four units each, and the last two. */
	assert_true(feed_stats(rig.feed)->sendfiles - sends >= 8);
	viewer_leave(late);
	rig_stop(&rig);
}

static void after_a_gap_units_are_refused_up_to_a_key_unit(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	assert_int_equal(rig_add(&rig, 1000, 0), -EAGAIN); /* the first of all must be one */
	viewer = viewer_join(&rig, 0);
	rig_unit(&rig, 1000, KEY);
	feed_gap(rig.feed);
	assert_int_equal(rig_add(&rig, 1000, 0), -EAGAIN);
	assert_int_equal(rig_add(&rig, 1000, DROPPABLE), -EAGAIN);
	rig_unit(&rig, 1000, KEY);
	rig_unit(&rig, 1000, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 3);
	assert_int_equal(viewer->seen[1].number, 4);
	assert_int_equal(feed_stats(rig.feed)->units_refused, 3);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void after_a_reset_ids_begin_anew_and_clients_stay(void **state)
{
	struct viewer *viewer, *slow;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	viewer = viewer_join(&rig, 0);
	slow = viewer_join(&rig, 4096);
	rig_unit(&rig, 100000, KEY);
	feed_reset(rig.feed);
	assert_false(feed_has_segment(rig.feed, rig.segment_id));
	assert_int_equal(feed_add_unit(rig.feed, rig.segment_id, 200000, 10, KEY, 0), -ENOENT);
	rig_pass(&rig, 5000000);
	rig.segment_id = 0;
	rig_new_segment(&rig, 1 << 20); /* id 1 again */
	assert_int_equal(rig_add(&rig, 1000, 0), -EAGAIN);
	rig_unit(&rig, 1000, KEY);
	viewer_drink(&rig, viewer);
	viewer_drink(&rig, slow);
	assert_int_equal(viewer->n, 2);
	assert_int_equal(viewer->seen[1].number, 2);
	assert_int_equal(slow->n, 2); /* the unit that it was in the middle of is whole */
	assert_int_equal(slow->seen[1].number, 2);
	assert_int_equal(rig.gone, 0);
	viewer_leave(viewer);
	viewer_leave(slow);
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
		ON_BOTH(where_no_idr_can_be_forced_lag_counts_once_caught_up),
		ON_BOTH(viewer_that_paused_by_itself_goes_on_where_it_was),
		ON_BOTH(viewer_whose_link_was_dead_is_brought_up_to_date),
		ON_BOTH(viewer_slower_than_its_own_pace_is_resynced),
		ON_BOTH(pause_is_granted_once),
		ON_BOTH(whether_an_idr_can_be_forced_may_be_learnt_later),
		ON_BOTH(key_only_feeds_send_the_newest_picture),
		ON_BOTH(stalled_client_is_reset_however_much_it_trickles),
		ON_BOTH(stall_time_begins_with_each_unit),
		ON_BOTH(stalled_between_units_is_as_stalled),
		ON_BOTH(who_owes_nothing_is_never_timed_out),
		ON_BOTH(no_edge_is_lost_when_a_socket_drains),
		ON_BOTH(catching_up_takes_turns_with_the_others),
		ON_BOTH(after_a_gap_units_are_refused_up_to_a_key_unit),
		ON_BOTH(after_a_reset_ids_begin_anew_and_clients_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
