/* SPDX-License-Identifier: BSD-2-Clause */
/* A session reads from its peer, writes between two units, and sends bytes before the first unit. A
 * part of a log: test_session_range.c. */
#include "tests/unit/talk_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- replies --- */

static void reply_to_an_idle_viewer_goes_at_once(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	viewer = viewer_join(&rig, 0);
	rig_unit(&rig, 1000, KEY);
	ask(viewer);
	viewer_drink(&rig, viewer);
	ASSERT_SEEN(viewer, 0, REPLY);
	rig_unit(&rig, 1000, 0);
	viewer_drink(&rig, viewer);
	ASSERT_SEEN(viewer, 0, REPLY, 1);
	assert_int_equal(talk.held, 0);
	viewer_leave(viewer);
	rig_settle(rig.loop);
	assert_int_equal(talk.finished, 1);
	rig_stop(&rig);
}

static void reply_to_a_viewer_that_waits_for_a_key_unit_goes_at_once(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	viewer = viewer_join(&rig, 0);
	ask(viewer);
	viewer_drink(&rig, viewer);
	rig_unit(&rig, 1000, KEY);
	viewer_drink(&rig, viewer);
	ASSERT_SEEN(viewer, REPLY, 0);
	viewer_leave(viewer);
	rig_stop(&rig);
}

/* The key unit comes while the reply is on its way. */
static void viewer_that_waited_gets_the_key_unit_that_came_while_it_was_held(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	viewer = viewer_join(&rig, 0);
	assert_true(connection_hold(talk.connection));
	rig_unit(&rig, 1000, KEY);
	rig_unit(&rig, 1000, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 0);
	connection_go_on(talk.connection);
	viewer_drink(&rig, viewer);
	ASSERT_SEEN(viewer, 0, 1);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void reply_waits_for_the_end_of_the_unit_under_way(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 400000, KEY);
	rig_unit(&rig, 1000, 0);
	ask(viewer);
	rig_settle(rig.loop);
	ask(viewer);
	rig_settle(rig.loop);
	assert_int_equal(talk.asked, 2);
	assert_int_equal(talk.replied, 0);
	viewer_drink(&rig, viewer);
	ASSERT_SEEN(viewer, 0, REPLY, REPLY + 1, 1);
	assert_int_equal(talk.held, 1);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void reply_into_a_full_socket_waits_for_room_and_the_viewer_goes_on(void **state)
{
	struct viewer *viewer;
	struct rig rig;
	uint32_t next;

	start(&rig, state);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 1000, KEY);
	rig_fill(&rig, viewer);
	next = rig.next;
	ask(viewer);
	rig_settle(rig.loop);
	assert_int_equal(talk.replied, 1);
	assert_int_equal(talk.written, 0);
	rig_unit(&rig, 1000, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(talk.written, 1);
	assert_int_equal(viewer->seen[viewer->n - 1].number, next);
	for (unsigned i = 1, number = 1; i < viewer->n; i++)
		if (viewer->seen[i].number != REPLY)
			assert_int_equal(viewer->seen[i].number, number++);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void held_viewer_whose_socket_was_full_goes_on_without_a_reply(void **state)
{
	struct viewer *viewer;
	struct rig rig;
	uint32_t next;

	start(&rig, state);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 1000, KEY);
	rig_fill(&rig, viewer);
	next = rig.next;
	assert_true(connection_hold(talk.connection));
	connection_go_on(talk.connection);
	rig_unit(&rig, 1000, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->seen[viewer->n - 1].number, next);
	assert_true(connection_hold(talk.connection));
	rig_unit(&rig, 1000, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->seen[viewer->n - 1].number, next);
	connection_go_on(talk.connection);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->seen[viewer->n - 1].number, next + 1);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void held_viewer_falls_back_by_the_same_rules_as_a_slow_one(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	viewer = viewer_join(&rig, 0);
	rig_unit(&rig, 1000, KEY);
	viewer_drink(&rig, viewer);
	assert_true(connection_hold(talk.connection));
	for (int i = 1; i < 120; i++) {
		rig_unit(&rig, 1000, i % 30 == 0 ? KEY : 0);
		rig_pass(&rig, RIG_FRAME_US);
	}
	connection_go_on(talk.connection);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->seen[1].number, 90);
	assert_int_equal(viewer->seen[viewer->n - 1].number, 119);
	viewer_leave(viewer);
	rig_stop(&rig);
}

/* --- ends --- */

static void peer_that_ends_its_input_goes_on_watching(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	viewer = viewer_join(&rig, 0);
	ask(viewer);
	assert_int_equal(shutdown(viewer->fd, SHUT_WR), 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(talk.ended, 1);
	for (int i = 0; i < 5; i++)
		rig_unit(&rig, 9000, i == 0 ? KEY : 0);
	viewer_drink(&rig, viewer);
	ASSERT_SEEN(viewer, REPLY, 0, 1, 2, 3, 4);
	assert_int_equal(rig_gone(&rig), 0);
	viewer_leave(viewer);
	rig_settle(rig.loop);
	assert_int_equal(rig_gone(&rig), 1);
	rig_stop(&rig);
}

static void peer_that_has_gone_is_noticed_by_what_it_is_sent(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	viewer = viewer_join(&rig, 0);
	close(viewer->fd);
	rig_settle(rig.loop);
	assert_int_equal(rig_gone(&rig), 0);
	rig_unit(&rig, 1000, KEY);
	rig_unit(&rig, 1000, 0);
	assert_int_equal(rig_gone(&rig), 1);
	assert_int_equal(feed_stats(rig.feed)->audience.left[CURSOR_END_PEER], 1);
	assert_int_equal(talk.finished, 1);
	free(viewer);
	rig_stop(&rig);
}

static void connection_that_its_protocol_does_not_want_is_closed(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	talk.fail = true;
	viewer = viewer_join(&rig, 0);
	viewer_read(viewer, SIZE_MAX);
	assert_int_equal(viewer->error, ECONNRESET);
	assert_int_equal(admission_viewers(rig.admission), 0);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void end_with_a_reply_under_way_leaks_nothing(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 1000, KEY);
	rig_fill(&rig, viewer);
	ask(viewer);
	rig_settle(rig.loop);
	assert_int_equal(talk.written, 0);
	rig_stop(&rig); /* the sanitizer counts */
	assert_int_equal(talk.finished, 1);
	viewer_leave(viewer);
}

/* --- preambles --- */

static void set_preamble(struct rig *rig, uint32_t number, uint32_t len)
{
	static uint8_t preamble[5000];

	rig_make_unit(preamble, PREAMBLE + number, len, KEY);
	assert_int_equal(feed_set_preamble(rig->feed, preamble, len), 0);
}

static void preamble_comes_before_the_first_unit_and_where_it_changes(void **state)
{
	struct viewer *early, *late;
	struct rig rig;

	start(&rig, state);
	early = viewer_join(&rig, 0);
	set_preamble(&rig, 1, 700);
	rig_unit(&rig, 1000, KEY);
	rig_unit(&rig, 9000, 0);
	rig_unit(&rig, 9000, KEY);
	late = viewer_join(&rig, 0);
	viewer_drink(&rig, late);
	set_preamble(&rig, 2, 5000);
	assert_int_equal(rig_add(&rig, 1000, 0), -EAGAIN); /* a key unit must follow: unit 3 */
	rig_unit(&rig, 1000, KEY);
	rig_unit(&rig, 1000, KEY);
	viewer_drink(&rig, early);
	viewer_drink(&rig, late);
	ASSERT_SEEN(early, PREAMBLE + 1, 0, 1, 2, PREAMBLE + 2, 4, 5);
	ASSERT_SEEN(late, PREAMBLE + 1, 2, PREAMBLE + 2, 4, 5);
	viewer_leave(early);
	viewer_leave(late);
	rig_stop(&rig);
}

/* Each unit goes with its own, however many have come meanwhile. */
static void viewer_that_is_behind_gets_the_preamble_of_its_unit(void **state)
{
	struct viewer *slow;
	struct rig rig;

	start(&rig, state);
	slow = viewer_join(&rig, 4096);
	set_preamble(&rig, 1, 100);
	rig_unit(&rig, 200000, KEY);
	set_preamble(&rig, 2, 100);
	set_preamble(&rig, 3, 100); /* no unit went with the second */
	rig_unit(&rig, 1000, KEY);
	set_preamble(&rig, 4, 100);
	rig_unit(&rig, 1000, KEY);
	rig_unit(&rig, 1000, 0);
	viewer_drink(&rig, slow);
	ASSERT_SEEN(slow, PREAMBLE + 1, 0, PREAMBLE + 3, 1, PREAMBLE + 4, 2, 3);
	viewer_leave(slow);
	rig_stop(&rig);
}

static void preamble_into_a_full_socket_comes_later_and_whole(void **state)
{
	struct viewer *slow;
	struct rig rig;
	unsigned preambles = 0;

	start(&rig, state);
	slow = viewer_join(&rig, 4096);
	set_preamble(&rig, 1, 100);
	rig_unit(&rig, 1000, KEY);
	rig_fill(&rig, slow);
	set_preamble(&rig, 2, 5000);
	rig_unit(&rig, 1000, KEY);
	viewer_drink(&rig, slow);
	for (unsigned i = 0; i < slow->n; i++)
		preambles += slow->seen[i].number >= PREAMBLE;
	assert_int_equal(preambles, 2);
	assert_int_equal(slow->seen[slow->n - 2].number, PREAMBLE + 2);
	viewer_leave(slow);
	rig_stop(&rig);
}

static void new_worker_begins_without_a_preamble(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	viewer = viewer_join(&rig, 0);
	set_preamble(&rig, 1, 100);
	rig_unit(&rig, 1000, KEY);
	feed_reset(rig.feed);
	rig_new_segment(&rig, rig.segment_size);
	rig_unit(&rig, 1000, KEY);
	feed_reset(rig.feed);
	rig_new_segment(&rig, rig.segment_size);
	set_preamble(&rig, 1, 100); /* the same number, of another worker */
	rig_unit(&rig, 1000, KEY);
	viewer_drink(&rig, viewer);
	ASSERT_SEEN(viewer, PREAMBLE + 1, 0, 1, PREAMBLE + 1, 2);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void range_has_no_preamble(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	start(&rig, state);
	talk.range = true;
	set_preamble(&rig, 1, 100);
	rig_unit(&rig, 1000, KEY);
	viewer = viewer_join(&rig, 0);
	assert_int_equal(connection_watch_range(talk.connection, rig.feed, 1, 2), 0);
	viewer_drink(&rig, viewer);
	ASSERT_SEEN(viewer, 0);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void preambles_go_with_the_units_that_needed_them(void **state)
{
	struct viewer *viewer;
	struct rig rig;
	unsigned before;

	start(&rig, state);
	for (uint32_t i = 0; i < 200; i++) { /* 13 s, of which 3 are kept */
		set_preamble(&rig, i, 100);
		rig_unit(&rig, 100, KEY);
		rig_pass(&rig, 2 * RIG_FRAME_US);
	}
	before = rig_allocations;
	for (uint32_t i = 200; i < 400; i++) {
		set_preamble(&rig, i, 100);
		rig_unit(&rig, 100, KEY);
		rig_pass(&rig, 2 * RIG_FRAME_US);
	}
	assert_true(rig_allocations - before <= 200); /* no more than their bytes */
	viewer = viewer_join(&rig, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->seen[0].number, PREAMBLE + 399);
	viewer_leave(viewer);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(reply_to_an_idle_viewer_goes_at_once),
		ON_BOTH(reply_to_a_viewer_that_waits_for_a_key_unit_goes_at_once),
		ON_BOTH(viewer_that_waited_gets_the_key_unit_that_came_while_it_was_held),
		ON_BOTH(reply_waits_for_the_end_of_the_unit_under_way),
		ON_BOTH(reply_into_a_full_socket_waits_for_room_and_the_viewer_goes_on),
		ON_BOTH(held_viewer_whose_socket_was_full_goes_on_without_a_reply),
		ON_BOTH(held_viewer_falls_back_by_the_same_rules_as_a_slow_one),
		ON_BOTH(peer_that_ends_its_input_goes_on_watching),
		ON_BOTH(peer_that_has_gone_is_noticed_by_what_it_is_sent),
		ON_BOTH(connection_that_its_protocol_does_not_want_is_closed),
		ON_BOTH(end_with_a_reply_under_way_leaks_nothing),
		ON_BOTH(preamble_comes_before_the_first_unit_and_where_it_changes),
		ON_BOTH(viewer_that_is_behind_gets_the_preamble_of_its_unit),
		ON_BOTH(preamble_into_a_full_socket_comes_later_and_whole),
		ON_BOTH(new_worker_begins_without_a_preamble),
		ON_BOTH(range_has_no_preamble),
		ON_BOTH(preambles_go_with_the_units_that_needed_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
