/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections: sends, writability, input, closing. The rest of the loop: test_loop.c; many
 * connections at once: test_loop_crowd.c. */
#include "tests/unit/conn_rig.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static void sends_are_exact_by_copy_and_by_reference(void **state)
{
	static uint8_t got[50000];
	struct loop *loop = rig_loop(backend_of(state), 8192);
	struct peer peer;

	open_pages();
	peer_open(&peer, loop, 0);
	for (uint32_t i = 1; i < 20; i++) {
		uint32_t len = i * 1234, offset = i * 4321;

		peer_send(&peer, offset, len);
		assert_int_equal(peer.sent, i - 1);
		rig_settle(loop);
		assert_int_equal(peer.sent, i);
		assert_int_equal(peer.result, len);
		assert_int_equal(recv(peer.fd, got, len, MSG_WAITALL), len);
		assert_memory_equal(got, pages.map + offset, len);
	}
	assert_int_equal(loop_stats(loop)->sends, 6);
	assert_int_equal(loop_stats(loop)->sendfiles, 13);
	peer_close(&peer, false);
	rig_settle(loop);
	assert_int_equal(peer.closed, 1);
	close(peer.fd);
	close_pages();
	loop_destroy(loop);
}

static void writable_comes_once_when_asked_for(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 8192);
	struct peer peer;
	size_t sent;

	open_pages();
	peer_open(&peer, loop, 4096);
	sent = peer_fill(&peer);
	peer_want(&peer);
	rig_settle(loop);
	assert_int_equal(peer.writable, 0);
	sent -= drain_until(&peer, &peer.writable);
	while (sent > 0) {
		sent -= drain(peer.fd);
		rig_settle(loop);
	}
	assert_int_equal(peer.writable, 1);
	assert_int_equal(peer.failures, 0);
	peer_close(&peer, true);
	rig_settle(loop);
	close(peer.fd);
	close_pages();
	loop_destroy(loop);
}

static void edge_that_comes_before_it_is_asked_for_is_not_lost(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 8192);
	struct peer peer;
	size_t sent;

	open_pages();
	peer_open(&peer, loop, 4096);
	sent = peer_fill(&peer);
	while (sent > 0) {
		sent -= drain(peer.fd);
		rig_settle(loop);
	}
	assert_int_equal(peer.writable, 0);
	peer_want(&peer);
	assert_int_equal(peer.writable, 0);
	rig_settle(loop);
	assert_int_equal(peer.writable, 1);
	peer_close(&peer, true);
	rig_settle(loop);
	close(peer.fd);
	close_pages();
	loop_destroy(loop);
}

/* Small sends, which io_uring makes in its own way, block and go on too. */
static void small_sends_block_and_go_on(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 8192);
	struct peer peer;
	size_t sent = 0, got = 0;

	open_pages();
	peer_open(&peer, loop, 4096);
	for (int i = 0; i < 3; i++) {
		do {
			peer_send(&peer, 0, 4000);
			rig_settle(loop);
			sent += peer.result > 0 ? (size_t)peer.result : 0;
		} while (peer.result > 0);
		assert_int_equal(peer.result, -EAGAIN);
		peer_want(&peer);
		while (peer.writable == (unsigned)i) {
			got += drain(peer.fd);
			rig_settle(loop);
		}
	}
	assert_int_equal(loop_stats(loop)->sendfiles, 0);
	while (got < sent) {
		got += drain(peer.fd);
		rig_settle(loop);
	}
	assert_int_equal(got, sent);
	peer_close(&peer, true);
	rig_settle(loop);
	close(peer.fd);
	close_pages();
	loop_destroy(loop);
}

static void peer_that_only_ends_its_input_is_still_sent_to(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 8192);
	uint8_t got[2 * 9000];
	struct peer peer;

	open_pages();
	peer_open(&peer, loop, 0);
	assert_int_equal(send(peer.fd, "bye", 3, 0), 3);
	assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
	rig_settle(loop);
	assert_int_equal(peer.ended, 1);
	assert_int_equal(loop_stats(loop)->bytes_discarded, 3);
	for (unsigned i = 1; i <= 2; i++) {
		peer_send(&peer, 0, 9000);
		rig_settle(loop);
		assert_int_equal(peer.result, 9000);
		assert_int_equal(peer.sent, i);
	}
	assert_int_equal(recv(peer.fd, got, sizeof(got), MSG_WAITALL), sizeof(got));
	assert_memory_equal(got, pages.map, 9000);
	assert_int_equal(peer.ended, 1);
	assert_int_equal(peer.failures, 0);

	/* One that has gone altogether says so when it is sent something. */
	close(peer.fd);
	rig_settle(loop);
	assert_int_equal(peer.failures, 0);
	peer_send(&peer, 0, 100);
	rig_settle(loop);
	assert_int_equal(peer.failures, 1);
	assert_int_equal(peer.closed, 1);
	close_pages();
	loop_destroy(loop);
}

/* Room is waited for, and not asked for again and again. */
static void peer_that_ended_its_input_may_be_slow(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 8192);
	uint64_t tries;
	struct peer peer;

	open_pages();
	peer_open(&peer, loop, 4096);
	assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
	rig_settle(loop);
	assert_int_equal(peer.ended, 1);
	for (unsigned round = 1; round <= 2; round++) {
		peer.writable = 0;
		peer_fill(&peer);
		tries = loop_stats(loop)->turns;
		peer_want(&peer);
		rig_settle(loop);
		assert_int_equal(peer.writable, 0);
		assert_true(loop_stats(loop)->turns - tries < 20);
		drain_until(&peer, &peer.writable);
		assert_int_equal(peer.writable, 1);
	}
	peer_fill(&peer);
	peer_want(&peer);
	peer_close(&peer, true);
	rig_settle(loop);
	assert_int_equal(peer.closed, 1);
	close(peer.fd);
	close_pages();
	loop_destroy(loop);
}

static void reset_is_a_failure_also_behind_the_end_of_the_input(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 8192);
	struct peer talking, ended, at_once;

	peer_open(&talking, loop, 0);
	peer_open(&ended, loop, 0);
	peer_open(&at_once, loop, 0);
	assert_int_equal(shutdown(ended.fd, SHUT_WR), 0);
	rig_settle(loop);
	assert_int_equal(ended.ended, 1);
	assert_int_equal(shutdown(at_once.fd, SHUT_WR), 0);
	set_linger(talking.fd);
	set_linger(ended.fd);
	set_linger(at_once.fd);
	close(talking.fd);
	close(ended.fd);
	close(at_once.fd);
	rig_settle(loop);
	assert_int_equal(talking.failures, 1);
	assert_int_equal(talking.error, -ECONNRESET);
	assert_int_equal(ended.failures, 1);
	assert_int_equal(at_once.failures, 1);
	assert_int_equal(talking.closed + ended.closed + at_once.closed, 3);
	loop_destroy(loop);
}

static void input_is_given_in_its_order_and_a_bounded_piece_at_a_time(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 8192);
	static uint8_t said[65536];
	struct peer peer;
	size_t total = 0, last = 0;
	ssize_t n;

	for (size_t i = 0; i < sizeof(said); i++)
		said[i] = (uint8_t)i;
	peer_open_with(&peer, loop, 0, &listening_ops);
	while ((n = send(peer.fd, said, 65536 - total % 256, MSG_DONTWAIT)) > 0 &&
	       (total += (size_t)n) % 256 == 0)
		;
	assert_true(total > 65536);
	while (last < total) {
		assert_int_equal(loop_turn(loop, 100000), 0);
		assert_true(peer.got - last <= 65536);
		last = peer.got;
	}
	assert_int_equal(peer.got, total);
	assert_int_equal(loop_stats(loop)->bytes_discarded, 0);

	peer.close_in_input = true;
	said[0] = (uint8_t)total;
	assert_int_equal(send(peer.fd, said, 1, 0), 1);
	assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
	rig_settle(loop);
	assert_int_equal(peer.got, total + 1);
	assert_int_equal(peer.closed, 1);
	assert_int_equal(peer.ended + peer.failures, 0);
	close(peer.fd);
	loop_destroy(loop);
}

static void memory_that_is_no_file_is_copied(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 0);
	static uint8_t got[50000];
	struct pages memory;
	struct peer peer;

	open_pages();
	memory = (struct pages){.map = pages.map, .fd = -1};
	peer_open(&peer, loop, 0);
	loop_conn_send(loop, &peer.conn, &memory, 100, sizeof(got));
	assert_false(loop_conn_by_reference(loop, &peer.conn));
	rig_settle(loop);
	assert_int_equal(peer.result, sizeof(got));
	assert_int_equal(loop_stats(loop)->sends, 1);
	assert_int_equal(loop_stats(loop)->sendfiles, 0);
	assert_int_equal(recv(peer.fd, got, sizeof(got), MSG_WAITALL), sizeof(got));
	assert_memory_equal(got, pages.map + 100, sizeof(got));
	peer_close(&peer, true);
	rig_settle(loop);
	close(peer.fd);
	close_pages();
	loop_destroy(loop);
}

static void flood_is_thrown_away_a_bounded_piece_at_a_time(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 8192);
	static const char junk[65536];
	struct peer peer;
	uint64_t total = 0, last = 0;
	ssize_t n;

	peer_open(&peer, loop, 0);
	while ((n = send(peer.fd, junk, sizeof(junk), MSG_DONTWAIT)) > 0)
		total += (uint64_t)n;
	assert_true(total > 4 * 65536);
	while (last < total) {
		assert_int_equal(loop_turn(loop, 100000), 0);
		assert_true(loop_stats(loop)->bytes_discarded - last <= 65536);
		last = loop_stats(loop)->bytes_discarded;
	}
	assert_int_equal(last, total);
	assert_int_equal(peer.failures, 0);
	assert_int_equal(send(peer.fd, junk, 5, MSG_DONTWAIT), 5);
	rig_settle(loop);
	assert_int_equal(loop_stats(loop)->bytes_discarded, total + 5);
	peer_close(&peer, true);
	rig_settle(loop);
	close(peer.fd);
	loop_destroy(loop);
}

static void close_with_reset_and_without(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 8192);
	struct peer a, b;
	char data[16];

	open_pages();
	peer_open(&a, loop, 0);
	peer_open(&b, loop, 0);
	peer_send(&a, 0, 10);
	peer_send(&b, 0, 10);
	rig_settle(loop);
	peer_close(&a, true);
	peer_close(&b, false);
	rig_settle(loop);
	assert_int_equal(a.closed, 1);
	assert_int_equal(b.closed, 1);
	assert_int_equal(recv(a.fd, data, sizeof(data), 0), 10);
	assert_int_equal(recv(a.fd, data, sizeof(data), 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(recv(b.fd, data, sizeof(data), 0), 10);
	assert_int_equal(recv(b.fd, data, sizeof(data), 0), 0);
	close(a.fd);
	close(b.fd);
	close_pages();
	loop_destroy(loop);
}

static void closing_in_any_callback_is_allowed(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 8192);
	struct peer small, large, writable, both;

	open_pages();
	peer_open(&small, loop, 0);
	peer_open(&large, loop, 0);
	peer_open(&writable, loop, 4096);
	peer_open(&both, loop, 4096);
	small.close_in_sent = large.close_in_sent = true;
	peer_send(&small, 0, 100);
	peer_send(&large, 0, 100000);
	rig_settle(loop);
	assert_int_equal(small.closed, 1);
	assert_int_equal(large.closed, 1);

	writable.close_in_writable = true;
	peer_fill(&writable);
	peer_want(&writable);
	drain_until(&writable, &writable.closed);

	/* Room and the end of input at once: writable() closes, and nothing else must come. */
	both.close_in_writable = true;
	peer_fill(&both);
	peer_want(&both);
	assert_int_equal(shutdown(both.fd, SHUT_WR), 0);
	drain_until(&both, &both.closed);
	assert_int_equal(both.writable, 1);
	assert_int_equal(both.failures, 0);

	close(small.fd);
	close(large.fd);
	close(writable.fd);
	close(both.fd);
	close_pages();
	loop_destroy(loop);
}

static void send_begun_and_not_made_dies_with_its_connection(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 8192);
	struct peer peer;

	open_pages();
	peer_open(&peer, loop, 0);
	peer_send(&peer, 0, 100);
	peer_close(&peer, false);
	assert_int_equal(peer.closed, 0);
	rig_settle(loop);
	assert_int_equal(peer.sent, 0);
	assert_int_equal(peer.closed, 1);
	assert_int_equal(drain(peer.fd), 0);
	close(peer.fd);
	close_pages();
	loop_destroy(loop);
}

static void destroy_calls_closed_for_those_on_their_way_out(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 8192);
	struct peer a, b;

	open_pages();
	peer_open(&a, loop, 4096);
	peer_open(&b, loop, 0);
	peer_fill(&a);
	peer_want(&a);
	rig_settle(loop);
	peer_close(&a, true);
	peer_send(&b, 0, 100);
	peer_close(&b, false);
	loop_destroy(loop);
	assert_int_equal(a.closed, 1);
	assert_int_equal(b.closed, 1);
	close(a.fd);
	close(b.fd);
	close_pages();
}

/* A closed connection's fd number goes to the next one at once. */
static void number_of_a_closed_fd_may_be_used_again(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 8192);
	struct peer peers[2];

	open_pages();
	for (int i = 0; i < 200; i++) {
		struct peer *old = &peers[i % 2], *new = &peers[(i + 1) % 2];

		if (i == 0)
			peer_open(old, loop, 4096);
		peer_fill(old);
		peer_want(old);
		close(old->fd);
		peer_close(old, true);
		peer_open(new, loop, 4096);
		rig_settle(loop);
		assert_int_equal(old->closed, 1);
		assert_int_equal(new->failures, 0);
		assert_int_equal(new->closed, 0);
		peer_send(new, 0, 100);
		rig_settle(loop);
		assert_int_equal(new->result, 100);
	}
	peer_close(&peers[0], true);
	close(peers[0].fd);
	loop_destroy(loop);
	close_pages();
}

static ssize_t read_byte(struct loop_conn *conn, void *data, size_t max)
{
	ssize_t n = recv(conn->fd, data, 1, MSG_DONTWAIT);

	assert_true(max > 0);
	return n < 0 ? -errno : n;
}

/* As TLS reads them: at most 16 in a turn, and what is left in the turns that follow. */
static void short_records_cost_as_much_as_long_ones(void **state)
{
	struct loop *loop = rig_loop(backend_of(state), 8192);
	struct loop_conn_ops ops = listening_ops;
	int64_t deadline = rig_deadline();
	uint8_t bytes[100];
	struct peer peer;

	ops.read = read_byte;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	peer_open_with(&peer, loop, 0, &ops);
	assert_int_equal(send(peer.fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	while (peer.got < sizeof(bytes)) {
		size_t before = peer.got;

		rig_wait(loop, deadline);
		assert_true(peer.got - before <= 16);
	}
	peer_close(&peer, true);
	rig_settle(loop);
	close(peer.fd);
	loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(sends_are_exact_by_copy_and_by_reference),
		ON_BOTH(writable_comes_once_when_asked_for),
		ON_BOTH(edge_that_comes_before_it_is_asked_for_is_not_lost),
		ON_BOTH(small_sends_block_and_go_on),
		ON_BOTH(peer_that_only_ends_its_input_is_still_sent_to),
		ON_BOTH(peer_that_ended_its_input_may_be_slow),
		ON_BOTH(reset_is_a_failure_also_behind_the_end_of_the_input),
		ON_BOTH(input_is_given_in_its_order_and_a_bounded_piece_at_a_time),
		ON_BOTH(memory_that_is_no_file_is_copied),
		ON_BOTH(flood_is_thrown_away_a_bounded_piece_at_a_time),
		ON_BOTH(close_with_reset_and_without),
		ON_BOTH(closing_in_any_callback_is_allowed),
		ON_BOTH(send_begun_and_not_made_dies_with_its_connection),
		ON_BOTH(destroy_calls_closed_for_those_on_their_way_out),
		ON_BOTH(number_of_a_closed_fd_may_be_used_again),
		ON_BOTH(short_records_cost_as_much_as_long_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
