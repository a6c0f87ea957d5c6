/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/rtsp/udp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "camcast/rtp.h"
#include "daemon/rtsp/datagrams.h"
#include "daemon/rtsp/filler.h"
#include "media/rtcp.h"

#define BUCKETS 64
#define PORT_TRIES 16
#define PACED_MAX 46	    /* packets of a large picture at once, */
#define PACED_US 2000	    /* which take this long */
#define TRIES 4		    /* of a send, behind errors of earlier ones */
#define IGNORED_BUFFER 4096 /* bytes of what peers send to the port of RTP */
#define RTCP_MAX 1500	    /* bytes of a datagram that is read */
#define RTCP_PER_TURN 64
/* A receiver may open its ports after PLAY, and be restarted. */
#define REFUSED_US 5000000
#define REFUSED_GAP_US 2000000 /* without a refusal it listens again */
#define SILENCE_US 500000      /* without a packet, then it is filled */

union address {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
};

struct udp_port {
	struct list link;
	struct udp_ports *ports;
	struct loop *loop;
	unsigned refs;
	union address local; /* the port of RTP */
	socklen_t local_len;
	struct net_peer end; /* of connections that use it */
	int rtp;	     /* keeps the port of RTP */
	struct loop_watch rtcp;
	struct list viewers[BUCKETS]; /* by the ends of their RTCP */
	struct datagrams datagrams;
};

struct udp_viewer {
	struct loop_conn conn;
	struct cursor cursor; /* audience NULL: it watches nothing yet */
	struct udp_port *port;
	struct udp_options options;
	union address rtcp;
	socklen_t rtcp_len;
	struct net_peer rtp_end, rtcp_end;
	struct list link;
	bool whole; /* packets are not to be cut by the kernel */
	/* Valid while `pace` is set: the send that waits. */
	const struct pages *pages;
	uint32_t offset, len;
	struct loop_timer pace;
	int64_t next_us;		/* when the next packets may go */
	int64_t refused_us, refusal_us; /* the first of a row of refusals, and the last; 0: none */
	struct loop_timer silence;	/* runs if the options say `fills` */
	uint16_t sequence;		/* `fills`: of the newest unit's first packet */
	bool reported;
	struct rtcp_report report; /* valid if `reported` */
};

static void set_port(union address *address, uint16_t port)
{
	if (address->any.sa_family == AF_INET)
		address->ip4.sin_port = htons(port);
	else
		address->ip6.sin6_port = htons(port);
}

static bool is_internet(const union address *address)
{
	return address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6;
}

/* --- pairs of ports --- */

static int open_socket(const union address *local, socklen_t len, bool shared)
{
	const int on = 1;
	int fd = socket(local->any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	if ((!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0) &&
	    bind(fd, &local->any, len) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static void ignore_input(int fd)
{
	const int bytes = IGNORED_BUFFER;

	/* Where it fails the kernel keeps more, up to its own limit. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

/* Opens both sockets with a number for RTP; 0: one that the kernel chooses. */
static int open_pair(struct udp_port *port, uint16_t number)
{
	union address address = port->local;
	struct net_peer chosen;
	int err;

	set_port(&address, number);
	/* Alone at first: nobody else has it. */
	port->rtp = open_socket(&address, port->local_len, false);
	if (port->rtp < 0)
		return port->rtp;
	net_peer_local_from_fd(&chosen, port->rtp);
	number = chosen.port;
	close(port->rtp);
	if (number % 2 != 0)
		number--;
	set_port(&address, number + 1);
	port->rtcp.fd = open_socket(&address, port->local_len, false);
	if (port->rtcp.fd < 0)
		return port->rtcp.fd;
	set_port(&address, number);
	port->rtp = open_socket(&address, port->local_len, true);
	if (port->rtp < 0) {
		err = port->rtp;
		close(port->rtcp.fd);
		return err;
	}
	ignore_input(port->rtp);
	port->local = address;
	return 0;
}

static int open_ports(struct udp_port *port)
{
	uint16_t number = port->end.port % 2 == 0 ? port->end.port : 0;
	int err = -EADDRINUSE;

	for (int i = 0; i < PORT_TRIES && err < 0 && err != -EMFILE && err != -ENFILE; i++) {
		err = open_pair(port, number);
		number = 0;
	}
	return err;
}

static struct list *bucket_of(struct udp_port *port, const struct net_peer *end)
{
	unsigned sum = end->port;

	for (size_t i = 0; i < sizeof end->address; i++)
		sum = sum * 31 + end->address[i];
	return &port->viewers[sum % BUCKETS];
}

static bool is_end(const struct net_peer *a, const struct net_peer *b)
{
	return memcmp(a->address, b->address, sizeof a->address) == 0 && a->port == b->port;
}

static struct udp_viewer *find_viewer(struct udp_port *port, const struct net_peer *end)
{
	struct list *bucket = bucket_of(port, end);

	for (struct list *pos = bucket->next; pos != bucket; pos = pos->next) {
		struct udp_viewer *viewer = container_of(pos, struct udp_viewer, link);

		if (is_end(&viewer->rtcp_end, end))
			return viewer;
	}
	return NULL;
}

/* What a receiver says. */
static void take_report(struct udp_port *port, const struct net_peer *from, const uint8_t *data,
			size_t len)
{
	struct udp_viewer *viewer = find_viewer(port, from);
	struct rtcp_report report;
	bool found;

	if (!viewer || !rtcp_read(data, len, viewer->options.ssrc, &report, &found))
		return;
	if (found)
		viewer->report = report;
	viewer->reported |= found;
	viewer->refused_us = 0;
	viewer->options.alive(viewer->options.user);
}

static void handle_rtcp(struct loop_watch *watch, uint32_t events)
{
	struct udp_port *port = container_of(watch, struct udp_port, rtcp);

	(void)events;
	for (int i = 0; i < RTCP_PER_TURN; i++) {
		uint8_t data[RTCP_MAX];
		union address address;
		socklen_t address_len = sizeof address;
		struct net_peer from;
		ssize_t n = recvfrom(watch->fd, data, sizeof data, MSG_DONTWAIT | MSG_TRUNC,
				     &address.any, &address_len);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 || (size_t)n > sizeof data)
			continue; /* a refusal of what was sent, or no report of ours */
		net_peer_from_sockaddr(&from, &address.any, address_len);
		take_report(port, &from, data, (size_t)n);
	}
}

static struct udp_port *find_port(const struct udp_ports *ports, const struct net_peer *end)
{
	for (struct list *pos = ports->list.next; pos != &ports->list; pos = pos->next) {
		struct udp_port *port = container_of(pos, struct udp_port, link);

		if (is_end(&port->end, end) && port->end.scope == end->scope)
			return port;
	}
	return NULL;
}

static int create_port(struct udp_port **out, struct loop *loop, const union address *local,
		       socklen_t len)
{
	struct udp_port *port = calloc(1, sizeof *port);
	int err;

	if (!port)
		return -ENOMEM;
	port->loop = loop;
	port->local = *local;
	port->local_len = len;
	net_peer_from_sockaddr(&port->end, &local->any, len);
	for (size_t i = 0; i < BUCKETS; i++)
		list_init(&port->viewers[i]);
	err = open_ports(port);
	if (err < 0)
		goto free_port;
	port->rtcp.events = EPOLLIN;
	port->rtcp.ready = handle_rtcp;
	err = loop_watch_add(loop, &port->rtcp);
	if (err < 0)
		goto close_sockets;
	*out = port;
	return 0;

close_sockets:
	close(port->rtcp.fd);
	close(port->rtp);
free_port:
	free(port);
	return err;
}

int udp_port_take(struct udp_port **out, struct udp_ports *ports, struct loop *loop, int connection)
{
	union address local = {0};
	socklen_t len = sizeof local;
	struct net_peer end;
	int err;

	if (getsockname(connection, &local.any, &len) < 0)
		return -errno;
	if (!is_internet(&local))
		return -EAFNOSUPPORT;
	if (!ports->list.next)
		list_init(&ports->list);
	net_peer_from_sockaddr(&end, &local.any, len);
	*out = find_port(ports, &end);
	if (!*out) {
		if (ports->n == UDP_PORTS_MAX)
			return -ENFILE;
		err = create_port(out, loop, &local, len);
		if (err < 0)
			return err;
		(*out)->ports = ports;
		list_init(&(*out)->link);
		list_append(&ports->list, &(*out)->link);
		ports->n++;
	}
	(*out)->refs++;
	return 0;
}

void udp_port_release(struct udp_port *port)
{
	if (!port || --port->refs > 0)
		return;
	loop_watch_remove(port->loop, &port->rtcp);
	close(port->rtcp.fd);
	close(port->rtp);
	list_remove(&port->link);
	port->ports->n--;
	free(port);
}

uint16_t udp_port_number(const struct udp_port *port)
{
	return ntohs(port->local.any.sa_family == AF_INET ? port->local.ip4.sin_port
							  : port->local.ip6.sin6_port);
}

/* --- the sink of a viewer's cursor --- */

static struct udp_viewer *of_cursor(struct cursor *cursor)
{
	return container_of(cursor, struct udp_viewer, cursor);
}

static const struct udp_viewer *of_const_cursor(const struct cursor *cursor)
{
	return (const void *)((const char *)cursor - offsetof(struct udp_viewer, cursor));
}

static void sink_send(struct cursor *cursor, const struct pages *pages, uint32_t offset,
		      uint32_t len)
{
	struct udp_viewer *viewer = of_cursor(cursor);
	struct loop *loop = cursor->audience->loop;

	(void)len;
	len = cursor->unit_end - cursor->at; /* of one unit, so that it is known how large it is */
	if (viewer->next_us <= loop_now_us(loop)) {
		loop_conn_send(loop, &viewer->conn, pages, offset, len);
		return;
	}
	viewer->pages = pages;
	viewer->offset = offset;
	viewer->len = len;
	loop_timer_set(loop, &viewer->pace, viewer->next_us);
}

static void handle_pace(struct loop_timer *timer)
{
	struct udp_viewer *viewer = container_of(timer, struct udp_viewer, pace);

	loop_conn_send(viewer->port->loop, &viewer->conn, viewer->pages, viewer->offset,
		       viewer->len);
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
	struct udp_viewer *viewer = of_cursor(cursor);

	cursor_end(cursor, why);
	viewer->options.ended(viewer->options.user, at_once);
}

static void sink_describe(const struct cursor *cursor, char text[SINK_TEXT_MAX])
{
	static_assert(SINK_TEXT_MAX >= NET_PEER_TEXT_MAX, "an address fits");
	net_peer_format(&of_const_cursor(cursor)->rtp_end, text);
}

static const char *sink_scheme(const struct cursor *cursor)
{
	(void)cursor;
	return "rtsp+udp";
}

static bool sink_report(const struct cursor *cursor, struct sink_report *out)
{
	const struct udp_viewer *viewer = of_const_cursor(cursor);
	const struct rtcp_report *report = &viewer->report;

	if (!viewer->reported)
		return false;
	out->lost = report->lost > 0 ? (uint32_t)report->lost : 0;
	out->permille = report->fraction * 1000u / 256;
	out->jitter_us = (uint32_t)((uint64_t)report->jitter * 1000000 / CAMCAST_RTP_CLOCK);
	return true;
}

static const struct sink udp_sink = {
	.send = sink_send,
	.ready = sink_ready,
	.want_writable = sink_want_writable,
	.paused_us = sink_paused_us,
	.close = sink_close,
	.describe = sink_describe,
	.scheme = sink_scheme,
	.report = sink_report,
	.no_burst = true,
};

/* --- its socket --- */

static struct udp_viewer *of_conn(struct loop_conn *conn)
{
	return container_of(conn, struct udp_viewer, conn);
}

/* A peer refused a datagram, or there is no way to it. That is no reason to end it at once. */
static void note_refusal(struct udp_viewer *viewer)
{
	int64_t now_us = loop_now_us(viewer->port->loop);

	if (viewer->refused_us == 0 || now_us - viewer->refusal_us > REFUSED_GAP_US)
		viewer->refused_us = now_us;
	viewer->refusal_us = now_us;
	if (now_us - viewer->refused_us >= REFUSED_US)
		viewer->options.ended(viewer->options.user, true);
}

/* What is made of a send: all that may go now. */
static const struct datagrams *make_datagrams(struct udp_viewer *viewer, const void *data,
					      size_t len)
{
	struct datagrams *datagrams = &viewer->port->datagrams;
	bool begun = viewer->cursor.flags & CURSOR_MID_UNIT;
	struct datagrams_options options = {
		.data = data,
		.len = len,
		.max = begun ? PACED_MAX : DATAGRAMS_MAX,
		.segmented = !viewer->whole,
		.turn = loop_stats(viewer->port->loop)->turns,
	};

	datagrams_make(datagrams, &options);
	if (!begun && datagrams->taken < len && datagrams->packets > PACED_MAX) {
		options.max = PACED_MAX;
		datagrams_make(datagrams, &options);
	}
	return datagrams;
}

/* One that is lost is replaced by the next. */
static void send_report(struct udp_viewer *viewer, const struct iovec *report)
{
	(void)sendto(viewer->port->rtcp.fd, report->iov_base, report->iov_len,
		     MSG_DONTWAIT | MSG_NOSIGNAL, &viewer->rtcp.any, viewer->rtcp_len);
}

/* --- where silence is filled --- */

/* 0 or -errno. */
static int send_filler(struct udp_viewer *viewer, uint16_t sequence)
{
	uint8_t filler[FILLER_LEN];

	filler_make(filler, viewer->options.ssrc, sequence);
	return send(viewer->conn.fd, filler, sizeof filler, MSG_DONTWAIT | MSG_NOSIGNAL) < 0
		       ? -errno
		       : 0;
}

static void handle_silence(struct loop_timer *timer)
{
	struct udp_viewer *viewer = container_of(timer, struct udp_viewer, silence);
	int64_t now_us = loop_now_us(viewer->port->loop), at_us = viewer->next_us + SILENCE_US;

	if (at_us <= now_us) {
		if (send_filler(viewer, viewer->sequence) == -ECONNREFUSED)
			note_refusal(viewer);
		at_us = now_us + SILENCE_US;
	}
	if (!loop_conn_closing(&viewer->conn))
		loop_timer_set(viewer->port->loop, timer, at_us);
}

/* Before a unit: its receiver may have missed that the numbers have wrapped (udp.h). */
static void bridge_wrap(struct udp_viewer *viewer, const struct datagrams *datagrams)
{
	const struct iovec *packet = datagrams->messages[0].msg_hdr.msg_iov;
	uint16_t sequence = filler_sequence(packet->iov_base, packet->iov_len);

	if (sequence >= viewer->sequence || send_filler(viewer, UINT16_MAX) == 0)
		viewer->sequence = sequence;
}

/* --- what a unit becomes --- */

/* Returns the bytes of frames that were sent, or are given up because they cannot be; 0: it is to
 * be tried again; or -errno of send() for which the cursor has to wait. */
static ssize_t try_send(struct udp_viewer *viewer, const void *data, size_t len)
{
	const struct datagrams *datagrams = make_datagrams(viewer, data, len);
	uint32_t first = datagrams->ends[0]; /* a refusal may be the end of the port */
	int n;

	if (datagrams->n == 0)
		return datagrams->taken;
	if (viewer->options.fills && !(viewer->cursor.flags & CURSOR_MID_UNIT))
		bridge_wrap(viewer, datagrams);
	n = sendmmsg(viewer->conn.fd, (struct mmsghdr *)(uintptr_t)datagrams->messages,
		     datagrams->n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0) {
		viewer->next_us = loop_now_us(viewer->port->loop) +
				  (int64_t)PACED_US * datagrams->packets / PACED_MAX;
		return datagrams->ends[n - 1];
	}
	switch (n < 0 ? errno : EINTR) {
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
		return -errno;
	case EINTR:
		return 0;
	case EINVAL: /* a kernel older than 4.18, or a way with a smaller MTU */
	case EMSGSIZE:
	case EIO: /* a device that makes no checksums */
		if (!viewer->whole) {
			viewer->whole = true;
			return 0;
		}
		return first;
	case ECONNREFUSED: /* an answer to an earlier one; nothing was sent */
		note_refusal(viewer);
		return 0;
	default:
		note_refusal(viewer);
		return first;
	}
}

static ssize_t handle_write(struct loop_conn *conn, const void *data, size_t len)
{
	struct udp_viewer *viewer = of_conn(conn);
	const struct datagrams *datagrams = make_datagrams(viewer, data, len);
	ssize_t n = 0;

	if (datagrams->report.iov_len > 0)
		send_report(viewer, &datagrams->report);
	for (int i = 0; i < TRIES && n == 0 && !loop_conn_closing(conn); i++)
		n = try_send(viewer, data, len);
	return n == 0 ? -ENOBUFS : n;
}

/* What a peer sends to the port of RTP means nothing. Its refusals do. */
static ssize_t handle_read(struct loop_conn *conn, void *data, size_t max)
{
	ssize_t n = loop_conn_closing(conn) ? -EAGAIN : recv(conn->fd, data, max, MSG_DONTWAIT);

	if (loop_conn_closing(conn) || (n < 0 && errno == EAGAIN))
		return -EAGAIN;
	if (n < 0 && errno != EINTR)
		note_refusal(of_conn(conn));
	return -EINTR;
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

static void handle_failed(struct loop_conn *conn, int error)
{
	struct udp_viewer *viewer = of_conn(conn);

	(void)error;
	viewer->options.ended(viewer->options.user, true);
}

static void handle_closed(struct loop_conn *conn)
{
	struct udp_viewer *viewer = of_conn(conn);

	if (viewer->cursor.audience)
		cursor_release(&viewer->cursor);
	free(viewer);
}

static const struct loop_conn_ops udp_ops = {
	.write = handle_write,
	.read = handle_read,
	.datagrams = true,
	.sent = handle_sent,
	.writable = handle_writable,
	.failed = handle_failed,
	.closed = handle_closed,
};

/* --- life --- */

/* Both ends of the packets: never another address than that of the peer of the connection. */
static int find_ends(struct udp_viewer *viewer, union address *rtp, socklen_t *len)
{
	*len = sizeof *rtp;
	memset(rtp, 0, sizeof *rtp);
	if (getpeername(viewer->options.connection, &rtp->any, len) < 0)
		return -errno;
	if (!is_internet(rtp))
		return -EAFNOSUPPORT;
	viewer->rtcp = *rtp;
	viewer->rtcp_len = *len;
	set_port(rtp, viewer->options.rtp_port);
	set_port(&viewer->rtcp, viewer->options.rtcp_port);
	net_peer_from_sockaddr(&viewer->rtp_end, &rtp->any, *len);
	net_peer_from_sockaddr(&viewer->rtcp_end, &viewer->rtcp.any, viewer->rtcp_len);
	return 0;
}

static int open_viewer(struct udp_viewer *viewer)
{
	const struct udp_port *port = viewer->port;
	union address rtp;
	socklen_t len;
	int fd, err = find_ends(viewer, &rtp, &len);

	if (err < 0)
		return err;
	fd = open_socket(&port->local, port->local_len, true);
	if (fd < 0)
		return fd;
	ignore_input(fd);
	err = connect(fd, &rtp.any, len) < 0 ? -errno : 0;
	if (err == 0)
		err = loop_conn_open(port->loop, &viewer->conn, fd, &udp_ops);
	if (err < 0)
		close(fd);
	return err;
}

int udp_open(struct udp_viewer **out, struct udp_port *port, const struct udp_options *options)
{
	struct udp_viewer *viewer = calloc(1, sizeof *viewer);
	int err;

	if (!viewer)
		return -ENOMEM;
	viewer->port = port;
	viewer->options = *options;
	loop_timer_init(&viewer->pace, handle_pace);
	loop_timer_init(&viewer->silence, handle_silence);
	err = open_viewer(viewer);
	if (err < 0) {
		free(viewer);
		return err;
	}
	list_init(&viewer->link);
	list_append(bucket_of(port, &viewer->rtcp_end), &viewer->link);
	*out = viewer;
	return 0;
}

int udp_watch(struct udp_viewer *viewer, struct feed *feed)
{
	struct loop *loop = viewer->port->loop;

	if (viewer->options.fills)
		loop_timer_set(loop, &viewer->silence, loop_now_us(loop) + SILENCE_US);
	return feed_join(feed, &viewer->cursor, &udp_sink);
}

void udp_close(struct udp_viewer *viewer)
{
	if (!viewer)
		return;
	list_remove(&viewer->link);
	loop_timer_cancel(viewer->port->loop, &viewer->pace);
	loop_timer_cancel(viewer->port->loop, &viewer->silence);
	if (viewer->cursor.audience)
		cursor_end(&viewer->cursor, CURSOR_END_PEER);
	loop_conn_close(viewer->port->loop, &viewer->conn, false);
}
