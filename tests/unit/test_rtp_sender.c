/* SPDX-License-Identifier: BSD-2-Clause */
/* The bare loops of UDP against the benchmark's player: what bench/floor says and sends is what
 * camload asks for and counts. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/lib/rtp_sender.h"
#include "bench/lib/rtsp.h"
#include "bench/lib/rtsp_host.h"
#include "bench/lib/unit.h"

#define SIZE 8000 /* bytes of a unit */
#define ROUNDS 100

static int client, server; /* a connection */
static struct udp_pair pair;
static struct rtsp_player *player;
static struct rtsp_tally tally;
static struct buffer in, out;
static size_t n_units, unit_len;
static struct unit_info newest;

static void take(void *ctx, const uint8_t *data, size_t len, int64_t complete_us)
{
	(void)ctx;
	(void)complete_us;
	n_units++;
	unit_len = len;
	unit_parse(data, len, &newest);
}

static void take_datagram(void *ctx, bool control, const uint8_t *data, size_t len)
{
	(void)ctx;
	assert_int_equal(rtsp_player_datagram(player, control, data, len, 1), 0);
}

static int begin(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, len), 0);
	server = accept(listener, NULL, NULL);
	assert_true(server >= 0);
	close(listener);
	memset(&tally, 0, sizeof(tally));
	n_units = 0;
	assert_int_equal(udp_pair_open(&pair, client, 40, false), 0);
	player = rtsp_player_create("127.0.0.1:1", "floor", &tally, &out, take, NULL);
	rtsp_player_use(player, RTSP_UDP, pair.port);
	return 0;
}

static int end(void **state)
{
	(void)state;
	rtsp_player_destroy(player);
	buffer_finish(&in);
	buffer_finish(&out);
	udp_pair_close(&pair);
	close(client);
	close(server);
	return 0;
}

static void wait_for(int fd)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&readable, 1, 10000), 1);
}

/* The player asks and the host answers, until it plays; returns the port that it named. */
static uint16_t agree(void)
{
	uint16_t port = 0;
	int result = 0;

	for (int i = 0; i < 4; i++) {
		ssize_t n;

		assert_int_equal(result, 0);
		assert_int_equal(send(client, out.data, out.len, 0), out.len);
		buffer_drop(&out, out.len);
		wait_for(server);
		result = rtsp_host_answer(server, &port);
		wait_for(client);
		n = recv(client, buffer_room(&in, 4096), 4096, 0);
		assert_true(n > 0);
		in.len += (size_t)n;
		assert_int_equal(rtsp_player_received(player, &in, 1), 0);
	}
	assert_int_equal(result, 1);
	assert_true(rtsp_player_plays(player));
	return port;
}

static void each_way_sends_whole_units(void **state)
{
	struct rtp_sender *sender;
	uint16_t port = agree();

	(void)state;
	assert_int_equal(port, pair.port);
	assert_int_equal(rtsp_host_answer(server, &port), 0); /* nothing was asked */
	for (int way = RTP_SENDTO; way <= RTP_GSO_CONNECTED; way++) {
		size_t bytes = 0;

		memset(&tally, 0, sizeof(tally));
		n_units = 0;
		assert_int_equal(rtp_sender_create(&sender, (enum rtp_sender_way)way, SIZE, 1), 0);
		assert_int_equal(rtp_sender_add(sender, server, port), 0);
		assert_int_equal(rtp_sender_add(sender, server, port), -ENOSPC);
		for (uint64_t n = 0; n < 2; n++) {
			rtp_sender_choose(sender, n);
			assert_int_equal(rtp_sender_send(sender, 0), 0);
			for (int i = 0; i < ROUNDS && n_units == n; i++) {
				wait_for(pair.rtp);
				bytes += udp_pair_read(&pair, take_datagram, NULL);
			}
			assert_int_equal(n_units, n + 1);
			assert_int_equal(newest.key, n == 0);
		}
		/* Without the delimiter, and with heads of packets: it has hardly another size. */
		assert_true(unit_len > SIZE - 10 && unit_len <= SIZE);
		assert_true(bytes > 2 * SIZE && bytes < 2 * SIZE + 400);
		/* Each sender begins at number 0: that is no loss of one. */
		assert_int_equal(tally.rtp.torn, 0);
		assert_int_equal(tally.rtp.gaps, way > RTP_SENDTO);
		rtp_sender_destroy(sender);
	}
}

static void what_is_no_request_is_refused(void **state)
{
	uint16_t port = 0;

	(void)state;
	assert_int_equal(send(client, "SETUP rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", 38, 0), 38);
	wait_for(server);
	assert_int_equal(rtsp_host_answer(server, &port), -EPROTO);
	assert_int_equal(send(client, "?\r\n\r\n", 5, 0), 5);
	wait_for(server);
	assert_int_equal(rtsp_host_answer(server, &port), -EPROTO);
	assert_int_equal(port, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_way_sends_whole_units),
		TEST(what_is_no_request_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
