/* SPDX-License-Identifier: BSD-2-Clause */
/* A session watches a part of a log, and may go on with another one. */
#include "tests/unit/talk_rig.h"

#include <errno.h>

static void range_ends_before_its_last_unit_and_another_may_follow(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	talk.range = true;
	for (int i = 0; i < 6; i++)
		rig_unit(&rig, 1000, i % 3 == 0 ? KEY : 0);
	viewer = viewer_join(&rig, 0);
	assert_int_equal(connection_watch_range(talk.connection, rig.feed, 2, 5), 0);
	assert_int_equal(talk.held, 0); /* not from inside the call */
	viewer_drink(&rig, viewer);
	ASSERT_SEEN(viewer, 1, 2, 3); /* unit 0 is number 1 in the log */
	assert_int_equal(talk.held, 1);
	assert_true(cursor_at_end(&talk.connection->cursor));
	connection_go_on(talk.connection);
	rig_unit(&rig, 1000, KEY);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 3);
	connection_unwatch(talk.connection);
	assert_false(connection_watches(talk.connection));
	assert_int_equal(rig.unwatched, 1);
	ask(viewer);
	viewer_drink(&rig, viewer);
	assert_int_equal(connection_watch_range(talk.connection, rig.feed, 5, 6), 0);
	viewer_drink(&rig, viewer);
	ASSERT_SEEN(viewer, 1, 2, 3, REPLY, 4);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void range_that_goes_beyond_the_log_waits_for_its_units(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	talk.range = true;
	rig_unit(&rig, 1000, KEY);
	viewer = viewer_join(&rig, 0);
	assert_int_equal(connection_watch_range(talk.connection, rig.feed, 1, 4), 0);
	viewer_drink(&rig, viewer);
	ASSERT_SEEN(viewer, 0);
	for (int i = 0; i < 4; i++)
		rig_unit(&rig, 1000, 0);
	viewer_drink(&rig, viewer);
	ASSERT_SEEN(viewer, 0, 1, 2);
	assert_int_equal(talk.held, 1);
	viewer_leave(viewer);
	rig_stop(&rig);
}

/* A request for what is there is answered in full, however old it is. */
static void range_loses_nothing_to_the_policy_of_lag(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	talk.range = true;
	for (int i = 0; i < 80; i++) { /* 2.7 s, of 3 that are kept */
		rig_unit(&rig, 1000, i == 0 ? KEY : i >= 70 ? DROPPABLE : 0);
		rig_pass(&rig, RIG_FRAME_US);
	}
	viewer = viewer_join(&rig, 0);
	assert_int_equal(connection_watch_range(talk.connection, rig.feed, 1, 79), 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 78);
	assert_int_equal(viewer->seen[77].number, 77);
	assert_int_equal(talk.held, 1);
	connection_unwatch(talk.connection);
	assert_int_equal(connection_watch_range(talk.connection, rig.feed, 82, 90), -ERANGE);
	assert_false(connection_watches(talk.connection));
	viewer_leave(viewer);
	rig_stop(&rig);
}

/* One after the other on a connection whose socket is full. */
static void watching_again_waits_for_room(void **state)
{
	struct viewer *viewer;
	struct rig rig;
	uint32_t next;

	start(&rig, state);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 1000, KEY);
	for (int round = 0; round < 2; round++) {
		rig_fill(&rig, viewer);
		assert_true(connection_hold(talk.connection));
		connection_unwatch(talk.connection);
		if (round == 1)
			rig_pass(&rig, 600000); /* it will wait for a key unit, too */
		assert_int_equal(connection_watch(talk.connection, rig.feed), 0);
		next = rig.next;
		rig_unit(&rig, 1000, KEY);
		rig_unit(&rig, 1000, 0);
		viewer_drink(&rig, viewer);
		assert_int_equal(viewer->seen[viewer->n - 1].number, next + 1);
		assert_int_equal(viewer->have, 0);
	}
	viewer_leave(viewer);
	rig_stop(&rig);
}

/* It came to the feed while its socket was full, and there is room before there is a key unit. */
static void viewer_that_waits_for_room_and_a_key_unit_begins_at_the_key_unit(void **state)
{
	struct viewer *viewer;
	struct rig rig;
	uint32_t next;
	unsigned n;

	start(&rig, state);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 1000, KEY);
	rig_fill(&rig, viewer);
	assert_true(connection_hold(talk.connection));
	connection_unwatch(talk.connection);
	rig_pass(&rig, 600000);
	assert_int_equal(connection_watch(talk.connection, rig.feed), 0);
	next = rig.next;
	rig_unit(&rig, 1000, 0);
	viewer_drink(&rig, viewer);
	n = viewer->n;
	assert_true(viewer->seen[n - 1].number < next);
	rig_unit(&rig, 1000, KEY);
	rig_unit(&rig, 1000, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, n + 2);
	assert_int_equal(viewer->seen[n].number, next + 1);
	assert_int_equal(viewer->have, 0);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void hold_may_be_withdrawn_before_it_is_reported(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 400000, KEY);
	assert_false(connection_hold(talk.connection));
	connection_go_on(talk.connection);
	viewer_drink(&rig, viewer);
	assert_int_equal(talk.held, 0);
	rig_unit(&rig, 400000, 0);
	assert_false(connection_hold(talk.connection));
	while (list_empty(&talk.connection->cursor.audience->holding)) {
		viewer_read(viewer, SIZE_MAX);
		assert_int_equal(loop_turn(rig.loop, 1000), 0);
	}
	connection_go_on(talk.connection);
	viewer_drink(&rig, viewer);
	assert_int_equal(talk.held, 0);
	rig_unit(&rig, 1000, 0);
	viewer_drink(&rig, viewer);
	ASSERT_SEEN(viewer, 0, 1, 2);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void empty_range_is_at_its_end(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	talk.range = true;
	rig_unit(&rig, 1000, KEY);
	viewer = viewer_join(&rig, 0);
	assert_int_equal(connection_watch_range(talk.connection, rig.feed, 2, 2), 0);
	rig_settle(rig.loop);
	assert_int_equal(talk.held, 1);
	assert_true(cursor_at_end(&talk.connection->cursor));
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void range_that_left_the_log_ends_its_viewer(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	talk.range = true;
	for (int i = 0; i < 200; i++) {
		rig_unit(&rig, 1000, i % 30 == 0 ? KEY : 0);
		rig_pass(&rig, RIG_FRAME_US);
	}
	viewer = viewer_join(&rig, 0);
	assert_int_equal(connection_watch_range(talk.connection, rig.feed, 1, 31), 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 0);
	assert_int_equal(talk.held, 0);
	assert_int_equal(talk.finished, 1);
	assert_int_equal(feed_stats(rig.feed)->audience.left[CURSOR_END_STALL], 1);
	viewer_leave(viewer);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(range_ends_before_its_last_unit_and_another_may_follow),
		ON_BOTH(range_that_goes_beyond_the_log_waits_for_its_units),
		ON_BOTH(range_loses_nothing_to_the_policy_of_lag),
		ON_BOTH(watching_again_waits_for_room),
		ON_BOTH(viewer_that_waits_for_room_and_a_key_unit_begins_at_the_key_unit),
		ON_BOTH(hold_may_be_withdrawn_before_it_is_reported),
		ON_BOTH(empty_range_is_at_its_end),
		ON_BOTH(range_that_left_the_log_ends_its_viewer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
