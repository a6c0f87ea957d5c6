/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/message.h"

#define TIMEOUT_US 10000000
#define LINGER_US 1000000
#define HEAD_MAX 256 /* of an answer */
#define DISCARD_MAX (64 << 10)

struct session {
	struct connection *connection;
	struct loop_timer timeout;
	struct message *request; /* NULL: it has been answered */
	size_t discarded;	 /* bytes that came after it */
	bool ended;		 /* the peer sends nothing any more */
	bool written; /* what the peer still sends is read, so that no reset overtakes the answer */
};

static void set_timeout(struct session *session, int64_t us)
{
	struct loop *loop = connection_loop(session->connection);

	loop_timer_set(loop, &session->timeout, loop_now_us(loop) + us);
}

static void handle_timeout(struct loop_timer *timer)
{
	struct session *session = container_of(timer, struct session, timeout);

	/* Half an answer is of no use. */
	connection_close(session->connection, !session->request && !session->written);
}

static int http_accepted(struct connection *connection)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return -ENOMEM;
	session->request = malloc(sizeof(*session->request));
	if (!session->request) {
		free(session);
		return -ENOMEM;
	}
	message_init(session->request);
	session->connection = connection;
	connection->session = session;
	loop_timer_init(&session->timeout, handle_timeout);
	set_timeout(session, TIMEOUT_US);
	return 0;
}

static void http_finished(struct connection *connection)
{
	struct session *session = connection->session;

	if (!session)
		return;
	loop_timer_cancel(connection_loop(connection), &session->timeout);
	free(session->request);
	free(session);
	connection->session = NULL;
}

/* --- the answer --- */

static const char *status_text(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 414:
		return "URI Too Long";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	case 503:
		return "Service Unavailable";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Internal Server Error";
	}
}

/* Takes answer->body. */
static void send_answer(struct session *session, struct http_answer *answer, bool head_only)
{
	char head[HEAD_MAX], line[64];
	const char *type = answer->type;
	struct iovec pieces[2];
	int n, err;

	pieces[1] = (struct iovec){.iov_base = answer->body, .iov_len = answer->len};
	if (!answer->body) {
		pieces[1].iov_base = line;
		pieces[1].iov_len = (size_t)snprintf(line, sizeof line, "%d %s\n", answer->status,
						     status_text(answer->status));
		type = "text/plain; charset=utf-8";
	}
	n = snprintf(head, sizeof head,
		     "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
		     "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
		     answer->status, status_text(answer->status), type, pieces[1].iov_len,
		     answer->status == 405 ? "Allow: GET, HEAD\r\n" : "");
	pieces[0] = (struct iovec){.iov_base = head, .iov_len = (size_t)n};
	free(session->request);
	session->request = NULL;
	err = connection_write(session->connection, pieces, head_only ? 1 : 2);
	free(answer->body);
	if (err < 0)
		connection_close(session->connection, true);
}

static void refuse(struct session *session, int status)
{
	struct http_answer answer = {.status = status};

	send_answer(session, &answer, false);
}

static void answer_request(struct session *session)
{
	const struct http *http = session->connection->endpoint->user;
	const struct message *request = session->request;
	struct http_answer answer = {.status = 404};
	bool head = request->method == MESSAGE_HEAD;

	if (request->protocol != MESSAGE_HTTP || !request->method_name) {
		refuse(session, 400);
	} else if (!head && request->method != MESSAGE_GET) {
		refuse(session, request->method == MESSAGE_UNKNOWN ? 501 : 405);
	} else if (strlen(request->path) >= HTTP_PATH_MAX) {
		refuse(session, 414);
	} else {
		http->handler(http->user, request->path, &answer);
		send_answer(session, &answer, head);
	}
}

/* --- the peer --- */

static void http_input(struct connection *connection, const uint8_t *data, size_t len)
{
	struct session *session = connection->session;
	size_t taken = 0;
	int ret;

	if (session->request) {
		ret = message_push(session->request, (const char *)data, len, &taken);
		if (ret == MESSAGE_COMPLETE)
			answer_request(session);
		else if (ret == MESSAGE_INTERLEAVED)
			refuse(session, 400);
		else if (ret < 0)
			refuse(session, message_error_status(ret));
		if (connection_closing(connection))
			return;
	}
	/* A body, or a second request, is of no interest. */
	session->discarded += len - taken;
	if (session->discarded > DISCARD_MAX)
		connection_close(connection, true);
}

static void http_input_ended(struct connection *connection)
{
	struct session *session = connection->session;

	session->ended = true;
	if (session->request || session->written)
		connection_close(connection, false);
}

static void http_written(struct connection *connection)
{
	struct session *session = connection->session;

	if (session->ended) {
		connection_close(connection, false);
		return;
	}
	connection_end_output(connection);
	session->written = true;
	session->discarded = 0;
	set_timeout(session, LINGER_US);
}

static const struct protocol http_protocol = {
	.scheme = "http",
	.refusal = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
		   "Connection: close\r\n\r\n",
	.accepted = http_accepted,
	.input = http_input,
	.input_ended = http_input_ended,
	.written = http_written,
	.finished = http_finished,
};

void http_init_endpoint(struct endpoint *endpoint, struct http *http)
{
	*endpoint = (struct endpoint){
		.protocol = &http_protocol,
		.user = http,
		.quota = {.name = "http", .max = HTTP_CONNECTIONS_MAX},
	};
}
