/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP answers that are made of a feed: live streams, WebSockets, and ranges of its log; and many
 * requests on one connection. */
#include "tests/unit/feed_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/serve/http.h"
#include "daemon/serve/websocket.h"

#define HEARD_MAX (1 << 20)

struct fixture {
	struct rig rig;
	struct http http;
	struct endpoint questions, live, socket, many;
	struct quota viewers;
	struct feed_waiter waiter;
	unsigned called, gone;
	char body[HTTP_BODY_MAX + 1];
	uint8_t heard[HEARD_MAX + 1];
	size_t len;
	bool ended;
};

static void answer(void *user, const struct http_request *request, struct http_question *question)
{
	struct fixture *f = user;
	struct http_answer answer = {.status = 200, .type = "video/x", .body = "begin", .len = 5};
	unsigned from, until;

	memcpy(f->body, request->body ? request->body : "", request->body_len);
	f->body[request->body_len] = '\0';
	if (strcmp(request->path, "/live") == 0)
		http_stream(question, &answer, &f->live);
	else if (strcmp(request->path, "/ws") == 0)
		websocket_answer(question, request, &f->socket);
	else if (sscanf(request->path, "/units/%u/%u", &from, &until) == 2)
		http_answer_units(question, &answer, f->rig.feed, from, until);
	else if (strcmp(request->path, "/viewer") != 0 || http_become_viewer(question, &f->many))
		http_reply(question, 200, "text/plain", f->body[0] ? f->body : "ok",
			   f->body[0] ? request->body_len : 2);
}

static void count_units(struct feed_waiter *waiter)
{
	container_of(waiter, struct fixture, waiter)->called++;
}

static void count_gone(struct feed_waiter *waiter)
{
	container_of(waiter, struct fixture, waiter)->gone++;
}

static int setup(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof *f);
	rig_init(&f->rig, **(enum config_backend **)state);
	rig_start(&f->rig);
	f->http = (struct http){.handler = answer, .user = f};
	f->viewers = (struct quota){.name = "feed test", .max = 2, .viewers = true};
	http_init_endpoint(&f->questions, &f->http);
	http_init_viewers(&f->many, &f->http, &f->viewers);
	f->live = (struct endpoint){
		.protocol = &live_protocol, .user = f->rig.feed, .quota = &f->viewers};
	f->socket = (struct endpoint){
		.protocol = &websocket_protocol, .user = f->rig.feed, .quota = &f->viewers};
	f->waiter = (struct feed_waiter){.units = count_units, .gone = count_gone};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	rig_stop(&((struct fixture *)*state)->rig);
	return 0;
}

static void turn(struct fixture *f)
{
	rig_settle(f->rig.loop);
}

static int dial(struct fixture *f, int rcvbuf)
{
	int ends[2], on = 1;

	rig_pair(ends, rcvbuf);
	assert_int_equal(setsockopt(ends[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
	server_accept(f->rig.server, &f->questions, ends[0]);
	turn(f);
	return ends[1];
}

static void say(struct fixture *f, int fd, const void *bytes, size_t len)
{
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
	turn(f);
}

static void ask(struct fixture *f, int fd, const char *path)
{
	char text[256];
	int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);

	say(f, fd, text, (size_t)n);
}

/* Reads what there is. */
static const char *hear(struct fixture *f, int fd)
{
	struct pollfd more = {.fd = fd, .events = POLLIN};
	ssize_t n;

	f->len = 0;
	do {
		turn(f);
		n = recv(fd, f->heard + f->len, HEARD_MAX - f->len, MSG_DONTWAIT);
		f->len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EAGAIN && poll(&more, 1, 20) > 0));
	f->ended = n == 0 || (n < 0 && errno == ECONNRESET);
	f->heard[f->len] = '\0';
	return (const char *)f->heard;
}

/* What follows the head. */
static const uint8_t *body(struct fixture *f, size_t *len)
{
	const char *end = strstr((const char *)f->heard, "\r\n\r\n");

	assert_non_null(end);
	*len = f->len - (size_t)((const uint8_t *)end + 4 - f->heard);
	return (const uint8_t *)end + 4;
}

static void assert_is_unit(const uint8_t *bytes, uint32_t number, uint32_t len, uint32_t flags)
{
	uint8_t *unit = malloc(len);

	rig_make_unit(unit, number, len, flags);
	assert_memory_equal(bytes, unit, len);
	free(unit);
}

/* --- live --- */

static void a_stream_is_a_head_and_then_units(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f, 0);
	const uint8_t *bytes;
	size_t len;

	assert_int_equal(f->http.quota.used, 1);
	ask(f, fd, "/live");
	assert_int_equal(f->http.quota.used, 0); /* the place is for questions */
	assert_int_equal(f->viewers.used, 1);
	hear(f, fd);
	assert_memory_equal(f->heard, "HTTP/1.1 200 OK\r\n", 17);
	assert_non_null(strstr((char *)f->heard, "\r\nConnection: close\r\n"));
	assert_null(strstr((char *)f->heard, "Content-Length"));
	bytes = body(f, &len);
	assert_int_equal(len, 5);
	assert_memory_equal(bytes, "begin", 5);
	assert_int_equal(f->rig.idrs, 1);
	rig_unit(&f->rig, 1000, KEY);
	hear(f, fd);
	assert_int_equal(f->len, 1000);
	assert_is_unit(f->heard, 0, 1000, KEY);
	assert_false(f->ended);
	close(fd);
	rig_unit(&f->rig, 1000, 0);
	rig_unit(&f->rig, 1000, 0);
	assert_int_equal(f->viewers.used, 0);
}

static void the_head_comes_before_a_unit_that_is_there_already(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f, 0);
	const uint8_t *bytes;
	size_t len;

	rig_unit(&f->rig, 1000, KEY);
	ask(f, fd, "/live");
	hear(f, fd);
	bytes = body(f, &len);
	assert_int_equal(len, 1005);
	assert_memory_equal(bytes, "begin", 5);
	assert_is_unit(bytes + 5, 0, 1000, KEY);
	close(fd);
}

static void a_head_that_is_not_taken_counts_as_a_stall(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f, 4096), n = 0;
	char text[64];

	/* Answers fill the sockets; the viewer reads none. */
	while (f->http.quota.used > 0 && n++ < 20) {
		snprintf(text, sizeof text, "/units/1/%d", n + 1);
		rig_unit(&f->rig, 60000, KEY);
		ask(f, fd, text);
	}
	ask(f, fd, "/live");
	for (int i = 0; i < 20; i++) {
		rig_unit(&f->rig, 60000, KEY);
		rig_pass(&f->rig, 1000000);
	}
	assert_int_equal(f->viewers.used, 0);
	assert_int_equal(f->http.quota.used, 0);
	close(fd);
}

static void a_viewer_without_a_place_gets_a_word_and_may_ask_again(void **state)
{
	struct fixture *f = *state;
	int fds[3];

	for (int i = 0; i < 3; i++) {
		fds[i] = dial(f, 0);
		ask(f, fds[i], "/live");
	}
	assert_memory_equal(hear(f, fds[2]), "HTTP/1.1 503 ", 13);
	assert_int_equal(f->viewers.refused[ADMISSION_OVER_QUOTA], 1);
	close(fds[0]);
	rig_unit(&f->rig, 100, KEY);
	rig_unit(&f->rig, 100, 0);
	ask(f, fds[2], "/live");
	assert_memory_equal(hear(f, fds[2]), "HTTP/1.1 200 ", 13);
	close(fds[1]);
	close(fds[2]);
}

static void head_of_a_stream_is_its_head(void **state)
{
	static const char request[] = "HEAD /live HTTP/1.1\r\n\r\n";
	struct fixture *f = *state;
	int fd = dial(f, 0);
	size_t len;

	rig_unit(&f->rig, 1000, KEY);
	say(f, fd, request, sizeof request - 1);
	assert_memory_equal(hear(f, fd), "HTTP/1.1 200 ", 13);
	body(f, &len);
	assert_int_equal(len, 0);
	assert_true(f->ended);
	close(fd);
}

/* --- ranges --- */

static void units_are_an_answer_with_a_length(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f, 0);
	const uint8_t *bytes;
	size_t len;

	for (uint32_t i = 0; i < 4; i++)
		rig_unit(&f->rig, 10000 + i, i == 0 ? KEY : 0);
	for (int round = 0; round < 2; round++) {
		ask(f, fd, "/units/2/4");
		hear(f, fd);
		assert_non_null(strstr((char *)f->heard, "\r\nContent-Length: 20008\r\n"));
		bytes = body(f, &len);
		assert_int_equal(len, 20008);
		assert_is_unit(bytes + 5, 1, 10001, 0);
		assert_is_unit(bytes + 5 + 10001, 2, 10002, 0);
		assert_false(f->ended);
	}
	assert_int_equal(f->http.quota.used, 1);
	close(fd);
}

static void units_that_are_not_there_are_not_found(void **state)
{
	static const char *const paths[] = {"/units/0/1", "/units/1/3", "/units/3/2", "/units/2/2"};
	struct fixture *f = *state;
	int fd = dial(f, 0);

	rig_unit(&f->rig, 1000, KEY);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		ask(f, fd, paths[i]);
		assert_memory_equal(hear(f, fd), "HTTP/1.1 404 ", 13);
	}
	close(fd);
}

static void a_range_that_leaves_the_log_is_broken_off(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f, 4096);
	size_t len;

	for (uint32_t i = 0; i < 20; i++)
		rig_unit(&f->rig, 200000, KEY);
	ask(f, fd, "/units/1/21");
	for (uint32_t i = 0; i < 20; i++) {
		rig_pass(&f->rig, 1000000);
		rig_unit(&f->rig, 200000, KEY);
	}
	hear(f, fd);
	assert_true(f->ended);
	body(f, &len);
	assert_true(len < 20 * 200000);
	close(fd);
}

/* --- many requests on one connection --- */

static void requests_that_come_together_are_answered_in_order(void **state)
{
	static const char requests[] = "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\none"
				       "GET /b HTTP/1.1\r\n\r\n"
				       "POST /c HTTP/1.0\r\nContent-Length: 5\r\n\r\nthree";
	struct fixture *f = *state;

	for (size_t piece = 1; piece < sizeof requests; piece += 7) {
		int fd = dial(f, 0);
		const char *at;

		for (size_t sent = 0; sent < sizeof requests - 1; sent += piece) {
			size_t left = sizeof requests - 1 - sent;

			say(f, fd, requests + sent, left < piece ? left : piece);
		}
		at = strstr(hear(f, fd), "\r\n\r\none");
		assert_non_null(at);
		at = strstr(at, "\r\n\r\nok");
		assert_non_null(at);
		assert_non_null(strstr(at, "\r\n\r\nthree"));
		assert_true(f->ended);
		close(fd);
		turn(f);
		assert_int_equal(f->http.quota.used, 0);
	}
}

static void requests_without_end_before_an_answer_are_cut_off(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f, 4096);
	int64_t deadline = rig_deadline();

	rig_unit(&f->rig, 1000000, KEY);
	ask(f, fd, "/units/1/2");
	while (f->http.quota.used > 0) {
		char flood[2048] = "";

		(void)!send(fd, flood, sizeof flood, MSG_NOSIGNAL | MSG_DONTWAIT);
		rig_wait(f->rig.loop, deadline);
	}
	close(fd);
}

static void an_idle_connection_stays_for_a_while(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f, 0);

	ask(f, fd, "/");
	rig_pass(&f->rig, 14000000);
	ask(f, fd, "/");
	assert_memory_equal(hear(f, fd), "HTTP/1.1 200 ", 13);
	rig_pass(&f->rig, 16000000);
	hear(f, fd);
	assert_true(f->ended);
	assert_int_equal(f->http.quota.used, 0);
	close(fd);
}

static void a_client_of_many_small_requests_is_a_viewer(void **state)
{
	struct fixture *f = *state;
	int fds[3];

	for (int i = 0; i < 3; i++) {
		fds[i] = dial(f, 0);
		ask(f, fds[i], "/viewer");
		ask(f, fds[i], "/viewer");
		hear(f, fds[i]);
		assert_memory_equal(f->heard, i < 2 ? "HTTP/1.1 200 " : "HTTP/1.1 503 ", 13);
	}
	assert_int_equal(f->viewers.used, 2);
	assert_int_equal(f->http.quota.used, 1);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	turn(f);
	assert_int_equal(f->viewers.used, 0);
	assert_int_equal(f->http.quota.used, 0);
}

static void a_viewer_who_changes_needs_no_second_place(void **state)
{
	struct fixture *f = *state;
	int fds[2];

	for (unsigned round = 0; round < 2; round++) {
		f->viewers.max = round == 0 ? 2 : 0;
		f->rig.config.max_clients = 2;
		f->rig.config.max_clients_per_ip = round == 0 ? 0 : 2;
		for (int i = 0; i < 2; i++) {
			fds[i] = dial(f, 0);
			ask(f, fds[i], "/viewer");
			hear(f, fds[i]);
		}
		ask(f, fds[1], "/live");
		assert_memory_equal(hear(f, fds[1]), "HTTP/1.1 200 ", 13);
		assert_int_equal(f->viewers.used, 2);
		assert_int_equal(admission_viewers(f->rig.admission), 2);
		for (int i = 0; i < 2; i++)
			close(fds[i]);
		rig_unit(&f->rig, 100, KEY);
		rig_unit(&f->rig, 100, KEY);
		assert_int_equal(admission_viewers(f->rig.admission), 0);
	}
}

/* --- WebSocket --- */

static const char handshake[] = "GET /ws HTTP/1.1\r\nHost: localhost:80\r\nUpgrade: WebSocket\r\n"
				"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

static int shake_hands(struct fixture *f, const char *more)
{
	char text[512];
	int fd = dial(f, 0), n = snprintf(text, sizeof text, "%s%s\r\n", handshake, more);

	say(f, fd, text, (size_t)n);
	return fd;
}

/* Sends a masked frame. first: FIN and the opcode. */
static void say_frame(struct fixture *f, int fd, uint8_t first, const char *payload, size_t len)
{
	uint8_t frame[2 + 4 + 125] = {first, 0x80 | (uint8_t)len, 1, 2, 3, 4};

	for (size_t i = 0; i < len; i++)
		frame[6 + i] = (uint8_t)payload[i] ^ frame[2 + i % 4];
	say(f, fd, frame, 6 + len);
}

static void a_handshake_is_answered_as_the_rfc_shows(void **state)
{
	struct fixture *f = *state;
	int fd = shake_hands(f, "Origin: http://localhost:80\r\n");
	size_t len;

	hear(f, fd);
	assert_memory_equal(f->heard, "HTTP/1.1 101 ", 13);
	assert_non_null(
		strstr((char *)f->heard, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	body(f, &len);
	assert_int_equal(len, 0);
	rig_unit(&f->rig, 1000, KEY);
	hear(f, fd);
	assert_int_equal(f->len, 1000);
	assert_is_unit(f->heard, 0, 1000, KEY);
	close(fd);
}

static void other_sites_and_other_requests_get_no_websocket(void **state)
{
	static const char *const wrong[][2] = {
		{"Origin: http://evil.example\r\n", "403"},
		{"Origin: null\r\n", "403"},
		{"Origin: http://localhost\r\n", "403"},
	};
	struct fixture *f = *state;
	int fd;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		fd = shake_hands(f, wrong[i][0]);
		assert_memory_equal(hear(f, fd) + 9, wrong[i][1], 3);
		close(fd);
	}
	fd = dial(f, 0);
	ask(f, fd, "/ws");
	assert_memory_equal(hear(f, fd) + 9, "426", 3);
	close(fd);
	assert_int_equal(f->viewers.used, 0);
}

static void a_ping_is_answered_between_two_units(void **state)
{
	struct fixture *f = *state;
	int fd = shake_hands(f, "");

	hear(f, fd);
	rig_unit(&f->rig, 1000, KEY);
	hear(f, fd);
	say_frame(f, fd, 0x89, "hello", 5);
	hear(f, fd);
	assert_int_equal(f->len, 7);
	assert_memory_equal(f->heard, "\x8a\x05hello", 7);
	say_frame(f, fd, 0x8a, "", 0);	   /* a pong that was not asked for */
	say_frame(f, fd, 0x81, "text", 4); /* of no interest */
	rig_unit(&f->rig, 1000, 0);
	hear(f, fd);
	assert_int_equal(f->len, 1000);
	assert_is_unit(f->heard, 1, 1000, 0);
	close(fd);
}

/* The viewer reads nothing, and its socket is full between two units. */
static int shake_hands_and_fill(struct fixture *f)
{
	const struct audience_stats *stats = &feed_stats(f->rig.feed)->audience;

	/* Where a buffer of the kernel ends in the middle of a unit, once more with larger ones. */
	for (uint32_t len = RIG_UNIT_MIN; len < 2 * RIG_UNIT_MIN; len++) {
		int fd = dial(f, 4096);
		uint64_t before, all = 0;

		say(f, fd, handshake, sizeof handshake - 1);
		say(f, fd, "\r\n", 2);
		before = stats->sent_bytes;
		for (; stats->sent_bytes - before == all; all += len)
			rig_unit(&f->rig, len, KEY);
		if (stats->sent_bytes - before == all - len)
			return fd;
		close(fd);
		turn(f);
		assert_int_equal(f->viewers.used, 0);
	}
	fail_msg("no unit ends with a buffer");
	return -1;
}

static void pings_do_not_keep_a_viewer_who_takes_nothing(void **state)
{
	struct fixture *f = *state;
	int fd = shake_hands_and_fill(f), seconds = 0;

	for (; f->viewers.used > 0; seconds++) {
		assert_in_range(seconds, 0, 30);
		say_frame(f, fd, 0x89, "", 0);
		rig_unit(&f->rig, 1000, KEY);
		rig_pass(&f->rig, 1000000);
	}
	assert_in_range(seconds, 10, 12);
	assert_int_equal(feed_stats(f->rig.feed)->audience.left[CURSOR_END_STALL], 1);
	close(fd);
}

static void a_pong_is_no_limit_of_time(void **state)
{
	struct fixture *f = *state;
	int fd = shake_hands(f, "");

	say_frame(f, fd, 0x89, "", 0);
	rig_pass(&f->rig, 20000000);
	assert_int_equal(f->viewers.used, 1);
	close(fd);
}

static void a_ping_for_whose_answer_there_is_no_memory_ends_it(void **state)
{
	struct fixture *f = *state;
	int fd = shake_hands(f, "");

	hear(f, fd);
	rig_no_memory = true;
	say_frame(f, fd, 0x89, "hello", 5);
	rig_no_memory = false;
	assert_int_equal(f->viewers.used, 0);
	close(fd);
}

static void a_close_is_answered_and_ends_it(void **state)
{
	struct fixture *f = *state;
	int fd = shake_hands(f, "");

	hear(f, fd);
	say_frame(f, fd, 0x88, "\x03\xe8 bye", 6);
	rig_unit(&f->rig, 1000, KEY);
	hear(f, fd);
	assert_true(f->ended);
	assert_int_equal(f->len, 4);
	assert_memory_equal(f->heard, "\x88\x02\x03\xe8", 4);
	rig_pass(&f->rig, 2000000); /* the peer does not close */
	assert_int_equal(f->viewers.used, 0);
	close(fd);
}

static void wrong_frames_end_it(void **state)
{
	static const struct {
		uint8_t bytes[14];
		size_t len;
	} wrong[] = {
		{{0x81, 0x00}, 6},			    /* not masked */
		{{0xc1, 0x80}, 6},			    /* a reserved bit */
		{{0x83, 0x80}, 6},			    /* a reserved opcode */
		{{0x8b, 0x80}, 6},			    /* the same */
		{{0x09, 0x80}, 6},			    /* a ping in fragments */
		{{0x89, 0xfe, 0, 126}, 8},		    /* a ping that is too long */
		{{0x80, 0x80}, 6},			    /* continues nothing */
		{{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0}, 14}, /* a negative length */
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		int fd = shake_hands(f, "");

		hear(f, fd);
		say(f, fd, wrong[i].bytes, wrong[i].len);
		hear(f, fd);
		assert_int_equal(f->len, 4);
		assert_memory_equal(f->heard, "\x88\x02\x03\xea", 4);
		assert_true(f->ended);
		close(fd);
		turn(f);
		assert_int_equal(f->viewers.used, 0);
	}
}

static void a_message_without_end_is_cut_off(void **state)
{
	static const uint8_t head[14] = {0x82, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct fixture *f = *state;
	int fd = shake_hands(f, "");
	int64_t deadline = rig_deadline();

	hear(f, fd);
	say(f, fd, head, sizeof head);
	while (f->viewers.used > 0) {
		char flood[2048] = "";

		(void)!send(fd, flood, sizeof flood, MSG_NOSIGNAL | MSG_DONTWAIT);
		rig_wait(f->rig.loop, deadline);
	}
	assert_int_equal(feed_stats(f->rig.feed)->audience.left[CURSOR_END_NOISE], 1);
	close(fd);
}

/* --- waiters --- */

static void a_waiter_is_called_for_new_units_and_keeps_the_feed_wanted(void **state)
{
	struct fixture *f = *state;
	const struct log *log = feed_log(f->rig.feed);

	assert_int_equal(feed_wait(f->rig.feed, &f->waiter), 0);
	assert_int_equal(f->rig.watched, 1);
	rig_add(&f->rig, 1000, KEY);
	rig_add(&f->rig, 1000, 0);
	assert_int_equal(f->called, 0); /* not from inside */
	turn(f);
	assert_int_equal(f->called, 1);
	assert_int_equal(log->head - log->tail, 2);
	rig_unit(&f->rig, 1000, 0);
	assert_int_equal(f->called, 2);
	feed_unwait(f->rig.feed, &f->waiter);
	feed_unwait(f->rig.feed, &f->waiter);
	assert_int_equal(f->rig.unwatched, 1);
	assert_int_equal(f->rig.viewed, 1);
	rig_unit(&f->rig, 1000, 0);
	assert_int_equal(f->called, 2);
	assert_int_equal(feed_wait(f->rig.feed, &f->waiter), 0); /* until the feed's end */
}

static int teardown_waiting(void **state)
{
	struct fixture *f = *state;

	rig_stop(&f->rig);
	assert_int_equal(f->gone, 1);
	return 0;
}

#define BOTH_WITH(test, teardown)                                                                  \
	{#test " on epoll", test, setup, teardown, &rig_epoll},                                    \
	{                                                                                          \
#test " on io_uring", test, setup, teardown, &rig_uring                            \
	}
#define BOTH(test) BOTH_WITH(test, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_stream_is_a_head_and_then_units),
		BOTH(the_head_comes_before_a_unit_that_is_there_already),
		BOTH(a_head_that_is_not_taken_counts_as_a_stall),
		BOTH(a_viewer_without_a_place_gets_a_word_and_may_ask_again),
		BOTH(head_of_a_stream_is_its_head),
		BOTH(units_are_an_answer_with_a_length),
		BOTH(units_that_are_not_there_are_not_found),
		BOTH(a_range_that_leaves_the_log_is_broken_off),
		BOTH(requests_that_come_together_are_answered_in_order),
		BOTH(requests_without_end_before_an_answer_are_cut_off),
		BOTH(an_idle_connection_stays_for_a_while),
		BOTH(a_client_of_many_small_requests_is_a_viewer),
		BOTH(a_viewer_who_changes_needs_no_second_place),
		BOTH(a_handshake_is_answered_as_the_rfc_shows),
		BOTH(other_sites_and_other_requests_get_no_websocket),
		BOTH(a_ping_is_answered_between_two_units),
		BOTH(pings_do_not_keep_a_viewer_who_takes_nothing),
		BOTH(a_pong_is_no_limit_of_time),
		BOTH(a_ping_for_whose_answer_there_is_no_memory_ends_it),
		BOTH(a_close_is_answered_and_ends_it),
		BOTH(wrong_frames_end_it),
		BOTH(a_message_without_end_is_cut_off),
		BOTH_WITH(a_waiter_is_called_for_new_units_and_keeps_the_feed_wanted,
			  teardown_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
