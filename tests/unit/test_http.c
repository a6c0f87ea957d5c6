/* SPDX-License-Identifier: BSD-2-Clause */
/* The status server against slow, rude and unlucky clients; by-the-book requests are in
 * tests/e2e/test_status.py. */
#include "tests/unit/feed_rig.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/serve/http.h"
#include "net/message.h"

#define BIG (4 << 20) /* more than a socket holds */

struct fixture {
	struct rig rig;
	struct http http;
	char *big;
	unsigned asked;
	char path[HTTP_PATH_MAX];
};

static void answer(void *user, const char *path, struct http_answer *out)
{
	struct fixture *f = user;

	f->asked++;
	strcpy(f->path, path);
	if (strcmp(path, "/big") != 0)
		return;
	out->status = 200;
	out->type = "text/plain";
	out->body = f->big;
	out->len = BIG;
	f->big = NULL;
}

static int setup(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof *f);
	rig_init(&f->rig, **(enum config_backend **)state);
	rig_start(&f->rig);
	f->http = (struct http){.handler = answer, .user = f};
	http_init_endpoint(&f->rig.endpoint, &f->http);
	f->big = malloc(BIG);
	memset(f->big, 'b', BIG);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rig_stop(&f->rig);
	free(f->big);
	return 0;
}

static unsigned connections(const struct fixture *f)
{
	return f->rig.endpoint.quota.used;
}

static void turn(struct fixture *f)
{
	rig_settle(f->rig.loop);
}

/* A client's end of a connection. */
static int dial(struct fixture *f)
{
	int ends[2];

	rig_pair(ends, 0);
	rig_admit(&f->rig, ends[0]);
	turn(f);
	return ends[1];
}

static void say(struct fixture *f, int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	turn(f);
}

/* Reads until the server's end, or as much as there is; returns the bytes. ended: no more will
 * come, whether it was closed or reset. */
static size_t hear(struct fixture *f, int fd, char *text, size_t size, bool *ended)
{
	struct pollfd more = {.fd = fd, .events = POLLIN};
	size_t len = 0;
	ssize_t n;

	do {
		turn(f);
		n = recv(fd, text + len, size - 1 - len, MSG_DONTWAIT);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EAGAIN && poll(&more, 1, 20) > 0));
	text[len] = '\0';
	*ended = n == 0 || errno == ECONNRESET;
	return len;
}

static void a_request_in_any_two_pieces_is_one(void **state)
{
	static const char request[] = "GET /abc?d=e HTTP/1.1\r\nHost: x\r\n\r\n";
	struct fixture *f = *state;
	char text[512];
	bool ended;

	for (size_t cut = 1; cut < sizeof request - 1; cut++) {
		int fd = dial(f);

		assert_int_equal(send(fd, request, cut, 0), cut);
		turn(f);
		assert_int_equal(f->asked, cut - 1);
		say(f, fd, request + cut);
		assert_int_equal(f->asked, cut);
		assert_string_equal(f->path, "/abc");
		hear(f, fd, text, sizeof text, &ended);
		assert_true(ended);
		assert_memory_equal(text, "HTTP/1.1 404 Not Found\r\n", 24);
		close(fd);
		turn(f);
		assert_int_equal(connections(f), 0);
	}
}

static void a_long_answer_waits_for_its_reader(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(BIG + 1000);
	int fd = dial(f);
	bool ended;
	size_t len;

	say(f, fd, "GET /big HTTP/1.1\r\n\r\n");
	assert_int_equal(connections(f), 1);
	len = hear(f, fd, text, BIG + 1000, &ended);
	assert_true(ended);
	assert_memory_equal(text, "HTTP/1.1 200 OK\r\n", 17);
	assert_true(len > BIG);
	for (size_t i = len - BIG; i < len; i++)
		assert_int_equal(text[i], 'b');
	close(fd);
	turn(f);
	assert_int_equal(connections(f), 0);
	free(text);
}

static void a_client_that_leaves_in_the_middle_is_forgotten(void **state)
{
	static const char *const parts[] = {"", "GET /b", "GET /big HTTP/1.1\r\n\r\n"};
	struct fixture *f = *state;

	for (size_t i = 0; i < 3; i++) {
		int fd = dial(f);

		if (parts[i][0])
			say(f, fd, parts[i]);
		assert_int_equal(connections(f), 1);
		close(fd);
		turn(f);
		assert_int_equal(connections(f), 0);
	}
}

static void ten_seconds_are_enough(void **state)
{
	static const char *const parts[] = {"", "GET /b", "GET /big HTTP/1.1\r\n\r\n"};
	struct fixture *f = *state;

	for (size_t i = 0; i < 3; i++) {
		int fd = dial(f);

		if (parts[i][0])
			say(f, fd, parts[i]);
		rig_clock_us += 9000000;
		turn(f);
		assert_int_equal(connections(f), 1);
		rig_clock_us += 2000000;
		turn(f);
		assert_int_equal(connections(f), 0);
		close(fd);
	}
}

static void a_client_that_stays_after_the_answer_is_closed(void **state)
{
	struct fixture *f = *state;
	char text[512];
	int fd = dial(f);
	bool ended;

	say(f, fd, "GET / HTTP/1.1\r\n\r\n");
	hear(f, fd, text, sizeof text, &ended);
	assert_true(ended);
	assert_int_equal(connections(f), 1);
	rig_clock_us += 2000000;
	turn(f);
	assert_int_equal(connections(f), 0);
	close(fd);
}

static void an_endless_request_is_cut_off(void **state)
{
	struct fixture *f = *state;
	char text[512];
	int64_t deadline = rig_deadline();
	int fd = dial(f);
	bool ended;

	say(f, fd, "GET / HTTP/1.1\r\n");
	for (int i = 0; i < MESSAGE_MAX / 8; i++)
		say(f, fd, "A: bcd\r\n");
	hear(f, fd, text, sizeof text, &ended);
	assert_memory_equal(text, "HTTP/1.1 431 ", 13);
	/* Nor is what follows listened to for long. */
	while (connections(f) > 0) {
		char flood[2048] = "";

		(void)!send(fd, flood, sizeof flood, MSG_NOSIGNAL | MSG_DONTWAIT);
		rig_wait(f->rig.loop, deadline);
	}
	close(fd);
}

static void the_seventeenth_is_told_to_come_again(void **state)
{
	struct fixture *f = *state;
	int fds[HTTP_CONNECTIONS_MAX], fd;
	char text[512];
	bool ended;

	for (int i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		fds[i] = dial(f);
	fd = dial(f);
	assert_int_equal(connections(f), HTTP_CONNECTIONS_MAX);
	hear(f, fd, text, sizeof text, &ended);
	assert_true(ended);
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	close(fd);
	close(fds[0]);
	turn(f);
	fds[0] = dial(f);
	say(f, fds[0], "GET / HTTP/1.1\r\n\r\n");
	assert_int_equal(f->asked, 1);
	for (int i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		close(fds[i]);
	turn(f);
	assert_int_equal(connections(f), 0);
}

static void without_memory_the_connection_is_closed(void **state)
{
	struct fixture *f = *state;
	char text[512];
	bool ended;
	int fd;

	rig_no_memory = true;
	fd = dial(f);
	rig_no_memory = false;
	assert_int_equal(connections(f), 0);
	close(fd);
	fd = dial(f);
	rig_no_memory = true;
	say(f, fd, "GET /big HTTP/1.1\r\n\r\n");
	rig_no_memory = false;
	hear(f, fd, text, sizeof text, &ended);
	assert_true(ended);
	assert_string_equal(text, "");
	assert_int_equal(connections(f), 0);
	close(fd);
}

static void the_end_closes_all(void **state)
{
	struct fixture *f = *state;
	int reading = dial(f), writing = dial(f);

	say(f, reading, "GET ");
	say(f, writing, "GET /big HTTP/1.1\r\n\r\n");
	assert_int_equal(connections(f), 2);
	close(reading);
	close(writing); /* teardown destroys with both open; the sanitizer counts */
}

/* `nc -N` and scripts close their side after the request, and still get an answer. */
static void a_client_that_ends_its_input_gets_its_answer(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(BIG + 1000);
	int fd = dial(f);
	bool ended;
	size_t len;

	say(f, fd, "GET /big HTTP/1.1\r\n\r\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	len = hear(f, fd, text, BIG + 1000, &ended);
	assert_true(len > BIG);
	assert_int_equal(recv(fd, text, 1, 0), 0); /* and a proper end */
	turn(f);
	assert_int_equal(connections(f), 0);
	close(fd);
	free(text);
}

static void what_is_no_request_is_refused_with_a_word(void **state)
{
	static const char *const cases[][2] = {
		{"POST / HTTP/1.1\r\n\r\n", "405"},
		{"OPTIONS * HTTP/1.1\r\n\r\n", "405"},
		{"hello\r\n\r\n", "400"},
		{"GET / HTTP/2.0\r\n\r\n", "505"},
		{"OPTIONS * RTSP/1.0\r\n\r\n", "400"},
		{"$", "400"},
		{"HTTP/1.1 200 OK\r\n\r\n", "400"},
		{"\x16\x03\x01\x02", "400"},
	};
	struct fixture *f = *state;
	char text[512];
	bool ended;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int fd = dial(f);

		say(f, fd, cases[i][0]);
		hear(f, fd, text, sizeof text, &ended);
		assert_memory_equal(text, "HTTP/1.1 ", 9);
		assert_memory_equal(text + 9, cases[i][1], 3);
		assert_true(ended);
		close(fd);
		turn(f);
	}
	assert_int_equal(f->asked, 0);
	assert_int_equal(connections(f), 0);
}

#define BOTH(test)                                                                                 \
	{#test " on epoll", test, setup, teardown, &rig_epoll},                                    \
	{                                                                                          \
#test " on io_uring", test, setup, teardown, &rig_uring                            \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_request_in_any_two_pieces_is_one),
		BOTH(a_long_answer_waits_for_its_reader),
		BOTH(a_client_that_leaves_in_the_middle_is_forgotten),
		BOTH(ten_seconds_are_enough),
		BOTH(a_client_that_stays_after_the_answer_is_closed),
		BOTH(an_endless_request_is_cut_off),
		BOTH(the_seventeenth_is_told_to_come_again),
		BOTH(without_memory_the_connection_is_closed),
		BOTH(the_end_closes_all),
		BOTH(a_client_that_ends_its_input_gets_its_answer),
		BOTH(what_is_no_request_is_refused_with_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
