/* SPDX-License-Identifier: BSD-2-Clause */
/* The limits on clients, the form of addresses, and the effect of the machine's limits. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/limits.h"
#include "tests/unit/worker_rig.h"

static struct sockaddr_in6 *fake_peer; /* what getpeername() says, if set */

int __real_getpeername(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
	if (!fake_peer)
		return __real_getpeername(fd, address, len);
	memcpy(address, fake_peer, sizeof *fake_peer);
	*len = sizeof *fake_peer;
	return 0;
}

struct fixture {
	struct rig rig;
	unsigned goal;
};

static void open_listeners(struct fixture *f, const char *daemon)
{
	memset(f, 0, sizeof *f);
	fake_peer = NULL;
	rig_open(&f->rig, daemon);
	rig_create_feeds(&f->rig, NULL);
	rig_listen(&f->rig);
}

static void close_listeners(struct fixture *f)
{
	rig_close(&f->rig);
}

static bool has_seen(void *user)
{
	struct fixture *f = user;
	uint64_t seen = 0;

	for (unsigned i = 0; i < RIG_FEEDS; i++) {
		seen += feed_stats(rig_feed(&f->rig, i))->audience.joined;
		for (unsigned j = 0; j < ADMISSION_REFUSALS; j++)
			seen += f->rig.cameras->outputs[i]->quota.refused[j];
	}
	return seen == f->goal;
}

static bool has_clients(void *user)
{
	struct fixture *f = user;

	return admission_viewers(f->rig.admission) == f->goal;
}

/* Connects and waits until the listeners have let it in or refused it. */
static int join(struct fixture *f, unsigned feed)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(f->rig.cameras->outputs[feed]->tcp.port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	unsigned seen = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	for (f->goal = 0; !has_seen(f); f->goal++)
		assert_true(seen++ < 1000);
	f->goal++;
	rig_run_until(&f->rig, has_seen, f);
	return fd;
}

/* A FIN alone would say only that the peer sends nothing any more. */
static void reset(int fd)
{
	static const struct linger now = {.l_onoff = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	close(fd);
}

static void leave(struct fixture *f, int fd)
{
	f->goal = admission_viewers(f->rig.admission) - 1;
	reset(fd);
	rig_run_until(&f->rig, has_clients, f);
}

static void assert_refused(struct fixture *f, int fd, unsigned feed, enum admission_refusal why,
			   uint64_t times)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	assert_int_equal(f->rig.cameras->outputs[feed]->quota.refused[why], times);
	close(fd);
}

static void the_total_counts_all_feeds(void **state)
{
	struct fixture f;
	int one, two;

	(void)state;
	open_listeners(&f, "max_clients = 2");
	one = join(&f, FRONT_H264);
	two = join(&f, BACK_H264);
	assert_int_equal(admission_viewers(f.rig.admission), 2);
	assert_refused(&f, join(&f, FRONT_JPEG), FRONT_JPEG, ADMISSION_OVER_TOTAL, 1);
	leave(&f, one);
	one = join(&f, FRONT_JPEG);
	assert_int_equal(admission_viewers(f.rig.admission), 2);
	close(one);
	close(two);
	close_listeners(&f);
}

static void a_feed_has_its_own_limit(void **state)
{
	struct fixture f;
	int fds[4];

	(void)state;
	open_listeners(&f, "");
	for (int i = 0; i < 3; i++)
		fds[i] = join(&f, FRONT_H264);
	assert_refused(&f, join(&f, FRONT_H264), FRONT_H264, ADMISSION_OVER_QUOTA, 1);
	fds[3] = join(&f, BACK_H264);
	assert_int_equal(admission_viewers(f.rig.admission), 4);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	close_listeners(&f);
}

/* Many hosts have a whole /64 each; one address more is no stranger. */
static void an_ipv6_client_is_its_64(void **state)
{
	struct sockaddr_in6 peer = {.sin6_family = AF_INET6, .sin6_port = htons(1)};
	struct fixture f;
	int fds[3];

	(void)state;
	open_listeners(&f, "max_clients_per_ip = 1");
	fake_peer = &peer;
	inet_pton(AF_INET6, "2001:db8:1:2::1", &peer.sin6_addr);
	fds[0] = join(&f, BACK_H264);
	inet_pton(AF_INET6, "2001:db8:1:2:ffff::9", &peer.sin6_addr);
	assert_refused(&f, join(&f, BACK_H264), BACK_H264, ADMISSION_OVER_ADDRESS, 1);
	inet_pton(AF_INET6, "2001:db8:1:3::1", &peer.sin6_addr);
	fds[1] = join(&f, BACK_H264);
	leave(&f, fds[0]);
	inet_pton(AF_INET6, "2001:db8:1:2::7", &peer.sin6_addr);
	fds[2] = join(&f, BACK_H264);
	assert_int_equal(admission_viewers(f.rig.admission), 2);
	close(fds[1]);
	close(fds[2]);
	close_listeners(&f);
}

static void ipv4_addresses_are_counted_one_by_one(void **state)
{
	struct fixture f;
	int fds[2];

	(void)state;
	open_listeners(&f, "max_clients_per_ip = 2");
	fds[0] = join(&f, FRONT_H264);
	fds[1] = join(&f, BACK_H264);
	assert_refused(&f, join(&f, BACK_H264), BACK_H264, ADMISSION_OVER_ADDRESS, 1);
	leave(&f, fds[0]);
	fds[0] = join(&f, FRONT_H264);
	close(fds[0]);
	close(fds[1]);
	close_listeners(&f);
}

/* 192.0.2.n */
static void set_peer(struct sockaddr_in6 *peer, int n)
{
	char text[64];

	snprintf(text, sizeof text, "::ffff:192.0.2.%d", n);
	*peer = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(1)};
	assert_int_equal(inet_pton(AF_INET6, text, &peer->sin6_addr), 1);
	fake_peer = peer;
}

static uint64_t displaced(struct fixture *f, unsigned feed)
{
	return feed_stats(rig_feed(&f->rig, feed))->audience.left[CURSOR_END_DISPLACED];
}

static void a_newcomer_gets_a_place_of_the_greediest_address(void **state)
{
	static const int addresses[] = {1, 2, 2, 2, 3, 3, 1, 3}; /* of eight viewers */
	struct sockaddr_in6 peer;
	struct fixture f;
	int fds[8], fd;

	(void)state;
	open_listeners(&f, "max_clients = 8");
	for (int i = 0; i < 8; i++) {
		set_peer(&peer, addresses[i]);
		fds[i] = join(&f, i == 7 ? FRONT_JPEG : BACK_H264);
	}
	set_peer(&peer, 4);
	fd = join(&f, BACK_H264); /* address 2 or 3 has two now */
	assert_int_equal(admission_viewers(f.rig.admission), 8);
	assert_int_equal(displaced(&f, BACK_H264) + displaced(&f, FRONT_JPEG), 1);
	close(join(&f, BACK_H264)); /* from the other one */
	assert_int_equal(displaced(&f, BACK_H264), 1);
	assert_int_equal(displaced(&f, FRONT_JPEG), 1);
	/* All have two: a third one displaces nobody, and neither does one of a full feed. */
	set_peer(&peer, 1);
	assert_refused(&f, join(&f, BACK_H264), BACK_H264, ADMISSION_OVER_TOTAL, 1);
	close(fd);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	close_listeners(&f);
}

static void a_full_feed_displaces_nobody(void **state)
{
	struct sockaddr_in6 peer;
	struct fixture f;
	int fds[4];

	(void)state;
	open_listeners(&f, "max_clients = 4");
	set_peer(&peer, 1);
	for (int i = 0; i < 4; i++)
		fds[i] = join(&f, i == 3 ? BACK_H264 : FRONT_H264);
	set_peer(&peer, 2);
	assert_refused(&f, join(&f, FRONT_H264), FRONT_H264, ADMISSION_OVER_QUOTA, 1);
	assert_int_equal(admission_viewers(f.rig.admission), 4);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	close_listeners(&f);
}

static void by_default_an_address_has_three_quarters(void **state)
{
	struct sockaddr_in6 peer;
	struct fixture f;
	int fds[101];

	(void)state;
	open_listeners(&f, "max_clients = 100");
	set_peer(&peer, 1);
	for (int i = 0; i < 75; i++)
		fds[i] = join(&f, BACK_H264);
	assert_refused(&f, join(&f, BACK_H264), BACK_H264, ADMISSION_OVER_ADDRESS, 1);
	for (int i = 0; i < 75; i++)
		close(fds[i]);
	close_listeners(&f);
	open_listeners(&f, "max_clients = 100"); /* this machine has all */
	for (int i = 0; i < 100; i++)
		fds[i] = join(&f, BACK_H264);
	assert_int_equal(admission_viewers(f.rig.admission), 100);
	for (int i = 0; i < 100; i++)
		close(fds[i]);
	close_listeners(&f);
}

static void with_a_full_fd_table_nobody_is_let_in(void **state)
{
	struct fixture f;
	int fd;

	(void)state;
	open_listeners(&f, "");
	assert_int_equal(fdreserve_give(f.rig.reserve, 1), 1);
	assert_refused(&f, join(&f, FRONT_H264), FRONT_H264, ADMISSION_NO_FDS, 1);
	assert_int_equal(admission_viewers(f.rig.admission), 0);
	while (fdreserve_short(f.rig.reserve)) /* it finds room after a second */
		assert_int_equal(loop_turn(f.rig.loop, 100000), 0);
	fd = join(&f, FRONT_H264);
	assert_int_equal(admission_viewers(f.rig.admission), 1);
	close(fd);
	close_listeners(&f);
}

static void clients_that_are_there_at_the_end_are_no_leak(void **state)
{
	struct fixture f;
	int one, two;

	(void)state;
	open_listeners(&f, "max_clients_per_ip = 5");
	one = join(&f, FRONT_H264);
	two = join(&f, BACK_H264);
	close_listeners(&f); /* the sanitizer counts */
	close(one);
	close(two);
}

static void send_buffers_fit_the_kernel_s_mark(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, "max_clients = 1000\nsend_buffer = 131072");
	limits_fit_tcp_mem(rig.config, UINT64_C(1000) * 2 * 131072, false);
	assert_int_equal(rig.config->daemon.send_buffer, 131072);
	limits_fit_tcp_mem(rig.config, UINT64_C(1000) * 2 * 100000, false);
	assert_int_equal(rig.config->daemon.send_buffer, 100000);
	/* Not below what a long link needs; the warning says so instead. */
	limits_fit_tcp_mem(rig.config, UINT64_C(1000) * 2 * 10000, false);
	assert_int_equal(rig.config->daemon.send_buffer, 65536);
	rig_close(&rig);
}

static void a_chosen_number_of_clients_fits_the_kernel_s_mark(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, "max_clients = 1000\nsend_buffer = 131072");
	limits_fit_tcp_mem(rig.config, UINT64_C(234) * 2 * 131072, true);
	assert_int_equal(rig.config->daemon.max_clients, 234);
	assert_int_equal(rig.config->daemon.send_buffer, 131072);
	limits_fit_tcp_mem(rig.config, 1, true);
	assert_int_equal(rig.config->daemon.max_clients, 32);
	rig_close(&rig);
}

static void the_reserve_grows_with_what_must_be_held(void **state)
{
	struct rig rig;
	unsigned before;

	(void)state;
	rig_open(&rig, "");
	before = limits_fds_reserved(rig.config, 0);
	assert_true(before > 3 * 16 + LIMITS_FDS_HELD);
	rig.config->streams[FRONT_H264].stall_timeout_ms += 100000;
	assert_true(limits_fds_reserved(rig.config, 0) > before + 20);
	rig.config->streams[FRONT_H264].bitrate = UINT32_MAX;
	assert_true(limits_fds_reserved(rig.config, 0) < before + 1100);
	rig_close(&rig);
}

static void groups_and_feeds_of_rtsp_are_in_the_reserve(void **state)
{
	struct config_stream *stream;
	struct rig rig;
	unsigned before, with_group, with_sap;

	(void)state;
	rig_open(&rig, "");
	stream = &rig.config->streams[FRONT_H264];
	before = limits_fds_reserved(rig.config, 0);
	free(stream->multicast);
	stream->multicast = strdup("239.1.2.3:5004");
	with_group = limits_fds_reserved(rig.config, 0);
	assert_int_equal(with_group, before + 2); /* its two sockets */
	stream->sap = true;
	with_sap = limits_fds_reserved(rig.config, 0);
	assert_true(with_sap >= with_group + 16); /* and the segments of its packets */
	stream->multicast_always = true;
	assert_int_equal(limits_fds_reserved(rig.config, 0), with_sap);
	stream->multicast_ts = true; /* of one feed, either way */
	assert_int_equal(limits_fds_reserved(rig.config, 0), with_sap);
	rig.config->daemon.rtsp_udp = false;
	rig.config->daemon.n_rtsp = 1;
	assert_true(limits_fds_reserved(rig.config, 0) >= with_sap + 16 * rig.config->n_streams);
	rig.config->daemon.n_rtsp = 0;
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_total_counts_all_feeds),
		cmocka_unit_test(a_feed_has_its_own_limit),
		cmocka_unit_test(an_ipv6_client_is_its_64),
		cmocka_unit_test(ipv4_addresses_are_counted_one_by_one),
		cmocka_unit_test(a_newcomer_gets_a_place_of_the_greediest_address),
		cmocka_unit_test(a_full_feed_displaces_nobody),
		cmocka_unit_test(by_default_an_address_has_three_quarters),
		cmocka_unit_test(with_a_full_fd_table_nobody_is_let_in),
		cmocka_unit_test(clients_that_are_there_at_the_end_are_no_leak),
		cmocka_unit_test(send_buffers_fit_the_kernel_s_mark),
		cmocka_unit_test(a_chosen_number_of_clients_fits_the_kernel_s_mark),
		cmocka_unit_test(the_reserve_grows_with_what_must_be_held),
		cmocka_unit_test(groups_and_feeds_of_rtsp_are_in_the_reserve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
