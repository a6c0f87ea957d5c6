/* SPDX-License-Identifier: BSD-2-Clause */
/* An HTTP client that sends any bytes, in pieces of any length, gets well-formed answers or none;
 * one that becomes a WebSocket gets well-formed frames. Its connection is closed when it leaves.
 * The first byte is the length of the pieces. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/serve/websocket.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct server *server;
static struct endpoint endpoint, socket_endpoint;
static struct quota viewers = {.name = "feed fuzz", .viewers = true};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void answer(void *user, const struct http_request *request, struct http_question *question)
{
	const char *path = request->path;

	(void)user;
	require(strlen(path) < HTTP_PATH_MAX);
	require(!request->body_len || request->body);
	if (strcmp(path, "/ws") == 0)
		websocket_answer(question, request, &socket_endpoint);
	else if (strcmp(path, "/healthz") == 0)
		http_reply(question, 200, "text/plain", "ok\n", 3);
	else
		http_reply(question, 404, NULL, NULL, 0);
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

static struct feed *make_feed(void)
{
	static const struct config_stream policy = {.history_ms = 1000, .stall_timeout_ms = 1000};
	static const struct feed_options options = {.name = "fuzz", .policy = &policy};
	static struct feed_demand demand = {ignore, ignore, ignore_unwatched};
	struct feed *feed;

	require(feed_create(&feed, loop, &options, &demand) == 0);
	return feed;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct config_daemon config = {.max_clients = 1};
	static struct http http = {.handler = answer, .hosts = "cam.example"};
	struct loop_options options = {.backend = CONFIG_BACKEND_EPOLL, .max_conns = 1};
	struct admission *admission;
	struct fdreserve *reserve;

	(void)argc;
	(void)argv;
	require(loop_create(&loop, &options) == 0);
	require(fdreserve_create(&reserve, loop, 1) == 0);
	require(admission_create(&admission, loop, &config, reserve) == 0);
	require(server_create(&server, loop, &config, admission) == 0);
	http_init_endpoint(&endpoint, &http);
	socket_endpoint = (struct endpoint){
		.protocol = &websocket_protocol, .user = make_feed(), .quota = &viewers};
	return 0;
}

static void turn(void)
{
	require(loop_turn(loop, 0) == 0);
}

/* Reads what there is; returns the bytes of the answer so far. */
static size_t hear(int fd, char *text, size_t len, size_t size)
{
	ssize_t n;

	while (len < size && (n = recv(fd, text + len, size - len, MSG_DONTWAIT)) > 0)
		len += (size_t)n;
	return len;
}

static void check_frames(const char *text, size_t len)
{
	while (len > 0) {
		uint8_t first = (uint8_t)text[0];

		require(first == 0x88 || first == 0x8a); /* a close or a pong */
		require(len >= 2 && (uint8_t)text[1] <= 125 && len >= 2 + (size_t)text[1]);
		len -= 2 + (size_t)text[1];
		text += 2 + text[1];
	}
}

/* whole: no more was to be read. */
static void check_answers(const char *text, size_t len, bool whole)
{
	const char *end = text + len;

	while (text < end) {
		const char *head_end = strstr(text, "\r\n\r\n"), *length;

		if (!head_end && !whole)
			return;
		require(strncmp(text, "HTTP/1.1 ", 9) == 0);
		require(head_end);
		if (strncmp(text + 9, "101", 3) == 0) {
			if (whole)
				check_frames(head_end + 4, (size_t)(end - head_end - 4));
			return;
		}
		length = strstr(text, "Content-Length: ");
		require(length && length < head_end);
		text = head_end + 4;
		if (strncmp(text, "HTTP/1.1 ", 9) != 0 && text < end) /* else the answer to HEAD */
			text += strtoul(length + 16, NULL, 10);
		require(text <= end || !whole);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[4096];
	size_t piece, len = 0;
	int pair[2];

	if (size < 1)
		return 0;
	piece = data[0] ? data[0] * 16u : 1;
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	server_accept(server, &endpoint, pair[1]);
	require(endpoint.quota->used == 1);
	for (size_t at = 1; at < size; at += piece) {
		size_t left = size - at;

		if (send(pair[0], data + at, left < piece ? left : piece, MSG_NOSIGNAL) < 0)
			break; /* it has closed */
		turn();
		len = hear(pair[0], text, len, sizeof text - 1);
	}
	turn();
	len = hear(pair[0], text, len, sizeof text - 1);
	text[len] = '\0';
	check_answers(text, len, len < sizeof text - 1);
	close(pair[0]);
	for (int i = 0; i < 100 && endpoint.quota->used + viewers.used > 0; i++)
		turn();
	require(endpoint.quota->used + viewers.used == 0);
	return 0;
}
