/* SPDX-License-Identifier: BSD-2-Clause */
/* The benchmark's pair of UDP sockets, over the loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
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

#include "bench/lib/udp_pair.h"

#define SEGMENT 1400

static int connection, sender;
static struct udp_pair pair;

static struct {
	size_t n, control, bytes;
	size_t lens[64];
} heard;

static void hear(void *ctx, bool control, const uint8_t *data, size_t len)
{
	assert_ptr_equal(ctx, &heard);
	assert_non_null(data);
	if (control) {
		heard.control++;
		return;
	}
	assert_true(heard.n < 64);
	heard.lens[heard.n++] = len;
	heard.bytes += len;
}

static int begin(void **state)
{
	/* Connected, so that it has a local address; nobody need answer. */
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};

	(void)state;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	memset(&heard, 0, sizeof(heard));
	connection = socket(AF_INET, SOCK_DGRAM, 0);
	sender = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(connect(connection, (struct sockaddr *)&to, sizeof(to)), 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	udp_pair_close(&pair);
	close(connection);
	close(sender);
	return 0;
}

/* In datagrams of a segment each, which leave as one. */
static void say(uint16_t port, size_t len)
{
	static uint8_t data[16 * SEGMENT];
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int segment = len > SEGMENT ? SEGMENT : 0;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(len <= sizeof(data));
	assert_int_equal(setsockopt(sender, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)),
			 0);
	assert_int_equal(sendto(sender, data, len, 0, (struct sockaddr *)&to, sizeof(to)), len);
}

static void a_pair_hears_rtp_and_rtcp_at_two_ports(void **state)
{
	(void)state;
	assert_int_equal(udp_pair_open(&pair, connection, 7, false), 0);
	assert_int_equal(pair.port % 2, 0);
	say((uint16_t)(pair.port + 1), 60);
	say(pair.port, 10);
	say(pair.port, 3 * SEGMENT + 5);
	assert_int_equal(udp_pair_read(&pair, hear, &heard), 10 + 3 * SEGMENT + 5);
	assert_int_equal(heard.n, 5);
	assert_int_equal(heard.control, 1);
	assert_int_equal(heard.lens[0], 10);
	assert_int_equal(heard.lens[3], SEGMENT);
	assert_int_equal(heard.lens[4], 5);
	assert_int_equal(udp_pair_read(&pair, hear, &heard), 0);
}

static void a_pair_takes_the_next_ports_if_some_are_taken(void **state)
{
	struct udp_pair other;

	(void)state;
	assert_int_equal(udp_pair_open(&pair, connection, 8, false), 0);
	assert_int_equal(udp_pair_open(&other, connection, 8, false), 0);
	assert_true(other.port > pair.port);
	udp_pair_close(&other);
}

static void what_came_as_one_is_taken_to_pieces_by_its_reader(void **state)
{
	(void)state;
	assert_int_equal(udp_pair_open(&pair, connection, 9, true), 0);
	say(pair.port, 5 * SEGMENT + 1);
	assert_int_equal(udp_pair_read(&pair, hear, &heard), 5 * SEGMENT + 1);
	assert_int_equal(heard.n, 6);
	assert_int_equal(heard.lens[5], 1);
}

static void bytes_are_counted_without_reading_them(void **state)
{
	(void)state;
	for (int whole = 0; whole < 2; whole++) {
		udp_pair_close(&pair);
		assert_int_equal(udp_pair_open(&pair, connection, 10, whole), 0);
		say(pair.port, 2 * SEGMENT);
		say(pair.port, 11);
		assert_int_equal(udp_pair_count(&pair), 2 * SEGMENT + 11);
		assert_int_equal(udp_pair_count(&pair), 0);
	}
}

static void the_kernel_says_what_it_dropped(void **state)
{
	(void)state;
	assert_int_equal(udp_pair_open(&pair, connection, 11, false), 0);
	udp_pair_enlarge(&pair, 1 << 20);
	assert_int_equal(udp_pair_dropped(&pair), 0);
	for (int i = 0; i < 20; i++)
		say(pair.port, 10);
	assert_int_equal(udp_pair_dropped(&pair), 0);
	assert_int_equal(udp_pair_go_deaf(&pair, true), 0);
	say(pair.port, 10);
	say((uint16_t)(pair.port + 1), 10);
	assert_int_equal(udp_pair_dropped(&pair), 1);
	assert_int_equal(udp_pair_read(&pair, hear, &heard), 20 * 10);
	assert_int_equal(heard.control, 0);
}

static void a_pair_may_be_deaf_for_rtcp_alone(void **state)
{
	(void)state;
	assert_int_equal(udp_pair_open(&pair, connection, 12, false), 0);
	assert_int_equal(udp_pair_go_deaf(&pair, false), 0);
	say(pair.port, 10);
	say((uint16_t)(pair.port + 1), 10);
	assert_int_equal(udp_pair_read(&pair, hear, &heard), 10);
	assert_int_equal(heard.control, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_pair_hears_rtp_and_rtcp_at_two_ports),
		TEST(a_pair_takes_the_next_ports_if_some_are_taken),
		TEST(what_came_as_one_is_taken_to_pieces_by_its_reader),
		TEST(bytes_are_counted_without_reading_them),
		TEST(the_kernel_says_what_it_dropped),
		TEST(a_pair_may_be_deaf_for_rtcp_alone),
	};

	pair = (struct udp_pair){-1, -1, 0};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
