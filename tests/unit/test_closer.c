/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/worker/closer.h"

#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* close() of this descriptor waits until the test lets it go on, as a hung driver's does. */
static int slow_fd;
static sem_t go_on;

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	if (fd == slow_fd)
		while (sem_wait(&go_on) < 0)
			;
	return __real_close(fd);
}

static int setup(void **state)
{
	struct closer *closer;

	slow_fd = -1;
	sem_init(&go_on, 0, 0);
	assert_int_equal(closer_create(&closer), 0);
	*state = closer;
	return 0;
}

static void make_pair(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

/* A pipe's read end; its end is seen at the write end, which stays with the test. */
static int make_fd(int *other)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	*other = fds[1];
	return fds[0];
}

static void wait_closed(int other)
{
	struct pollfd pfd = {.fd = other};

	assert_int_equal(poll(&pfd, 1, 10000), 1);
	assert_true(pfd.revents & POLLERR);
	close(other);
}

/* Sends fd in a message of len bytes, and closes it here. */
static void queue_fd(int pair, int fd, size_t len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char byte = 0;
	struct iovec iov = {.iov_base = &byte, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof control.bytes};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
	assert_int_equal(sendmsg(pair, &msg, 0), len);
	close(fd);
}

static void it_closes_the_pair_and_the_descriptors(void **state)
{
	int pair[2], other[2];
	int fds[] = {make_fd(&other[0]), make_fd(&other[1])};
	char byte;

	make_pair(pair);
	shutdown(pair[0], SHUT_RDWR);
	closer_give(*state, pair[0], fds, 2);
	wait_closed(other[0]);
	wait_closed(other[1]);
	closer_destroy(*state);
	assert_int_equal(recv(pair[1], &byte, 1, 0), 0);
	close(pair[1]);
	assert_int_equal(fcntl(pair[0], F_GETFD), -1);
}

static void it_closes_what_is_queued_while_others_hold_the_pair(void **state)
{
	int pair[2], held, other[3];

	make_pair(pair);
	held = dup(pair[0]); /* as an operation of io_uring would */
	queue_fd(pair[1], make_fd(&other[0]), 1);
	queue_fd(pair[1], make_fd(&other[1]), 0);
	assert_int_equal(send(pair[1], "", 0, 0), 0);
	queue_fd(pair[1], make_fd(&other[2]), 1);
	shutdown(pair[0], SHUT_RDWR);
	closer_give(*state, pair[0], NULL, 0);
	for (int i = 0; i < 3; i++)
		wait_closed(other[i]);
	closer_destroy(*state);
	close(pair[1]);
	close(held);
}

static void nobody_waits_for_a_descriptor_that_does_not_close(void **state)
{
	struct closer *closer = *state;
	int other[CLOSER_BATCHES_MAX], pair[2];

	for (unsigned i = 0; i < CLOSER_BATCHES_MAX; i++) {
		int fd = make_fd(&other[i]);

		if (i == 0)
			slow_fd = fd;
		make_pair(pair);
		close(pair[1]);
		shutdown(pair[0], SHUT_RDWR);
		assert_int_equal(closer_pending(closer), i);
		closer_give(closer, pair[0], &fd, 1);
	}
	assert_int_equal(closer_pending(closer), CLOSER_BATCHES_MAX);
	sem_post(&go_on);
	for (unsigned i = 0; i < CLOSER_BATCHES_MAX; i++)
		wait_closed(other[i]);
	closer_destroy(closer);
}

static void its_end_waits_for_no_descriptor_either(void **state)
{
	int pair[2], other, fd = make_fd(&other);

	slow_fd = fd;
	make_pair(pair);
	close(pair[1]);
	shutdown(pair[0], SHUT_RDWR);
	closer_give(*state, pair[0], &fd, 1);
	closer_destroy(*state); /* returns: the thread goes on alone */
	sem_post(&go_on);
	wait_closed(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_closes_the_pair_and_the_descriptors, setup),
		cmocka_unit_test_setup(it_closes_what_is_queued_while_others_hold_the_pair, setup),
		cmocka_unit_test_setup(nobody_waits_for_a_descriptor_that_does_not_close, setup),
		cmocka_unit_test_setup(its_end_waits_for_no_descriptor_either, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
