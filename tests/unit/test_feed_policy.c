/* SPDX-License-Identifier: BSD-2-Clause */
/* Policy: what stalled, waiting and late clients get, and when they go. */
#include "tests/unit/feed_rig.h"

#include <errno.h>

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
		rig_pass(&rig, RIG_FRAME_US);
	}
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 2);
	assert_int_equal(viewer->seen[0].number, 0);
	assert_int_equal(viewer->seen[1].number, 20);
	assert_int_equal(feed_stats(rig.feed)->audience.units_dropped, 19);
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
		assert_int_equal(feed_stats(rig.feed)->audience.left[CURSOR_END_STALL], 0);
	}
	rig_pass(&rig, 500000);
	assert_int_equal(feed_stats(rig.feed)->audience.left[CURSOR_END_STALL], 1);
	assert_int_equal(rig_gone(&rig), 1);
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
	assert_int_equal(rig_gone(&rig),
			 0); /* the timer came for the unit that early has finished */
	rig_pass(&rig, 400000);
	assert_int_equal(rig_gone(&rig), 1);
	viewer_read(late, SIZE_MAX);
	assert_int_equal(late->error, ECONNRESET);
	rig_pass(&rig, 9400000);
	assert_int_equal(rig_gone(&rig), 1);
	rig_pass(&rig, 100000);
	assert_int_equal(rig_gone(&rig), 2);
	assert_int_equal(feed_stats(rig.feed)->audience.left[CURSOR_END_STALL], 2);
	viewer_leave(early);
	viewer_leave(late);
	rig_stop(&rig);
}

static void another_stall_timeout_counts_for_those_who_stall(void **state)
{
	struct config_stream shorter;
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.policy.stall_timeout_ms = 3600000;
	rig_start(&rig);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 600000, KEY);
	shorter = rig.policy;
	shorter.stall_timeout_ms = 10000;
	feed_set_policy(rig.feed, &shorter);
	rig_pass(&rig, 9999999);
	assert_int_equal(rig_gone(&rig), 0);
	rig_pass(&rig, 1);
	assert_int_equal(rig_gone(&rig), 1);
	viewer_leave(viewer);
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
	rig_fill(&rig, stalled);
	rig_pass(&rig, 9000000);
	slow = viewer_join(&rig, 4096);
	rig_unit(&rig, 1000, KEY);
	rig_fill(&rig, slow);
	rig_pass(&rig, 999999);
	assert_int_equal(rig_gone(&rig), 0);
	rig_pass(&rig, 1);
	assert_int_equal(rig_gone(&rig), 1);
	viewer_read(stalled, SIZE_MAX);
	assert_int_equal(stalled->error, ECONNRESET);
	rig_pass(&rig, 8999999);
	assert_int_equal(rig_gone(&rig), 1);
	rig_pass(&rig, 1);
	assert_int_equal(rig_gone(&rig), 2);
	assert_int_equal(feed_stats(rig.feed)->audience.left[CURSOR_END_STALL], 2);
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
	assert_int_equal(rig_gone(&rig), 0);
	assert_int_equal(feed_stats(rig.feed)->audience.cursors, 2);
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
 * send has failed. An implementation that waits for an edge without requesting it stays silent. */
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
	rig.config.send_buffer = 4 << 20;
	rig.config.notsent_lowat = 0;
	rig_start(&rig);
	rig_unit(&rig, 30000, KEY);
	for (int i = 0; i < 29; i++)
		rig_unit(&rig, 30000, 0);
	sends = feed_stats(rig.feed)->audience.sendfiles;
	late = viewer_join(&rig, 4 << 20);
	viewer_drink(&rig, late);
	assert_int_equal(late->n, 30);
	/* 900 KB in runs of at most 128 KiB: four units each, and the last two. */
	assert_true(feed_stats(rig.feed)->audience.sendfiles - sends >= 8);
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
	assert_int_equal(rig_publish(&rig, rig.segment_id, 200000, 10, KEY), -ENOENT);
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
	assert_int_equal(rig_gone(&rig), 0);
	viewer_leave(viewer);
	viewer_leave(slow);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(whether_an_idr_can_be_forced_may_be_learnt_later),
		ON_BOTH(key_only_feeds_send_the_newest_picture),
		ON_BOTH(stalled_client_is_reset_however_much_it_trickles),
		ON_BOTH(stall_time_begins_with_each_unit),
		ON_BOTH(another_stall_timeout_counts_for_those_who_stall),
		ON_BOTH(stalled_between_units_is_as_stalled),
		ON_BOTH(who_owes_nothing_is_never_timed_out),
		ON_BOTH(no_edge_is_lost_when_a_socket_drains),
		ON_BOTH(catching_up_takes_turns_with_the_others),
		ON_BOTH(after_a_gap_units_are_refused_up_to_a_key_unit),
		ON_BOTH(after_a_reset_ids_begin_anew_and_clients_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
