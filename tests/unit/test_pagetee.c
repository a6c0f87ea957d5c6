/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/loop/pagetee.h"

#define SIZE (3u << 20)

static uint8_t *bytes;
static int memfd;
static struct pagetee pages;

struct pair {
	int socket, peer;
};

static int set_up(void **state)
{
	(void)state;
	memfd = memfd_create("test", MFD_CLOEXEC);
	assert_true(memfd >= 0);
	assert_int_equal(ftruncate(memfd, SIZE), 0);
	bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	assert_ptr_not_equal(bytes, MAP_FAILED);
	for (uint32_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 24);
	pagetee_open(&pages);
	assert_true(pages.slots >= 16);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pagetee_close(&pages);
	munmap(bytes, SIZE);
	close(memfd);
	return 0;
}

/* room: bytes that the socket takes, about; 0: the default. */
static struct pair open_pair(int room)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	if (room > 0)
		assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)),
				 0);
	return (struct pair){ends[0], ends[1]};
}

static void close_pair(struct pair pair)
{
	close(pair.socket);
	close(pair.peer);
}

/* The peer has got just this, and nothing else. */
static void assert_got(struct pair pair, uint32_t offset, size_t len)
{
	static uint8_t got[SIZE];
	size_t n = 0;
	ssize_t more;

	while ((more = recv(pair.peer, got + n, sizeof(got) - n, 0)) > 0)
		n += (size_t)more;
	assert_int_equal(n, len);
	assert_memory_equal(got, bytes + offset, len);
}

static void everybody_gets_the_range_wherever_it_begins(void **state)
{
	static const struct {
		uint32_t offset, len;
	} ranges[] = {{0, 1}, {0, 4096}, {4095, 2}, {123, 33000}, {65536, 100000}, {4097, 8191}};

	(void)state;
	for (unsigned r = 0; r < sizeof(ranges) / sizeof(*ranges); r++) {
		for (int i = 4; i >= 0; i--) {
			struct pair pair = open_pair(1 << 20);

			assert_int_equal(pagetee_send(&pages, pair.socket, memfd, ranges[r].offset,
						      ranges[r].len, i > 0),
					 ranges[r].len);
			assert_got(pair, ranges[r].offset, ranges[r].len);
			close_pair(pair);
		}
		assert_int_equal(pages.len, 0);
	}
}

static void pages_go_by_reference(void **state)
{
	struct pair first = open_pair(0), second = open_pair(0);
	const uint8_t before = bytes[20000];

	(void)state;
	assert_int_equal(pagetee_send(&pages, first.socket, memfd, 0, 33000, true), 33000);
	assert_int_equal(pagetee_send(&pages, second.socket, memfd, 0, 33000, false), 33000);
	bytes[20000] = (uint8_t)~before;
	assert_got(first, 0, 33000);
	assert_got(second, 0, 33000);
	bytes[20000] = before;
	close_pair(first);
	close_pair(second);
}

/* Pages that one socket did not take do not disturb the next one. The unit has more than 16 pages
 * of 16 KiB, which are one skb. */
static void full_socket_takes_a_part_and_then_nothing(void **state)
{
	struct pair full = open_pair(20000), other = open_pair(1 << 20);
	ssize_t n;

	(void)state;
	n = pagetee_send(&pages, full.socket, memfd, 100, 300000, true);
	assert_in_range(n, 1, 299999);
	assert_int_equal(pagetee_send(&pages, other.socket, memfd, 100, 300000, true), 300000);
	assert_got(other, 100, 300000);
	assert_int_equal(pagetee_send(&pages, full.socket, memfd, 100, 300000, true), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(pagetee_send(&pages, full.socket, memfd, 100, 300000, false), -1);
	assert_int_equal(errno, EAGAIN);
	assert_got(full, 100, (size_t)n);
	assert_int_equal(pagetee_send(&pages, other.socket, memfd, 7, 50000, false), 50000);
	assert_got(other, 7, 50000);
	close_pair(full);
	close_pair(other);
}

static void socket_whose_peer_is_gone_fails_alone(void **state)
{
	struct pair dead = open_pair(0), other = open_pair(0);

	(void)state;
	close(dead.peer);
	for (int again = 1; again >= 0; again--) {
		assert_int_equal(pagetee_send(&pages, other.socket, memfd, 0, 10000, true), 10000);
		assert_got(other, 0, 10000);
		assert_int_equal(pagetee_send(&pages, dead.socket, memfd, 0, 10000, again), -1);
		assert_int_equal(errno, EPIPE);
	}
	assert_int_equal(pagetee_send(&pages, other.socket, memfd, 5000, 10000, false), 10000);
	assert_got(other, 5000, 10000);
	close(dead.socket);
	close_pair(other);
}

/* Announced, and then another one comes, or none. */
static void range_that_is_not_sent_again_is_let_go(void **state)
{
	struct pair pair = open_pair(0);

	(void)state;
	assert_int_equal(pagetee_send(&pages, pair.socket, memfd, 0, 10000, true), 10000);
	assert_got(pair, 0, 10000);
	assert_int_equal(pagetee_send(&pages, pair.socket, memfd, 1, 10000, true), 10000);
	assert_got(pair, 1, 10000);
	pagetee_let_go(&pages);
	pagetee_let_go(&pages);
	assert_int_equal(pages.len, 0);
	assert_int_equal(pagetee_send(&pages, pair.socket, memfd, 0, 9999, false), 9999);
	assert_got(pair, 0, 9999);
	close_pair(pair);
}

/* More pages than a pipe holds: by sendfile(), to everybody. */
static void range_larger_than_a_pipe_is_sent_all_the_same(void **state)
{
	struct pair pair = open_pair(8 << 20);
	uint32_t len = pages.slots * pages.page;

	(void)state;
	assert_true(len < SIZE);
	for (int i = 3; i >= 0; i--) {
		ssize_t n = pagetee_send(&pages, pair.socket, memfd, 1, len, i > 0);

		assert_in_range(n, 1, len);
		assert_int_equal(pages.len, 0);
		assert_got(pair, 1, (size_t)n);
	}
	close_pair(pair);
}

static void without_pipes_there_is_sendfile(void **state)
{
	struct pair pair = open_pair(0);
	struct rlimit before, none;
	struct pagetee poor;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	pagetee_open(&poor);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(poor.slots, 0);
	for (int i = 1; i >= 0; i--) {
		assert_int_equal(pagetee_send(&poor, pair.socket, memfd, 0, 10000, i > 0), 10000);
		assert_got(pair, 0, 10000);
	}
	pagetee_close(&poor);
	close_pair(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(everybody_gets_the_range_wherever_it_begins, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(pages_go_by_reference, set_up, tear_down),
		cmocka_unit_test_setup_teardown(full_socket_takes_a_part_and_then_nothing, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(socket_whose_peer_is_gone_fails_alone, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(range_that_is_not_sent_again_is_let_go, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(range_larger_than_a_pipe_is_sent_all_the_same,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_pipes_there_is_sendfile, set_up, tear_down),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
