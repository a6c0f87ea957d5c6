/* SPDX-License-Identifier: BSD-2-Clause */
/* The log of a feed: its segments, its bounds, and its end. */
#include "tests/unit/feed_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void peer_that_resets_in_the_middle_of_a_unit_lets_its_segment_go(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 900000, KEY);
	rig_pass(&rig, 4000000);
	rig_unit(&rig, 900000, KEY);
	assert_int_equal(feed_stats(rig.feed)->log.segments, 2);
	viewer_leave(viewer);
	rig_settle(rig.loop);
	assert_int_equal(rig_gone(&rig), 1);
	assert_int_equal(feed_stats(rig.feed)->log.segments, 1);
	rig_stop(&rig);
}

static void segment_lives_until_its_last_reader_has_finished(void **state)
{
	struct viewer *a, *b;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	a = viewer_join(&rig, 4096);
	b = viewer_join(&rig, 4096);
	rig_unit(&rig, 900000, KEY);
	rig_pass(&rig, 4000000);
	rig_unit(&rig, 900000, KEY); /* a segment of its own; the index drops the first unit */
	assert_int_equal(feed_stats(rig.feed)->log.segments, 2);
	assert_int_equal(feed_stats(rig.feed)->log.bytes, 1800000);
	while (a->n == 0) {
		viewer_read(a, SIZE_MAX);
		rig_settle(rig.loop);
	}
	assert_int_equal(feed_stats(rig.feed)->log.segments, 2);
	while (b->n == 0) {
		viewer_read(b, SIZE_MAX);
		rig_settle(rig.loop);
	}
	assert_int_equal(feed_stats(rig.feed)->log.segments, 1);
	assert_int_equal(feed_stats(rig.feed)->log.bytes, 900000);
	viewer_drink(&rig, a);
	assert_int_equal(a->n, 2);
	viewer_leave(a);
	viewer_leave(b);
	rig_stop(&rig);
}

static void log_is_bounded_by_bytes_and_by_age(void **state)
{
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.policy.history_max = 300000;
	rig_start(&rig);
	rig.segment_size = 50000;
	for (int i = 0; i < 100; i++)
		rig_unit(&rig, 10000, KEY);
	assert_in_range(feed_stats(rig.feed)->log.bytes, 300000, 350000);
	rig_pass(&rig, 3000001);
	rig_unit(&rig, 10000, KEY);
	assert_in_range(feed_stats(rig.feed)->log.bytes, 10000, 60000);
	rig_stop(&rig);
}

static void log_is_bounded_by_count(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.policy.history_ms = 50; /* 64 entries */
	rig_start(&rig);
	for (int i = 0; i < 200; i++)
		rig_unit(&rig, 1000, i == 130 ? KEY : i == 0 ? KEY : 0);
	assert_int_equal(feed_stats(rig.feed)->units, 200);
	viewer = viewer_join(&rig, 0); /* the key unit has been evicted, young as it is */
	assert_int_equal(rig.idrs, 1);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void a_longer_history_has_room_for_its_units(void **state)
{
	struct config_stream longer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.policy.history_ms = 50; /* 64 entries */
	rig_start(&rig);
	for (int i = 0; i < 100; i++)
		rig_unit(&rig, 1000, KEY);
	longer = rig.policy;
	longer.history_ms = 150; /* 256 entries */
	feed_set_policy(rig.feed, &longer);
	for (int i = 0; i < 150; i++) {
		rig_unit(&rig, 1000 + (uint32_t)i, i == 0 ? KEY : 0);
		for (uint64_t seq = 101; seq <= 101 + (uint64_t)i; seq++)
			assert_int_equal(log_len(feed_log(rig.feed), seq), 1000 + seq - 101);
	}
	assert_int_equal(feed_log(rig.feed)->newest_key, 101);
	assert_in_range(feed_log(rig.feed)->tail, 1, 101);
	rig_no_memory = true; /* then as many as there are */
	for (int i = 0; i < 400; i++)
		rig_unit(&rig, 1000, 0);
	rig_no_memory = false;
	assert_int_equal(feed_log(rig.feed)->head, 651);
	assert_in_range(feed_log(rig.feed)->tail, 651 - 256, 651 - 64);
	rig_stop(&rig);
}

static void units_that_break_the_rules_are_refused(void **state)
{
	struct rig rig;
	struct feed *feed;
	int fd;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	feed = rig.feed;
	assert_int_equal(rig_publish(&rig, 1, 0, 10, KEY), -ENOENT);
	rig_new_segment(&rig, 10000);
	rig_unit(&rig, 1000, KEY);
	assert_int_equal(rig_publish(&rig, rig.segment_id, 999, 10, KEY), -EINVAL);
	assert_int_equal(rig_publish(&rig, rig.segment_id, 1000, 0, KEY), -EINVAL);
	assert_int_equal(rig_publish(&rig, rig.segment_id, 9000, 1001, KEY), -EINVAL);
	assert_int_equal(rig_publish(&rig, rig.segment_id, 10001, 1, KEY), -EINVAL);
	assert_int_equal(rig_publish(&rig, rig.segment_id, 9000, UINT32_MAX - 1, KEY), -EINVAL);
	assert_int_equal(rig_publish(&rig, rig.segment_id + 1, 1000, 10, KEY), -ENOENT);
	assert_int_equal(feed_stats(feed)->units, 1);

	fd = dup(rig.segment);
	assert_int_equal(feed_add_segment(feed, rig.segment_id, fd, 10000), -EEXIST);
	assert_int_equal(feed_add_segment(feed, rig.segment_id - 1, fd, 10000), -EINVAL);
	assert_int_equal(feed_add_segment(feed, rig.segment_id + 1, fd, 0), -EINVAL);
	assert_int_equal(feed_add_segment(feed, rig.segment_id + 1, -1, 10000), -EBADF);
	assert_int_equal(fcntl(fd, F_GETFD), 0); /* still open, and ours */
	close(fd);
	rig_unit(&rig, 1000, 0);
	rig_stop(&rig);
}

static void segments_are_closed_with_the_feed(void **state)
{
	struct rig rig;
	int fd;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	rig_new_segment(&rig, 10000);
	fd = rig.segment - 1; /* the feed's: made before our duplicate */
	assert_true(fcntl(fd, F_GETFD) >= 0);
	rig_unit(&rig, 1000, KEY);
	feed_destroy(rig.feed);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	rig.feed = NULL;
	rig_stop(&rig);
}

static void drain_finishes_the_unit_under_way_and_nothing_more(void **state)
{
	struct cursor late;
	struct viewer *slow, *idle, *waiting;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	slow = viewer_join(&rig, 4096);
	idle = viewer_join(&rig, 0);
	rig_unit(&rig, 400000, KEY);
	rig_unit(&rig, 1000, 0);
	viewer_drink(&rig, idle);
	rig_pass(&rig, 600000);
	waiting = viewer_join(&rig, 0);
	rig_drain(&rig);
	rig_settle(rig.loop);
	viewer_drink(&rig, idle);
	assert_int_equal(idle->n, 2);
	assert_true(idle->eof);
	viewer_drink(&rig, waiting);
	assert_true(waiting->eof);
	assert_false(rig.drained);
	assert_int_equal(rig_add(&rig, 1000, KEY), 0); /* published for nobody */
	assert_int_equal(feed_join(rig.feed, &late, NULL, 0), -ESHUTDOWN);
	viewer_drink(&rig, slow);
	assert_int_equal(slow->n, 1);
	assert_int_equal(slow->have, 0);
	assert_true(slow->eof);
	assert_true(rig.drained);
	assert_int_equal(feed_stats(rig.feed)->audience.left[CURSOR_END_SHUTDOWN], 3);
	viewer_leave(slow);
	viewer_leave(idle);
	viewer_leave(waiting);
	rig_stop(&rig);
}

static void drain_lets_a_client_go_whose_socket_is_full_between_units(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	viewer = viewer_join(&rig, 4096);
	rig_unit(&rig, 1000, KEY);
	rig_fill(&rig, viewer);
	rig_drain(&rig);
	rig_settle(rig.loop);
	assert_true(rig.drained);
	viewer_drink(&rig, viewer);
	assert_true(viewer->eof);
	assert_int_equal(viewer->have, 0);
	viewer_leave(viewer);
	rig_stop(&rig);
}

/* `copy` gives a viewer the newest key unit whatever its age, but nothing from before a pause. */
static void what_is_from_before_a_pause_is_not_sent(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.options.can_force_idr = false;
	rig_start(&rig);
	rig_unit(&rig, 1000, KEY);
	rig_unit(&rig, 1000, 0);
	rig_pass(&rig, 60000000);
	feed_forget(rig.feed);
	viewer = viewer_join(&rig, 0);
	assert_int_equal(rig_add(&rig, 1000, 0), -EAGAIN);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 0);
	rig_unit(&rig, 1000, KEY);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 1);
	assert_int_equal(viewer->seen[0].number, 3);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void drain_of_a_feed_without_clients_is_over_at_once(void **state)
{
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	rig_drain(&rig);
	assert_false(rig.drained); /* not from inside the call */
	rig_settle(rig.loop);
	assert_true(rig.drained);
	rig_stop(&rig);
}

static void destroy_resets_clients_in_every_state(void **state)
{
	struct viewer *viewers[4];
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	viewers[0] = viewer_join(&rig, 4096);
	rig_unit(&rig, 400000, KEY);
	viewers[1] = viewer_join(&rig, 0);
	viewer_drink(&rig, viewers[1]);
	rig_pass(&rig, 1000000);
	viewers[2] = viewer_join(&rig, 0);
	rig_unit(&rig, 5000, KEY);
	viewers[3] = viewer_join(&rig, 4096);
	assert_int_equal(rig_add(&rig, 5000, 0), 0); /* sends begun and not made */
	rig_stop(&rig);
	for (int i = 0; i < 4; i++) {
		viewer_read(viewers[i], SIZE_MAX);
		assert_int_equal(viewers[i]->error, ECONNRESET);
		viewer_leave(viewers[i]);
	}
	assert_int_equal(rig.unwatched, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(peer_that_resets_in_the_middle_of_a_unit_lets_its_segment_go),
		ON_BOTH(segment_lives_until_its_last_reader_has_finished),
		ON_BOTH(log_is_bounded_by_bytes_and_by_age),
		ON_BOTH(log_is_bounded_by_count),
		ON_BOTH(a_longer_history_has_room_for_its_units),
		ON_BOTH(units_that_break_the_rules_are_refused),
		ON_BOTH(segments_are_closed_with_the_feed),
		ON_BOTH(drain_finishes_the_unit_under_way_and_nothing_more),
		ON_BOTH(drain_lets_a_client_go_whose_socket_is_full_between_units),
		ON_BOTH(what_is_from_before_a_pause_is_not_sent),
		ON_BOTH(drain_of_a_feed_without_clients_is_over_at_once),
		ON_BOTH(destroy_resets_clients_in_every_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
