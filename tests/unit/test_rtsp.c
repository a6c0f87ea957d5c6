/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions of RTSP: what each request is answered, and what a peer may not do. */
#include "tests/unit/rtsp_rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/rtsp/transport.h"
#include "media/rtp.h"

static void hang_up(struct rtsp_rig *r, int fd)
{
	close(fd);
	rig_settle(r->rig.loop);
	assert_int_equal(r->door.quota->used + r->places.used, 0);
	rtsp_rig_stop(r);
}

/* That heard ends with a unit, as it is. */
static void assert_ends_with(const struct rtsp_rig *r, const uint8_t *unit, size_t len)
{
	assert_true(r->len >= len);
	assert_memory_equal(r->heard + r->len - len, unit, len);
}

/* --- the usual way --- */

static void a_description_waits_for_the_parameter_sets(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);
	size_t len;

	assert_int_equal(rtsp_ask(r, fd, "DESCRIBE", RTSP_URL, "Accept: application/sdp\r\n"), 0);
	assert_int_equal(r->rig.watched, 1); /* the worker begins */
	rtsp_unit(r, true, 100, &len);
	rtsp_hear(r, fd);
	assert_non_null(strstr(r->heard, "RTSP/1.0 200 OK\r\nCSeq: 7\r\n"));
	assert_non_null(strstr(r->heard, "Content-Base: rtsp://cam:8554/front/\r\n"));
	assert_non_null(strstr(r->heard, "Content-Type: application/sdp\r\n"));
	assert_non_null(strstr(r->heard, "IN IP4 127.0.0.1\r\ns=front\r\nc=IN IP4 0.0.0.0\r\n"
					 "t=0 0\r\na=control:*\r\na=range:npt=now-\r\n"
					 "m=video 0 RTP/AVP 96\r\nb=AS:2000\r\n"
					 "a=rtpmap:96 H264/90000\r\n"
					 "a=fmtp:96 packetization-mode=1;profile-level-id=64001E;"
					 "sprop-parameter-sets=Z2QAHqw=,aOs=\r\n"
					 "a=framerate:29.970\r\na=control:trackID=0\r\n"));
	/* The next one does not wait. */
	assert_int_equal(rtsp_ask(r, fd, "DESCRIBE", RTSP_URL "/?x=y", ""), 200);
	hang_up(r, fd);
	assert_int_equal(r->rig.unwatched, 1);
}

static void a_description_of_jpegs_needs_no_parameters(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);
	size_t len;

	r->jpeg = true;
	rtsp_unit(r, true, 100, &len);
	assert_int_equal(rtsp_ask(r, fd, "DESCRIBE", RTSP_URL, ""), 200);
	assert_non_null(strstr(r->heard, "m=video 0 RTP/AVP 26\r\nb=AS:2000\r\n"
					 "a=rtpmap:26 JPEG/90000\r\na=framerate"));
	hang_up(r, fd);
}

static void without_a_picture_a_description_fails_after_three_seconds(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);

	assert_int_equal(rtsp_ask(r, fd, "DESCRIBE", RTSP_URL, ""), 0);
	rig_pass(&r->rig, 2900000);
	assert_string_equal(rtsp_hear(r, fd), "");
	rig_pass(&r->rig, 200000);
	assert_non_null(strstr(rtsp_hear(r, fd), "RTSP/1.0 503 "));
	assert_false(r->ended);
	hang_up(r, fd);
}

static void a_viewer_plays_from_the_unit_that_the_answer_names(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);
	const uint8_t *unit;
	char info[128];
	size_t len;

	rtsp_unit(r, true, 5000, &len);
	snprintf(info, sizeof info,
		 "RTP-Info: url=rtsp://cam:8554/front/trackID=0;seq=%u;rtptime=%u\r\n", 65000u,
		 0xfffff000u);
	assert_int_equal(rtsp_ask(r, fd, "SETUP", RTSP_URL "/trackID=0", RTSP_TRANSPORT), 200);
	assert_non_null(strstr(r->heard, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;"
					 "ssrc=ABCDEF01;mode=\"PLAY\"\r\n"));
	assert_non_null(strstr(r->heard, ";timeout=60\r\n"));
	assert_int_equal(rtsp_ask(r, fd, "PLAY", RTSP_URL "/", "Range: npt=0.000-\r\n"), 200);
	assert_non_null(strstr(r->heard, info));
	assert_int_equal(r->len - (size_t)(strstr(r->heard, "\r\n\r\n") + 4 - r->heard), len);
	unit = rtsp_unit(r, false, 3000, &len);
	rtsp_hear(r, fd);
	assert_int_equal(r->len, len);
	assert_ends_with(r, unit, len);
	assert_int_equal(r->door.quota->used, 0);
	assert_int_equal(r->places.used, 1);
	/* The connection is the session: it needs no sign of life. */
	for (int i = 0; i < 100; i++) {
		rig_pass(&r->rig, 60000000);
		rtsp_unit(r, true, 10, &len);
		rtsp_hear(r, fd);
		assert_int_equal(r->len, len);
	}
	hang_up(r, fd);
}

static void without_a_recent_key_unit_no_packet_is_named(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);
	const uint8_t *unit;
	size_t len;

	rtsp_unit(r, true, 100, &len);
	rig_pass(&r->rig, 600000);
	rtsp_play(r, fd);
	assert_null(strstr(r->heard, "RTP-Info"));
	assert_int_equal(r->heard[r->len - 1], '\n');
	assert_int_equal(r->rig.idrs, 1);
	unit = rtsp_unit(r, true, 100, &len);
	rtsp_hear(r, fd);
	assert_int_equal(r->len, len);
	assert_ends_with(r, unit, len);
	hang_up(r, fd);
}

static void a_second_play_is_no_new_beginning(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);
	size_t len;

	rtsp_unit(r, true, 100, &len);
	rtsp_play(r, fd);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(rtsp_ask(r, fd, "PLAY", RTSP_URL, ""), 200);
		assert_null(strstr(r->heard, "RTP-Info"));
		assert_string_equal(strstr(r->heard, "\r\n\r\n"), "\r\n\r\n");
		rtsp_unit(r, false, 50, &len);
		rtsp_hear(r, fd);
		assert_int_equal(r->len, len);
	}
	assert_int_equal(feed_stats(r->rig.feed)->audience.joined, 1);
	hang_up(r, fd);
}

static void a_pause_stops_the_packets_and_keeps_the_place(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);
	const uint8_t *unit;
	size_t len;

	rtsp_unit(r, true, 100, &len);
	rtsp_play(r, fd);
	assert_int_equal(rtsp_ask(r, fd, "PAUSE", RTSP_URL, ""), 200);
	rtsp_unit(r, true, 100, &len);
	assert_string_equal(rtsp_hear(r, fd), "");
	assert_int_equal(r->places.used, 1);
	assert_int_equal(rtsp_ask(r, fd, "PAUSE", RTSP_URL, ""), 200);
	assert_int_equal(rtsp_ask(r, fd, "PLAY", RTSP_URL, ""), 200);
	unit = rtsp_unit(r, false, 100, &len);
	rtsp_hear(r, fd);
	assert_ends_with(r, unit, len);
	/* A pause ends when nothing is heard for a minute. */
	assert_int_equal(rtsp_ask(r, fd, "PAUSE", RTSP_URL, ""), 200);
	rig_pass(&r->rig, 59000000);
	assert_int_equal(rtsp_ask(r, fd, "GET_PARAMETER", RTSP_URL, ""), 200);
	rig_pass(&r->rig, 59000000);
	rtsp_hear(r, fd);
	assert_false(r->ended);
	rig_pass(&r->rig, 2000000);
	rtsp_hear(r, fd);
	assert_true(r->ended);
	hang_up(r, fd);
}

static void nothing_comes_twice_after_a_pause(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);
	const uint8_t *unit;
	char info[64];
	size_t len;

	rtsp_unit(r, true, 100, &len);
	rtsp_play(r, fd);
	for (int i = 0; i < 2; i++) { /* also where nothing came between two pauses */
		assert_int_equal(rtsp_ask(r, fd, "PAUSE", RTSP_URL, ""), 200);
		assert_int_equal(rtsp_ask(r, fd, "PLAY", RTSP_URL, ""), 200);
		assert_null(strstr(r->heard, "RTP-Info:"));
		assert_string_equal(strstr(r->heard, "\r\n\r\n"), "\r\n\r\n");
	}
	rtsp_unit(r, false, 100, &len);
	rtsp_hear(r, fd);
	assert_int_equal(r->len, len);
	/* What came meanwhile is not lost, */
	assert_int_equal(rtsp_ask(r, fd, "PAUSE", RTSP_URL, ""), 200);
	snprintf(info, sizeof info, ";seq=%u;", r->sequence);
	unit = rtsp_unit(r, false, 100, &len);
	assert_int_equal(rtsp_ask(r, fd, "PLAY", RTSP_URL, ""), 200);
	assert_non_null(strstr(r->heard, info));
	assert_int_equal(r->len - (size_t)(strstr(r->heard, "\r\n\r\n") + 4 - r->heard), len);
	assert_ends_with(r, unit, len);
	/* unless there is a key unit. */
	assert_int_equal(rtsp_ask(r, fd, "PAUSE", RTSP_URL, ""), 200);
	rtsp_unit(r, false, 100, &len);
	unit = rtsp_unit(r, true, 100, &len);
	assert_int_equal(rtsp_ask(r, fd, "PLAY", RTSP_URL, ""), 200);
	assert_int_equal(r->len - (size_t)(strstr(r->heard, "\r\n\r\n") + 4 - r->heard), len);
	assert_ends_with(r, unit, len);
	hang_up(r, fd);
}

static void a_teardown_ends_the_connection(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);
	size_t len;

	rtsp_unit(r, true, 100, &len);
	rtsp_play(r, fd);
	assert_int_equal(rtsp_ask(r, fd, "TEARDOWN", RTSP_URL, ""), 200);
	assert_true(r->ended);
	rtsp_unit(r, true, 100, &len);
	rtsp_say(r, fd, "OPTIONS * RTSP/1.0\r\n\r\n"); /* read, and not answered */
	rig_pass(&r->rig, 1100000);
	assert_int_equal(r->rtsp.stats.timed_out, 0);
	hang_up(r, fd);
}

/* --- answers and units --- */

static void an_answer_waits_for_the_end_of_the_unit_under_way(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 4096);
	const uint8_t *unit;
	size_t len, answer_len;
	const char *answer;

	rtsp_unit(r, true, 100, &len);
	rtsp_play(r, fd);
	unit = rtsp_unit(r, false, 600000, &len);
	rtsp_say(
		r, fd,
		"GET_PARAMETER * RTSP/1.0\r\nCSeq: 8\r\n\r\nOPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n");
	rtsp_hear(r, fd);
	assert_memory_equal(r->heard, unit, len);
	answer = r->heard + len;
	answer_len = r->len - len;
	assert_int_equal(strlen(answer), answer_len);
	assert_non_null(strstr(answer, "RTSP/1.0 200 OK\r\nCSeq: 8\r\n"));
	assert_non_null(strstr(answer, "RTSP/1.0 200 OK\r\nCSeq: 9\r\nPublic: OPTIONS"));
	unit = rtsp_unit(r, false, 100, &len);
	rtsp_hear(r, fd);
	assert_int_equal(r->len, len);
	assert_ends_with(r, unit, len);
	hang_up(r, fd);
}

static void requests_may_come_all_at_once(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);
	const char *at;
	size_t len;

	rtsp_say(
		r, fd,
		"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"
		"DESCRIBE rtsp://c/front RTSP/1.0\r\nCSeq: 2\r\n\r\n"
		"SETUP rtsp://c/front/trackID=0 RTSP/1.0\r\nCSeq: 3\r\n" RTSP_TRANSPORT "\r\n"
		"PLAY rtsp://c/front RTSP/1.0\r\nCSeq: 4\r\n\r\n"
		"GET_PARAMETER rtsp://c/front RTSP/1.0\r\nCSeq: 5\r\nContent-Length: 5\r\n\r\nabcde"
		"OPTIONS * RTSP/1.0\r\nCSeq: 6\r\n\r\n");
	rtsp_unit(r, true, 100, &len);
	at = rtsp_hear(r, fd);
	for (int i = 1; i <= 4; i++) {
		char text[32];

		snprintf(text, sizeof text, "RTSP/1.0 200 OK\r\nCSeq: %d\r\n", i);
		at = strstr(at, text);
		assert_non_null(at);
	}
	at = strstr(at, "\r\n\r\n") + 4;
	assert_int_equal(*at, '$');
	assert_memory_equal(r->heard + r->len - 4, "\r\n\r\n", 4);
	hang_up(r, fd);
}

static void pieces_of_any_length_make_no_difference(void **state)
{
	static const char text[] =
		"\r\n$\x07\0\3\0\0\0OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n$\xff\0\0"
		"SET_PARAMETER * RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 3\r\n\r\n$$$"
		"OPTIONS * RTSP/1.0\r\nCSeq: 3\r\n\r\n";

	for (size_t piece = 1; piece < 30; piece += 7) {
		struct rtsp_rig *r = rtsp_rig_start(state);
		int fd = rtsp_dial(r, 0);

		for (size_t at = 0; at < sizeof text - 1; at += piece) {
			size_t left = sizeof text - 1 - at, n = left < piece ? left : piece;

			assert_int_equal(send(fd, text + at, n, MSG_NOSIGNAL), n);
			rig_settle(r->rig.loop);
		}
		rtsp_hear(r, fd);
		assert_non_null(strstr(r->heard, "RTSP/1.0 200 OK\r\nCSeq: 1\r\n"));
		assert_non_null(
			strstr(r->heard, "RTSP/1.0 451 Parameter Not Understood\r\nCSeq: 2\r\n"));
		assert_non_null(strstr(r->heard, "RTSP/1.0 200 OK\r\nCSeq: 3\r\n"));
		hang_up(r, fd);
	}
}

/* --- what is refused --- */

static void numbers_of_requests_are_numbers(void **state)
{
	static const char *const lines[] = {"",
					    "CSeq: \r\n",
					    "CSeq: -1\r\n",
					    "CSeq: one\r\n",
					    "CSeq: 12345678901\r\n",
					    "CSeq: 1 2\r\n"};
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		char text[128];

		snprintf(text, sizeof text, "OPTIONS * RTSP/1.0\r\n%s\r\n", lines[i]);
		rtsp_say(r, fd, text);
		assert_string_equal(rtsp_hear(r, fd), "RTSP/1.0 400 Bad Request\r\n\r\n");
	}
	rtsp_say(r, fd, "OPTIONS * RTSP/1.0\r\nCSeq: 4294967295\r\n\r\n");
	assert_non_null(strstr(rtsp_hear(r, fd), "200 OK\r\nCSeq: 4294967295\r\n"));
	hang_up(r, fd);
}

static void a_setup_of_nothing_is_refused(void **state)
{
	static const struct {
		const char *url, *headers;
		int status;
	} cases[] = {
		{"rtsp://c/", RTSP_TRANSPORT, 404},
		{"rtsp://c/back", RTSP_TRANSPORT, 404},
		{"rtsp://c/front/trackID=1", RTSP_TRANSPORT, 404},
		{"rtsp://c/front%zz", RTSP_TRANSPORT, 404},
		{"*", RTSP_TRANSPORT, 404},
		{RTSP_URL, "", 400},
		{RTSP_URL, "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n", 461},
		{RTSP_URL, "Transport: RTP/AVP;multicast\r\n", 461},
		{RTSP_URL, RTSP_TRANSPORT "Session: 0000000000000000\r\n", 454},
		{RTSP_URL, "Require: implicit-play\r\n", 551},
	};
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(rtsp_ask(r, fd, "SETUP", cases[i].url, cases[i].headers),
				 cases[i].status);
	assert_int_equal(rtsp_ask(r, fd, "PLAY", RTSP_URL, ""), 455);
	assert_int_equal(rtsp_ask(r, fd, "PAUSE", RTSP_URL, ""), 455);
	assert_int_equal(rtsp_ask(r, fd, "TEARDOWN", RTSP_URL, ""), 455);
	assert_int_equal(rtsp_ask(r, fd, "RECORD", RTSP_URL, ""), 405);
	assert_int_equal(rtsp_ask(r, fd, "FLY", RTSP_URL, ""), 501);
	assert_int_equal(r->rtsp.stats.refused, sizeof cases / sizeof *cases + 5);
	r->forbidden = true;
	assert_int_equal(rtsp_ask(r, fd, "DESCRIBE", RTSP_URL, ""), 403);
	assert_int_equal(rtsp_ask(r, fd, "SETUP", RTSP_URL, RTSP_TRANSPORT), 403);
	hang_up(r, fd);
}

static void urls_come_in_many_forms(void **state)
{
	static const char *const urls[] = {
		"rtsp://c/front",
		"rtsp://c/front/",
		"rtsp://u:p@c:1/front//",
		"rtsp://c/front/trackID=0",
		"rtsp://c/front/trackID=0/",
		"rtsp://[::1]:8554/front?transport=tcp",
		"rtsp://c/%66ront",
		"/front",
	};
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);

	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
		assert_int_equal(rtsp_ask(r, fd, "SETUP", urls[i], RTSP_TRANSPORT), 200);
	hang_up(r, fd);
}

static bool allows_interleaved(const char *value)
{
	struct transport transport;

	return transport_choose(value, TRANSPORT_INTERLEAVED, &transport);
}

static void transports_are_found_in_any_order(void **state)
{
	(void)state;
	assert_true(allows_interleaved("RTP/AVP/TCP"));
	assert_true(allows_interleaved("rtp/avp/tcp;unicast"));
	assert_true(allows_interleaved("RTP/AVP/TCP;unicast;interleaved=200-201"));
	assert_true(allows_interleaved(" RTP/AVP/TCP ; interleaved=5"));
	assert_true(allows_interleaved(
		"RTP/AVP/UDP;client_port=1-2;x=\"a,b\",RTP/AVP/TCP;mode=\"PLAY\""));
	assert_false(allows_interleaved(""));
	assert_false(allows_interleaved(",;,;"));
	assert_false(allows_interleaved("RTP/AVP"));
	assert_false(allows_interleaved("RTP/AVP;unicast;interleaved=0-1")); /* transport.h */
	assert_false(allows_interleaved("RTP/AVP/TCPX"));
	assert_false(allows_interleaved("RTP/AVP/TCP;multicast"));
	assert_false(allows_interleaved("RTP/AVP/TCP;mode=record"));
	assert_false(allows_interleaved("x=\"RTP/AVP/TCP,RTP/AVP/TCP"));
}

static void transports_may_come_in_several_headers(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);

	assert_int_equal(rtsp_ask(r, fd, "SETUP", RTSP_URL,
				  "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n"
				  "Transport: RTP/SAVP/TCP\r\n" RTSP_TRANSPORT),
			 200);
	assert_int_equal(rtsp_ask(r, fd, "SETUP", RTSP_URL,
				  "Transport: RTP/SAVP\r\nTransport: RTP/AVP/TCP;multicast\r\n"),
			 461);
	hang_up(r, fd);
}

static void a_session_of_others_is_not_found(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0), other = rtsp_dial(r, 0);
	char line[64];

	assert_int_equal(rtsp_ask(r, fd, "SETUP", RTSP_URL, RTSP_TRANSPORT), 200);
	snprintf(line, sizeof line, "Session: %s\r\n", r->session);
	assert_int_equal(rtsp_ask(r, other, "PLAY", RTSP_URL, line), 454);
	assert_int_equal(rtsp_ask(r, other, "TEARDOWN", RTSP_URL, line), 454);
	assert_int_equal(rtsp_ask(r, other, "SETUP", RTSP_URL, RTSP_TRANSPORT), 200);
	assert_int_equal(rtsp_ask(r, other, "PLAY", RTSP_URL, line), 454);
	assert_int_equal(rtsp_ask(r, other, "GET_PARAMETER", RTSP_URL, line), 454);
	assert_int_equal(rtsp_ask(r, fd, "PLAY", RTSP_URL, line), 200);
	close(other);
	hang_up(r, fd);
}

static void what_cannot_be_read_is_answered_once_and_ends_the_connection(void **state)
{
	static const char *const texts[] = {
		"GET / HTTP/1.1\r\n\r\n", "OPTIONS * RTSP/2.0\r\n\r\n", "\x16\x03\x01\r\n\r\n",
		"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n",
		"SET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 5000\r\n\r\n"};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct rtsp_rig *r = rtsp_rig_start(state);
		int fd = rtsp_dial(r, 0);

		rtsp_say(r, fd, texts[i]);
		rtsp_hear(r, fd);
		assert_int_equal(strncmp(r->heard, "RTSP/1.0 4", 9), 0);
		assert_non_null(strstr(r->heard, "Connection: close\r\n\r\n"));
		assert_true(r->ended);
		hang_up(r, fd);
	}
}

/* --- bounds --- */

static void a_peer_that_does_not_play_is_disconnected(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);

	for (int i = 0; i < 9; i++) {
		rig_pass(&r->rig, 1000000);
		assert_int_equal(rtsp_ask(r, fd, "SETUP", RTSP_URL, RTSP_TRANSPORT), 200);
	}
	rig_pass(&r->rig, 1100000);
	rtsp_hear(r, fd);
	assert_true(r->ended);
	assert_int_equal(r->rtsp.stats.timed_out, 1);
	hang_up(r, fd);
}

static void ask_until_it_ends(struct rtsp_rig *r, int fd, const char *a, const char *b)
{
	char headers[2048] = RTSP_TRANSPORT "X: ";
	unsigned n = 0;

	memset(headers + strlen(headers), 'x', sizeof headers - strlen(headers) - 3);
	strcpy(headers + sizeof headers - 3, "\r\n");
	r->ended = false;
	while (!r->ended && n < 10000) {
		int status = rtsp_ask(r, fd, n++ & 1 ? b : a, RTSP_URL, headers);

		assert_true(status == 200 || status == 0);
	}
	assert_in_range(n, 20, 40);
}

static void requests_without_end_are_noise(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);
	size_t len;

	ask_until_it_ends(r, fd, "SETUP", "SETUP");
	close(fd);
	fd = rtsp_dial(r, 0);
	rtsp_unit(r, true, 100, &len);
	rtsp_play(r, fd);
	ask_until_it_ends(r, fd, "PAUSE", "PAUSE");
	close(fd);
	assert_int_equal(feed_stats(r->rig.feed)->audience.left[CURSOR_END_NOISE], 0);
	fd = rtsp_dial(r, 0);
	rtsp_play(r, fd);
	for (int i = 0; i < 80; i++) {
		static const char frame[1000] = {'$', 9, 996 >> 8, 996 & 0xff};

		if (send(fd, frame, sizeof frame, MSG_NOSIGNAL) < 0)
			break;
		rig_settle(r->rig.loop);
	}
	assert_int_equal(feed_stats(r->rig.feed)->audience.left[CURSOR_END_NOISE], 1);
	assert_int_equal(r->rtsp.stats.noise, 3);
	hang_up(r, fd);
}

static void places_of_viewers_are_limited(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fds[4];

	for (int i = 0; i < 4; i++)
		fds[i] = rtsp_dial(r, 0);
	for (int i = 0; i < 3; i++)
		rtsp_play(r, fds[i]);
	assert_int_equal(rtsp_ask(r, fds[3], "SETUP", RTSP_URL, RTSP_TRANSPORT), 200);
	assert_int_equal(rtsp_ask(r, fds[3], "PLAY", RTSP_URL, ""), 503);
	close(fds[0]);
	rig_settle(r->rig.loop);
	assert_int_equal(rtsp_ask(r, fds[3], "PLAY", RTSP_URL, ""), 200);
	for (int i = 1; i < 3; i++)
		close(fds[i]);
	hang_up(r, fds[3]);
}

static void when_all_places_are_taken_an_old_one_is_given(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fds[RTSP_CONNECTIONS_MAX + 1];

	for (int i = 0; i <= RTSP_CONNECTIONS_MAX; i++)
		fds[i] = rtsp_dial(r, 0);
	assert_int_equal(r->door.quota->used, RTSP_CONNECTIONS_MAX);
	rtsp_hear(r, fds[0]);
	assert_true(r->ended);
	assert_int_equal(r->rtsp.stats.displaced, 1);
	assert_int_equal(rtsp_ask(r, fds[RTSP_CONNECTIONS_MAX], "OPTIONS", "*", ""), 200);
	for (int i = 0; i < RTSP_CONNECTIONS_MAX; i++)
		close(fds[i]);
	hang_up(r, fds[RTSP_CONNECTIONS_MAX]);
}

static void a_viewer_that_reads_nothing_is_disconnected(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 4096);
	size_t len;

	rtsp_unit(r, true, 100, &len);
	rtsp_play(r, fd);
	rtsp_unit(r, true, 900000, &len);
	rtsp_say(r, fd, "GET_PARAMETER * RTSP/1.0\r\nCSeq: 8\r\n\r\n");
	rig_pass(&r->rig, 10100000);
	assert_int_equal(feed_stats(r->rig.feed)->audience.left[CURSOR_END_STALL], 1);
	hang_up(r, fd);
}

static void a_stream_that_goes_takes_its_sessions_along(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0), waits = rtsp_dial(r, 0);
	size_t len;

	assert_int_equal(rtsp_ask(r, waits, "DESCRIBE", RTSP_URL, ""), 0);
	rtsp_play(r, fd);
	rtsp_unit(r, true, 100, &len);
	assert_int_equal(rtsp_ask(r, waits, "DESCRIBE", RTSP_URL, ""), 200);
	rig_drain(&r->rig);
	rtsp_hear(r, fd);
	assert_true(r->ended);
	close(fd);
	close(waits);
	rtsp_rig_stop(r);
}

static void without_memory_a_request_costs_its_connection_alone(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0), other = rtsp_dial(r, 0);
	static const char text[] = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n";

	assert_int_equal(send(fd, text, sizeof text - 1, MSG_NOSIGNAL), sizeof text - 1);
	rig_no_memory = true;
	rig_settle(r->rig.loop);
	rig_no_memory = false;
	rtsp_hear(r, fd);
	assert_true(r->ended);
	assert_int_equal(rtsp_ask(r, other, "OPTIONS", "*", ""), 200);
	close(fd);
	hang_up(r, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_description_waits_for_the_parameter_sets),
		ON_BOTH(a_description_of_jpegs_needs_no_parameters),
		ON_BOTH(without_a_picture_a_description_fails_after_three_seconds),
		ON_BOTH(a_viewer_plays_from_the_unit_that_the_answer_names),
		ON_BOTH(without_a_recent_key_unit_no_packet_is_named),
		ON_BOTH(a_second_play_is_no_new_beginning),
		ON_BOTH(a_pause_stops_the_packets_and_keeps_the_place),
		ON_BOTH(nothing_comes_twice_after_a_pause),
		ON_BOTH(a_teardown_ends_the_connection),
		ON_BOTH(an_answer_waits_for_the_end_of_the_unit_under_way),
		ON_BOTH(requests_may_come_all_at_once),
		ON_BOTH(pieces_of_any_length_make_no_difference),
		ON_BOTH(numbers_of_requests_are_numbers),
		ON_BOTH(a_setup_of_nothing_is_refused),
		ON_BOTH(urls_come_in_many_forms),
		ON_BOTH(transports_are_found_in_any_order),
		ON_BOTH(transports_may_come_in_several_headers),
		ON_BOTH(a_session_of_others_is_not_found),
		ON_BOTH(what_cannot_be_read_is_answered_once_and_ends_the_connection),
		ON_BOTH(a_peer_that_does_not_play_is_disconnected),
		ON_BOTH(requests_without_end_are_noise),
		ON_BOTH(places_of_viewers_are_limited),
		ON_BOTH(when_all_places_are_taken_an_old_one_is_given),
		ON_BOTH(a_viewer_that_reads_nothing_is_disconnected),
		ON_BOTH(a_stream_that_goes_takes_its_sessions_along),
		ON_BOTH(without_memory_a_request_costs_its_connection_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
