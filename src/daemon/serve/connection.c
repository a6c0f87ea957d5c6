/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/connection.h"

#include <assert.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CACHE_LINE POOL_ALIGN
#define KEEPALIVE_IDLE_S 60

/* A connection with TLS. Cursor, policy and loop are those of all. */
struct secure {
	struct connection connection;
	struct tls tls;
};

/* What a session writes. */
struct outgoing {
	struct pages pages;
	uint32_t at, len;
	uint8_t data[];
};

static_assert(TLS_NAME_MAX == CREDENTIALS_CERTIFICATE_MAX, "one is read into the other");
static_assert(sizeof(struct connection) <= 256, "memory per viewer is bounded");
static_assert(offsetof(struct connection, cursor) == CACHE_LINE,
	      "the hot parts of connection and cursor are two cache lines");

struct loop *connection_loop(const struct connection *connection)
{
	return connection->endpoint->loop;
}

bool connection_closing(const struct connection *connection)
{
	return loop_conn_closing(&connection->conn);
}

bool connection_watches(const struct connection *connection)
{
	return connection->cursor.audience != NULL;
}

static size_t round_up(size_t size)
{
	return (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

size_t connection_size(void)
{
	return round_up(sizeof(struct connection));
}

bool connection_secure(const struct connection *connection)
{
	return connection->conn.ops->read;
}

/* Only of a connection with TLS. */
static struct tls *tls_of(struct connection *connection)
{
	return &container_of(connection, struct secure, connection)->tls;
}

bool connection_certificate(struct connection *connection, char name[TLS_NAME_MAX])
{
	return connection_secure(connection) && tls_client_name(tls_of(connection), name);
}

/* --- the sink of its cursor --- */

static struct connection *of_cursor(struct cursor *cursor)
{
	return container_of(cursor, struct connection, cursor);
}

static const struct connection *of_const_cursor(const struct cursor *cursor)
{
	return container_of_const(cursor, struct connection, cursor);
}

/* Of a run of len bytes, whose first unit has unit_len. A record of ours that has begun must be
 * finished, so it has bytes of one unit only. A unit of a single byte, which no framing makes,
 * would count as not begun while its record waits. */
static uint32_t limit_send(const struct tls *tls, uint32_t len, uint32_t unit_len)
{
	if (!tls_in_kernel(tls))
		return unit_len;
	return len > tls->at_once ? tls->at_once : len;
}

static void sink_send(struct cursor *cursor, const struct pages *pages, uint32_t offset,
		      uint32_t len)
{
	struct connection *connection = of_cursor(cursor);

	if (connection_secure(connection))
		len = limit_send(tls_of(connection), len, cursor->unit_end - cursor->at);
	loop_conn_send(cursor->audience->loop, &connection->conn, pages, offset, len);
}

static bool sink_ready(const struct cursor *cursor)
{
	const struct connection *connection = of_const_cursor(cursor);

	return !connection->outgoing && !loop_conn_waits(&connection->conn);
}

static void sink_want_writable(struct cursor *cursor)
{
	loop_conn_want_writable(cursor->audience->loop, &of_cursor(cursor)->conn);
}

/* tcp(7), TCP_INFO: tcpi_rwnd_limited is the time for which the peer's window was closed, in
 * microseconds since the connection began. A link that carries nothing leaves the window open. */
static int64_t sink_paused_us(const struct cursor *cursor)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(of_const_cursor(cursor)->conn.fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	    len < offsetof(struct tcp_info, tcpi_rwnd_limited) + sizeof(info.tcpi_rwnd_limited))
		return 0;
	return (int64_t)info.tcpi_rwnd_limited;
}

static void sink_held(struct cursor *cursor)
{
	struct connection *connection = of_cursor(cursor);

	connection->endpoint->protocol->held(connection);
}

static void sink_close(struct cursor *cursor, enum cursor_end why, bool at_once)
{
	cursor_end(cursor, why);
	connection_close(of_cursor(cursor), at_once);
}

static void sink_describe(const struct cursor *cursor, char text[SINK_TEXT_MAX])
{
	static_assert(SINK_TEXT_MAX >= NET_PEER_TEXT_MAX, "an address fits");
	net_peer_format(&of_const_cursor(cursor)->peer, text);
}

static const char *sink_scheme(const struct cursor *cursor)
{
	const struct connection *connection = of_const_cursor(cursor);
	const struct protocol *protocol = connection->endpoint->protocol;

	return connection_secure(connection) ? protocol->tls_scheme : protocol->scheme;
}

static const char *sink_encryption(const struct cursor *cursor)
{
	const struct connection *connection = of_const_cursor(cursor);
	const struct secure *secure = container_of_const(connection, struct secure, connection);

	if (!connection_secure(connection))
		return "no";
	return tls_in_kernel(&secure->tls) ? "kernel" : "user";
}

static bool sink_report(const struct cursor *cursor, struct sink_report *out)
{
	const struct connection *connection = of_const_cursor(cursor);
	const struct protocol *protocol = connection->endpoint->protocol;

	return protocol->report && protocol->report(connection, out);
}

static const struct sink connection_sink = {
	.send = sink_send,
	.ready = sink_ready,
	.want_writable = sink_want_writable,
	.paused_us = sink_paused_us,
	.held = sink_held,
	.close = sink_close,
	.describe = sink_describe,
	.scheme = sink_scheme,
	.encryption = sink_encryption,
	.report = sink_report,
};

int connection_watch(struct connection *connection, struct feed *feed)
{
	return connection_watch_again(connection, feed, 0);
}

int connection_watch_again(struct connection *connection, struct feed *feed, uint64_t had)
{
	return feed_join(feed, &connection->cursor, &connection_sink, had);
}

int connection_watch_range(struct connection *connection, struct feed *feed, uint64_t from,
			   uint64_t until)
{
	return feed_join_range(feed, &connection->cursor, &connection_sink, from, until);
}

bool connection_hold(struct connection *connection)
{
	return cursor_hold(&connection->cursor);
}

void connection_go_on(struct connection *connection)
{
	cursor_go_on(&connection->cursor);
}

void connection_leave(struct connection *connection, enum cursor_end why)
{
	const struct protocol *protocol = connection->endpoint->protocol;

	if (connection_watches(connection))
		cursor_end(&connection->cursor, why);
	else if (protocol->leaving && !connection_closing(connection))
		protocol->leaving(connection, why);
}

uint64_t connection_unwatch(struct connection *connection)
{
	uint64_t had = cursor_had(&connection->cursor);

	cursor_end(&connection->cursor, CURSOR_END_PEER);
	cursor_release(&connection->cursor);
	return had;
}

/* --- what a session writes --- */

static void write_rest(struct connection *connection)
{
	struct outgoing *outgoing = connection->outgoing;

	loop_conn_send(connection_loop(connection), &connection->conn, &outgoing->pages,
		       outgoing->at, outgoing->len - outgoing->at);
}

int connection_write(struct connection *connection, const struct iovec *pieces, int n)
{
	struct outgoing *outgoing;
	size_t len = 0;

	assert(!connection->outgoing);
	for (int i = 0; i < n; i++)
		len += pieces[i].iov_len;
	outgoing = len <= INT32_MAX ? malloc(sizeof(*outgoing) + len) : NULL;
	if (!outgoing)
		return -ENOMEM;
	outgoing->pages = (struct pages){.map = outgoing->data, .fd = -1};
	outgoing->at = 0;
	outgoing->len = (uint32_t)len;
	for (int i = 0; i < n; i++) {
		memcpy(outgoing->data + outgoing->at, pieces[i].iov_base, pieces[i].iov_len);
		outgoing->at += (uint32_t)pieces[i].iov_len;
	}
	outgoing->at = 0;
	connection->outgoing = outgoing;
	if (!loop_conn_waits(&connection->conn))
		write_rest(connection);
	return 0;
}

static void handle_written(struct connection *connection, int result)
{
	struct outgoing *outgoing = connection->outgoing;

	if (result == -EAGAIN) {
		loop_conn_want_writable(connection_loop(connection), &connection->conn);
		return;
	}
	if (result < 0) {
		connection_close(connection, true);
		return;
	}
	outgoing->at += (uint32_t)result;
	if (outgoing->at < outgoing->len) {
		write_rest(connection);
		return;
	}
	connection->outgoing = NULL;
	free(outgoing);
	if (connection_watches(connection) && connection->cursor.flags & CURSOR_BLOCKED)
		cursor_writable(&connection->cursor); /* a held one only takes note */
	if (connection->endpoint->protocol->written && !connection_closing(connection))
		connection->endpoint->protocol->written(connection);
}

void connection_end_output(struct connection *connection)
{
	if (connection_secure(connection))
		tls_end(tls_of(connection));
	/* Fails only where the peer's reset was faster. */
	(void)shutdown(connection->conn.fd, SHUT_WR);
}

/* --- what the loop reports --- */

static struct connection *of_conn(struct loop_conn *conn)
{
	return container_of(conn, struct connection, conn);
}

static void handle_sent(struct loop_conn *conn, int result)
{
	struct connection *connection = of_conn(conn);

	if (connection->outgoing)
		handle_written(connection, result);
	else
		cursor_sent(&connection->cursor, result,
			    loop_conn_by_reference(connection->cursor.audience->loop, conn));
}

static void handle_writable(struct loop_conn *conn)
{
	struct connection *connection = of_conn(conn);

	if (connection->outgoing)
		write_rest(connection);
	else if (connection_watches(connection))
		cursor_writable(&connection->cursor);
}

static void handle_input(struct loop_conn *conn, const uint8_t *data, size_t len)
{
	struct connection *connection = of_conn(conn);

	connection->endpoint->protocol->input(connection, data, len);
}

static void handle_discarded(struct loop_conn *conn, size_t len)
{
	struct connection *connection = of_conn(conn);

	if (connection->endpoint->protocol->ignored)
		connection->endpoint->protocol->ignored(connection, len);
}

static void handle_input_ended(struct loop_conn *conn)
{
	struct connection *connection = of_conn(conn);

	if (connection->endpoint->protocol->input_ended)
		connection->endpoint->protocol->input_ended(connection);
}

static void release(struct pool *places, struct connection *connection, bool secure)
{
	if (secure)
		free(connection);
	else
		pool_put(places, connection);
}

static void handle_failed(struct loop_conn *conn, int error)
{
	(void)error;
	connection_close(of_conn(conn), true);
}

static void handle_closed(struct loop_conn *conn)
{
	struct connection *connection = of_conn(conn);
	struct pool *places = connection->endpoint->places;
	bool secure = connection_secure(connection);

	if (connection_watches(connection))
		cursor_release(&connection->cursor);
	free(connection->outgoing);
	if (secure)
		tls_close(tls_of(connection));
	connection->endpoint->gone(connection);
	release(places, connection, secure);
}

/* --- life --- */

static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_up_socket(int fd, uint32_t send_buffer, uint32_t notsent_lowat)
{
	int ret = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);

	if (ret == -EOPNOTSUPP) /* a socket of this machine's own */
		return 0;
	if (ret == 0 && notsent_lowat > 0)
		ret = set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)notsent_lowat);
	if (ret == 0 && send_buffer > 0)
		ret = set_option(fd, SOL_SOCKET, SO_SNDBUF, (int)send_buffer);
	/* For a peer that vanished while there was nothing to send. A living one answers probes in
	 * its kernel, so that an idle feed times no viewer out. No TCP_USER_TIMEOUT: with a closed
	 * window the kernel counts it from the first probe until the whole of what waits fits into
	 * the window, and so ends viewers that take a little all the time. */
	if (ret == 0)
		ret = set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (ret == 0)
		ret = set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	return ret;
}

/* Where the kernel encrypts, TCP gets several records of a send one by one, and waits for the last
 * of them. Meanwhile they count as not sent: beyond notsent_lowat, the send would stop at a full
 * socket which is about to be empty. So notsent_lowat, which is returned, has room for them, unless
 * it is less than a record: then each is sent by itself. */
static uint32_t make_room_for_records(struct tls *tls, uint32_t notsent_lowat)
{
	const uint32_t held = (TLS_RECORDS_AT_ONCE - 1) * (TLS_RECORD_MAX + TLS_RECORD_EXTRA);

	tls->at_once = TLS_RECORDS_AT_ONCE * TLS_RECORD_MAX;
	if (notsent_lowat == 0 || notsent_lowat >= held)
		return notsent_lowat;
	if (notsent_lowat >= TLS_RECORD_MAX)
		return held;
	tls->at_once = TLS_RECORD_MAX;
	return notsent_lowat;
}

static ssize_t handle_write(struct loop_conn *conn, const void *data, size_t len)
{
	return tls_write(tls_of(of_conn(conn)), data, len);
}

static ssize_t handle_read(struct loop_conn *conn, void *data, size_t max)
{
	return tls_read(tls_of(of_conn(conn)), data, max);
}

/* For protocols that listen to their peers, and those that do not; the second ones with TLS. */
static const struct loop_conn_ops listening[2] = {
	{
		.sent = handle_sent,
		.writable = handle_writable,
		.input = handle_input,
		.input_ended = handle_input_ended,
		.failed = handle_failed,
		.closed = handle_closed,
	},
	{
		.write = handle_write,
		.read = handle_read,
		.sent = handle_sent,
		.writable = handle_writable,
		.input = handle_input,
		.input_ended = handle_input_ended,
		.failed = handle_failed,
		.closed = handle_closed,
	},
};
static const struct loop_conn_ops deaf[2] = {
	{
		.sent = handle_sent,
		.writable = handle_writable,
		.discarded = handle_discarded,
		.input_ended = handle_input_ended,
		.failed = handle_failed,
		.closed = handle_closed,
	},
	{
		.write = handle_write,
		.read = handle_read,
		.sent = handle_sent,
		.writable = handle_writable,
		.discarded = handle_discarded,
		.input_ended = handle_input_ended,
		.failed = handle_failed,
		.closed = handle_closed,
	},
};

static const struct loop_conn_ops *choose_ops(const struct endpoint *endpoint, bool secure)
{
	return endpoint->protocol->input ? &listening[secure] : &deaf[secure];
}

int connection_open(struct connection **out, struct endpoint *endpoint, int fd, struct tls *tls,
		    const struct net_peer *peer, uint32_t send_buffer, uint32_t notsent_lowat)
{
	const size_t size = tls ? round_up(sizeof(struct secure)) : connection_size();
	struct connection *connection;
	int ret;

	if (tls && tls_in_kernel(tls))
		notsent_lowat = make_room_for_records(tls, notsent_lowat);
	ret = set_up_socket(fd, send_buffer, notsent_lowat);
	if (ret < 0)
		return ret;
	/* Viewers whose sessions keep much are sent to as fast as those without one only if their
	 * connections lie as close together. */
	connection = tls ? aligned_alloc(CACHE_LINE, size) : pool_take(endpoint->places);
	if (!connection)
		return -ENOMEM;
	memset(connection, 0, size);
	connection->endpoint = endpoint;
	connection->peer = *peer;
	list_init(&connection->link);
	ret = loop_conn_open(endpoint->loop, &connection->conn, fd, choose_ops(endpoint, tls));
	if (ret < 0) {
		release(endpoint->places, connection, tls);
		return ret;
	}
	if (tls)
		tls_move(tls_of(connection), tls);
	*out = connection;
	return 0;
}

void connection_set_endpoint(struct connection *connection, struct endpoint *endpoint)
{
	connection->endpoint = endpoint;
	connection->session = NULL;
	connection->conn.ops = choose_ops(endpoint, connection_secure(connection));
}

void connection_ignore_input(struct connection *connection)
{
	connection->conn.ops = &deaf[connection_secure(connection)];
}

void connection_close(struct connection *connection, bool reset)
{
	if (connection_closing(connection))
		return;
	if (connection_watches(connection))
		cursor_end(&connection->cursor, CURSOR_END_PEER);
	if (connection_secure(connection) && !reset)
		tls_end(tls_of(connection));
	loop_conn_close(connection_loop(connection), &connection->conn, reset);
	if (connection->endpoint->protocol->finished)
		connection->endpoint->protocol->finished(connection);
	connection->endpoint->left(connection);
}
