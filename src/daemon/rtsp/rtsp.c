/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/rtsp/rtsp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/rtsp/sender.h"
#include "daemon/rtsp/session.h"
#include "daemon/rtsp/tunnel.h"
#include "daemon/serve/noise.h"

#define HANDSHAKE_US 10000000 /* from the connection to the first PLAY */
#define PAUSE_US ((int64_t)RTSP_TIMEOUT_S * 1000000)
#define ANSWER_US 10000000
#define LINGER_US 1000000
#define DECODED_MAX 1024 /* bytes of base64 that are decoded at once */
#define HEAD_MAX 256	 /* bytes of an answer without its body and the headers of its method */

static void rtsp_input(struct connection *connection, const uint8_t *data, size_t len);

void rtsp_set_timeout(struct rtsp_session *session, int64_t us)
{
	struct loop *loop = connection_loop(session->connection);
	int64_t at_us = loop_now_us(loop) + us;

	if (session->until_us && at_us > session->until_us)
		at_us = session->until_us;
	loop_timer_set(loop, &session->timeout, at_us);
}

/* What the session may wait for its peer, between two answers. */
static void set_patience(struct rtsp_session *session)
{
	if (session->state == RTSP_PLAYING && session->transport.kind == TRANSPORT_INTERLEAVED)
		loop_timer_cancel(connection_loop(session->connection), &session->timeout);
	else
		rtsp_set_timeout(session, PAUSE_US);
}

static void handle_timeout(struct loop_timer *timer)
{
	struct rtsp_session *session = container_of(timer, struct rtsp_session, timeout);

	if (session->phase == RTSP_DESCRIBING) {
		rtsp_describe(session, true);
		return;
	}
	if (session->phase != RTSP_LINGERING)
		session->rtsp->stats.timed_out++;
	connection_close(session->connection, session->phase == RTSP_ANSWERING);
}

/* --- a feed that is wanted before it is watched --- */

static void handle_units(struct feed_waiter *waiter)
{
	struct rtsp_session *session = container_of(waiter, struct rtsp_session, waiter);

	if (session->phase == RTSP_DESCRIBING)
		rtsp_describe(session, false);
}

static void handle_feed_gone(struct feed_waiter *waiter)
{
	struct rtsp_session *session = container_of(waiter, struct rtsp_session, waiter);

	session->wanted = NULL;
	if (session->phase == RTSP_DESCRIBING)
		rtsp_describe(session, true);
}

bool rtsp_want(struct rtsp_session *session, struct feed *feed)
{
	if (session->wanted && session->wanted != feed) {
		feed_unwait(session->wanted, &session->waiter);
		session->wanted = NULL;
	}
	if (!feed || session->wanted)
		return true;
	if (feed_wait(feed, &session->waiter) < 0)
		return false;
	session->wanted = feed;
	return true;
}

/* --- over UDP --- */

static void handle_alive(void *user)
{
	struct rtsp_session *session = user;

	if (session->phase == RTSP_READING)
		set_patience(session);
}

static void handle_udp_ended(void *user, bool at_once)
{
	struct rtsp_session *session = user;

	connection_close(session->connection, at_once);
}

int rtsp_open_udp(struct rtsp_session *session)
{
	const struct udp_options options = {
		.connection = session->connection->conn.fd,
		.rtp_port = session->transport.rtp_port,
		.rtcp_port = session->transport.rtcp_port,
		.ssrc = session->stream.ssrc,
		.fills = session->satip,
		.alive = handle_alive,
		.ended = handle_udp_ended,
		.user = session,
	};

	return udp_open(&session->udp, session->port, &options);
}

static void close_udp(struct rtsp_session *session)
{
	udp_close(session->udp);
	session->udp = NULL;
}

/* --- by multicast --- */

static struct rtsp_session *of_member(struct multicast_member *member)
{
	return container_of(member, struct rtsp_session, multicast);
}

static void handle_member_alive(struct multicast_member *member)
{
	handle_alive(of_member(member));
}

static void handle_member_ended(struct multicast_member *member, bool at_once)
{
	connection_close(of_member(member)->connection, at_once);
}

/* Its packets come, in one of the three ways. 0 or -errno. */
static int begin(struct rtsp_session *session)
{
	switch (session->transport.kind) {
	case TRANSPORT_MULTICAST:
		return multicast_play(&session->multicast);
	case TRANSPORT_UDP:
		return udp_watch(session->udp, session->stream.feed, session->had);
	case TRANSPORT_INTERLEAVED:
		break;
	}
	return connection_watch_again(session->connection, session->stream.feed, session->had);
}

static void pause_packets(struct rtsp_session *session)
{
	uint64_t had = connection_watches(session->connection)
			       ? connection_unwatch(session->connection)
			       : udp_had(session->udp);

	if (had > session->had) /* else nothing came since the last pause */
		session->had = had;
	session->reported = false;
	close_udp(session);
	multicast_pause(&session->multicast);
}

/* --- answers --- */

static const char *status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} texts[] = {
		{200, "OK"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{411, "Length Required"},
		{413, "Request Entity Too Large"},
		{414, "Request-URI Too Large"},
		{415, "Unsupported Media Type"},
		{431, "Request Header Fields Too Large"},
		{451, "Parameter Not Understood"},
		{454, "Session Not Found"},
		{455, "Method Not Valid in This State"},
		{459, "Aggregate Operation Not Allowed"},
		{461, "Unsupported Transport"},
		{501, "Not Implemented"},
		{503, "Service Unavailable"},
		{505, "RTSP Version Not Supported"},
		{551, "Option not supported"},
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "Internal Server Error";
}

/* The cursor stands, or there is none. */
static void write_answer(struct rtsp_session *session)
{
	struct connection *connection = session->connection;
	struct iovec piece = {.iov_base = session->answer, .iov_len = session->answer_len};
	int err = connection_write(connection, &piece, 1);

	free(session->answer);
	session->answer = NULL;
	if (err == 0 && session->then == RTSP_BEGIN) {
		session->state = RTSP_PLAYING;
		session->until_us = 0;
		if (session->other) /* the tunnel lives as long as this half */
			loop_timer_cancel(connection_loop(connection), &session->other->timeout);
		err = begin(session);
		rtsp_want(session, NULL);
	}
	if (err < 0)
		connection_close(connection, true);
	else
		rtsp_set_timeout(session, ANSWER_US);
}

/* The answer is sent when the cursor stands. */
static void send_answer(struct rtsp_session *session)
{
	session->phase = RTSP_ANSWERING;
	if (!connection_watches(session->connection) || connection_hold(session->connection))
		write_answer(session);
}

void rtsp_answer(struct rtsp_session *session, int status, const char *headers, const char *body)
{
	size_t body_len = body ? strlen(body) : 0, size = HEAD_MAX + strlen(headers) + body_len;
	char cseq[RTSP_CSEQ_MAX + 8] = "", length[40] = "";

	if (status >= 400 && status != 401)
		session->rtsp->stats.refused++;
	if (session->cseq[0])
		snprintf(cseq, sizeof cseq, "CSeq: %s\r\n", session->cseq);
	if (body)
		snprintf(length, sizeof length, "Content-Length: %zu\r\n", body_len);
	session->answer = malloc(size);
	if (!session->answer) {
		connection_close(session->connection, true);
		return;
	}
	session->answer_len =
		(size_t)snprintf(session->answer, size, "RTSP/1.0 %d %s\r\n%s%s%s\r\n%s", status,
				 status_text(status), cseq, headers, length, body ? body : "");
	send_answer(session);
}

/* An answer to what could not be read; nobody knows where the next request begins. */
static void fail(struct rtsp_session *session, int status)
{
	session->cseq[0] = '\0';
	session->then = RTSP_CLOSE;
	rtsp_answer(session, status, "Connection: close\r\n", NULL);
}

/* --- the peer's bytes --- */

static bool begin_head(struct rtsp_session *session)
{
	if (!session->head) {
		session->head = malloc(sizeof(*session->head));
		if (!session->head) {
			connection_close(session->connection, true);
			return false;
		}
		message_init(session->head);
	}
	return true;
}

/* A half of a tunnel. */
static void end_http_head(struct rtsp_session *session, const struct message *head)
{
	int status = head->method_name ? tunnel_enter(session, head) : 400;

	if (status == 0)
		return;
	session->then = RTSP_GO_ON;
	session->answer = status == 200 ? strdup(tunnel_answer) : NULL;
	session->answer_len = strlen(tunnel_answer);
	if (session->answer)
		send_answer(session);
	else if (status == 200)
		connection_close(session->connection, true);
	else
		fail(session, status);
}

static void end_head(struct rtsp_session *session)
{
	struct message *head = session->head;

	session->head = NULL; /* the session may end with its answer */
	if (head->protocol == MESSAGE_HTTP) {
		end_http_head(session, head);
	} else if (!head->method_name) {
		fail(session, 400);
	} else if (head->chunked) {
		fail(session, 411);
	} else if (head->content_length > RTSP_BODY_MAX) {
		fail(session, 413);
	} else {
		session->skip = head->content_length > 0 ? (uint32_t)head->content_length : 0;
		head = rtsp_handle(session, head);
	}
	free(head);
}

/* What the viewer says of its packets. */
static void take_report(struct rtsp_session *session, const uint8_t *data, size_t len)
{
	struct rtcp_report report;
	bool found;

	if (!rtcp_read(data, len, session->stream.ssrc, &report, &found) || !found)
		return;
	session->report = report;
	session->reported = true;
}

static size_t read_frame(struct rtsp_session *session, const uint8_t *data, size_t len)
{
	struct interleaved *frame = &session->frame;
	bool watches = connection_watches(session->connection);
	size_t n = interleaved_take(frame, watches, data, len);

	if (interleaved_is_whole(frame)) {
		if (frame->packet && watches)
			take_report(session, frame->packet, frame->len);
		interleaved_finish(frame);
	}
	return n;
}

/* Takes a part of data that belongs together. Returns its length, at least 1, unless the session
 * ends or answers. */
static size_t read_part(struct rtsp_session *session, const uint8_t *data, size_t len)
{
	size_t taken;
	int result;

	if (session->skip > 0) {
		taken = len < session->skip ? len : session->skip;
		session->skip -= (uint32_t)taken;
		return taken;
	}
	if (session->frame.head_len > 0 || (!session->head && data[0] == '$'))
		return read_frame(session, data, len);
	if (!begin_head(session))
		return len;
	result = message_push(session->head, (const char *)data, len, &taken);
	if (result == MESSAGE_COMPLETE) {
		end_head(session);
	} else if (result != MESSAGE_MORE) {
		free(session->head); /* before a frame there were empty lines only */
		session->head = NULL;
		if (result != MESSAGE_INTERLEAVED)
			fail(session, message_error_status(result));
	}
	return taken;
}

static void take_bytes(struct connection *connection, const uint8_t *data, size_t len);

/* What a POST says is said to the session of its GET, with which both may end. */
static void read_base64(struct connection *connection, const uint8_t *data, size_t len)
{
	uint8_t decoded[DECODED_MAX];

	for (size_t at = 0; at < len && !connection_closing(connection); at += DECODED_MAX) {
		struct rtsp_session *session = connection->session;
		size_t piece = len - at < DECODED_MAX ? len - at : DECODED_MAX;
		int n = tunnel_decode(&session->base64, data + at, piece, decoded);

		if (n < 0 || !session->other)
			connection_close(connection, true);
		else
			take_bytes(session->other->connection, decoded, (size_t)n);
	}
}

/* Reads up to a request that has to wait for the answer to another one. Returns the bytes that were
 * taken; all of them if the connection is closing. */
static size_t read_input(struct connection *connection, const uint8_t *data, size_t len)
{
	size_t at = 0;

	while (at < len && !connection_closing(connection)) {
		struct rtsp_session *session = connection->session;

		if (session->posts) {
			read_base64(connection, data + at, len - at);
			return len;
		}
		if (session->phase == RTSP_LINGERING)
			return len;
		if (session->phase != RTSP_READING)
			return at;
		at += read_part(session, data + at, len - at);
	}
	return len;
}

/* Keeps what has to wait; noise_exceeded() bounds it. */
static void keep_ahead(struct rtsp_session *session, const uint8_t *data, size_t len)
{
	uint8_t *grown = realloc(session->ahead, session->ahead_len + len);

	if (!grown) {
		connection_close(session->connection, true);
		return;
	}
	memcpy(grown + session->ahead_len, data, len);
	session->ahead = grown;
	session->ahead_len += len;
}

static void take_ahead(struct connection *connection)
{
	struct rtsp_session *session = connection->session;
	uint8_t *data = session->ahead;
	size_t len = session->ahead_len, taken;

	session->ahead = NULL;
	session->ahead_len = 0;
	taken = read_input(connection, data, len);
	if (taken < len)
		keep_ahead(connection->session, data + taken, len - taken);
	free(data);
}

/* Takes all of the bytes: those of the connection, or of the POST of its tunnel. */
static void take_bytes(struct connection *connection, const uint8_t *data, size_t len)
{
	struct rtsp_session *session = connection->session;
	size_t taken;

	if (session->phase == RTSP_READING && session->state == RTSP_READY && !session->until_us)
		set_patience(session); /* in a pause */
	taken = session->ahead ? 0 : read_input(connection, data, len);
	if (taken < len)
		keep_ahead(connection->session, data + taken, len - taken);
}

static void rtsp_input(struct connection *connection, const uint8_t *data, size_t len)
{
	struct rtsp_session *session = connection->session;
	struct rtsp *rtsp = session->rtsp;

	if (noise_exceeded(connection, &session->noise, len)) {
		rtsp->stats.noise++; /* the session has gone */
		return;
	}
	/* After a GET nothing follows but through the POST. */
	if (!session->cookie[0] || session->posts)
		take_bytes(connection, data, len);
}

static void rtsp_input_ended(struct connection *connection)
{
	struct rtsp_session *session = connection->session;

	session->ended = true;
	if (session->phase == RTSP_READING || session->phase == RTSP_LINGERING)
		connection_close(connection, false);
}

/* --- after an answer --- */

static void linger(struct rtsp_session *session)
{
	struct connection *connection = session->connection;

	pause_packets(session);
	multicast_leave(&session->multicast);
	if (session->ended) {
		connection_close(connection, false);
		return;
	}
	connection_end_output(connection);
	session->phase = RTSP_LINGERING;
	session->state = RTSP_INIT;
	rtsp_set_timeout(session, LINGER_US);
}

static void rtsp_written(struct connection *connection)
{
	struct rtsp_session *session = connection->session;

	if (session->then == RTSP_CLOSE) {
		linger(session);
		return;
	}
	if (session->then == RTSP_PAUSE) {
		pause_packets(session);
		session->state = RTSP_READY;
	} else if (connection_watches(connection)) {
		connection_go_on(connection);
	}
	if (connection_closing(connection))
		return;
	session->then = RTSP_GO_ON;
	session->phase = RTSP_READING;
	set_patience(session);
	if (session->ahead)
		take_ahead(connection);
	if (connection_closing(connection))
		return;
	session = connection->session;
	if (session->ended && session->phase == RTSP_READING)
		connection_close(connection, false);
}

static void rtsp_held(struct connection *connection)
{
	write_answer(connection->session);
}

/* --- life --- */

static int rtsp_accepted(struct connection *connection)
{
	struct rtsp_session *session = calloc(1, sizeof(*session));

	if (!session)
		return -ENOMEM;
	session->connection = connection;
	session->rtsp = connection->endpoint->user;
	session->number = ++session->rtsp->accepted;
	session->waiter.units = handle_units;
	session->waiter.gone = handle_feed_gone;
	session->multicast.peer = connection->peer;
	session->multicast.alive = handle_member_alive;
	session->multicast.ended = handle_member_ended;
	list_init(&session->link);
	list_init(&session->tunnel);
	connection->session = session;
	rtsp_take_place(session);
	loop_timer_init(&session->timeout, handle_timeout);
	session->until_us = loop_now_us(connection_loop(connection)) + HANDSHAKE_US;
	rtsp_set_timeout(session, HANDSHAKE_US);
	return 0;
}

/* The cursor is that of the packets in UDP, or of the GET of a tunnel. */
static void rtsp_leaving(struct connection *connection, enum cursor_end why)
{
	struct rtsp_session *session = connection->session;

	if (session->posts && session->other)
		connection_leave(session->other->connection, why);
	udp_end(session->udp, why);
}

static void rtsp_finished(struct connection *connection)
{
	struct rtsp_session *session = connection->session;

	if (!session)
		return;
	loop_timer_cancel(connection_loop(connection), &session->timeout);
	rtsp_want(session, NULL);
	tunnel_leave(session);
	close_udp(session);
	multicast_leave(&session->multicast);
	udp_port_release(session->port);
	rtsp_leave_place(session);
	access_cancel(&session->ask);
	free(session->asked);
	free(session->head);
	free(session->ahead);
	interleaved_finish(&session->frame);
	free(session->answer);
	free(session);
	connection->session = NULL;
}

static bool rtsp_report(const struct connection *connection, struct sink_report *out)
{
	const struct rtsp_session *session = connection->session;

	if (session->reported)
		*out = sender_report(&session->report);
	return session->reported;
}

static const struct protocol rtsp_protocol = {
	.scheme = "rtsp",
	.tls_scheme = "rtsps",
	.refusal = "RTSP/1.0 503 Service Unavailable\r\nConnection: close\r\n\r\n",
	.make_room = rtsp_make_room,
	.accepted = rtsp_accepted,
	.input = rtsp_input,
	.input_ended = rtsp_input_ended,
	.held = rtsp_held,
	.written = rtsp_written,
	.review = rtsp_review,
	.report = rtsp_report,
	.leaving = rtsp_leaving,
	.finished = rtsp_finished,
};

void rtsp_init_endpoint(struct endpoint *endpoint, struct rtsp *rtsp)
{
	list_init(&rtsp->sessions);
	list_init(&rtsp->tunnels);
	rtsp->quota = (struct quota){.name = "rtsp", .max = RTSP_CONNECTIONS_MAX};
	*endpoint = (struct endpoint){
		.protocol = &rtsp_protocol,
		.user = rtsp,
		.quota = &rtsp->quota,
	};
}

void rtsp_init_viewers(struct endpoint *endpoint, struct rtsp *rtsp, struct quota *quota)
{
	*endpoint = (struct endpoint){.protocol = &rtsp_protocol, .user = rtsp, .quota = quota};
}
