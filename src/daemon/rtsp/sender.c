/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/rtsp/sender.h"

#include <errno.h>
#include <sys/socket.h>

#include "camcast/rtp.h"
#include "media/rtcp.h"

#define PACED_MAX 46	    /* packets of a large picture at once, */
#define PACED_US 2000	    /* which take this long */
#define TRIES 4		    /* of a send, behind errors of earlier ones */
#define IGNORED_BUFFER 4096 /* bytes of what peers send to the port of RTP */

void sender_ignore_input(int fd)
{
	const int bytes = IGNORED_BUFFER;

	/* Where it fails the kernel keeps more, up to its own limit. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

struct sink_report sender_report(const struct rtcp_report *report)
{
	return (struct sink_report){
		.lost = report->lost > 0 ? (uint32_t)report->lost : 0,
		.permille = report->fraction * 1000u / 256,
		.jitter_us = (uint32_t)((uint64_t)report->jitter * 1000000 / CAMCAST_RTP_CLOCK),
	};
}

/* --- the sink of its cursor --- */

static struct sender *of_cursor(struct cursor *cursor)
{
	return container_of(cursor, struct sender, cursor);
}

static const struct sender *of_const_cursor(const struct cursor *cursor)
{
	return container_of_const(cursor, struct sender, cursor);
}

static void sink_send(struct cursor *cursor, const struct pages *pages, uint32_t offset,
		      uint32_t len)
{
	struct sender *sender = of_cursor(cursor);
	struct loop *loop = cursor->audience->loop;

	(void)len;
	len = cursor->unit_end - cursor->at; /* of one unit, so that it is known how large it is */
	if (sender->next_us <= loop_now_us(loop)) {
		loop_conn_send(loop, &sender->conn, pages, offset, len);
		return;
	}
	sender->pages = pages;
	sender->offset = offset;
	sender->len = len;
	loop_timer_set(loop, &sender->pace, sender->next_us);
}

static void handle_pace(struct loop_timer *timer)
{
	struct sender *sender = container_of(timer, struct sender, pace);

	loop_conn_send(sender->loop, &sender->conn, sender->pages, sender->offset, sender->len);
}

static bool sink_ready(const struct cursor *cursor)
{
	return !loop_conn_waits(&of_const_cursor(cursor)->conn);
}

static void sink_want_writable(struct cursor *cursor)
{
	loop_conn_want_writable(cursor->audience->loop, &of_cursor(cursor)->conn);
}

/* A receiver of UDP takes all that comes. */
static int64_t sink_paused_us(const struct cursor *cursor)
{
	(void)cursor;
	return 0;
}

static void sink_close(struct cursor *cursor, enum cursor_end why, bool at_once)
{
	struct sender *sender = of_cursor(cursor);

	cursor_end(cursor, why);
	sender->ops->ended(sender, at_once);
}

static void sink_describe(const struct cursor *cursor, char text[SINK_TEXT_MAX])
{
	const struct sender *sender = of_const_cursor(cursor);

	sender->ops->describe(sender, text);
}

static const char *sink_scheme(const struct cursor *cursor)
{
	return of_const_cursor(cursor)->ops->scheme;
}

static bool sink_report(const struct cursor *cursor, struct sink_report *out)
{
	const struct sender *sender = of_const_cursor(cursor);

	return sender->ops->report(sender, out);
}

static bool sink_group(const struct cursor *cursor, struct sink_group *out)
{
	const struct sender *sender = of_const_cursor(cursor);

	return sender->ops->group && sender->ops->group(sender, out);
}

static const struct sink sender_sink = {
	.send = sink_send,
	.ready = sink_ready,
	.want_writable = sink_want_writable,
	.paused_us = sink_paused_us,
	.close = sink_close,
	.describe = sink_describe,
	.scheme = sink_scheme,
	.report = sink_report,
	.group = sink_group,
	.no_burst = true,
};

/* --- its socket --- */

static struct sender *of_conn(struct loop_conn *conn)
{
	return container_of(conn, struct sender, conn);
}

/* What is made of a send: all that may go now. */
static const struct datagrams *make_datagrams(struct sender *sender, const void *data, size_t len)
{
	struct datagrams *datagrams = sender->datagrams;
	bool begun = sender->cursor.flags & CURSOR_MID_UNIT;
	struct datagrams_options options = {
		.data = data,
		.len = len,
		.max = begun ? PACED_MAX : DATAGRAMS_MAX,
		.segmented = !sender->whole,
		.turn = loop_stats(sender->loop)->turns,
	};

	datagrams_make(datagrams, &options);
	if (!begun && datagrams->taken < len && datagrams->packets > PACED_MAX) {
		options.max = PACED_MAX;
		datagrams_make(datagrams, &options);
	}
	return datagrams;
}

/* One that is lost is replaced by the next. */
static void send_report(struct sender *sender, const struct iovec *report)
{
	(void)sendto(sender->rtcp, report->iov_base, report->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL,
		     sender->rtcp_to, sender->rtcp_len);
}

/* Of the first n messages. */
static uint64_t count_packets(const struct datagrams *datagrams, unsigned n)
{
	uint64_t packets = 0;

	for (unsigned i = 0; i < n; i++)
		packets += datagrams->messages[i].msg_hdr.msg_iovlen;
	return packets;
}

/* Returns the bytes of frames that were sent, or are given up because they cannot be; 0: it is to
 * be tried again; or -errno of send() for which the cursor has to wait. */
static ssize_t try_send(struct sender *sender, const void *data, size_t len)
{
	const struct datagrams *datagrams = make_datagrams(sender, data, len);
	uint32_t first = datagrams->ends[0]; /* a refusal may be the end of the port */
	int n, err;

	if (datagrams->n == 0)
		return datagrams->taken;
	if (sender->ops->begins && !(sender->cursor.flags & CURSOR_MID_UNIT))
		sender->ops->begins(sender, datagrams);
	if (loop_conn_closing(&sender->conn))
		return 0;
	n = sendmmsg(sender->conn.fd, (struct mmsghdr *)(uintptr_t)datagrams->messages,
		     datagrams->n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0) {
		sender->next_us = loop_now_us(sender->loop) +
				  (int64_t)PACED_US * datagrams->packets / PACED_MAX;
		sender->packets += count_packets(datagrams, (unsigned)n);
		if (sender->ops->sent)
			sender->ops->sent(sender);
		return datagrams->ends[n - 1];
	}
	err = n < 0 ? errno : EINTR;
	switch (err) {
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
		return -err;
	case EINTR:
		return 0;
	case EINVAL: /* a kernel older than 4.18, or a way with a smaller MTU */
	case EMSGSIZE:
	case EIO: /* a device that makes no checksums */
		if (!sender->whole) {
			sender->whole = true;
			return 0;
		}
		sender->ops->refused(sender, -err);
		return first;
	case ECONNREFUSED: /* an answer to an earlier one; nothing was sent */
		sender->ops->refused(sender, -err);
		return 0;
	default:
		sender->ops->refused(sender, -err);
		return first;
	}
}

static ssize_t handle_write(struct loop_conn *conn, const void *data, size_t len)
{
	struct sender *sender = of_conn(conn);
	const struct datagrams *datagrams = make_datagrams(sender, data, len);
	ssize_t n = 0;

	if (datagrams->report.iov_len > 0)
		send_report(sender, &datagrams->report);
	for (int i = 0; i < TRIES && n == 0 && !loop_conn_closing(conn); i++)
		n = try_send(sender, data, len);
	return n == 0 ? -ENOBUFS : n;
}

static void handle_sent(struct loop_conn *conn, int result)
{
	if (!loop_conn_closing(conn))
		cursor_sent(&of_conn(conn)->cursor, result, false);
}

static void handle_writable(struct loop_conn *conn)
{
	cursor_writable(&of_conn(conn)->cursor);
}

static void handle_closed(struct loop_conn *conn)
{
	struct sender *sender = of_conn(conn);

	if (sender->cursor.audience)
		cursor_release(&sender->cursor);
	sender->ops->closed(sender);
}

static const struct loop_conn_ops sender_conn_ops = {
	.write = handle_write,
	.datagrams = true,
	.sent = handle_sent,
	.writable = handle_writable,
	.closed = handle_closed,
};

/* --- life --- */

int sender_open(struct sender *sender, int fd)
{
	loop_timer_init(&sender->pace, handle_pace);
	sender_ignore_input(fd);
	return loop_conn_open(sender->loop, &sender->conn, fd, &sender_conn_ops);
}

int sender_watch(struct sender *sender, struct feed *feed, uint64_t had)
{
	return feed_join(feed, &sender->cursor, &sender_sink, had);
}

void sender_close(struct sender *sender)
{
	loop_timer_cancel(sender->loop, &sender->pace);
	if (sender->cursor.audience)
		cursor_end(&sender->cursor, CURSOR_END_PEER);
	loop_conn_close(sender->loop, &sender->conn, false);
}
