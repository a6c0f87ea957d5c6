/* SPDX-License-Identifier: BSD-2-Clause */
/* The status server against slow, rude and unlucky clients; by-the-book requests are in
 * tests/e2e/test_status.py. */
#include "tests/unit/feed_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
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
	struct list waiting; /* questions for /later */
	unsigned asked;
	char path[HTTP_PATH_MAX];
};

static int fake_host; /* peers seem to be 192.0.2.N; 0: they are of this machine */

int __real_getpeername(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
	int ret = __real_getpeername(fd, address, len);

	if (fake_host)
		((struct sockaddr_in *)(void *)address)->sin_addr.s_addr =
			htonl(0xc0000200u + (unsigned)fake_host);
	return ret;
}

static void answer(void *user, const struct http_request *request, struct http_question *question)
{
	struct fixture *f = user;
	const char *path = request->path;

	f->asked++;
	strcpy(f->path, path);
	if (strcmp(path, "/big") == 0)
		http_reply(question, 200, "text/plain", f->big, BIG);
	else if (strcmp(path, "/later") == 0)
		list_append(&f->waiting, &question->link);
	else
		http_reply(question, 404, NULL, NULL, 0);
}

static int setup(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof *f);
	rig_init(&f->rig, **(enum config_backend **)state);
	rig_start(&f->rig);
	f->http = (struct http){.handler = answer, .user = f, .hosts = "cam.example, b.example"};
	list_init(&f->waiting);
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
	return f->rig.endpoint.quota->used;
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
	static const char request[] =
		"GET /ab%63?d=e HTTP/1.1\r\nHost: cam.example\r\nConnection: close\r\n\r\n";
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

	say(f, fd, "GET /big HTTP/1.0\r\n\r\n");
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
	static const char *const parts[] = {"", "GET /b", "GET /big HTTP/1.0\r\n\r\n"};
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

static void a_request_has_two_seconds_and_its_answer_ten(void **state)
{
	static const struct {
		const char *part;
		int64_t less_us, more_us;
	} cases[] = {
		{"", 1900000, 200000},
		{"GET /b", 1900000, 200000},
		{"GET /big HTTP/1.0\r\n\r\n", 9900000, 200000},
		{"GET /later HTTP/1.0\r\n\r\n", 9900000, 200000},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int fd = dial(f);

		if (cases[i].part[0])
			say(f, fd, cases[i].part);
		rig_clock_us += cases[i].less_us;
		turn(f);
		assert_int_equal(connections(f), 1);
		rig_clock_us += cases[i].more_us;
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

	say(f, fd, "GET / HTTP/1.0\r\n\r\n");
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

static void an_answer_may_come_later(void **state)
{
	static const struct linger now = {.l_onoff = 1};
	struct fixture *f = *state;
	char text[512];
	int fd = dial(f), gone = dial(f);
	bool ended;

	say(f, fd, "GET /later HTTP/1.0\r\n\r\n");
	say(f, gone, "GET /later HTTP/1.0\r\n\r\n");
	assert_int_equal(f->asked, 2);
	assert_int_equal(setsockopt(gone, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	close(gone);
	turn(f);
	http_reply(container_of(f->waiting.next, struct http_question, link), 200, "text/plain",
		   "here", 4);
	assert_true(list_empty(&f->waiting));
	hear(f, fd, text, sizeof text, &ended);
	assert_memory_equal(text, "HTTP/1.1 200 OK\r\n", 17);
	assert_string_equal(text + strlen(text) - 4, "here");
	close(fd);
}

static void idle_connections_make_room(void **state)
{
	struct fixture *f = *state;
	int fds[3 * HTTP_CONNECTIONS_MAX], n = 0;
	char text[512];
	bool ended;

	while (n < 2 * HTTP_CONNECTIONS_MAX)
		fds[n++] = dial(f);
	assert_int_equal(connections(f), HTTP_CONNECTIONS_MAX);
	for (int i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		hear(f, fds[i], text, sizeof text, &ended);
		assert_true(ended);
		assert_string_equal(text, "");
	}
	for (int i = HTTP_CONNECTIONS_MAX; i < n; i++)
		say(f, fds[i], "GET /later HTTP/1.0\r\n\r\n");
	fds[n++] = dial(f); /* all wait for answers */
	hear(f, fds[n - 1], text, sizeof text, &ended);
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	assert_int_equal(connections(f), HTTP_CONNECTIONS_MAX);
	while (n-- > 0)
		close(fds[n]);
}

static void a_crowd_that_connects_at_once_is_served(void **state)
{
	struct fixture *f = *state;
	int fds[100];
	char text[512];
	bool ended;

	for (int i = 0; i < 100; i++)
		fds[i] = dial(f);
	for (int i = 0; i < 100; i++) {
		say(f, fds[i], "GET / HTTP/1.0\r\n\r\n");
		hear(f, fds[i], text, sizeof text, &ended);
		assert_memory_equal(text, "HTTP/1.1 404 ", 13);
		close(fds[i]);
	}
}

static void a_session_that_was_just_answered_goes_last(void **state)
{
	struct fixture *f = *state;
	int fds[2 * HTTP_CONNECTIONS_MAX], n = 0;
	char text[512];
	bool ended;

	while (n < HTTP_CONNECTIONS_MAX)
		fds[n++] = dial(f);
	say(f, fds[0], "GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
	hear(f, fds[0], text, sizeof text, &ended);
	assert_false(ended);
	while (n < 2 * HTTP_CONNECTIONS_MAX - 1)
		fds[n++] = dial(f);
	assert_int_equal(connections(f), HTTP_CONNECTIONS_MAX);
	say(f, fds[0], "GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
	hear(f, fds[0], text, sizeof text, &ended);
	assert_memory_equal(text, "HTTP/1.1 404 ", 13);
	while (n-- > 0)
		close(fds[n]);
}

static void an_address_has_its_share(void **state)
{
	struct fixture *f = *state;
	int fds[2 * HTTP_CONNECTIONS_MAX], n = 0;
	char text[512];
	bool ended;

	for (fake_host = 1; fake_host <= 2; fake_host++) {
		for (int i = 0; i < HTTP_SHARE; i++) {
			fds[n] = dial(f);
			say(f, fds[n++], "GET /later HTTP/1.0\r\n\r\n");
		}
		fds[n++] = dial(f);
		hear(f, fds[n - 1], text, sizeof text, &ended);
		assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	}
	assert_int_equal(connections(f), HTTP_CONNECTIONS_MAX);
	assert_int_equal(f->http.quota.refused[ADMISSION_OVER_QUOTA], 2);
	/* A third address and this machine get places of those that have most. */
	for (; fake_host >= 0; fake_host -= 3) {
		fds[n] = dial(f);
		say(f, fds[n++], "GET / HTTP/1.0\r\n\r\n");
		hear(f, fds[n - 1], text, sizeof text, &ended);
		assert_memory_equal(text, "HTTP/1.1 404 ", 13);
	}
	fake_host = 0;
	while (n-- > 0)
		close(fds[n]);
}

static void names_of_other_machines_are_refused(void **state)
{
	static const char *const cases[][2] = {
		{"evil.example", "421"},
		{"127.0.0.1.evil.example", "421"},
		{"localhost.evil", "421"},
		{"user@127.0.0.1", "421"},
		{"[::1", "421"},
		{"[cam.example]", "421"},
		{"cam.example.evil", "421"},
		{"cam.example:80x", "421"},
		{"127.0.0.1:80", "404"},
		{"[::1]:8080", "404"},
		{"[::1]", "404"},
		{"192.0.2.1", "404"},
		{"LocalHost:1", "404"},
		{"CAM.example.:8080", "404"},
		{"b.example", "404"},
		{"", "404"},
	};
	struct fixture *f = *state;
	char text[512], own[256];
	bool ended;
	int fd;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		fd = dial(f);
		snprintf(text, sizeof text,
			 "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", cases[i][0]);
		say(f, fd, text);
		hear(f, fd, text, sizeof text, &ended);
		assert_memory_equal(text + 9, cases[i][1], 3);
		close(fd);
		turn(f);
	}
	assert_int_equal(gethostname(own, sizeof own), 0);
	own[strcspn(own, ".")] = '\0';
	for (int i = 0; i < 3; i++) {
		fd = dial(f);
		snprintf(text, sizeof text,
			 "GET %s/ HTTP/1.1\r\nHost: %s%s\r\nConnection: close\r\n\r\n",
			 i == 2 ? "http://evil.example" : "", own, i == 1 ? ".local:8080" : "");
		say(f, fd, text);
		hear(f, fd, text, sizeof text, &ended);
		assert_memory_equal(text + 9, i == 2 ? "421" : "404", 3);
		close(fd);
		turn(f);
	}
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
	say(f, fd, "GET /big HTTP/1.0\r\n\r\n");
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
	say(f, writing, "GET /big HTTP/1.0\r\n\r\n");
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

	say(f, fd, "GET /big HTTP/1.0\r\n\r\n");
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
		{"POST / HTTP/1.0\r\n\r\n", "411"},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "411"},
		{"POST / HTTP/1.0\r\nContent-Length: 16385\r\n\r\n", "413"},
		{"PUT / HTTP/1.0\r\n\r\n", "405"},
		{"BREW / HTTP/1.0\r\n\r\n", "501"},
		{"GET /%zz HTTP/1.0\r\n\r\n", "400"},
		{"OPTIONS * HTTP/1.0\r\n\r\n", "405"},
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
		BOTH(a_request_has_two_seconds_and_its_answer_ten),
		BOTH(a_client_that_stays_after_the_answer_is_closed),
		BOTH(an_endless_request_is_cut_off),
		BOTH(an_answer_may_come_later),
		BOTH(idle_connections_make_room),
		BOTH(a_crowd_that_connects_at_once_is_served),
		BOTH(a_session_that_was_just_answered_goes_last),
		BOTH(an_address_has_its_share),
		BOTH(names_of_other_machines_are_refused),
		BOTH(without_memory_the_connection_is_closed),
		BOTH(the_end_closes_all),
		BOTH(a_client_that_ends_its_input_gets_its_answer),
		BOTH(what_is_no_request_is_refused_with_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
