/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/stream/reader.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arrival.h"
#include "base/clock.h"
#include "base/text.h"
#include "client/stream/cutter.h"
#include "client/stream/rtsp.h"
#include "client/stream/secure.h"
#include "net/resolve.h"

#define CONNECT_TIMEOUT_US 5000000
#define BACKOFF_MIN_US 250000
#define BACKOFF_MAX_US 5000000
/* A unit arrives in one burst; on a full network there may be a pause of about a round trip. */
#define QUIET_MIN_US 6000
#define QUIET_MAX_US 100000
#define UNIT_TIMEOUT_US 60000000     /* from its first byte to its last one */
#define KEY_TIMEOUT_US 60000000	     /* for a key unit, while bytes arrive */
#define KEY_BYTES_MAX (128ULL << 20) /* in front of a key unit */

struct reader {
	char host[NET_HOST_MAX];
	uint16_t port;
	struct cutter cutter;
	struct reader_stats stats;
	struct secure *secure; /* NULL: no TLS */
	struct rtsp *rtsp;     /* NULL: the bytes are the stream itself */
	bool shaking;	       /* CONNECTING: it is connected, and shakes hands */
	short events;	       /* CONNECTING: of poll(), until something happens */

	struct resolve *resolve;       /* CONNECTING: the name is looked up; else NULL */
	struct resolve_list addresses; /* while connecting */
	unsigned address;	       /* the one that is being tried */
	int fd;			       /* -1: none */
	int64_t deadline_us;	       /* CONNECTING: give this address up */
	int64_t retry_us;	       /* BACKOFF: its end */
	int64_t backoff_us;
	bool connected_before;

	bool low_latency;
	bool gap; /* the next unit is the first one after a loss */
	int64_t quiet_us;
	int64_t received_us; /* when the last bytes arrived */
	bool quiet_asked;    /* the cutter was asked since then whether a unit has ended */

	/* The clock of a server of RTP. */
	struct arrival arrival;
	bool timed;	   /* a unit had a time in this connection, and its time was */
	uint32_t time;	   /* this, which is */
	int64_t time_us;   /* this since some moment */
	bool out_of_order; /* units are not shown in the order in which they come */

	int64_t unit_us;	 /* when the first byte of the unit under way arrived */
	int64_t key_wait_us;	 /* READER_WAITING_KEY: since when */
	uint64_t key_wait_bytes; /* READER_WAITING_KEY: received since then */
};

static int create_rtsp(struct reader *reader, const struct server_stream *at)
{
	const struct rtsp_target target = {
		.host = at->host,
		.port = at->port,
		.path = at->path,
		.login = at->login,
		.tls = at->tls,
	};

	return rtsp_create(&reader->rtsp, &target);
}

int reader_create(struct reader **out, const struct server_stream *at)
{
	char why[SECURE_WHY_MAX];
	struct reader *reader;
	int err;

	if (!at->host[0] || at->port == 0 ||
	    (at->codec == STREAM_MJPEG && at->framing == STREAM_ANNEXB))
		return -EINVAL;
	reader = calloc(1, sizeof *reader);
	if (!reader)
		return -ENOMEM;
	err = at->tls ? secure_create(&reader->secure, at->host, why) : 0;
	if (err == 0 && at->framing == STREAM_RTSP)
		err = create_rtsp(reader, at);
	if (err < 0) {
		secure_destroy(reader->secure);
		free(reader);
		return err;
	}
	strcpy(reader->host, at->host);
	reader->port = at->port;
	reader->fd = -1;
	reader->backoff_us = BACKOFF_MIN_US;
	reader->quiet_us = QUIET_MIN_US;
	reader->stats.state = READER_BACKOFF; /* which is over at once */
	cutter_init(&reader->cutter, at->framing);
	*out = reader;
	return 0;
}

static void disconnect(struct reader *reader)
{
	resolve_destroy(reader->resolve);
	reader->resolve = NULL;
	if (reader->fd >= 0)
		close(reader->fd);
	reader->fd = -1;
}

void reader_destroy(struct reader *reader)
{
	if (!reader)
		return;
	disconnect(reader);
	cutter_finish(&reader->cutter);
	secure_destroy(reader->secure);
	rtsp_destroy(reader->rtsp);
	free(reader);
}

void reader_restart(struct reader *reader)
{
	disconnect(reader);
	reader->stats.state = READER_BACKOFF;
	reader->retry_us = 0;
}

void reader_set_low_latency(struct reader *reader, bool on)
{
	reader->low_latency = on;
}

int reader_fd(const struct reader *reader)
{
	return reader->fd;
}

const struct reader_stats *reader_stats(const struct reader *reader)
{
	return &reader->stats;
}

/* --- connecting --- */

static void back_off(struct reader *reader, const char *why)
{
	snprintf(reader->stats.error, sizeof reader->stats.error, "%s", why);
	reader->stats.refused = false;
	disconnect(reader);
	reader->stats.state = READER_BACKOFF;
	reader->retry_us = clock_now_us() + reader->backoff_us;
	reader->backoff_us *= 2;
	if (reader->backoff_us > BACKOFF_MAX_US)
		reader->backoff_us = BACKOFF_MAX_US;
}

void reader_refuse(struct reader *reader, const char *why)
{
	reader->backoff_us = BACKOFF_MAX_US;
	back_off(reader, why);
	reader->stats.refused = true;
}

static void set_options(int fd)
{
	/* A host that disappears is detected after eleven seconds, while a stream may pause for
	 * ever. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){5}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){2}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){3}, sizeof(int));
}

static void wait_for_key(struct reader *reader)
{
	reader->stats.state = READER_WAITING_KEY;
	reader->gap = true;
	reader->key_wait_us = clock_now_us();
	reader->key_wait_bytes = 0;
}

/* Sends what the conversation has to say; a socket without room is waited for. */
static void send_requests(struct reader *reader)
{
	while (reader->rtsp && reader->fd >= 0) {
		size_t len;
		const char *text = rtsp_output(reader->rtsp, &len);
		ssize_t n;

		if (len == 0)
			return;
		n = reader->secure ? secure_write(reader->secure, text, len)
				   : send(reader->fd, text, len, MSG_NOSIGNAL);
		if (n < 0 && !reader->secure)
			n = -errno;
		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n < 0)
			back_off(reader, strerror((int)-n));
		else
			rtsp_sent(reader->rtsp, (size_t)n);
	}
}

static void begin_stream(struct reader *reader)
{
	wait_for_key(reader);
	reader->received_us = reader->unit_us = clock_now_us();
	reader->timed = reader->out_of_order = false;
	arrival_restart(&reader->arrival);
	reader->stats.reconnects += reader->connected_before;
	reader->connected_before = true;
	cutter_reset(&reader->cutter);
	if (reader->rtsp && rtsp_begin(reader->rtsp, reader->received_us) < 0)
		back_off(reader, rtsp_why(reader->rtsp));
	else
		send_requests(reader);
}

static void await_events(struct reader *reader, short events, int64_t deadline_us)
{
	reader->stats.state = READER_CONNECTING;
	reader->shaking = false;
	reader->events = events;
	reader->deadline_us = deadline_us;
}

/* TCP is connected: the stream begins, or the handshake before it. */
static void handle_connected(struct reader *reader)
{
	if (!reader->secure) {
		begin_stream(reader);
		return;
	}
	await_events(reader, POLLOUT, clock_now_us() + CONNECT_TIMEOUT_US);
	reader->shaking = true;
	if (secure_begin(reader->secure, reader->fd) < 0)
		back_off(reader, strerror(ENOMEM));
}

/* A server without the right certificate is asked again after the longest backoff. */
static void go_on_shaking(struct reader *reader)
{
	char why[SECURE_WHY_MAX];

	switch (secure_shake(reader->secure, &reader->events, why)) {
	case 0:
		reader->shaking = false;
		begin_stream(reader);
		break;
	case -EAGAIN:
		break;
	default:
		reader_refuse(reader, why);
		break;
	}
}

/* Begins to connect to an address: 0, EINPROGRESS, or another errno. */
static int begin_connect(struct reader *reader, const char *address)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *ai;
	char port[8];
	int err = 0;

	snprintf(port, sizeof port, "%u", reader->port);
	if (getaddrinfo(address, port, &hints, &ai) != 0)
		return EADDRNOTAVAIL;
	if (reader->fd >= 0)
		close(reader->fd);
	reader->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (reader->fd >= 0)
		set_options(reader->fd);
	if (reader->fd < 0 || connect(reader->fd, ai->ai_addr, ai->ai_addrlen) < 0)
		err = errno;
	freeaddrinfo(ai);
	return err;
}

/* Tries reader->address and the addresses after it, until one connect is under way. */
static void connect_to_address(struct reader *reader, int err)
{
	for (; reader->address < reader->addresses.n; reader->address++) {
		err = begin_connect(reader, reader->addresses.text[reader->address]);
		if (err == 0) {
			handle_connected(reader);
			return;
		}
		if (err == EINPROGRESS) {
			await_events(reader, POLLOUT, clock_now_us() + CONNECT_TIMEOUT_US);
			return;
		}
	}
	back_off(reader, strerror(err));
}

static void start_connecting(struct reader *reader)
{
	int err;

	reader->address = 0;
	if (resolve_address(&reader->addresses, reader->host)) {
		connect_to_address(reader, 0);
		return;
	}
	err = resolve_start(&reader->resolve, reader->host);
	if (err < 0)
		back_off(reader, strerror(-err));
	else
		await_events(reader, POLLIN, INT64_MAX);
}

static void take_addresses(struct reader *reader)
{
	const char *why;
	int err = resolve_take(reader->resolve, &reader->addresses, &why);

	if (err == -EAGAIN)
		return;
	resolve_destroy(reader->resolve);
	reader->resolve = NULL;
	if (err < 0)
		back_off(reader, why);
	else
		connect_to_address(reader, 0);
}

/* Handles the end, or the timeout, of the connect under way. */
static void finish_connecting(struct reader *reader, int err)
{
	socklen_t len = sizeof err;

	if (!err && getsockopt(reader->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	if (!err) {
		handle_connected(reader);
		return;
	}
	reader->address++;
	connect_to_address(reader, err);
}

/* --- talking --- */

/* The conversation ends the connection. A login that was refused is not tried often: cameras lock
 * users out. */
static void end_conversation(struct reader *reader, int err)
{
	if (err == -EACCES)
		reader_refuse(reader, rtsp_why(reader->rtsp));
	else
		back_off(reader, rtsp_why(reader->rtsp));
}

static void turn_conversation(struct reader *reader)
{
	int err = reader->rtsp ? rtsp_turn(reader->rtsp, clock_now_us()) : 0;

	if (err < 0)
		end_conversation(reader, err);
	else
		send_requests(reader);
}

static short awaited_events(const struct reader *reader)
{
	size_t len = 0;

	if (reader->rtsp)
		rtsp_output(reader->rtsp, &len);
	return (short)(len > 0 ? POLLIN | POLLOUT : POLLIN);
}

/* --- receiving --- */

/* As recv(), with the errors as -errno. */
static ssize_t read_some(struct reader *reader, void *data, size_t max)
{
	ssize_t n;

	if (reader->secure)
		return secure_read(reader->secure, data, max);
	n = recv(reader->fd, data, max, 0);
	return n < 0 ? -errno : n;
}

static void add_bytes(struct reader *reader, size_t n)
{
	if (reader->rtsp ? rtsp_is_empty(reader->rtsp) : cutter_is_empty(&reader->cutter))
		reader->unit_us = reader->received_us;
	if (reader->rtsp)
		rtsp_add(reader->rtsp, n);
	else
		cutter_add(&reader->cutter, n);
}

/* Reads once, and with TLS all that has been decrypted, which poll() does not report. */
static int receive(struct reader *reader)
{
	ssize_t n;

	do {
		size_t len;
		uint8_t *room = reader->rtsp ? rtsp_room(reader->rtsp, &len)
					     : cutter_room(&reader->cutter, &len);

		if (!room)
			return -ENOMEM;
		if (len == 0)
			break; /* what has come is looked at first */
		n = read_some(reader, room, len);
		if (n > 0) {
			reader->received_us = clock_now_us();
			add_bytes(reader, (size_t)n);
			reader->key_wait_bytes += (size_t)n;
			reader->quiet_asked = false;
		} else if (n == 0) {
			back_off(reader, "the server closed the connection");
		} else if (n != -EAGAIN && n != -EINTR) {
			back_off(reader,
				 n == -EPROTO ? secure_fault(reader->secure) : strerror((int)-n));
		}
	} while (n > 0 && reader->secure && secure_pending(reader->secure));
	return 0;
}

/* Ends a connection whose bytes do not become units; to be asked after each byte that completes
 * none. */
static void check_progress(struct reader *reader)
{
	bool waits = reader->stats.state == READER_WAITING_KEY;
	const char *why = NULL;

	if (reader->received_us - reader->unit_us > UNIT_TIMEOUT_US)
		why = "a picture was not complete after a minute";
	else if (waits && reader->received_us - reader->key_wait_us > KEY_TIMEOUT_US)
		why = "no key picture came in a minute";
	else if (waits && reader->key_wait_bytes > KEY_BYTES_MAX)
		why = "no key picture came in 128 MiB";
	if (why)
		reader_refuse(reader, why);
}

/* When a unit came, in the rhythm of the server's clock if that tells: a network delivers unevenly.
 * The times of B pictures do not grow, and say nothing of when they came. */
static int64_t arrival_of(struct reader *reader, const struct cutter_unit *unit)
{
	const int32_t step = (int32_t)(unit->time - reader->time);

	if (!unit->timed || reader->out_of_order)
		return reader->received_us;
	reader->out_of_order = reader->timed && step < 0;
	if (reader->timed)
		reader->time_us += (int64_t)step * 100 / 9;
	reader->timed = true;
	reader->time = unit->time;
	return arrival_place(&reader->arrival, reader->received_us,
			     reader->out_of_order ? ARRIVAL_NONE : reader->time_us);
}

/* Handles the cutter's result. 1: *out is a unit; 0: there is none yet; -EAGAIN: call the cutter
 * again. */
static int take(struct reader *reader, int result, const struct cutter_unit *unit,
		struct reader_unit *out)
{
	if (result == CUTTER_MORE)
		return 0;
	if (result == -ENOMEM)
		return result;
	if (result < 0 && reader->rtsp) {
		end_conversation(reader, result);
		return 0;
	}
	if (result == -EBADMSG) {
		back_off(reader, reader->cutter.framing == STREAM_ANNEXB
					 ? "the server did not send an H.264 byte stream"
					 : "the server did not send length-prefixed pictures");
		return 0;
	}
	reader->unit_us = reader->received_us; /* bytes behind it came with its last one */
	if (result == CUTTER_GAP || (result == CUTTER_JUNK && reader->rtsp)) {
		wait_for_key(reader);
	} else if (result == CUTTER_SPLIT) {
		/* The returned unit was cut short, so units that refer to it cannot be decoded. */
		reader->quiet_us *= 2;
		if (reader->quiet_us > QUIET_MAX_US)
			reader->quiet_us = QUIET_MAX_US;
		wait_for_key(reader);
	}
	if (result != CUTTER_UNIT || (reader->stats.state == READER_WAITING_KEY && !unit->key)) {
		reader->stats.skipped_units++;
		return -EAGAIN;
	}
	reader->stats.state = READER_PLAYING;
	reader->stats.units++;
	reader->stats.bytes += unit->len;
	reader->backoff_us = BACKOFF_MIN_US;
	*out = (struct reader_unit){
		.data = unit->data,
		.len = unit->len,
		.codec = unit->codec,
		.key = unit->key,
		.discontinuity = reader->gap,
		.received_us = arrival_of(reader, unit),
	};
	reader->gap = false;
	return 1;
}

/* Returns a unit from the bytes that have already arrived. */
static int next_unit(struct reader *reader, struct reader_unit *out)
{
	struct cutter_unit unit;
	int r;

	do
		r = take(reader,
			 reader->rtsp ? rtsp_next(reader->rtsp, &unit, clock_now_us())
				      : cutter_next(&reader->cutter, &unit),
			 &unit, out);
	while (r == -EAGAIN);
	send_requests(reader);
	return r;
}

/* The socket was quiet: returns the bytes that have arrived as a unit, if they can be one. */
static int quiet_unit(struct reader *reader, struct reader_unit *out)
{
	struct cutter_unit unit;

	reader->quiet_asked = true;
	return take(reader, cutter_end_unit(&reader->cutter, &unit), &unit, out) == 1;
}

/* Waits for the socket, the addresses, or for one of the reader's own times, at most until
 * `until_us`. Returns poll()'s result for the socket, or -EINTR. */
static int wait_until(struct reader *reader, short events, int64_t until_us)
{
	struct pollfd poll_fd = {.fd = reader->resolve ? resolve_fd(reader->resolve) : reader->fd,
				 .events = events};
	int64_t left_us = until_us - clock_now_us();
	struct timespec timeout = {0};
	int n;

	if (left_us > 0) {
		timeout.tv_sec = left_us / 1000000;
		timeout.tv_nsec = left_us % 1000000 * 1000;
	}
	n = ppoll(&poll_fd, 1, &timeout, NULL);
	return n < 0 ? -errno : n;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Waits once, at most until `end_us`, and handles the result. Returns 1 with a unit, 0, or
 * -errno. */
static int turn(struct reader *reader, struct reader_unit *out, int64_t end_us)
{
	int64_t quiet_us = INT64_MAX;
	int n;

	switch (reader->stats.state) {
	case READER_BACKOFF:
		n = wait_until(reader, 0, earlier(end_us, reader->retry_us));
		if (n < 0)
			return n;
		if (clock_now_us() >= reader->retry_us)
			start_connecting(reader);
		return 0;
	case READER_CONNECTING:
		n = wait_until(reader, reader->events, earlier(end_us, reader->deadline_us));
		if (n < 0)
			return n;
		if (n > 0 && reader->resolve)
			take_addresses(reader);
		else if (n > 0 && reader->shaking)
			go_on_shaking(reader);
		else if (n > 0)
			finish_connecting(reader, 0);
		else if (clock_now_us() >= reader->deadline_us && reader->shaking)
			back_off(reader, "the server does not finish the handshake of TLS");
		else if (clock_now_us() >= reader->deadline_us)
			finish_connecting(reader, ETIMEDOUT);
		return 0;
	case READER_WAITING_KEY:
	case READER_PLAYING:
		break;
	}
	if (reader->low_latency && cutter_has_picture(&reader->cutter) && !reader->quiet_asked)
		quiet_us = reader->received_us + reader->quiet_us;
	if (reader->rtsp)
		end_us = earlier(end_us, rtsp_due_us(reader->rtsp));
	n = wait_until(reader, awaited_events(reader), earlier(end_us, quiet_us));
	if (n < 0)
		return n;
	turn_conversation(reader);
	if (reader->fd < 0)
		return 0;
	if (n > 0) {
		n = receive(reader);
		if (n < 0 || reader->fd < 0)
			return n;
		n = next_unit(reader, out);
		if (n == 0 && reader->fd >= 0)
			check_progress(reader);
		return n;
	}
	return clock_now_us() >= quiet_us ? quiet_unit(reader, out) : 0;
}

int reader_next(struct reader *reader, struct reader_unit *unit, int timeout_ms)
{
	int64_t end_us = clock_now_us() + (int64_t)timeout_ms * 1000;
	int r;

	/* Several units may have arrived at once. */
	r = reader->fd >= 0 && reader->stats.state != READER_CONNECTING ? next_unit(reader, unit)
									: 0;
	while (r == 0) {
		r = turn(reader, unit, end_us);
		if (r == 0 && clock_now_us() >= end_us)
			return 0;
	}
	return r == -EINTR ? 0 : r;
}
