/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/http.h"

#include <errno.h>
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/diag.h"
#include "net/listen.h"

#define TIMEOUT_US 10000000
#define LINGER_US 1000000
#define URL_MAX 1024
#define HEAD_MAX 256 /* of an answer */
#define DISCARD_MAX (64 << 10)

enum connection_state {
	READING,
	WRITING,
	LINGERING, /* answered; what the peer still sends is read, so that no RST overtakes the
		      answer */
};

struct connection {
	struct list link;
	struct http *http;
	int fd;
	struct loop_watch watch;
	struct loop_timer timeout;
	enum connection_state state;
	struct http_parser parser;
	size_t received;
	char url[URL_MAX];
	size_t url_len;
	bool url_too_long, complete;
	char *out; /* head and body */
	size_t out_len, out_sent;
};

struct http_socket {
	struct loop_listener listener;
	struct http *http;
	bool open;
};

struct http {
	struct loop *loop;
	http_handler *handler;
	void *user;
	struct http_socket sockets[LISTEN_MAX];
	struct list connections;
	unsigned n_connections;
};

static void close_connection(struct connection *connection)
{
	struct http *http = connection->http;

	loop_timer_cancel(http->loop, &connection->timeout);
	loop_watch_remove(http->loop, &connection->watch);
	close(connection->fd);
	list_remove(&connection->link);
	http->n_connections--;
	free(connection->out);
	free(connection);
}

static void handle_timeout(struct loop_timer *timer)
{
	close_connection(container_of(timer, struct connection, timeout));
}

/* --- the request --- */

static int on_url(http_parser *parser, const char *at, size_t len)
{
	struct connection *connection = parser->data;

	if (len >= sizeof connection->url - connection->url_len) {
		connection->url_too_long = true;
		return 0;
	}
	memcpy(connection->url + connection->url_len, at, len);
	connection->url_len += len;
	return 0;
}

static int on_headers_complete(http_parser *parser)
{
	struct connection *connection = parser->data;

	connection->complete = true;
	http_parser_pause(parser, 1); /* a body is of no interest */
	return 0;
}

/* The path of the URL, without the query. 0, -ENAMETOOLONG, or -EINVAL. */
static int find_path(const struct connection *connection, char path[HTTP_PATH_MAX])
{
	struct http_parser_url url;
	size_t len;

	if (connection->url_too_long)
		return -ENAMETOOLONG;
	http_parser_url_init(&url);
	if (http_parser_parse_url(connection->url, connection->url_len,
				  connection->parser.method == HTTP_CONNECT, &url) != 0)
		return -EINVAL;
	if (!(url.field_set & 1u << UF_PATH))
		return -EINVAL;
	len = url.field_data[UF_PATH].len;
	if (len >= HTTP_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(path, connection->url + url.field_data[UF_PATH].off, len);
	path[len] = '\0';
	return 0;
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
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

/* Sends what goes; closes when all has gone or nothing will. */
static void write_some(struct connection *connection)
{
	struct loop *loop = connection->http->loop;
	ssize_t n;

	while (connection->out_sent < connection->out_len) {
		n = send(connection->fd, connection->out + connection->out_sent,
			 connection->out_len - connection->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			loop_watch_change(loop, &connection->watch, EPOLLOUT);
			return;
		}
		if (n < 0) {
			close_connection(connection);
			return;
		}
		connection->out_sent += (size_t)n;
	}
	shutdown(connection->fd, SHUT_WR);
	connection->state = LINGERING;
	connection->received = 0;
	loop_timer_set(loop, &connection->timeout, loop_now_us(loop) + LINGER_US);
	loop_watch_change(loop, &connection->watch, EPOLLIN);
}

/* Takes answer->body. */
static void answer_request(struct connection *connection, struct http_answer *answer,
			   bool head_only)
{
	char head[HEAD_MAX], line[64];
	const char *body = answer->body;
	size_t len = answer->len;
	int n;

	if (!body) {
		len = (size_t)snprintf(line, sizeof line, "%d %s\n", answer->status,
				       status_text(answer->status));
		body = line;
		answer->type = "text/plain; charset=utf-8";
	}
	n = snprintf(head, sizeof head,
		     "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
		     "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
		     answer->status, status_text(answer->status), answer->type, len,
		     answer->status == 405 ? "Allow: GET, HEAD\r\n" : "");
	if (head_only)
		len = 0;
	connection->out = malloc((size_t)n + len);
	if (connection->out) {
		memcpy(connection->out, head, (size_t)n);
		memcpy(connection->out + n, body, len);
		connection->out_len = (size_t)n + len;
	}
	free(answer->body);
	if (!connection->out) {
		close_connection(connection);
		return;
	}
	connection->state = WRITING;
	write_some(connection);
}

static void refuse(struct connection *connection, int status)
{
	struct http_answer answer = {.status = status};

	answer_request(connection, &answer, false);
}

static void handle_request(struct connection *connection)
{
	struct http *http = connection->http;
	struct http_answer answer = {.status = 404};
	bool head = connection->parser.method == HTTP_HEAD;
	char path[HTTP_PATH_MAX];
	int err;

	if (!head && connection->parser.method != HTTP_GET) {
		refuse(connection, 405);
		return;
	}
	err = find_path(connection, path);
	if (err < 0) {
		refuse(connection, err == -ENAMETOOLONG ? 414 : 400);
		return;
	}
	http->handler(http->user, path, &answer);
	answer_request(connection, &answer, head);
}

/* --- the connection --- */

static void read_request(struct connection *connection)
{
	static const struct http_parser_settings settings = {
		.on_url = on_url,
		.on_headers_complete = on_headers_complete,
	};
	char buffer[2048];
	ssize_t n = recv(connection->fd, buffer, sizeof buffer, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_connection(connection);
		return;
	}
	connection->received += (size_t)n;
	http_parser_execute(&connection->parser, &settings, buffer, (size_t)n);
	if (connection->complete)
		handle_request(connection);
	else if (connection->url_too_long)
		refuse(connection, 414);
	else if (HTTP_PARSER_ERRNO(&connection->parser) != HPE_OK)
		refuse(connection, 400);
	else if (connection->received > HTTP_REQUEST_MAX)
		refuse(connection, 431);
}

static void discard(struct connection *connection)
{
	char buffer[2048];
	ssize_t n = recv(connection->fd, buffer, sizeof buffer, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		connection->received += (size_t)n;
	if (n <= 0 || connection->received > DISCARD_MAX)
		close_connection(connection);
}

static void handle_ready(struct loop_watch *watch, uint32_t events)
{
	struct connection *connection = container_of(watch, struct connection, watch);

	(void)events;
	switch (connection->state) {
	case READING:
		read_request(connection);
		break;
	case WRITING:
		write_some(connection);
		break;
	case LINGERING:
		discard(connection);
		break;
	}
}

void http_serve(struct http *http, int fd)
{
	static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
				   "Retry-After: 1\r\nConnection: close\r\n\r\n";
	struct connection *connection;

	if (http->n_connections >= HTTP_CONNECTIONS_MAX) {
		(void)!send(fd, busy, sizeof busy - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		goto close_fd;
	}
	connection = calloc(1, sizeof *connection);
	if (!connection)
		goto close_fd;
	connection->http = http;
	connection->fd = fd;
	connection->watch.fd = fd;
	connection->watch.events = EPOLLIN;
	connection->watch.ready = handle_ready;
	http_parser_init(&connection->parser, HTTP_REQUEST);
	connection->parser.data = connection;
	if (loop_watch_add(http->loop, &connection->watch) < 0)
		goto free_connection;
	loop_timer_init(&connection->timeout, handle_timeout);
	loop_timer_set(http->loop, &connection->timeout, loop_now_us(http->loop) + TIMEOUT_US);
	list_append(&http->connections, &connection->link);
	http->n_connections++;
	return;

free_connection:
	free(connection);
close_fd:
	close(fd);
}

unsigned http_connections(const struct http *http)
{
	return http->n_connections;
}

static void handle_accepted(struct loop_listener *listener, int fd)
{
	http_serve(container_of(listener, struct http_socket, listener)->http, fd);
}

int http_create(struct http **out, struct loop *loop, const struct net_address *address,
		http_handler *handler, void *user)
{
	struct http *http = calloc(1, sizeof *http);
	int fds[LISTEN_MAX];
	char text[LISTEN_TEXT_MAX];
	int n, err, added = 0;

	if (!http)
		return -ENOMEM;
	http->loop = loop;
	http->handler = handler;
	http->user = user;
	list_init(&http->connections);
	n = listen_open(address, "http in [daemon]", fds);
	if (n < 0) {
		err = n;
		goto free_http;
	}
	for (; added < n; added++) {
		struct http_socket *socket = &http->sockets[added];

		socket->http = http;
		socket->listener.fd = fds[added];
		socket->listener.accepted = handle_accepted;
		listen_format_local(fds[added], text);
		err = loop_listener_add(loop, &socket->listener);
		if (err < 0)
			goto close_rest;
		socket->open = true;
		diag_info("http: listening on %s", text);
	}
	*out = http;
	return 0;

close_rest:
	for (; added < n; added++)
		close(fds[added]);
free_http:
	http_destroy(http);
	return err;
}

void http_destroy(struct http *http)
{
	struct list *pos, *tmp;

	if (!http)
		return;
	for (size_t i = 0; i < LISTEN_MAX; i++)
		if (http->sockets[i].open)
			loop_listener_remove(http->loop, &http->sockets[i].listener);
	list_for_each_safe (pos, tmp, &http->connections)
		close_connection(container_of(pos, struct connection, link));
	free(http);
}
