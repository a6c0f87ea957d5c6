/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Viewers over UDP: cursors whose sink is a pair of ports of the RTSP peer. Loop thread only.
 *
 * How units are sent is in sender.h. A viewer has a socket of its own for RTP, which is connected:
 * it has its own buffer, which a slow link fills, so that the policy of all cursors holds, and its
 * sends fail where nobody listens (ICMP). The sockets of all viewers at one address of the server
 * have the same port. RTCP goes through the port above it, by one socket for all.
 *
 * VLC's receiver of SAT>IP ends when nothing comes for two seconds, and takes a sequence number
 * that is lower than the one before it as that of a late packet, unless it is the lowest behind the
 * highest one: behind a gap across the end it would show nothing for the next 65,000 packets. A
 * viewer whose silence is filled therefore gets an empty packet (filler.h), when nothing was sent
 * for half a second with a number that it has had (0, the lowest, before its first unit), and when
 * the numbers have wrapped with the highest one.
 */
#ifndef DAEMON_RTSP_UDP_H
#define DAEMON_RTSP_UDP_H

#include "daemon/log/feed.h"
#include "net/address.h"

#define UDP_PORTS_MAX 32 /* pairs: one for each address at which peers reach the server */

struct udp_port;
struct udp_viewer;

/* The pairs of ports of a server; zeroed before the first use. */
struct udp_ports {
	struct list list;
	size_t n;
	uint64_t unheard; /* viewers that were ended because nobody listens */
};

/* Takes the pair at the server's end of a connection, which is opened if there is none yet, or
 * refers to it once more: the port of the connection and the next one if that is even and free,
 * else others. 0, -EAFNOSUPPORT: not of the internet, -ENFILE: there are UDP_PORTS_MAX, or -errno.
 */
int udp_port_take(struct udp_port **out, struct udp_ports *ports, struct loop *loop,
		  int connection);
/* NULL is allowed. Its viewers are closed. */
void udp_port_release(struct udp_port *port);
/* Of RTP; that of RTCP is one more. */
uint16_t udp_port_number(const struct udp_port *port);

/* --- viewers --- */

struct udp_options {
	int connection;		      /* RTSP's: packets go to its other end only */
	uint16_t rtp_port, rtcp_port; /* of the peer */
	uint32_t ssrc;		      /* of the packets, which reports are about */
	bool fills;		      /* packets are of a transport stream: silence is filled */
	/* The viewer reports that it lives; not from inside a call. */
	void (*alive)(void *user);
	/* The viewer is to be closed, by udp_close(): nobody listens, or the policy wants it. */
	void (*ended)(void *user, bool at_once);
	void *user;
};

/* Opens its socket. 0 or -errno (-ENOTCONN: the connection has gone). */
int udp_open(struct udp_viewer **out, struct udp_port *port, const struct udp_options *options);
/* Watches a feed from the next key unit on; once. had: udp_had() of the viewer before a pause, else
 * 0. 0 or -ESHUTDOWN. */
int udp_watch(struct udp_viewer *viewer, struct feed *feed, uint64_t had);
/* cursor_had(); viewer NULL: 0. */
uint64_t udp_had(const struct udp_viewer *viewer);
/* It is to be closed, for this reason; NULL is allowed. */
void udp_end(struct udp_viewer *viewer, enum cursor_end why);
/* Nothing is called any more; its memory goes when the kernel does not use it. NULL is allowed. */
void udp_close(struct udp_viewer *viewer);

#endif
