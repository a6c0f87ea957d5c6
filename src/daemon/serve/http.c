/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/serve/hosts.h"
#include "net/message.h"

#define REQUEST_US 2000000 /* for a whole request */
#define ANSWER_US 10000000
#define LINGER_US 1000000
#define HEAD_MAX 256 /* of an answer */
#define DISCARD_MAX (64 << 10)

struct session {
	struct connection *connection;
	struct list link; /* http.sessions */
	struct http_question question;
	struct loop_timer timeout;
	struct message *request; /* NULL: it has been answered */
	size_t discarded;	 /* bytes that came after it */
	bool head_only;
	bool ended;   /* the peer sends nothing any more */
	bool written; /* what the peer still sends is read, so that no reset overtakes the answer */
};

static struct http *of_endpoint(const struct endpoint *endpoint)
{
	return endpoint->user;
}

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
	list_init(&session->link);
	list_append(&of_endpoint(connection->endpoint)->sessions, &session->link);
	list_init(&session->question.link);
	loop_timer_init(&session->timeout, handle_timeout);
	set_timeout(session, REQUEST_US);
	return 0;
}

static void http_finished(struct connection *connection)
{
	struct session *session = connection->session;

	if (!session)
		return;
	loop_timer_cancel(connection_loop(connection), &session->timeout);
	list_remove(&session->link);
	list_remove(&session->question.link);
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
	case 421:
		return "Misdirected Request";
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

void http_reply(struct http_question *question, int status, const char *type, const char *body,
		size_t len)
{
	struct session *session = container_of(question, struct session, question);
	char head[HEAD_MAX], line[64];
	struct iovec pieces[2];
	int n;

	list_remove(&question->link);
	if (!body) {
		len = (size_t)snprintf(line, sizeof line, "%d %s\n", status, status_text(status));
		body = line;
		type = "text/plain; charset=utf-8";
	}
	n = snprintf(head, sizeof head,
		     "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
		     "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
		     status, status_text(status), type, len,
		     status == 405 ? "Allow: GET, HEAD\r\n" : "");
	pieces[0] = (struct iovec){.iov_base = head, .iov_len = (size_t)n};
	pieces[1] = (struct iovec){.iov_base = (void *)(uintptr_t)body, .iov_len = len};
	if (connection_write(session->connection, pieces, session->head_only ? 1 : 2) < 0)
		connection_close(session->connection, true);
}

static void refuse(struct session *session, int status)
{
	http_reply(&session->question, status, NULL, NULL, 0);
}

static void refuse_host(struct session *session)
{
	static const char text[] =
		"421 Misdirected Request\nThis machine does not have the name in the address of "
		"this "
		"page. Use its IP address, or add the name to http_hosts in [daemon].\n";

	http_reply(&session->question, 421, "text/plain; charset=utf-8", text, sizeof text - 1);
}

/* A target with a host replaces the header (RFC 9112 clause 3.2.2). A request without any is of a
 * program: browsers send one. */
static bool host_allowed(const struct http *http, const struct message *request)
{
	const char *header = message_header(request, "Host", NULL);

	return (!header || hosts_allow(header, http->hosts)) &&
	       (!request->authority || hosts_allow(request->authority, http->hosts));
}

static void answer_request(struct session *session, const struct message *request)
{
	const struct http *http = of_endpoint(session->connection->endpoint);

	session->head_only = request->method == MESSAGE_HEAD;
	if (request->protocol != MESSAGE_HTTP || !request->method_name)
		refuse(session, 400);
	else if (!session->head_only && request->method != MESSAGE_GET)
		refuse(session, request->method == MESSAGE_UNKNOWN ? 501 : 405);
	else if (!host_allowed(http, request))
		refuse_host(session);
	else if (strlen(request->path) >= HTTP_PATH_MAX)
		refuse(session, 414);
	else
		http->handler(http->user, request->path, &session->question);
}

/* --- the peer --- */

/* The request is complete or refused; result: of message_push(). */
static void end_request(struct session *session, int result)
{
	struct message *request = session->request;

	session->request = NULL;
	set_timeout(session, ANSWER_US);
	if (result == MESSAGE_COMPLETE)
		answer_request(session, request);
	else
		refuse(session, result == MESSAGE_INTERLEAVED ? 400 : message_error_status(result));
	free(request);
}

static void http_input(struct connection *connection, const uint8_t *data, size_t len)
{
	struct session *session = connection->session;
	size_t taken = 0;
	int result;

	if (session->request) {
		result = message_push(session->request, (const char *)data, len, &taken);
		if (result != MESSAGE_MORE)
			end_request(session, result);
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

/* --- places --- */

static bool is_of(const struct session *session, const uint64_t key[2])
{
	uint64_t own[2];

	net_peer_host_key(&session->connection->peer, own);
	return memcmp(own, key, sizeof own) == 0;
}

static unsigned count_of(const struct http *http, const uint64_t key[2])
{
	unsigned n = 0;

	for (struct list *pos = http->sessions.next; pos != &http->sessions; pos = pos->next)
		n += is_of(container_of(pos, struct session, link), key);
	return n;
}

/* How willingly a session gives its place to a peer whose address has `n` sessions; 0:
 * not at all. */
static unsigned willing(const struct http *http, const struct session *session,
			const struct net_peer *peer, unsigned n)
{
	bool local = net_peer_is_loopback(peer);
	uint64_t key[2];
	unsigned others;

	if (net_peer_is_loopback(&session->connection->peer) && !local)
		return 0;
	net_peer_host_key(&session->connection->peer, key);
	others = count_of(http, key);
	if (session->written)
		return 3 * HTTP_CONNECTIONS_MAX + others;
	if (session->request)
		return 2 * HTTP_CONNECTIONS_MAX + others;
	if (others >= n + 2 || (local && !net_peer_is_loopback(&session->connection->peer)))
		return others;
	return 0;
}

/* The session that gives its place, or NULL. own: only one of the peer's address. */
static struct session *find_place(const struct http *http, const struct net_peer *peer, bool own)
{
	struct session *found = NULL;
	unsigned most = 0, n;
	uint64_t key[2];

	net_peer_host_key(peer, key);
	n = count_of(http, key);
	for (struct list *pos = http->sessions.next; pos != &http->sessions; pos = pos->next) {
		struct session *session = container_of(pos, struct session, link);
		unsigned will = willing(http, session, peer, n);

		if (will > most && (!own || is_of(session, key))) {
			most = will;
			found = session;
		}
	}
	return found;
}

static bool http_make_room(struct endpoint *endpoint, const struct net_peer *peer)
{
	const struct http *http = of_endpoint(endpoint);
	struct session *session;
	uint64_t key[2];
	bool share_taken;

	net_peer_host_key(peer, key);
	share_taken = !net_peer_is_loopback(peer) && count_of(http, key) >= HTTP_SHARE;
	if (!share_taken && endpoint->quota.used < endpoint->quota.max)
		return true;
	session = find_place(http, peer, share_taken);
	if (!session)
		return false;
	connection_close(session->connection, !session->written);
	return true;
}

static const struct protocol http_protocol = {
	.scheme = "http",
	.refusal = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
		   "Connection: close\r\n\r\n",
	.make_room = http_make_room,
	.accepted = http_accepted,
	.input = http_input,
	.input_ended = http_input_ended,
	.written = http_written,
	.finished = http_finished,
};

void http_init_endpoint(struct endpoint *endpoint, struct http *http)
{
	list_init(&http->sessions);
	*endpoint = (struct endpoint){
		.protocol = &http_protocol,
		.user = http,
		.quota = {.name = "http", .max = HTTP_CONNECTIONS_MAX},
	};
}
