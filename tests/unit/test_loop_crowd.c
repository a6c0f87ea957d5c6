/* SPDX-License-Identifier: BSD-2-Clause */
/* Many connections of a loop at once. */
#include "tests/unit/conn_rig.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Returns the largest number of peers whose closed() came in one turn. */
static unsigned turn_until_closed(struct loop *loop, const struct peer *peers, unsigned n)
{
	unsigned closed = 0, most = 0;

	while (closed < n) {
		unsigned before = closed;

		assert_int_equal(loop_turn(loop, 100000), 0);
		closed = 0;
		for (unsigned i = 0; i < n; i++)
			closed += peers[i].closed;
		most = closed - before > most ? closed - before : most;
	}
	return most;
}

static void large_fan_out_leaves_room_for_timers(void **state)
{
	enum { PEERS = 600 };
	static struct peer peers[PEERS];
	unsigned turns = 0, most = 0;
	struct loop *loop = rig_loop(backend_of(state), 8192);
	open_pages();
	for (int i = 0; i < PEERS; i++)
		peer_open(&peers[i], loop, 0);
	for (int i = 0; i < PEERS; i++)
		peer_send(&peers[i], 0, i % 2 ? 1000 : 10000);
	for (unsigned sent = 0; sent < PEERS; turns++) {
		const struct loop_stats *stats = loop_stats(loop);
		unsigned n;

		assert_int_equal(loop_turn(loop, 100000), 0);
		n = (unsigned)(stats->sends + stats->sendfiles) - sent;
		most = n > most ? n : most;
		sent += n;
	}
	assert_true(turns >= 3);
	assert_true(most <= 300);
	for (int i = 0; i < PEERS; i++)
		peer_close(&peers[i], true);
	(void)turn_until_closed(loop, peers, PEERS);
	for (int i = 0; i < PEERS; i++)
		close(peers[i].fd);
	close_pages();
	loop_destroy(loop);
}

static void a_crowd_that_resets_together_is_closed_a_few_at_a_time(void **state)
{
	enum { PEERS = 600 };
	static struct peer peers[PEERS];
	struct loop *loop = rig_loop(backend_of(state), 8192);

	for (int i = 0; i < PEERS; i++) {
		peer_open(&peers[i], loop, 0);
		set_linger(peers[i].fd);
	}
	rig_settle(loop);
	for (int i = 0; i < PEERS; i++)
		close(peers[i].fd);
	assert_true(turn_until_closed(loop, peers, PEERS) <= 128);
	for (int i = 0; i < PEERS; i++)
		assert_int_equal(peers[i].failures, 1);
	loop_destroy(loop);
}

static void a_crowd_that_talks_is_heard_a_few_at_a_time(void **state)
{
	enum { PEERS = 600 };
	static struct peer peers[PEERS];
	struct loop *loop = rig_loop(backend_of(state), 8192);
	unsigned heard = 0, most = 0;

	for (int i = 0; i < PEERS; i++)
		peer_open_with(&peers[i], loop, 0, &listening_ops);
	rig_settle(loop);
	for (int i = 0; i < PEERS; i++)
		assert_int_equal(send(peers[i].fd, "\0\1\2\3\4", 5, 0), 5);
	while (heard < PEERS) {
		unsigned before = heard;

		assert_int_equal(loop_turn(loop, 100000), 0);
		heard = 0;
		for (int i = 0; i < PEERS; i++)
			heard += peers[i].got == 5;
		most = heard - before > most ? heard - before : most;
	}
	assert_true(most <= 256);
	for (int i = 0; i < PEERS; i++)
		peer_close(&peers[i], i % 2);
	assert_true(turn_until_closed(loop, peers, PEERS) <= 128);
	for (int i = 0; i < PEERS; i++)
		close(peers[i].fd);
	loop_destroy(loop);
}

/* Most sessions begin with 1024 allowed, and may have more. */
static int allow_many_files(void **state)
{
	struct rlimit limit;

	(void)state;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -1;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(large_fan_out_leaves_room_for_timers),
		ON_BOTH(a_crowd_that_resets_together_is_closed_a_few_at_a_time),
		ON_BOTH(a_crowd_that_talks_is_heard_a_few_at_a_time),
	};

	return cmocka_run_group_tests(tests, allow_many_files, NULL);
}
