/* SPDX-License-Identifier: BSD-2-Clause */
/* A status client that sends any bytes, in pieces of any length, gets one well-formed answer or
 * none. Its connection is closed when it leaves. The first byte is the length of the pieces. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/serve/http.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct server *server;
static struct endpoint endpoint;

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void answer(void *user, const char *path, struct http_question *question)
{
	(void)user;
	require(strlen(path) < HTTP_PATH_MAX);
	if (strcmp(path, "/healthz") == 0)
		http_reply(question, 200, "text/plain", "ok\n", 3);
	else
		http_reply(question, 404, NULL, NULL, 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct config_daemon config = {.max_clients = 1};
	static struct http http = {.handler = answer, .hosts = "cam.example"};
	struct loop_options options = {.backend = CONFIG_BACKEND_EPOLL, .max_conns = 1};
	struct admission *admission;

	(void)argc;
	(void)argv;
	require(loop_create(&loop, &options) == 0);
	require(admission_create(&admission, loop, &config, NULL) == 0);
	require(server_create(&server, loop, &config, admission) == 0);
	http_init_endpoint(&endpoint, &http);
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

static void check_answer(char *text, size_t len)
{
	char *head_end, *length;

	text[len] = '\0';
	require(strncmp(text, "HTTP/1.1 ", 9) == 0);
	head_end = strstr(text, "\r\n\r\n");
	length = strstr(text, "Content-Length: ");
	require(head_end && length && length < head_end);
	/* HEAD: none of it; else all. */
	require(head_end + 4 == text + len ||
		head_end + 4 + strtoul(length + 16, NULL, 10) == text + len);
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
	require(endpoint.quota.used == 1);
	for (size_t at = 1; at < size; at += piece) {
		size_t left = size - at;

		if (send(pair[0], data + at, left < piece ? left : piece, MSG_NOSIGNAL) < 0)
			break; /* it has closed */
		turn();
		len = hear(pair[0], text, len, sizeof text - 1);
	}
	turn();
	len = hear(pair[0], text, len, sizeof text - 1);
	if (len > 0)
		check_answer(text, len);
	close(pair[0]);
	for (int i = 0; i < 100 && endpoint.quota.used > 0; i++)
		turn();
	require(endpoint.quota.used == 0);
	return 0;
}
