/* SPDX-License-Identifier: BSD-2-Clause */
/* Viewers over UDP: where their packets go and come from, when they begin and end, and what the
 * kernel may refuse. */
#include "tests/unit/rtsp_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "camcast/rtp.h"
#include "media/rtp.h"
#include "tests/unit/open_fds.h"

/* --- the kernel, as udp.c sees it --- */

static int fail_with;	     /* errno of sendmmsg(); 0: none. Once, if it is EAGAIN or ENOBUFS */
static bool no_segmentation; /* as before 4.18 */
static unsigned calls;

int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
	calls++;
	for (unsigned i = 0; i < n && no_segmentation; i++) {
		if (messages[i].msg_hdr.msg_control) {
			errno = EINVAL;
			return -1;
		}
	}
	if (fail_with != 0) {
		errno = fail_with;
		if (errno == EAGAIN || errno == ENOBUFS)
			fail_with = 0;
		return -1;
	}
	return (int)syscall(SYS_sendmmsg, fd, messages, n, flags);
}

/* --- a peer --- */

struct peer {
	struct rtsp_rig *r;
	int fd;	       /* RTSP */
	int rtp, rtcp; /* its ports; rtcp has the next number */
	uint16_t port, server_port;
	uint8_t data[65536]; /* of the newest datagram */
	size_t len;
	uint16_t from;
};

static void open_ports(struct peer *p)
{
	p->port = rtsp_bind_pair(&p->rtp, &p->rtcp);
}

static struct peer *begin(void **state)
{
	static struct peer peer;
	struct peer *p = &peer;

	fail_with = 0;
	no_segmentation = false;
	calls = 0;
	p->r = rtsp_rig_start(state);
	p->r->rtsp.udp = true;
	p->fd = rtsp_dial(p->r, 0);
	open_ports(p);
	return p;
}

static void end(struct peer *p)
{
	close(p->fd);
	close(p->rtp);
	close(p->rtcp);
	rig_settle(p->r->rig.loop);
	assert_int_equal(p->r->door.quota->used + p->r->places.used, 0);
	assert_int_equal(p->r->rtsp.ports.n, 0);
	rtsp_rig_stop(p->r);
}

static int set_up(struct peer *p, const char *format)
{
	char header[256];
	const char *found;
	int status;

	snprintf(header, sizeof header, format, p->port, p->port + 1u);
	status = rtsp_ask(p->r, p->fd, "SETUP", RTSP_URL "/trackID=0", header);
	found = strstr(p->r->heard, "server_port=");
	if (found)
		p->server_port = (uint16_t)atoi(found + 12);
	return status;
}

#define UDP "Transport: RTP/AVP;unicast;client_port=%u-%u\r\n"

static void play(struct peer *p)
{
	assert_int_equal(set_up(p, UDP), 200);
	assert_int_equal(rtsp_ask(p->r, p->fd, "PLAY", RTSP_URL "/", ""), 200);
}

/* Adds a unit some time after the last one. */
static void add_unit(struct peer *p, bool key, size_t len)
{
	size_t unit_len;

	rig_pass(&p->r->rig, 5000);
	rtsp_unit(p->r, key, len, &unit_len);
}

/* Reads a datagram that is there. */
static bool receive(struct peer *p, int fd)
{
	struct sockaddr_in from;
	socklen_t len = sizeof from;
	ssize_t n = recvfrom(fd, p->data, sizeof p->data, 0, (struct sockaddr *)&from, &len);

	if (n < 0)
		return false;
	p->len = (size_t)n;
	p->from = ntohs(from.sin_port);
	return true;
}

static unsigned drain(struct peer *p, int fd)
{
	unsigned n = 0;

	while (receive(p, fd))
		n++;
	return n;
}

static uint16_t sequence_of(const struct peer *p)
{
	return (uint16_t)(p->data[2] << 8 | p->data[3]);
}

static void report(struct peer *p, uint16_t to)
{
	static const uint8_t data[] = {0x81, 201,  0, 7, 0, 0, 0, 1, 0xab, 0xcd, 0xef,
				       0x01, 128,  0, 0, 5, 0, 0, 0, 9,	   0,	 0,
				       0x03, 0x84, 0, 0, 0, 0, 0, 0, 0,	   0};
	const struct sockaddr_in address = {.sin_family = AF_INET,
					    .sin_port = htons(to),
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	assert_int_equal(sendto(p->rtcp, data, sizeof data, 0, (const struct sockaddr *)&address,
				sizeof address),
			 sizeof data);
	rig_settle(p->r->rig.loop);
}

/* Whether the server has ended the session. */
static bool has_ended(struct peer *p)
{
	rtsp_hear(p->r, p->fd);
	return p->r->ended;
}

/* --- the usual way --- */

static void packets_go_to_the_ports_that_the_peer_named(void **state)
{
	struct peer *p = begin(state);
	uint16_t first = p->r->sequence;
	char answer[128];
	size_t len;

	play(p);
	assert_int_equal(p->server_port % 2, 0);
	rtsp_unit(p->r, true, 5000, &len);
	for (int i = 0; i < 4; i++) {
		assert_true(receive(p, p->rtp));
		assert_int_equal(p->from, p->server_port);
		assert_int_equal(sequence_of(p), (uint16_t)(first + i));
		assert_int_equal(p->len, i < 3 ? RTP_HEAD + 1388 : RTP_HEAD + 5000 - 3 * 1388);
	}
	assert_false(receive(p, p->rtp));
	assert_true(receive(p, p->rtcp));
	assert_int_equal(p->from, p->server_port + 1);
	assert_int_equal(p->len, RTP_REPORT_LEN - RTP_FRAME_HEAD);
	assert_int_equal(p->data[1], 200);
	assert_string_equal(rtsp_hear(p->r, p->fd), "");
	assert_int_equal(calls, 1); /* a unit is one system call */
	assert_int_equal(feed_stats(p->r->rig.feed)->audience.sent_bytes, len);
	assert_int_equal(set_up(p, UDP), 200); /* again, while it plays */
	snprintf(answer, sizeof answer,
		 "Transport: RTP/AVP;unicast;client_port=%u-%u;server_port=%u-%u;ssrc=ABCDEF01",
		 p->port, p->port + 1u, p->server_port, p->server_port + 1u);
	assert_non_null(strstr(p->r->heard, answer));
	end(p);
}

static void a_viewer_begins_with_the_next_key_unit(void **state)
{
	struct peer *p = begin(state);

	add_unit(p, true, 1000);
	add_unit(p, false, 1000);
	play(p);
	assert_null(strstr(p->r->heard, "RTP-Info"));
	assert_int_equal(p->r->rig.idrs, 1);
	add_unit(p, false, 1000);
	assert_int_equal(drain(p, p->rtp), 0);
	add_unit(p, true, 1000);
	add_unit(p, false, 1000);
	assert_int_equal(drain(p, p->rtp), 2);
	end(p);
}

static void a_large_picture_is_sent_in_pieces(void **state)
{
	struct peer *p = begin(state);
	const int room = 4 << 20;
	unsigned got = 0;

	(void)setsockopt(p->rtp, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	play(p);
	add_unit(p, true, (size_t)90 * 1388);
	assert_int_equal(drain(p, p->rtp), 90); /* at once */
	rig_pass(&p->r->rig, 33000);
	add_unit(p, false, (size_t)200 * 1388);
	for (unsigned want = 46; got < 200; want = want + 46 < 200 ? want + 46 : 200) {
		got += drain(p, p->rtp);
		assert_int_equal(got, want);
		rig_pass(&p->r->rig, 1000);
		assert_int_equal(drain(p, p->rtp), 0);
		rig_pass(&p->r->rig, 1000);
	}
	add_unit(p, false, 100);
	assert_int_equal(drain(p, p->rtp), 1);
	end(p);
}

static void pause_and_play_begin_again_at_a_key_unit(void **state)
{
	struct peer *p = begin(state);

	play(p);
	add_unit(p, true, 100);
	assert_int_equal(rtsp_ask(p->r, p->fd, "PLAY", RTSP_URL, ""), 200); /* twice: no change */
	add_unit(p, false, 100);
	assert_int_equal(drain(p, p->rtp), 2);
	assert_int_equal(feed_stats(p->r->rig.feed)->audience.joined, 1);
	assert_int_equal(rtsp_ask(p->r, p->fd, "PAUSE", RTSP_URL, ""), 200);
	add_unit(p, true, 100);
	assert_int_equal(drain(p, p->rtp), 0);
	assert_int_equal(rtsp_ask(p->r, p->fd, "PLAY", RTSP_URL, ""), 200);
	add_unit(p, false, 100);
	add_unit(p, true, 100);
	assert_int_equal(drain(p, p->rtp), 1);
	assert_int_equal(rtsp_ask(p->r, p->fd, "TEARDOWN", RTSP_URL, ""), 200);
	add_unit(p, true, 100);
	assert_int_equal(drain(p, p->rtp), 0);
	end(p);
}

static void the_end_of_the_connection_is_the_end_of_the_packets(void **state)
{
	struct peer *p = begin(state);

	play(p);
	close(p->fd);
	rig_settle(p->r->rig.loop);
	add_unit(p, true, 100);
	assert_int_equal(drain(p, p->rtp), 0);
	assert_int_equal(p->r->places.used, 0);
	p->fd = rtsp_dial(p->r, 0);
	end(p);
}

/* --- what may be asked for --- */

static void ports_and_transports_are_checked(void **state)
{
	static const char *const refused[] = {
		"RTP/AVP;unicast",
		"RTP/AVP;unicast;client_port=0-1",
		"RTP/AVP;unicast;client_port=53",
		"RTP/AVP;unicast;client_port=1023-1024",
		"RTP/AVP;unicast;client_port=65535",
		"RTP/AVP;unicast;client_port=65536-65537",
		"RTP/AVP;unicast;client_port=99999999999999999999",
		"RTP/AVP;unicast;client_port=5000-",
		"RTP/AVP;unicast;client_port=5000-5001x",
		"RTP/AVP;unicast;client_port=-5000",
		"RTP/AVP;multicast;client_port=5000-5001",
		"RTP/AVP;unicast;client_port=5000-5001;mode=record",
		"RTP/SAVP;unicast;client_port=5000-5001",
	};
	struct peer *p = begin(state);
	char header[256];

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		snprintf(header, sizeof header, "Transport: %s\r\n", refused[i]);
		assert_int_equal(rtsp_ask(p->r, p->fd, "SETUP", RTSP_URL, header), 461);
	}
	p->r->rtsp.udp = false;
	assert_int_equal(set_up(p, UDP), 461);
	assert_int_equal(p->r->rtsp.ports.n, 0);
	end(p);
}

static void the_first_transport_that_is_served_is_taken(void **state)
{
	struct peer *p = begin(state);

	assert_int_equal(set_up(p, "Transport: RTP/AVP/TCP;interleaved=0-1,RTP/AVP;unicast;"
				   "client_port=%u-%u\r\n"),
			 200);
	assert_non_null(strstr(p->r->heard, "interleaved=0-1"));
	/* Before PLAY another one may be chosen. */
	assert_int_equal(set_up(p, "Transport: RTP/AVP/UDP;unicast;destination=192.0.2.1;"
				   "client_port=%u-%u,RTP/AVP/TCP\r\n"),
			 200);
	assert_non_null(strstr(p->r->heard, "Transport: RTP/AVP/UDP;unicast;client_port="));
	assert_int_equal(rtsp_ask(p->r, p->fd, "PLAY", RTSP_URL, ""), 200);
	assert_int_equal(rtsp_ask(p->r, p->fd, "SETUP", RTSP_URL, RTSP_TRANSPORT), 455);
	add_unit(p, true, 100);
	assert_int_equal(drain(p, p->rtp), 1); /* to the peer, wherever it wanted it */
	end(p);
}

static void more_setups_cost_nothing(void **state)
{
	struct peer *p = begin(state);
	unsigned before;

	assert_int_equal(set_up(p, UDP), 200);
	before = open_fds();
	for (int i = 0; i < 20; i++)
		assert_int_equal(set_up(p, UDP), 200);
	assert_int_equal(open_fds(), before);
	assert_int_equal(p->r->rtsp.ports.n, 1);
	end(p);
}

static void viewers_share_the_ports_of_the_server(void **state)
{
	struct peer *p = begin(state), second = *p;

	play(p);
	second.fd = rtsp_dial(p->r, 0);
	open_ports(&second);
	play(&second);
	/* Both ends of a connection of the rig have ports of their own. */
	add_unit(p, true, 1000);
	assert_int_equal(drain(p, p->rtp), 1);
	assert_int_equal(p->from, p->server_port);
	assert_int_equal(drain(&second, second.rtp), 1);
	assert_int_equal(second.from, second.server_port);
	close(second.fd);
	close(second.rtp);
	close(second.rtcp);
	rig_settle(p->r->rig.loop);
	end(p);
}

/* --- signs of life --- */

static void note_report(const struct cursor *cursor, void *user)
{
	if (cursor->sink->report(cursor, user))
		assert_string_equal(cursor->sink->scheme(cursor), "rtsp+udp");
}

static void receiver_reports_keep_the_session(void **state)
{
	struct peer *p = begin(state);
	struct sink_report shown = {.lost = 77};

	play(p);
	feed_for_each_cursor(p->r->rig.feed, note_report, &shown);
	assert_int_equal(shown.lost, 77); /* none has come */
	for (int i = 0; i < 5; i++) {
		rig_pass(&p->r->rig, 55000000);
		report(p, p->server_port + 1);
	}
	feed_for_each_cursor(p->r->rig.feed, note_report, &shown);
	assert_int_equal(shown.lost, 5);
	assert_int_equal(shown.permille, 500);
	assert_int_equal(shown.jitter_us, 10000);
	assert_false(has_ended(p));
	rig_pass(&p->r->rig, 55000000);
	assert_int_equal(rtsp_ask(p->r, p->fd, "GET_PARAMETER", RTSP_URL, ""), 200);
	rig_pass(&p->r->rig, 55000000);
	assert_int_equal(rtsp_ask(p->r, p->fd, "OPTIONS", "*", ""), 200);
	rig_pass(&p->r->rig, 55000000);
	report(p, p->server_port); /* that is no place for reports */
	rig_pass(&p->r->rig, 6000000);
	assert_true(has_ended(p));
	end(p);
}

static void what_is_no_report_is_no_sign_of_life(void **state)
{
	static const char *const texts[] = {"", "x", "\x81\xc9\x7f\xff", "\x41\xc9"};
	struct peer *p = begin(state);
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint8_t huge[4000] = {0x80, 201, 0x03, 0xe7};
	int stranger = rtsp_bind_port(0);

	play(p);
	rig_pass(&p->r->rig, 55000000);
	address.sin_port = htons(p->server_port + 1);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		(void)sendto(p->rtcp, texts[i], strlen(texts[i]), 0, (struct sockaddr *)&address,
			     sizeof address);
	assert_int_equal(
		sendto(p->rtcp, huge, sizeof huge, 0, (struct sockaddr *)&address, sizeof address),
		sizeof huge);
	assert_int_equal(sendto(stranger, "\x80\xc9\0\1\0\0\0\1", 8, 0, (struct sockaddr *)&address,
				sizeof address),
			 8);
	rig_pass(&p->r->rig, 6000000);
	assert_true(has_ended(p));
	close(stranger);
	end(p);
}

static void a_peer_where_nobody_listens_is_given_some_time(void **state)
{
	struct peer *p = begin(state);

	play(p);
	close(p->rtp);
	add_unit(p, true, 100);
	for (int i = 0; i < 4; i++) { /* refused from time to time: a restart of its player */
		rig_pass(&p->r->rig, 1000000);
		add_unit(p, false, 100);
	}
	assert_false(has_ended(p));
	rig_pass(&p->r->rig, 3000000);
	for (int i = 0; i < 5; i++) {
		add_unit(p, false, 100);
		assert_false(has_ended(p));
		rig_pass(&p->r->rig, 1000000);
	}
	for (int i = 0; i < 3; i++) {
		add_unit(p, false, 100);
		rig_pass(&p->r->rig, 500000);
	}
	assert_true(has_ended(p));
	p->rtp = rtsp_bind_port(0);
	end(p);
}

static void a_peer_that_sends_without_end_is_noise(void **state)
{
	static const char frame[1000] = {'$', 9, 996 >> 8, 996 & 0xff};
	struct peer *p = begin(state);
	const uint64_t *left = feed_stats(p->r->rig.feed)->audience.left;

	play(p);
	for (int i = 0; i < 80; i++) {
		if (send(p->fd, frame, sizeof frame, MSG_NOSIGNAL) < 0)
			break;
		rig_settle(p->r->rig.loop);
	}
	assert_true(has_ended(p));
	assert_int_equal(left[CURSOR_END_NOISE], 1);
	assert_int_equal(left[CURSOR_END_PEER], 0);
	end(p);
}

/* --- what the kernel may refuse --- */

static void without_segmentation_each_packet_is_a_message(void **state)
{
	struct peer *p = begin(state);

	no_segmentation = true;
	play(p);
	add_unit(p, true, (size_t)50 * 1388);
	assert_int_equal(drain(p, p->rtp), 50);
	assert_int_equal(calls, 2);
	rig_pass(&p->r->rig, 33000);
	add_unit(p, false, (size_t)10 * 1388);
	assert_int_equal(drain(p, p->rtp), 10);
	assert_int_equal(calls, 3); /* it is not tried again */
	end(p);
}

static void a_full_socket_waits_as_any_sink(void **state)
{
	struct peer *p = begin(state);

	play(p);
	add_unit(p, true, 100);
	assert_int_equal(drain(p, p->rtp), 1);
	fail_with = EAGAIN;
	add_unit(p, false, 100);
	add_unit(p, false, 100);
	assert_int_equal(drain(p, p->rtp), 2);
	fail_with = ENOBUFS;
	add_unit(p, false, 100);
	assert_int_equal(drain(p, p->rtp), 0);
	rig_pass(&p->r->rig, 10000);
	assert_int_equal(drain(p, p->rtp), 1);
	end(p);
}

static void a_way_that_is_gone_costs_pictures(void **state)
{
	struct peer *p = begin(state);

	play(p);
	add_unit(p, true, 100);
	fail_with = ENETUNREACH;
	add_unit(p, false, 5000);
	fail_with = EMSGSIZE;
	add_unit(p, false, 5000);
	fail_with = 0;
	rig_pass(&p->r->rig, 33000);
	drain(p, p->rtp);
	add_unit(p, true, 100);
	assert_int_equal(drain(p, p->rtp), 1);
	fail_with = ENETUNREACH;
	for (int i = 0; i < 8; i++) {
		rig_pass(&p->r->rig, 1000000);
		add_unit(p, false, 100);
	}
	assert_true(has_ended(p));
	end(p);
}

static void packets_that_never_fit_end_the_session(void **state)
{
	struct peer *p = begin(state);

	play(p);
	add_unit(p, true, 100);
	fail_with = EMSGSIZE;
	for (int i = 0; i < 8; i++) {
		rig_pass(&p->r->rig, 1000000);
		add_unit(p, false, 100);
	}
	assert_true(has_ended(p));
	end(p);
}

static void a_stream_that_goes_takes_its_viewers_along(void **state)
{
	struct peer *p = begin(state);

	play(p);
	add_unit(p, true, 100);
	rig_drain(&p->r->rig);
	rig_settle(p->r->rig.loop);
	assert_true(has_ended(p));
	assert_int_equal(p->r->places.used, 0);
	end(p);
}

static void without_memory_a_play_is_refused(void **state)
{
	struct peer *p = begin(state);

	assert_int_equal(set_up(p, UDP), 200);
	rig_no_memory = true;
	assert_true(rtsp_ask(p->r, p->fd, "PLAY", RTSP_URL, "") != 200);
	rig_no_memory = false;
	end(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(packets_go_to_the_ports_that_the_peer_named),
		ON_BOTH(a_viewer_begins_with_the_next_key_unit),
		ON_BOTH(a_large_picture_is_sent_in_pieces),
		ON_BOTH(pause_and_play_begin_again_at_a_key_unit),
		ON_BOTH(the_end_of_the_connection_is_the_end_of_the_packets),
		ON_BOTH(ports_and_transports_are_checked),
		ON_BOTH(the_first_transport_that_is_served_is_taken),
		ON_BOTH(more_setups_cost_nothing),
		ON_BOTH(viewers_share_the_ports_of_the_server),
		ON_BOTH(receiver_reports_keep_the_session),
		ON_BOTH(what_is_no_report_is_no_sign_of_life),
		ON_BOTH(a_peer_where_nobody_listens_is_given_some_time),
		ON_BOTH(a_peer_that_sends_without_end_is_noise),
		ON_BOTH(without_segmentation_each_packet_is_a_message),
		ON_BOTH(a_full_socket_waits_as_any_sink),
		ON_BOTH(a_way_that_is_gone_costs_pictures),
		ON_BOTH(packets_that_never_fit_end_the_session),
		ON_BOTH(a_stream_that_goes_takes_its_viewers_along),
		ON_BOTH(without_memory_a_play_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
