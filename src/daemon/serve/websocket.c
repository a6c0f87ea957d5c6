/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/websocket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "base/bytes.h"
#include "daemon/serve/noise.h"

#define CONTROL_MAX 125 /* bytes of a control frame's payload (RFC 6455 clause 5.5) */
#define SHA1_LEN 20
#define ACCEPT_LEN 28 /* base64 of that, without a terminator */
#define CLOSE_US 1000000
#define ANSWER_US 10000000

enum opcode { OP_CONTINUATION, OP_TEXT, OP_BINARY, OP_CLOSE = 8, OP_PING, OP_PONG };
enum { FIN = 0x80, RESERVED = 0x70, MASKED = 0x80, LEN16 = 126, LEN64 = 127 };
enum close_code { CLOSE_PROTOCOL_ERROR = 1002 };

struct session {
	struct connection *connection;
	uint64_t noise;
	struct loop_timer timeout; /* set once a close was sent, and while a pong is written */
	/* The frame that is being read. */
	uint8_t head[14];
	uint8_t head_len;
	uint64_t left; /* of its payload */
	uint8_t payload[CONTROL_MAX];
	uint8_t payload_len;
	/* The answer that waits for its place between two units: a pong or a close. A newer ping
	 * takes the place of an older one (clause 5.5.3). */
	uint8_t answer[2 + CONTROL_MAX];
	uint8_t answer_len; /* 0: none */
	bool ending;	    /* it is a close */
	bool in_message;    /* a message's first fragment came */
};

/* --- frames to the peer --- */

static void set_timeout(struct session *session, int64_t us)
{
	struct loop *loop = connection_loop(session->connection);

	loop_timer_set(loop, &session->timeout, loop_now_us(loop) + us);
}

static void handle_timeout(struct loop_timer *timer)
{
	struct session *session = container_of(timer, struct session, timeout);

	if (!session->ending)
		connection_leave(session->connection, CURSOR_END_STALL);
	connection_close(session->connection, true);
}

static void write_answer(struct session *session)
{
	struct iovec piece = {.iov_base = session->answer, .iov_len = session->answer_len};

	session->answer_len = 0;
	/* The cursor is held, so that the feed's stall timeout does not count. */
	if (!session->ending)
		set_timeout(session, ANSWER_US);
	if (connection_write(session->connection, &piece, 1) < 0)
		connection_close(session->connection, true);
}

static void send_frame(struct session *session, enum opcode opcode, const uint8_t *payload,
		       size_t len)
{
	struct connection *connection = session->connection;

	if (session->ending)
		return;
	session->answer[0] = FIN | (uint8_t)opcode;
	session->answer[1] = (uint8_t)len;
	memcpy(session->answer + 2, payload, len);
	session->answer_len = (uint8_t)(2 + len);
	if (opcode == OP_CLOSE) {
		session->ending = true;
		set_timeout(session, CLOSE_US);
	}
	if (!connection->outgoing && connection_hold(connection))
		write_answer(session);
}

static void fail(struct session *session)
{
	static const uint8_t code[] = {CLOSE_PROTOCOL_ERROR >> 8, CLOSE_PROTOCOL_ERROR & 0xff};

	send_frame(session, OP_CLOSE, code, sizeof code);
}

/* --- frames of the peer --- */

/* Bytes of the head of a frame, as far as its first two bytes say. */
static size_t head_size(const struct session *session)
{
	unsigned len;

	if (session->head_len < 2)
		return 2;
	len = session->head[1] & 0x7f;
	return 2 + (len == LEN16 ? 2 : len == LEN64 ? 8 : 0) + 4;
}

static uint64_t payload_size(const struct session *session)
{
	const uint8_t *head = session->head;
	unsigned len = head[1] & 0x7f, n = len == LEN16 ? 2 : len == LEN64 ? 8 : 0;
	uint64_t size = 0;

	if (n == 0)
		return len;
	for (unsigned i = 0; i < n; i++)
		size = size << 8 | head[2 + i];
	return size;
}

/* Clauses 5.1 (a client masks), 5.2, 5.4 and 5.5. */
static bool head_is_right(const struct session *session)
{
	unsigned opcode = session->head[0] & 0xf;
	bool control = opcode >= OP_CLOSE;

	if (session->head[0] & RESERVED || !(session->head[1] & MASKED) || opcode > OP_PONG ||
	    (opcode > OP_BINARY && !control))
		return false;
	if (control)
		return session->head[0] & FIN && payload_size(session) <= CONTROL_MAX;
	return (opcode == OP_CONTINUATION) == session->in_message &&
	       payload_size(session) >> 63 == 0;
}

static void end_frame(struct session *session)
{
	unsigned opcode = session->head[0] & 0xf;
	const uint8_t *mask = session->head + session->head_len - 4;
	size_t len = session->payload_len;

	for (size_t i = 0; i < len; i++)
		session->payload[i] ^= mask[i % 4];
	session->head_len = 0;
	session->payload_len = 0;
	if (opcode < OP_CLOSE)
		session->in_message = !(session->head[0] & FIN);
	else if (opcode == OP_PING)
		send_frame(session, OP_PONG, session->payload, len);
	else if (opcode == OP_CLOSE)
		send_frame(session, OP_CLOSE, session->payload, len >= 2 ? 2 : 0);
}

/* Takes a part of data that belongs together; returns its length, at least 1. */
static size_t read_part(struct session *session, const uint8_t *data, size_t len)
{
	size_t n;

	if (session->left > 0) {
		n = len < session->left ? len : (size_t)session->left;
		if (session->head[0] & 0x8) { /* a control frame */
			memcpy(session->payload + session->payload_len, data, n);
			session->payload_len += (uint8_t)n;
		}
		session->left -= n;
	} else {
		session->head[session->head_len++] = data[0];
		n = 1;
		if (session->head_len < head_size(session))
			return n;
		if (!head_is_right(session)) {
			fail(session);
			return len;
		}
		session->left = payload_size(session);
	}
	if (session->left == 0)
		end_frame(session);
	return n;
}

static void websocket_input(struct connection *connection, const uint8_t *data, size_t len)
{
	struct session *session = connection->session;

	if (noise_exceeded(connection, &session->noise, len))
		return;
	for (size_t at = 0; at < len && !connection_closing(connection) && !session->ending;)
		at += read_part(session, data + at, len - at);
}

/* --- the connection --- */

static int websocket_accepted(struct connection *connection)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return -ENOMEM;
	session->connection = connection;
	loop_timer_init(&session->timeout, handle_timeout);
	connection->session = session;
	return connection_watch(connection, connection->endpoint->user);
}

static void websocket_held(struct connection *connection)
{
	write_answer(connection->session);
}

/* The answer to the handshake, or a frame of ours, is sent. */
static void websocket_written(struct connection *connection)
{
	struct session *session = connection->session;

	if (!session->ending)
		loop_timer_cancel(connection_loop(connection), &session->timeout);
	if (session->answer_len > 0) {
		if (connection_hold(connection))
			write_answer(session);
	} else if (session->ending) {
		connection_end_output(connection);
	} else {
		connection_go_on(connection);
	}
}

static void websocket_input_ended(struct connection *connection)
{
	connection_close(connection, false);
}

static void websocket_finished(struct connection *connection)
{
	struct session *session = connection->session;

	if (!session)
		return;
	loop_timer_cancel(connection_loop(connection), &session->timeout);
	free(session);
	connection->session = NULL;
}

const struct protocol websocket_protocol = {
	.scheme = "ws",
	.tls_scheme = "wss",
	.accepted = websocket_accepted,
	.input = websocket_input,
	.input_ended = websocket_input_ended,
	.held = websocket_held,
	.written = websocket_written,
	.finished = websocket_finished,
};

/* --- the handshake (clause 4.2) --- */

/* Whether text is 16 bytes in base64 (clause 4.2.1, 5). */
static bool is_key(const char *text)
{
	uint8_t key[16];

	return text && strlen(text) == 24 && bytes_read_base64(key, sizeof key, text) == 16;
}

static bool is_handshake(const struct message *head)
{
	const char *version = message_header(head, "Sec-WebSocket-Version", NULL);

	return head->method == MESSAGE_GET && head->minor >= 1 &&
	       message_has_token(head, "Upgrade", "websocket") &&
	       message_has_token(head, "Connection", "upgrade") && version &&
	       strcmp(version, "13") == 0 &&
	       is_key(message_header(head, "Sec-WebSocket-Key", NULL));
}

static bool compute_accept(const char *key, char accept[ACCEPT_LEN + 1])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* clause 1.3 */
	unsigned char hash[SHA1_LEN];
	char text[24 + sizeof guid];
	int len = snprintf(text, sizeof text, "%s%s", key, guid);

	if (EVP_Digest(text, (size_t)len, hash, NULL, EVP_sha1(), NULL) != 1)
		return false;
	EVP_EncodeBlock((unsigned char *)accept, hash, SHA1_LEN);
	return true;
}

void websocket_answer(struct http_question *question, const struct http_request *request,
		      struct endpoint *endpoint)
{
	const struct message *head = request->head;
	char accept[ACCEPT_LEN + 1], headers[128];

	if (!is_handshake(head)) {
		struct http_answer answer = {
			.status = 426,
			.headers = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
		};

		http_answer(question, &answer);
		return;
	}
	if (!http_same_origin(head) && !http_may_read(question, head)) {
		http_reply(question, 403, NULL, NULL, 0);
		return;
	}
	if (!compute_accept(message_header(head, "Sec-WebSocket-Key", NULL), accept)) {
		http_reply(question, 500, NULL, NULL, 0);
		return;
	}
	snprintf(headers, sizeof headers, "Upgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n",
		 accept);
	http_switch(question, headers, endpoint);
}
