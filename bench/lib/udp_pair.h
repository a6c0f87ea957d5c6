/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two UDP sockets of a player of RTSP: RTP at an even port and RTCP at the next one, at the
 * address at which its connection ends, or at a multicast group. Never waits. One thread: readers
 * share their buffers.
 */
#ifndef BENCH_LIB_UDP_PAIR_H
#define BENCH_LIB_UDP_PAIR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct udp_pair {
	int rtp, rtcp; /* -1: none */
	uint16_t port; /* of RTP */
};

/* A multicast group, and its ports. */
struct udp_group {
	struct in_addr address;
	uint16_t rtp, rtcp;
};

/* Called for each datagram; data is valid during the call. */
typedef void udp_pair_fn(void *ctx, bool control, const uint8_t *data, size_t len);

/* Opens both at the local address of a connection, at the first free pair of ports from a place on
 * that `number` chooses. whole: what a sender or a device put together, or a sender left to be cut
 * by the device, is taken as it comes (UDP_GRO, udp(7)), instead of being cut up on the way. On one
 * machine that is time which the sender's device would need. 0 or -errno (-EADDRINUSE: a hundred
 * pairs were taken). */
int udp_pair_open(struct udp_pair *pair, int connection, uint32_t number, bool whole);
/* Opens both at a group, which the interface of the connection joins; several pairs may do so. 0 or
 * -errno (-EAFNOSUPPORT: the connection is not IPv4). */
int udp_pair_join(struct udp_pair *pair, int connection, const struct udp_group *group, bool whole);
/* Closes what is open. */
void udp_pair_close(struct udp_pair *pair);

/* Asks the kernel to keep so many bytes for the reader of RTP; it keeps less without the right. */
void udp_pair_enlarge(const struct udp_pair *pair, int bytes);
/* From now on the kernel drops all RTCP, and all RTP if `rtp`, as it comes. 0 or -errno. */
int udp_pair_go_deaf(const struct udp_pair *pair, bool rtp);

/* Passes on what waits, at most some hundred datagrams; returns the bytes of RTP. */
size_t udp_pair_read(const struct udp_pair *pair, udp_pair_fn *fn, void *ctx);
/* Takes RTP that waits without copying it; returns its bytes. */
size_t udp_pair_count(const struct udp_pair *pair);
/* Datagrams of RTP (if `whole`: what came as one) that the kernel has dropped at this socket. */
uint32_t udp_pair_dropped(const struct udp_pair *pair);

#endif
