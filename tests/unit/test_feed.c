/* SPDX-License-Identifier: BSD-2-Clause */
/* Delivery: what arrives, from where, and what it costs. Policy: test_feed_policy.c; the log:
 * test_feed_log.c. */
#include "tests/unit/feed_rig.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/log/cursor.h"

static uint64_t syscalls(const struct rig *rig)
{
	const struct loop_stats *stats = loop_stats(rig->loop);

	return stats->sends + stats->sendfiles + stats->send_again;
}

static void fan_out_to_many_is_byte_exact(void **state)
{
	static const uint32_t sizes[] = {8000, 33000, 16, 300, 200000, 8191, 8192, 4096, 60000, 17};
	enum { VIEWERS = 150, UNITS = 40 };
	struct viewer *viewers[VIEWERS];
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	for (int i = 0; i < VIEWERS; i++)
		viewers[i] = viewer_join(&rig, 0);
	for (int i = 0; i < UNITS; i++) {
		rig_unit(&rig, sizes[i % 10], i % 10 == 0 ? KEY : 0);
		for (int v = 0; v < VIEWERS; v++)
			viewer_read(viewers[v], SIZE_MAX);
		rig_pass(&rig, 33333);
	}
	for (int v = 0; v < VIEWERS; v++) {
		viewer_drink(&rig, viewers[v]);
		assert_int_equal(viewers[v]->n, UNITS);
		for (uint32_t i = 0; i < UNITS; i++)
			assert_int_equal(viewers[v]->seen[i].number, i);
		viewer_leave(viewers[v]);
	}
	rig_settle(rig.loop);
	assert_int_equal(rig_gone(&rig), VIEWERS);
	assert_int_equal(feed_stats(rig.feed)->audience.sent_bytes,
			 feed_stats(rig.feed)->bytes * VIEWERS);
	assert_true(loop_stats(rig.loop)->sends > 0 && loop_stats(rig.loop)->sendfiles > 0);
	rig_stop(&rig);
}

static void one_unit_costs_one_syscall_a_client(void **state)
{
	enum { VIEWERS = 40 };
	struct viewer *viewers[VIEWERS];
	struct rig rig;
	uint64_t before;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	for (int i = 0; i < VIEWERS; i++)
		viewers[i] = viewer_join(&rig, 0);
	rig_unit(&rig, 5000, KEY);
	before = syscalls(&rig);
	for (int i = 0; i < 10; i++) {
		for (int v = 0; v < VIEWERS; v++)
			viewer_drink(&rig, viewers[v]);
		rig_unit(&rig, i % 2 ? 5000 : 15000, 0);
	}
	assert_int_equal(syscalls(&rig) - before, 10 * VIEWERS);
	for (int v = 0; v < VIEWERS; v++)
		viewer_leave(viewers[v]);
	rig_stop(&rig);
}

static void join_gets_the_log_from_the_key_unit_in_one_run(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	rig_unit(&rig, 3000, KEY);
	rig_unit(&rig, 3000, 0);
	rig_unit(&rig, 3000, KEY);
	for (int i = 0; i < 5; i++)
		rig_unit(&rig, 2000, 0);
	viewer = viewer_join(&rig, 0);
	assert_int_equal(syscalls(&rig), 1);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 6);
	assert_int_equal(viewer->seen[0].number, 2);
	assert_int_equal(rig.idrs, 0);
	rig_unit(&rig, 2000, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->seen[6].number, 8);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void bytes_between_units_are_sent_to_nobody(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	for (int i = 0; i < 6; i++) {
		rig_unit(&rig, 1000, i == 0 ? KEY : 0);
		if (i % 2)
			rig.offset += 50;
	}
	viewer = viewer_join(&rig, 0);
	assert_int_equal(syscalls(&rig), 3);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 6);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void join_with_an_old_key_unit_asks_for_an_idr_and_starts_at_it(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	rig_unit(&rig, 3000, KEY);
	rig_pass(&rig, 500000);
	viewer = viewer_join(&rig, 0);
	assert_int_equal(rig.idrs, 1);
	rig_unit(&rig, 2000, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->bytes, 0);
	rig_unit(&rig, 3000, KEY);
	rig_unit(&rig, 3000, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 2);
	assert_int_equal(viewer->seen[0].number, 2);
	assert_int_equal(feed_stats(rig.feed)->audience.units_dropped, 0);
	assert_int_equal(feed_stats(rig.feed)->audience.resyncs, 0);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void join_where_no_idr_can_be_forced_takes_a_key_unit_of_any_age(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.options.can_force_idr = false;
	rig_start(&rig);
	rig_unit(&rig, 3000, KEY);
	for (int i = 0; i < 100; i++) {
		rig_pass(&rig, 100000);
		rig_unit(&rig, 1000, 0);
	}
	viewer = viewer_join(&rig, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 101);
	assert_int_equal(viewer->seen[0].number, 0);
	assert_int_equal(rig.idrs, 0);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void watched_says_when_the_first_comes_and_the_last_goes(void **state)
{
	struct viewer *a, *b;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	a = viewer_join(&rig, 0);
	b = viewer_join(&rig, 0);
	assert_int_equal(rig.watched, 1);
	viewer_leave(a);
	rig_settle(rig.loop);
	assert_int_equal(rig.unwatched, 0);
	viewer_leave(b);
	rig_settle(rig.loop);
	assert_int_equal(rig.unwatched, 1);
	assert_int_equal(rig_gone(&rig), 2);
	assert_int_equal(feed_stats(rig.feed)->audience.left[CURSOR_END_PEER], 2);
	assert_int_equal(feed_stats(rig.feed)->audience.cursors, 0);
	rig_stop(&rig);
}

/* At the production defaults: bytes that change in the memfd after the send arrive changed, so it
 * was the pages that were sent, and not a copy. */
static void pages_are_sent_by_reference(void **state)
{
	static uint8_t got[33000];
	struct rig rig;
	int ends[2];

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	rig_pair(ends, 0);
	rig_admit(&rig, ends[0]);
	rig_unit(&rig, sizeof(got), KEY);
	assert_int_equal(loop_stats(rig.loop)->sendfiles, 1);
	assert_int_equal(pwrite(rig.segment, "changed", 7, 20000), 7);
	assert_int_equal(recv(ends[1], got, sizeof(got), MSG_WAITALL), sizeof(got));
	assert_memory_equal(got + 20000, "changed", 7);
	close(ends[1]);
	rig_stop(&rig);
}

static int cut(int fd, size_t *len)
{
	(void)fd;
	if (*len > 777)
		*len = 777;
	return 0;
}

static void short_writes_go_on_where_they_ended(void **state)
{
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.send_threshold = 0; /* so that every send passes through our hands on io_uring too */
	rig_start(&rig);
	rig_unit(&rig, 5000, KEY);
	for (int i = 0; i < 10; i++)
		rig_unit(&rig, 777 * 2, 0);
	rig_on_send = cut;
	viewer = viewer_join(&rig, 0); /* a run of eleven, cut at the ends of units and within */
	viewer_drink(&rig, viewer);
	for (int i = 0; i < 10; i++)
		rig_unit(&rig, 700 + 100 * (uint32_t)i, 0);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 21);
	for (uint32_t i = 0; i < 21; i++)
		assert_int_equal(viewer->seen[i].number, i);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static int failures, failure;
static int fail_some(int fd, size_t *len)
{
	(void)fd, (void)len;
	return failures-- > 0 ? failure : 0;
}

static void want_of_memory_is_waited_out(void **state)
{
	static const int errors[] = {-ENOBUFS, -ENOMEM};
	struct viewer *viewer;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.send_threshold = 0;
	rig_start(&rig);
	viewer = viewer_join(&rig, 0);
	for (uint32_t i = 0; i < 2; i++) {
		failure = errors[i];
		failures = 3;
		rig_on_send = fail_some;
		rig_unit(&rig, 1000, KEY);
		assert_int_equal(failures, 2); /* once, and not again and again */
		for (int k = 0; k < 3; k++)
			rig_pass(&rig, 10000);
		viewer_drink(&rig, viewer);
		assert_int_equal(viewer->n, i + 1);
	}
	viewer_leave(viewer);
	rig_stop(&rig);
}

static void a_send_that_fails_costs_that_client_only(void **state)
{
	static const int errors[] = {-EPIPE, -ECONNRESET, -ETIMEDOUT, -EIO};
	struct viewer *good, *bad;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.send_threshold = 0;
	rig_start(&rig);
	good = viewer_join(&rig, 0);
	for (unsigned i = 0; i < 4; i++) {
		rig_on_send = NULL;
		rig_unit(&rig, 1000, KEY);
		bad = viewer_join(&rig, 0);
		failure = errors[i];
		failures = 1;
		rig_on_send = fail_some;
		/* The last to join is the first in line after one unit more or less. */
		rig_unit(&rig, 1000, 0);
		assert_int_equal(feed_stats(rig.feed)->audience.left[CURSOR_END_PEER], i + 1);
		assert_int_equal(rig_gone(&rig), i + 1);
		viewer_drink(&rig, good);
		viewer_drink(&rig, bad);
		if (good->eof || good->error) {
			struct viewer *swap = good;

			good = bad;
			bad = swap;
		}
		assert_int_equal(bad->error, ECONNRESET);
		assert_false(good->eof);
		viewer_leave(bad);
	}
	viewer_leave(good);
	rig_stop(&rig);
}

/* A run is under way while more units come than the index has entries. */
static void send_that_a_whole_ring_overtakes_ends_the_client(void **state)
{
	struct viewer *viewer;
	struct rig rig;
	int ends[2];

	rig_init(&rig, *(enum config_backend *)*state);
	rig.policy.history_ms = 50;
	rig.send_threshold = 0;
	rig_start(&rig);
	for (int i = 0; i < 10; i++)
		rig_unit(&rig, 1000, i == 0 ? KEY : 0);
	rig_pair(ends, 0);
	rig_admit(&rig, ends[0]);
	rig_on_send = cut; /* 777 bytes: within the first unit, whose end is known */
	for (int i = 0; i < 100; i++)
		assert_int_equal(rig_add(&rig, 100, 0), 0);
	rig_settle(rig.loop);
	assert_int_equal(rig_gone(&rig), 0);
	close(ends[1]);
	rig_settle(rig.loop);

	rig_on_send = NULL;
	rig_unit(&rig, 100, KEY);
	for (int i = 0; i < 10; i++)
		rig_unit(&rig, 100, 0);
	rig_pair(ends, 0);
	rig_admit(&rig, ends[0]);
	rig_on_send = cut; /* now within the eighth */
	for (int i = 0; i < 100; i++)
		assert_int_equal(rig_add(&rig, 100, 0), 0);
	rig_settle(rig.loop);
	assert_int_equal(rig_gone(&rig), 2);
	assert_int_equal(feed_stats(rig.feed)->audience.left[CURSOR_END_STALL], 1);
	close(ends[1]);

	rig_on_send = NULL;
	viewer = viewer_join(&rig, 0);
	rig_unit(&rig, 100, KEY);
	viewer_drink(&rig, viewer);
	assert_int_equal(viewer->n, 1);
	viewer_leave(viewer);
	rig_stop(&rig);
}

static int first_fd;
static int note_first(int fd, size_t *len)
{
	(void)len;
	if (first_fd < 0)
		first_fd = fd;
	return 0;
}

static void everybody_is_first_in_turn(void **state)
{
	enum { VIEWERS = 7 };
	struct viewer *viewers[VIEWERS];
	unsigned first[VIEWERS] = {0};
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig.send_threshold = 0;
	rig_start(&rig);
	for (int i = 0; i < VIEWERS; i++)
		viewers[i] = viewer_join(&rig, 0);
	rig_on_send = note_first;
	for (int i = 0; i < 3 * VIEWERS; i++) {
		first_fd = -1;
		rig_unit(&rig, 1000, KEY);
		for (int v = 0; v < VIEWERS; v++)
			first[v] += viewers[v]->server_fd == first_fd;
	}
	for (int v = 0; v < VIEWERS; v++) {
		assert_int_equal(first[v], 3);
		viewer_leave(viewers[v]);
	}
	rig_stop(&rig);
}

static void nothing_is_allocated_on_the_broadcast_path(void **state)
{
	enum { VIEWERS = 60, UNITS = 600 };
	struct viewer *viewers[VIEWERS];
	unsigned allocations, mmaps;
	uint64_t segments;
	struct rig rig;

	rig_init(&rig, *(enum config_backend *)*state);
	rig_start(&rig);
	for (int i = 0; i < VIEWERS; i++)
		viewers[i] = viewer_join(&rig, i % 6 == 0 ? 4096 : 0);
	allocations = rig_allocations;
	mmaps = rig_mmaps;
	segments = rig.segment_id;
	for (int i = 0; i < UNITS; i++) {
		rig_unit(&rig, i % 30 ? 3000 + 100 * (uint32_t)(i % 90) : 60000,
			 i % 30 == 0  ? KEY
			 : i % 2 == 1 ? DROPPABLE
				      : 0);
		rig_pass(&rig, 33333);
		for (int v = 0; v < VIEWERS; v++)
			viewer_read(viewers[v], v % 6 == 0 ? 2500 : SIZE_MAX);
	}
	segments = rig.segment_id - segments;
	assert_true(segments > 4);
	assert_int_equal(rig_allocations, allocations);
	assert_int_equal(rig_mmaps - mmaps, segments); /* one each */
	assert_true(feed_stats(rig.feed)->audience.units_dropped > 0);
	assert_true(feed_stats(rig.feed)->audience.units_shed > 0);
	for (int v = 0; v < VIEWERS; v++)
		viewer_leave(viewers[v]);
	rig_stop(&rig);
}

static void client_takes_256_bytes(void **state)
{
	(void)state;
	assert_int_equal(connection_size(), 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(fan_out_to_many_is_byte_exact),
		ON_BOTH(one_unit_costs_one_syscall_a_client),
		ON_BOTH(join_gets_the_log_from_the_key_unit_in_one_run),
		ON_BOTH(bytes_between_units_are_sent_to_nobody),
		ON_BOTH(join_with_an_old_key_unit_asks_for_an_idr_and_starts_at_it),
		ON_BOTH(join_where_no_idr_can_be_forced_takes_a_key_unit_of_any_age),
		ON_BOTH(watched_says_when_the_first_comes_and_the_last_goes),
		ON_BOTH(pages_are_sent_by_reference),
		ON_BOTH(short_writes_go_on_where_they_ended),
		ON_BOTH(want_of_memory_is_waited_out),
		ON_BOTH(a_send_that_fails_costs_that_client_only),
		ON_BOTH(send_that_a_whole_ring_overtakes_ends_the_client),
		ON_BOTH(everybody_is_first_in_turn),
		ON_BOTH(nothing_is_allocated_on_the_broadcast_path),
		cmocka_unit_test(client_takes_256_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
