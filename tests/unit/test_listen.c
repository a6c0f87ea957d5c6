/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/listen.h"

/* How often bind() finds the port taken, whichever it is. */
static unsigned taken;

int __real_bind(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len)
{
	if (taken == 0)
		return __real_bind(fd, address, len);
	taken--;
	errno = EADDRINUSE;
	return -1;
}

/* Waiting takes no time here. */
static int waited_ms;

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	(void)fds;
	assert_int_equal(n, 0);
	waited_ms += timeout_ms;
	return 0;
}

static int lowest_free_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	close(fd);
	return fd;
}

static uint16_t port_of(int fd)
{
	struct net_peer local;

	net_peer_local_from_fd(&local, fd);
	return local.port;
}

static void sockets_listen_and_block_nobody(void **state)
{
	const struct net_address address = {.host = "127.0.0.1"};
	int fds[LISTEN_MAX], listens = 0;
	struct net_peer local;
	socklen_t len = sizeof listens;

	(void)state;
	assert_int_equal(listen_open(&address, "a test", fds), 1);
	assert_int_equal(getsockopt(fds[0], SOL_SOCKET, SO_ACCEPTCONN, &listens, &len), 0);
	assert_int_equal(listens, 1);
	assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	net_peer_local_from_fd(&local, fds[0]);
	assert_true(net_peer_is_loopback(&local) && local.port != 0);
	close(fds[0]);
}

static void every_address_has_the_same_port_in_both_families(void **state)
{
	const struct net_address address = {.host = ""};
	int fds[LISTEN_MAX], n = listen_open(&address, "a test", fds);

	(void)state;
	assert_in_range(n, 1, 2); /* 1: the kernel has no IPv6 */
	assert_int_equal(port_of(fds[0]), port_of(fds[n - 1]));
	while (n > 0)
		close(fds[--n]);
}

static void a_port_that_is_taken_opens_nothing(void **state)
{
	struct net_address address = {.host = "127.0.0.1"};
	int fds[LISTEN_MAX], again[LISTEN_MAX], free_fd;

	(void)state;
	assert_int_equal(listen_open(&address, "a test", fds), 1);
	address.port = port_of(fds[0]);
	free_fd = lowest_free_fd();
	assert_int_equal(listen_open(&address, "a test", again), -EADDRINUSE);
	/* Both families: what one of them had opened is closed again. */
	address.host[0] = '\0';
	assert_int_equal(listen_open(&address, "a test", again), -EADDRINUSE);
	assert_int_equal(lowest_free_fd(), free_fd);
	close(fds[0]);
}

static void a_port_that_is_taken_for_a_moment_is_waited_for(void **state)
{
	struct net_address address = {.host = "127.0.0.1"};
	int fds[LISTEN_MAX];

	(void)state;
	assert_int_equal(listen_open(&address, "a test", fds), 1);
	address.port = port_of(fds[0]);
	close(fds[0]);
	waited_ms = 0;
	taken = 5;
	assert_int_equal(listen_open(&address, "a test", fds), 1);
	assert_in_range(waited_ms, 1, 1000);
	close(fds[0]);
	waited_ms = 0;
	taken = UINT_MAX;
	assert_int_equal(listen_open(&address, "a test", fds), -EADDRINUSE);
	assert_int_equal(waited_ms, 1000);
	taken = 0;
}

static void what_was_looked_up_is_opened_without_waiting(void **state)
{
	struct net_address address = {.host = "localhost"};
	const struct net_address nobody = {.host = "no.such.host.invalid"};
	struct listen_hosts *hosts = listen_hosts_create();
	int fds[LISTEN_MAX], n, free_fd;

	(void)state;
	assert_non_null(hosts);
	assert_int_equal(listen_open_known(&address, hosts, "a test", fds), -EADDRNOTAVAIL);
	assert_int_equal(listen_hosts_add(hosts, &address), 0);
	assert_int_equal(listen_hosts_add(hosts, &address), 0);
	assert_int_equal(listen_hosts_add(hosts, &nobody), 0);
	free_fd = lowest_free_fd();
	n = listen_open_known(&address, hosts, "a test", fds);
	assert_in_range(n, 1, LISTEN_MAX);
	address.port = port_of(fds[0]);
	assert_int_equal(port_of(fds[n - 1]), address.port);
	while (n > 0)
		close(fds[--n]);
	waited_ms = 0;
	taken = UINT_MAX;
	assert_int_equal(listen_open_known(&address, hosts, "a test", fds), -EADDRINUSE);
	assert_int_equal(taken, UINT_MAX - 1); /* tried once */
	taken = 0;
	assert_int_equal(listen_open_known(&nobody, hosts, "a test", fds), -EADDRNOTAVAIL);
	assert_int_equal(waited_ms, 0);
	assert_int_equal(lowest_free_fd(), free_fd);
	listen_hosts_destroy(hosts);
}

static void an_address_can_be_checked_without_listening(void **state)
{
	struct net_address address = {.host = "127.0.0.1"};
	const struct net_address elsewhere = {.host = "203.0.113.1", .port = 8888};
	const struct net_address name = {.host = "camera.example.org", .port = 8888};
	const struct net_address any = {.host = ""};
	int fds[LISTEN_MAX], free_fd = lowest_free_fd();

	(void)state;
	assert_int_equal(listen_check(&address), 0);
	assert_int_equal(listen_check(&any), 0);
	assert_int_equal(listen_check(&elsewhere), -EADDRNOTAVAIL);
	assert_int_equal(listen_check(&name), 0);
	assert_int_equal(lowest_free_fd(), free_fd);
	assert_int_equal(listen_open(&address, "a test", fds), 1);
	address.port = port_of(fds[0]);
	assert_int_equal(listen_check(&address), -EADDRINUSE);
	close(fds[0]);
	assert_int_equal(listen_check(&address), 0);
}

static void what_is_not_here_is_refused(void **state)
{
	static const struct {
		const char *host;
		int err;
	} cases[] = {
		{"no.such.host.invalid", -EADDRNOTAVAIL},
		{"192.0.2.1", -EADDRNOTAVAIL},
		{"fe80::1%no-such-if", -EADDRNOTAVAIL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct net_address address = {.port = 0};
		int fds[LISTEN_MAX];

		strcpy(address.host, cases[i].host);
		assert_int_equal(listen_open(&address, "a test", fds), cases[i].err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_listen_and_block_nobody),
		cmocka_unit_test(every_address_has_the_same_port_in_both_families),
		cmocka_unit_test(a_port_that_is_taken_opens_nothing),
		cmocka_unit_test(a_port_that_is_taken_for_a_moment_is_waited_for),
		cmocka_unit_test(what_was_looked_up_is_opened_without_waiting),
		cmocka_unit_test(an_address_can_be_checked_without_listening),
		cmocka_unit_test(what_is_not_here_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
