/* SPDX-License-Identifier: BSD-2-Clause */
/* The status server against slow, rude and unlucky clients; by-the-book requests are in
 * tests/e2e/test_status.py. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/serve/http.h"

#define BIG (4 << 20) /* more than a socket pair holds */

static int64_t clock_ahead_us;
static bool no_memory;

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int ret = __real_clock_gettime(id, ts);

	if (id == CLOCK_MONOTONIC)
		ts->tv_sec += clock_ahead_us / 1000000;
	return ret;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return no_memory ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

struct fixture {
	struct loop *loop;
	struct http *http;
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
	out->body = __real_malloc(BIG);
	out->len = BIG;
	memset(out->body, 'b', BIG);
}

static int setup(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;
	struct net_address address = {.host = "127.0.0.1", .port = 0};
	struct loop_options options = {.backend = **(enum config_backend **)state, .max_conns = 1};

	memset(f, 0, sizeof *f);
	clock_ahead_us = 0;
	no_memory = false;
	assert_int_equal(loop_create(&f->loop, &options), 0);
	assert_int_equal(http_create(&f->http, f->loop, &address, answer, f), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	http_destroy(f->http);
	loop_destroy(f->loop);
	return 0;
}

/* A client's end of a connection. */
static int dial(struct fixture *f)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
	http_serve(f->http, pair[1]);
	return pair[0];
}

static void turn(struct fixture *f)
{
	for (int i = 0; i < 3; i++)
		assert_int_equal(loop_turn(f->loop, 0), 0);
}

static void say(struct fixture *f, int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	turn(f);
}

/* Reads until the server's end, or as much as there is; returns the bytes. */
static size_t hear(struct fixture *f, int fd, char *text, size_t size, bool *ended)
{
	size_t len = 0;
	ssize_t n;

	do {
		turn(f);
		n = recv(fd, text + len, size - 1 - len, 0);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	text[len] = '\0';
	*ended = n == 0;
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
		assert_int_equal(http_connections(f->http), 0);
	}
}

static void a_long_answer_waits_for_its_reader(void **state)
{
	struct fixture *f = *state;
	char *text = __real_malloc(BIG + 1000);
	int fd = dial(f);
	bool ended;
	size_t len;

	say(f, fd, "GET /big HTTP/1.1\r\n\r\n");
	assert_int_equal(http_connections(f->http), 1);
	len = hear(f, fd, text, BIG + 1000, &ended);
	assert_true(ended);
	assert_memory_equal(text, "HTTP/1.1 200 OK\r\n", 17);
	assert_true(len > BIG);
	for (size_t i = len - BIG; i < len; i++)
		assert_int_equal(text[i], 'b');
	close(fd);
	turn(f);
	assert_int_equal(http_connections(f->http), 0);
	free(text);
}

static void who_leaves_in_the_middle_is_forgotten(void **state)
{
	static const char *const parts[] = {"", "GET /b", "GET /big HTTP/1.1\r\n\r\n"};
	struct fixture *f = *state;

	for (size_t i = 0; i < 3; i++) {
		int fd = dial(f);

		if (parts[i][0])
			say(f, fd, parts[i]);
		assert_int_equal(http_connections(f->http), 1);
		close(fd);
		turn(f);
		assert_int_equal(http_connections(f->http), 0);
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
		clock_ahead_us += 9000000;
		turn(f);
		assert_int_equal(http_connections(f->http), 1);
		clock_ahead_us += 2000000;
		turn(f);
		assert_int_equal(http_connections(f->http), 0);
		close(fd);
	}
}

static void who_stays_after_the_answer_is_closed(void **state)
{
	struct fixture *f = *state;
	char text[512];
	int fd = dial(f);
	bool ended;

	say(f, fd, "GET / HTTP/1.1\r\n\r\n");
	hear(f, fd, text, sizeof text, &ended);
	assert_true(ended);
	assert_int_equal(http_connections(f->http), 1);
	clock_ahead_us += 2000000;
	turn(f);
	assert_int_equal(http_connections(f->http), 0);
	close(fd);
}

static void an_endless_request_is_cut_off(void **state)
{
	struct fixture *f = *state;
	char text[512];
	int fd = dial(f);
	bool ended;

	say(f, fd, "GET / HTTP/1.1\r\n");
	for (int i = 0; i < HTTP_REQUEST_MAX / 8; i++)
		say(f, fd, "A: bcd\r\n");
	hear(f, fd, text, sizeof text, &ended);
	assert_memory_equal(text, "HTTP/1.1 431 ", 13);
	/* Nor is what follows listened to for long. */
	for (int i = 0; i < 40; i++) {
		char flood[2048] = "";

		(void)!send(fd, flood, sizeof flood, MSG_NOSIGNAL);
		turn(f);
	}
	assert_int_equal(http_connections(f->http), 0);
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
	assert_int_equal(http_connections(f->http), HTTP_CONNECTIONS_MAX);
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
	assert_int_equal(http_connections(f->http), 0);
}

static void without_memory_the_connection_is_closed(void **state)
{
	struct fixture *f = *state;
	char text[512];
	bool ended;
	int fd;

	no_memory = true;
	fd = dial(f);
	no_memory = false;
	assert_int_equal(recv(fd, text, sizeof text, 0), 0);
	close(fd);
	fd = dial(f);
	no_memory = true;
	say(f, fd, "GET /big HTTP/1.1\r\n\r\n");
	no_memory = false;
	hear(f, fd, text, sizeof text, &ended);
	assert_true(ended);
	assert_string_equal(text, "");
	assert_int_equal(http_connections(f->http), 0);
	close(fd);
}

static void the_end_closes_all(void **state)
{
	struct fixture *f = *state;
	int reading = dial(f), writing = dial(f);

	say(f, reading, "GET ");
	say(f, writing, "GET /big HTTP/1.1\r\n\r\n");
	assert_int_equal(http_connections(f->http), 2);
	close(reading);
	close(writing); /* teardown destroys with both open; the sanitizer counts */
}

static enum config_backend epoll = CONFIG_BACKEND_EPOLL, uring = CONFIG_BACKEND_URING;

#define BOTH(test)                                                                                 \
	{#test " on epoll", test, setup, teardown, &epoll},                                        \
	{                                                                                          \
#test " on io_uring", test, setup, teardown, &uring                                \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_request_in_any_two_pieces_is_one),
		BOTH(a_long_answer_waits_for_its_reader),
		BOTH(who_leaves_in_the_middle_is_forgotten),
		BOTH(ten_seconds_are_enough),
		BOTH(who_stays_after_the_answer_is_closed),
		BOTH(an_endless_request_is_cut_off),
		BOTH(the_seventeenth_is_told_to_come_again),
		BOTH(without_memory_the_connection_is_closed),
		BOTH(the_end_closes_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
