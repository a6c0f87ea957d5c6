/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages with descriptors, and a table that has no room for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "process/pair.h"
#include "tests/unit/open_fds.h"

static int ends[2];
static unsigned before;

static int begin(void **state)
{
	(void)state;
	before = open_fds();
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static int end(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(open_fds(), before);
	return 0;
}

static void send_both(void)
{
	assert_int_equal(pair_send(ends[0], "abc", 3, ends, 2), 0);
}

static void descriptors_come_with_their_message(void **state)
{
	char text[8];
	int fds[2];

	(void)state;
	send_both();
	assert_int_equal(pair_receive(ends[1], text, sizeof text, fds, 2, MSG_DONTWAIT), 3);
	assert_memory_equal(text, "abc", 3);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		close(fds[i]);
	}
	assert_int_equal(pair_receive(ends[1], text, sizeof text, fds, 1, MSG_DONTWAIT), -EAGAIN);
	assert_int_equal(fds[0], -1);
}

static void too_few_are_none_and_too_many_are_left(void **state)
{
	char text[8];
	int fds[2];

	(void)state;
	assert_int_equal(pair_send(ends[0], "abc", 3, ends, 1), 0);
	assert_int_equal(pair_receive(ends[1], text, sizeof text, fds, 2, 0), 3);
	assert_true(fds[0] == -1 && fds[1] == -1);
	send_both();
	assert_int_equal(pair_receive(ends[1], text, sizeof text, fds, 1, 0), 3);
	assert_true(fds[0] >= 0);
	close(fds[0]);
}

static void a_full_table_gets_none(void **state)
{
	struct rlimit limit, full;
	char text[8];
	int fds[2];

	(void)state;
	send_both();
	fds[0] = dup(ends[0]); /* the lowest number that is free */
	close(fds[0]);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	full = limit;
	full.rlim_cur = (rlim_t)fds[0] + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &full), 0);
	assert_int_equal(pair_receive(ends[1], text, sizeof text, fds, 2, 0), 3);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(fds[0] == -1 && fds[1] == -1);
}

static void the_end_is_told(void **state)
{
	char text[8];
	int fd;

	(void)state;
	shutdown(ends[0], SHUT_WR);
	assert_int_equal(pair_receive(ends[1], text, sizeof text, &fd, 1, 0), 0);
	assert_int_equal(fd, -1);
	shutdown(ends[1], SHUT_RD);
	assert_int_equal(pair_send(ends[0], "abc", 3, NULL, 0), -EPIPE);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(descriptors_come_with_their_message),
		TEST(too_few_are_none_and_too_many_are_left),
		TEST(a_full_table_gets_none),
		TEST(the_end_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
