/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/rtsp/udp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/pool.h"
#include "daemon/rtsp/filler.h"
#include "daemon/rtsp/receivers.h"
#include "daemon/rtsp/sender.h"
#include "net/listen.h"

#define PORT_TRIES 16
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
	struct receivers viewers;
	struct pool *places; /* of its viewers */
	struct datagrams datagrams;
};

struct udp_viewer {
	struct sender sender;
	struct udp_port *port; /* may have gone when it is closed */
	struct pool *places;
	struct udp_options options;
	union address rtcp;
	struct net_peer rtp_end;
	struct receiver receiver;
	int64_t refused_us, refusal_us; /* the first of a row of refusals, and the last; 0: none */
	struct loop_timer silence;	/* runs if the options say `fills` */
	uint16_t sequence;		/* `fills`: of the newest unit's first packet */
};

static_assert(offsetof(struct udp_viewer, sender.conn) == POOL_ALIGN &&
		      offsetof(struct udp_viewer, sender.cursor) == 2 * POOL_ALIGN,
	      "a unit needs three cache lines of a viewer");

static bool is_internet(const union address *address)
{
	return address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6;
}

/* --- pairs of ports --- */

/* Opens both sockets with a number for RTP; 0: one that the kernel chooses. */
static int open_pair(struct udp_port *port, uint16_t number)
{
	union address address = port->local;
	struct net_peer chosen;
	int err;

	net_sockaddr_set_port(&address.any, number);
	/* Alone at first: nobody else has it. */
	port->rtp = listen_udp(&address.any, port->local_len, false);
	if (port->rtp < 0)
		return port->rtp;
	net_peer_local_from_fd(&chosen, port->rtp);
	number = chosen.port;
	close(port->rtp);
	if (number % 2 != 0)
		number--;
	net_sockaddr_set_port(&address.any, number + 1);
	port->rtcp.fd = listen_udp(&address.any, port->local_len, false);
	if (port->rtcp.fd < 0)
		return port->rtcp.fd;
	net_sockaddr_set_port(&address.any, number);
	port->rtp = listen_udp(&address.any, port->local_len, true);
	if (port->rtp < 0) {
		err = port->rtp;
		close(port->rtcp.fd);
		return err;
	}
	sender_ignore_input(port->rtp);
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

/* What a receiver says. Sessions may have the same ports: a player that lost its connection plays
 * again. */
static void take_report(void *user, const struct net_peer *from, const uint8_t *data, size_t len)
{
	struct udp_port *port = user;
	struct receiver *receiver = NULL;

	while ((receiver = receivers_find(&port->viewers, from, receiver))) {
		struct udp_viewer *viewer = container_of(receiver, struct udp_viewer, receiver);
		struct rtcp_report report;
		bool found;

		if (!rtcp_read(data, len, viewer->options.ssrc, &report, &found))
			return;
		if (found)
			receiver->report = report;
		receiver->reported |= found;
		viewer->refused_us = 0;
		viewer->options.alive(viewer->options.user);
	}
}

static void handle_rtcp(struct loop_watch *watch, uint32_t events)
{
	struct udp_port *port = container_of(watch, struct udp_port, rtcp);

	(void)events;
	receivers_hear(watch->fd, take_report, port);
}

static struct udp_port *find_port(const struct udp_ports *ports, const struct net_peer *end)
{
	for (struct list *pos = ports->list.next; pos != &ports->list; pos = pos->next) {
		struct udp_port *port = container_of(pos, struct udp_port, link);

		if (memcmp(port->end.address, end->address, sizeof end->address) == 0 &&
		    port->end.port == end->port && port->end.scope == end->scope)
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
	receivers_init(&port->viewers);
	err = pool_create(&port->places, sizeof(struct udp_viewer));
	if (err < 0)
		goto free_port;
	err = open_ports(port);
	if (err < 0)
		goto close_pool;
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
close_pool:
	pool_close(port->places);
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
	pool_close(port->places);
	free(port);
}

uint16_t udp_port_number(const struct udp_port *port)
{
	return ntohs(port->local.any.sa_family == AF_INET ? port->local.ip4.sin_port
							  : port->local.ip6.sin6_port);
}

/* --- what a viewer's sender says --- */

static struct udp_viewer *of_sender(struct sender *sender)
{
	return container_of(sender, struct udp_viewer, sender);
}

static const struct udp_viewer *of_const_sender(const struct sender *sender)
{
	return container_of_const(sender, struct udp_viewer, sender);
}

static void handle_refused(struct sender *sender, int err)
{
	struct udp_viewer *viewer = of_sender(sender);
	int64_t now_us = loop_now_us(sender->loop);

	(void)err; /* nearly always that nobody listens */
	if (viewer->refused_us == 0 || now_us - viewer->refusal_us > REFUSED_GAP_US)
		viewer->refused_us = now_us;
	viewer->refusal_us = now_us;
	if (now_us - viewer->refused_us < REFUSED_US)
		return;
	viewer->port->ports->unheard++;
	viewer->options.ended(viewer->options.user, true);
}

static void handle_ended(struct sender *sender, bool at_once)
{
	struct udp_viewer *viewer = of_sender(sender);

	viewer->options.ended(viewer->options.user, at_once);
}

static void describe(const struct sender *sender, char text[SINK_TEXT_MAX])
{
	static_assert(SINK_TEXT_MAX >= NET_PEER_TEXT_MAX, "an address fits");
	net_peer_format(&of_const_sender(sender)->rtp_end, text);
}

static bool say_report(const struct sender *sender, struct sink_report *out)
{
	const struct udp_viewer *viewer = of_const_sender(sender);

	if (viewer->receiver.reported)
		*out = sender_report(&viewer->receiver.report);
	return viewer->receiver.reported;
}

/* --- where silence is filled --- */

/* 0 or -errno. */
static int send_filler(struct udp_viewer *viewer, uint16_t sequence)
{
	uint8_t filler[FILLER_LEN];

	filler_make(filler, viewer->options.ssrc, sequence);
	return send(viewer->sender.conn.fd, filler, sizeof filler, MSG_DONTWAIT | MSG_NOSIGNAL) < 0
		       ? -errno
		       : 0;
}

static void handle_silence(struct loop_timer *timer)
{
	struct udp_viewer *viewer = container_of(timer, struct udp_viewer, silence);
	int64_t now_us = loop_now_us(viewer->port->loop);
	int64_t at_us = viewer->sender.next_us + SILENCE_US;

	if (at_us <= now_us) {
		if (send_filler(viewer, viewer->sequence) == -ECONNREFUSED)
			handle_refused(&viewer->sender, -ECONNREFUSED);
		at_us = now_us + SILENCE_US;
	}
	if (!loop_conn_closing(&viewer->sender.conn))
		loop_timer_set(viewer->port->loop, timer, at_us);
}

/* Before a unit: its receiver may have missed that the numbers have wrapped (udp.h). */
static void bridge_wrap(struct sender *sender, const struct datagrams *datagrams)
{
	struct udp_viewer *viewer = of_sender(sender);
	const struct iovec *packet = datagrams->messages[0].msg_hdr.msg_iov;
	uint16_t sequence;
	int err;

	if (!viewer->options.fills)
		return;
	sequence = filler_sequence(packet->iov_base, packet->iov_len);
	err = sequence < viewer->sequence ? send_filler(viewer, UINT16_MAX) : 0;
	if (err == 0)
		viewer->sequence = sequence;
	else if (err == -ECONNREFUSED) /* of what was sent before; the unit's send finds none now */
		handle_refused(sender, err);
}

static void handle_closed(struct sender *sender)
{
	struct udp_viewer *viewer = of_sender(sender);

	pool_put(viewer->places, viewer);
}

static const struct sender_ops viewer_ops = {
	.scheme = "rtsp+udp",
	.begins = bridge_wrap,
	.refused = handle_refused,
	.ended = handle_ended,
	.describe = describe,
	.report = say_report,
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
	viewer->sender.rtcp_len = *len;
	net_sockaddr_set_port(&rtp->any, viewer->options.rtp_port);
	net_sockaddr_set_port(&viewer->rtcp.any, viewer->options.rtcp_port);
	net_peer_from_sockaddr(&viewer->rtp_end, &rtp->any, *len);
	net_peer_from_sockaddr(&viewer->receiver.end, &viewer->rtcp.any, viewer->sender.rtcp_len);
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
	fd = listen_udp(&port->local.any, port->local_len, true);
	if (fd < 0)
		return fd;
	err = connect(fd, &rtp.any, len) < 0 ? -errno : 0;
	if (err == 0)
		err = sender_open(&viewer->sender, fd);
	if (err < 0)
		close(fd);
	return err;
}

int udp_open(struct udp_viewer **out, struct udp_port *port, const struct udp_options *options)
{
	struct udp_viewer *viewer = pool_take(port->places);
	int err;

	if (!viewer)
		return -ENOMEM;
	*viewer = (struct udp_viewer){
		.port = port,
		.places = port->places,
		.options = *options,
		.sender = {.ops = &viewer_ops,
			   .loop = port->loop,
			   .datagrams = &port->datagrams,
			   .rtcp = port->rtcp.fd,
			   .rtcp_to = &viewer->rtcp.any},
	};
	loop_timer_init(&viewer->silence, handle_silence);
	err = open_viewer(viewer);
	if (err < 0) {
		pool_put(port->places, viewer);
		return err;
	}
	receivers_add(&port->viewers, &viewer->receiver);
	*out = viewer;
	return 0;
}

int udp_watch(struct udp_viewer *viewer, struct feed *feed, uint64_t had)
{
	struct loop *loop = viewer->port->loop;

	if (viewer->options.fills)
		loop_timer_set(loop, &viewer->silence, loop_now_us(loop) + SILENCE_US);
	return sender_watch(&viewer->sender, feed, had);
}

uint64_t udp_had(const struct udp_viewer *viewer)
{
	return viewer && viewer->sender.cursor.audience ? cursor_had(&viewer->sender.cursor) : 0;
}

void udp_end(struct udp_viewer *viewer, enum cursor_end why)
{
	if (viewer && viewer->sender.cursor.audience)
		cursor_end(&viewer->sender.cursor, why);
}

void udp_close(struct udp_viewer *viewer)
{
	if (!viewer)
		return;
	receivers_remove(&viewer->receiver);
	loop_timer_cancel(viewer->port->loop, &viewer->silence);
	sender_close(&viewer->sender);
}
