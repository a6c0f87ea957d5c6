/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/http.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "daemon/serve/hosts.h"
#include "daemon/serve/http_session.h"

#define REQUEST_US 2000000 /* for a whole request */
#define IDLE_US 15000000   /* between two requests */
#define ANSWER_US 10000000
#define LINGER_US 1000000
#define HEAD_MAX (512 + HTTP_EXTRA_MAX + HTTP_HEADERS_MAX) /* of an answer */
#define AHEAD_MAX (HTTP_BODY_MAX + 2 * MESSAGE_MAX)
#define DISCARD_MAX (64 << 10)

static void http_input(struct connection *connection, const uint8_t *data, size_t len);

static struct http_session *of_question(struct http_question *question)
{
	return container_of(question, struct http_session, question);
}

static void set_timeout(struct http_session *session, int64_t us)
{
	struct loop *loop = connection_loop(session->connection);

	loop_timer_set(loop, &session->timeout, loop_now_us(loop) + us);
}

static void handle_timeout(struct loop_timer *timer)
{
	struct http_session *session = container_of(timer, struct http_session, timeout);

	/* Half an answer is of no use. */
	connection_close(session->connection, session->phase == HTTP_ANSWERING);
}

static int http_accepted(struct connection *connection)
{
	struct http_session *session = calloc(1, sizeof(*session));

	if (!session)
		return -ENOMEM;
	session->connection = connection;
	connection->session = session;
	list_init(&session->link);
	session->local_port = connection->endpoint->port;
	http_take_place(http_of_endpoint(connection->endpoint), session);
	list_init(&session->question.link);
	loop_timer_init(&session->timeout, handle_timeout);
	set_timeout(session, REQUEST_US);
	return 0;
}

static void free_session(struct http_session *session)
{
	loop_timer_cancel(connection_loop(session->connection), &session->timeout);
	http_leave_place(session);
	list_remove(&session->question.link);
	access_cancel(&session->ask);
	free(session->head);
	free(session->ahead);
	free(session->asked);
	free(session->asked_body);
	free(session->extra);
	free(session);
}

static void http_finished(struct connection *connection)
{
	struct http_session *session = connection->session;

	if (session)
		free_session(session);
	connection->session = NULL;
}

/* --- the answer --- */

static const char *status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} texts[] = {
		{101, "Switching Protocols"},
		{200, "OK"},
		{204, "No Content"},
		{303, "See Other"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{411, "Length Required"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{421, "Misdirected Request"},
		{426, "Upgrade Required"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{501, "Not Implemented"},
		{503, "Service Unavailable"},
		{505, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "Internal Server Error";
}

/* RFC 9110 clause 5.6.7; independent of the locale. */
static void format_date(char *text, size_t size)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	snprintf(text, size, "%.3s, %02d %.3s %d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
		 tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
		 tm.tm_sec);
}

/* len: of the body; -1: it ends with the connection. */
static size_t format_head(const struct http_session *session, const struct http_answer *answer,
			  int64_t len, bool keep, char head[HEAD_MAX])
{
	static const char public[] = "public";
	const char *cache = answer->cache ? answer->cache : "no-store", *visible = "";
	char date[64], length[48] = "";
	int n;

	if (session->is_private && strncmp(cache, public, sizeof public - 1) == 0) {
		cache += sizeof public - 1;
		visible = "private";
	}
	format_date(date, sizeof date);
	if (len >= 0)
		snprintf(length, sizeof length, "Content-Length: %lld\r\n", (long long)len);
	n = snprintf(head, HEAD_MAX,
		     "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\n%sCache-Control: %s%s\r\n"
		     "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
		     "%s%sConnection: %s\r\n\r\n",
		     answer->status, status_text(answer->status), date, answer->type, length,
		     visible, cache, answer->headers ? answer->headers : "",
		     session->extra ? session->extra : "", keep ? "keep-alive" : "close");
	assert(n < HEAD_MAX);
	return (size_t)n;
}

/* Writes the head of an answer and the bytes of its body, of body_len in all. */
static void write_answer(struct http_session *session, const struct http_answer *answer,
			 int64_t body_len)
{
	char head[HEAD_MAX];
	struct iovec pieces[2] = {
		{.iov_base = head},
		{.iov_base = (void *)(uintptr_t)answer->body, .iov_len = answer->len},
	};
	bool body = answer->body && !session->head_only;

	list_remove(&session->question.link);
	session->question.pictures = NULL;
	pieces[0].iov_len = format_head(session, answer, body_len, session->keep, head);
	if (connection_write(session->connection, pieces, body ? 2 : 1) < 0)
		connection_close(session->connection, true);
}

void http_answer(struct http_question *question, const struct http_answer *answer)
{
	struct http_answer line = *answer;
	char text[64];

	if (!answer->body) {
		line.len = (size_t)snprintf(text, sizeof text, "%d %s\n", answer->status,
					    status_text(answer->status));
		line.body = text;
		line.type = "text/plain; charset=utf-8";
	}
	/* RFC 9110 clause 8.6: a 204 has no length. */
	write_answer(of_question(question), &line, line.status == 204 ? -1 : (int64_t)line.len);
}

void http_reply(struct http_question *question, int status, const char *type, const char *body,
		size_t len)
{
	struct http_answer answer = {.status = status, .type = type, .body = body, .len = len};

	http_answer(question, &answer);
}

void http_refuse(struct http_session *session, int status)
{
	struct http_answer answer = {
		.status = status,
		.headers = status == 503 ? "Retry-After: 1\r\n" : NULL,
	};

	http_answer(&session->question, &answer);
}

struct quota *http_waits_for(const struct connection *connection)
{
	const struct http_session *session = connection->session;

	return session->question.pictures;
}

void http_allow(struct http_question *question, int64_t us)
{
	set_timeout(of_question(question), us);
}

void http_refuse_method(struct http_question *question, const char *allowed)
{
	char allow[64];
	struct http_answer answer = {.status = 405, .headers = allow};

	snprintf(allow, sizeof allow, "Allow: %s\r\n", allowed);
	http_answer(question, &answer);
}

void http_answer_units(struct http_question *question, const struct http_answer *answer,
		       struct feed *feed, uint64_t from, uint64_t until)
{
	struct http_session *session = of_question(question);
	const struct log *log = feed_log(feed);
	int64_t len = (int64_t)answer->len;

	if (from < log->tail || until > log->head || from >= until) {
		http_refuse(session, 404);
		return;
	}
	for (uint64_t seq = from; seq < until; seq++)
		len += log_unit(log, seq)->len;
	session->feed = feed;
	session->from = from;
	session->until = until;
	write_answer(session, answer, len);
}

/* --- answers that do not end --- */

/* Leaves the session behind: the connection is one of the endpoint, or 503 was answered. */
static bool leave_session(struct http_session *session, struct endpoint *endpoint)
{
	struct connection *connection = session->connection;

	if (server_move(connection, endpoint) < 0) {
		http_refuse(session, 503);
		return false;
	}
	free_session(session); /* the connection has forgotten it */
	return true;
}

static void begin_live(struct connection *connection, const struct iovec *pieces, int n)
{
	if (connection_write(connection, pieces, n) < 0 ||
	    connection->endpoint->protocol->accepted(connection) < 0)
		connection_close(connection, true);
}

void http_stream(struct http_question *question, const struct http_answer *answer,
		 struct endpoint *endpoint)
{
	struct http_session *session = of_question(question);
	struct connection *connection = session->connection;
	char head[HEAD_MAX];
	struct iovec pieces[2] = {
		{.iov_base = head},
		{.iov_base = (void *)(uintptr_t)answer->body, .iov_len = answer->len},
	};

	if (session->head_only) {
		session->keep = false;
		write_answer(session, answer, -1);
		return;
	}
	pieces[0].iov_len = format_head(session, answer, -1, false, head);
	if (leave_session(session, endpoint))
		begin_live(connection, pieces, answer->body ? 2 : 1);
}

void http_switch(struct http_question *question, const char *headers, struct endpoint *endpoint)
{
	struct http_session *session = of_question(question);
	struct connection *connection = session->connection;
	char head[HEAD_MAX];
	struct iovec piece = {.iov_base = head};

	piece.iov_len = (size_t)snprintf(head, sizeof head,
					 "HTTP/1.1 101 %s\r\n%sConnection: Upgrade\r\n\r\n",
					 status_text(101), headers);
	if (leave_session(session, endpoint))
		begin_live(connection, &piece, 1);
}

bool http_become_viewer(struct http_question *question, struct endpoint *endpoint)
{
	struct http_session *session = of_question(question);
	struct connection *connection = session->connection;

	if (connection->endpoint == endpoint)
		return true;
	if (server_move(connection, endpoint) < 0) {
		http_refuse(session, 503);
		return false;
	}
	connection->session = session;
	http_leave_place(session);
	return true;
}

/* --- a request --- */

static void refuse_host(struct http_session *session)
{
	static const char text[] =
		"421 Misdirected Request\nThis machine does not have the name in the address of "
		"this page. Use its IP address, or add the name to http_hosts in [daemon].\n";

	http_reply(&session->question, 421, "text/plain; charset=utf-8", text, sizeof text - 1);
}

/* A target with a host replaces the header (RFC 9112 clause 3.2.2). A request without any is of a
 * program: browsers send one. */
static bool host_allowed(const struct http *http, const struct message *head)
{
	const char *header = message_header(head, "Host", NULL);

	return (!header || hosts_allow(header, http->hosts)) &&
	       (!head->authority || hosts_allow(head->authority, http->hosts));
}

bool http_same_origin(const struct message *head)
{
	const char *origin = message_header(head, "Origin", NULL);
	const char *host = head->authority ? head->authority : message_header(head, "Host", NULL);
	const char *own = origin ? strstr(origin, "://") : NULL;

	return !origin || (own && host && strcasecmp(own + 3, host) == 0);
}

/* RFC 9112 clause 9.3. */
static bool wants_more(const struct message *head)
{
	return head->minor == 0 ? message_has_token(head, "Connection", "keep-alive")
				: !message_has_token(head, "Connection", "close");
}

/* The status with which a request is refused; 0: it is not. */
static int check_request(const struct message *head)
{
	if (head->protocol != MESSAGE_HTTP || !head->method_name)
		return 400;
	if (head->method != MESSAGE_GET && head->method != MESSAGE_HEAD &&
	    head->method != MESSAGE_POST && head->method != MESSAGE_OPTIONS)
		return head->method == MESSAGE_UNKNOWN ? 501 : 405;
	if (head->chunked || (head->method == MESSAGE_POST && head->content_length < 0))
		return 411;
	if (head->content_length > HTTP_BODY_MAX)
		return 413;
	return 0;
}

void http_answer_request(struct http_session *session, const struct message *head,
			 const uint8_t *body, size_t body_len,
			 const struct credentials *credentials, const struct access_who *who)
{
	const struct http *http = http_of_endpoint(session->connection->endpoint);
	struct http_request request = {
		.peer = &session->connection->peer,
		.who = who,
		.credentials = credentials,
		.head = head,
		.body = (const char *)body,
		.body_len = body_len,
	};
	int err = message_decode(head->path, request.path, sizeof request.path);

	if (http->access)
		connection_set_user(session->connection, access_number(http->access, who));
	if (err < 0)
		http_refuse(session, message_error_status(err));
	else
		http->handler(http->user, &request, &session->question);
}

/* Answers a request that is complete. Returns what is to be freed: the head, or NULL. */
static struct message *begin_request(struct http_session *session, struct message *head,
				     const uint8_t *body, size_t body_len)
{
	session->head_only = head->method == MESSAGE_HEAD;
	session->keep = wants_more(head);
	if (host_allowed(http_of_endpoint(session->connection->endpoint), head))
		return http_begin_request(session, head, body, body_len);
	refuse_host(session);
	return head;
}

/* The request is read, or refused with status. */
static void end_request(struct http_session *session, int status, const uint8_t *body,
			size_t body_len)
{
	struct message *head = session->head;

	session->head = NULL; /* the session may end with its answer */
	session->phase = HTTP_ANSWERING;
	session->keep = false;
	session->head_only = false;
	free(session->extra); /* of another request; behind a proxy, of somebody else */
	session->extra = NULL;
	set_timeout(session, ANSWER_US);
	if (status == 405)
		http_refuse_method(&session->question, "GET, HEAD, POST");
	else if (status)
		http_refuse(session, status);
	else
		head = begin_request(session, head, body, body_len);
	free(head);
}

/* Of data, which follows a complete head: returns the bytes of the body, and answers; or returns 0
 * with *more set, because the body is not complete. */
static size_t end_head(struct http_session *session, const uint8_t *data, size_t len, bool *more)
{
	const struct message *head = session->head;
	int status = check_request(head);
	size_t body_len =
		status == 0 && head->content_length > 0 ? (size_t)head->content_length : 0;

	*more = len < body_len;
	if (*more)
		return 0;
	end_request(session, status, data, body_len);
	return body_len;
}

static int begin_head(struct http_session *session)
{
	session->head = malloc(sizeof(*session->head));
	if (!session->head)
		return -ENOMEM;
	message_init(session->head);
	set_timeout(session, REQUEST_US);
	return 0;
}

/* Whether the connection still is a session of HTTP. */
static bool is_session(const struct connection *connection)
{
	return !connection_closing(connection) &&
	       connection->endpoint->protocol->input == http_input;
}

/* Reads the requests in data, up to one that has to wait for the answer to another. Returns the
 * bytes that were taken. */
static size_t read_requests(struct connection *connection, const uint8_t *data, size_t len)
{
	size_t at = 0, taken;
	bool more = false;

	while (!more && at < len && is_session(connection)) {
		struct http_session *session = connection->session;
		int result;

		if (session->phase != HTTP_READING)
			break;
		if (!session->head && begin_head(session) < 0) {
			connection_close(connection, true);
			break;
		}
		result = message_push(session->head, (const char *)data + at, len - at, &taken);
		at += taken;
		if (result == MESSAGE_COMPLETE)
			at += end_head(session, data + at, len - at, &more);
		else if (result != MESSAGE_MORE)
			end_request(session,
				    result == MESSAGE_INTERLEAVED ? 400
								  : message_error_status(result),
				    NULL, 0);
	}
	return at;
}

/* Keeps what has to wait. */
static void keep_ahead(struct http_session *session, const uint8_t *data, size_t len)
{
	session->ahead = len <= AHEAD_MAX ? malloc(len) : NULL;
	if (!session->ahead) {
		connection_close(session->connection, true);
		return;
	}
	memcpy(session->ahead, data, len);
	session->ahead_len = len;
}

/* Takes all of data; the session has nothing ahead. */
static void take_input(struct connection *connection, const uint8_t *data, size_t len)
{
	size_t taken = read_requests(connection, data, len);
	struct http_session *session = connection->session;

	if (connection_closing(connection) || taken == len)
		return;
	if (!is_session(connection)) {
		if (connection->endpoint->protocol->input)
			connection->endpoint->protocol->input(connection, data + taken,
							      len - taken);
		return;
	}
	if (session->phase == HTTP_READING || session->keep) {
		keep_ahead(session, data + taken, len - taken);
		return;
	}
	/* No request follows. */
	session->discarded += len - taken;
	if (session->discarded > DISCARD_MAX)
		connection_close(connection, true);
}

/* Takes what was kept ahead, and data (len bytes, 0 is allowed) behind it. */
static void take_ahead(struct connection *connection, const uint8_t *data, size_t len)
{
	struct http_session *session = connection->session;
	size_t all = session->ahead_len + len;
	uint8_t *bytes = realloc(session->ahead, all);

	if (!bytes) {
		connection_close(connection, true);
		return;
	}
	if (len > 0)
		memcpy(bytes + session->ahead_len, data, len);
	session->ahead = NULL;
	session->ahead_len = 0;
	take_input(connection, bytes, all);
	free(bytes);
}

static void http_input(struct connection *connection, const uint8_t *data, size_t len)
{
	struct http_session *session = connection->session;

	if (session->ahead)
		take_ahead(connection, data, len);
	else
		take_input(connection, data, len);
}

static void http_input_ended(struct connection *connection)
{
	struct http_session *session = connection->session;

	session->ended = true;
	if (session->phase != HTTP_ANSWERING)
		connection_close(connection, false);
}

/* --- after the answer --- */

static void end_answer(struct http_session *session)
{
	struct connection *connection = session->connection;

	if (session->keep) {
		session->phase = HTTP_READING;
		http_go_last(session);
		set_timeout(session, IDLE_US);
		if (session->ahead)
			take_ahead(connection, NULL, 0);
		if (!is_session(connection))
			return;
		session = connection->session;
		if (session->ended && session->phase == HTTP_READING)
			connection_close(connection, false);
		return;
	}
	if (session->ended) {
		connection_close(connection, false);
		return;
	}
	connection_end_output(connection);
	session->phase = HTTP_LINGERING;
	session->discarded = 0;
	set_timeout(session, LINGER_US);
}

static void http_written(struct connection *connection)
{
	struct http_session *session = connection->session;
	struct feed *feed = session->feed;

	session->feed = NULL;
	if (!feed || session->head_only) {
		end_answer(session);
		return;
	}
	/* The feed's stall timeout counts from here on. */
	loop_timer_cancel(connection_loop(connection), &session->timeout);
	if (connection_watch_range(connection, feed, session->from, session->until) < 0)
		connection_close(connection, true);
}

/* All units of the answer are sent. */
static void http_held(struct connection *connection)
{
	connection_unwatch(connection);
	end_answer(connection->session);
}

/* Units that the answer was to go on with may be of a feed that ends. */
static bool http_review(struct connection *connection)
{
	const struct http_session *session = connection->session;

	return !session->feed || !feed_drains(session->feed);
}

static const struct protocol http_protocol = {
	.scheme = "http",
	.tls_scheme = "https",
	.needs_tls = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
		     "Content-Length: 39\r\nConnection: close\r\n\r\n"
		     "400 This port speaks TLS: use https://\n",
	.refusal = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
		   "Connection: close\r\n\r\n",
	.make_room = http_make_room,
	.accepted = http_accepted,
	.input = http_input,
	.input_ended = http_input_ended,
	.held = http_held,
	.written = http_written,
	.review = http_review,
	.finished = http_finished,
};

void http_init_endpoint(struct endpoint *endpoint, struct http *http)
{
	list_init(&http->sessions);
	http->quota = (struct quota){.name = "http", .max = HTTP_CONNECTIONS_MAX};
	*endpoint = (struct endpoint){
		.protocol = &http_protocol,
		.user = http,
		.quota = &http->quota,
	};
}

void http_init_viewers(struct endpoint *endpoint, struct http *http, struct quota *quota)
{
	*endpoint = (struct endpoint){.protocol = &http_protocol, .user = http, .quota = quota};
}
