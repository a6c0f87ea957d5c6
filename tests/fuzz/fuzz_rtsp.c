/* SPDX-License-Identifier: BSD-2-Clause */
/* An RTSP client that sends any bytes, in pieces of any length, while pictures come, gets
 * well-formed answers and whole frames, which do not mix, or is disconnected. Its connection is
 * closed when it leaves. The first byte is the length of the pieces, or, if it is 1, what follows
 * is the body of a POST whose GET hears the answers. A Transport header of the same bytes is read
 * within them. A client that asks for a stream without its description speaks SAT>IP. What it
 * reports of its packets is within bounds. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "camcast/rtp.h"
#include "daemon/rtsp/rtsp.h"
#include "daemon/rtsp/transport.h"
#include "media/rtp.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNIT_LEN (RTP_REPORT_LEN + RTP_FRAME_HEAD + RTP_HEAD + 20)

static struct loop *loop;
static struct server *server;
static struct feed *feed;
static struct endpoint endpoint, viewers;
static struct quota places = {.name = "feed fuzz", .viewers = true};
static uint32_t offset;
static bool has_segment;

static void require(bool holds)
{
	if (!holds)
		abort();
}

static int find(void *user, const struct net_peer *peer, const struct access_who *who,
		const char *name, struct rtsp_stream *out)
{
	(void)user;
	(void)peer;
	(void)who;
	require(strlen(name) < RTSP_NAME_MAX + 32);
	*out = (struct rtsp_stream){
		.name = "front", .feed = feed, .viewers = &viewers, .jpeg = name[0] == 'j'};
	if (name[0] == 'f') {
		out->ts_feed = feed;
		out->ts_viewers = &viewers;
	}
	return name[0] == 'f' || name[0] == 'j' ? 0 : -ENOENT;
}

static void ignore(struct feed_demand *demand)
{
	(void)demand;
}

static void ignore_unwatched(struct feed_demand *demand, bool viewed)
{
	(void)demand;
	(void)viewed;
}

static void make_feed(void)
{
	static const struct config_stream policy = {
		.history_ms = 1000, .stall_timeout_ms = 1000, .join_burst_ms = 500};
	static const struct feed_options options = {
		.name = "fuzz", .policy = &policy, .preamble_apart = true, .can_force_idr = true};
	static struct feed_demand demand = {ignore, ignore, ignore_unwatched};
	static const uint8_t preamble[] = {0, 4, 0x67, 0x64, 0x00, 0x1e, 0, 2, 0x68, 0xeb};

	require(feed_create(&feed, loop, &options, &demand) == 0);
	require(feed_set_preamble(feed, preamble, sizeof preamble) == 0);
}

/* Publishes a key unit: a segment of many of them is used again and again. */
static void add_unit(void)
{
	static uint8_t unit[UNIT_LEN];
	static uint32_t id;
	const uint32_t size = UNIT_LEN * 1000;
	const struct rtp_report report = {.ssrc = 1};
	const struct rtp_head head = {.marker = true, .type = 96, .ssrc = 1};
	uint8_t *at = rtp_put_report(unit, CAMCAST_RTCP_CHANNEL, &report);
	struct feed_unit one = {.len = UNIT_LEN, .flags = CAMCAST_UNIT_KEY};

	at = rtp_put_frame(at, CAMCAST_RTP_CHANNEL, RTP_HEAD + 20);
	rtp_put_head(at, &head);
	if (!has_segment || offset + UNIT_LEN > size) {
		int fd = memfd_create("fuzz", MFD_CLOEXEC);

		require(fd >= 0);
		for (uint32_t i = 0; i < size; i += UNIT_LEN)
			require(pwrite(fd, unit, UNIT_LEN, i) == UNIT_LEN);
		require(feed_add_segment(feed, ++id, fd, size) == 0);
		has_segment = true;
		offset = 0;
	}
	one.offset = offset;
	offset += UNIT_LEN;
	require(feed_add_unit(feed, id, &one) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct config_daemon config = {.max_clients = 2};
	static struct rtsp rtsp = {.find = find, .satip = true};
	struct loop_options options = {.backend = CONFIG_BACKEND_EPOLL, .max_conns = 2};
	struct admission *admission;
	struct fdreserve *reserve;

	(void)argc;
	(void)argv;
	require(loop_create(&loop, &options) == 0);
	require(fdreserve_create(&reserve, loop, 1) == 0);
	require(admission_create(&admission, loop, &config, reserve) == 0);
	require(server_create(&server, loop, &config, admission) == 0);
	make_feed();
	rtsp_init_endpoint(&endpoint, &rtsp);
	rtsp_init_viewers(&viewers, &rtsp, &places);
	return 0;
}

static void turn(void)
{
	require(loop_turn(loop, 0) == 0);
}

/* Answers and frames, in any order. whole: no more was to be read. */
static void check_output(const char *text, size_t len, bool whole)
{
	const char *end = text + len;

	while (text < end) {
		const char *head_end, *length;
		size_t left = (size_t)(end - text);

		if (text[0] == '$') {
			size_t n = left < 4 ? left : 4 + ((uint8_t)text[2] << 8 | (uint8_t)text[3]);

			require((left >= 4 && n <= left) || !whole);
			text += n < left ? n : left;
			continue;
		}
		head_end = memmem(text, left, "\r\n\r\n", 4);
		if (!head_end && !whole)
			return;
		require(left > 13 && strncmp(text, "RTSP/1.0 ", 9) == 0 && head_end);
		length = memmem(text, (size_t)(head_end - text), "Content-Length: ", 16);
		text = head_end + 4;
		if (length)
			text += strtoul(length + 16, NULL, 10);
		require(text <= end || !whole);
	}
}

static void read_transport(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct transport one;

	require(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	if (transport_choose(text, TRANSPORT_UDP, &one))
		require(one.kind == TRANSPORT_UDP && one.rtp_port >= TRANSPORT_PORT_MIN &&
			one.rtcp_port >= TRANSPORT_PORT_MIN);
	if (transport_choose(text, TRANSPORT_MULTICAST, &one))
		require(one.kind == TRANSPORT_MULTICAST && one.rtp_port == 0);
	if (transport_choose(text, TRANSPORT_INTERLEAVED, &one))
		require(one.kind == TRANSPORT_INTERLEAVED);
	free(text);
}

static void check_report(const struct cursor *cursor, void *user)
{
	struct sink_report report;

	(void)user;
	if (cursor->sink->report(cursor, &report))
		require(report.permille < 1000 && report.lost < 1 << 23);
}

static size_t hear(int fd, char *text, size_t len, size_t size)
{
	ssize_t n;

	while (len < size && (n = recv(fd, text + len, size - len, MSG_DONTWAIT)) > 0)
		len += (size_t)n;
	return len;
}

/* A peer; the other end is the server's. */
static int dial(void)
{
	int pair[2];

	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	server_accept(server, &endpoint, pair[1]);
	return pair[0];
}

/* Opens a tunnel: *hears gets the answers, and the result is what speaks. */
static int dial_tunnel(int *hears)
{
	static const char get[] = "GET / HTTP/1.0\r\nx-sessioncookie: a\r\n\r\n",
			  post[] = "POST / HTTP/1.0\r\nx-sessioncookie: a\r\n\r\n";
	char answer[512];
	int speaks = dial();

	*hears = dial();
	require(send(*hears, get, sizeof get - 1, 0) == sizeof get - 1);
	turn();
	turn();
	require(recv(*hears, answer, sizeof answer, MSG_DONTWAIT) > 0);
	require(send(speaks, post, sizeof post - 1, 0) == sizeof post - 1);
	turn();
	return speaks;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[65536];
	size_t piece, len = 0;
	int speaks, hears;
	bool tunnel;

	if (size < 1)
		return 0;
	read_transport(data, size);
	piece = data[0] ? data[0] * 16u : 1;
	tunnel = data[0] == 1;
	speaks = tunnel ? dial_tunnel(&hears) : dial();
	if (!tunnel)
		hears = speaks;
	require(endpoint.quota->used == (tunnel ? 2 : 1));
	for (size_t at = 1; at < size; at += piece) {
		size_t left = size - at;

		if (send(speaks, data + at, left < piece ? left : piece, MSG_NOSIGNAL) < 0)
			break; /* it has closed */
		turn();
		add_unit();
		turn();
		feed_for_each_cursor(feed, check_report, NULL);
		len = hear(hears, text, len, sizeof text - 1);
	}
	for (int i = 0; i < 4; i++)
		turn();
	len = hear(hears, text, len, sizeof text - 1);
	text[len] = '\0';
	check_output(text, len, len < sizeof text - 1);
	close(speaks);
	if (tunnel)
		close(hears);
	for (int i = 0; i < 100 && endpoint.quota->used + places.used > 0; i++) {
		add_unit(); /* a viewer that is gone is noticed by what is sent to it */
		turn();
	}
	require(endpoint.quota->used + places.used == 0);
	return 0;
}
