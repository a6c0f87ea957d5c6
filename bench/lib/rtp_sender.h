/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bare loop of UDP, for bench/floor: units of one size as RTP packets, which are made once, and
 * sent to many clients in one of three ways. One thread.
 */
#ifndef BENCH_LIB_RTP_SENDER_H
#define BENCH_LIB_RTP_SENDER_H

#include <stddef.h>
#include <stdint.h>

enum rtp_sender_way {
	RTP_SENDTO,	   /* one socket, a sendto() for each packet */
	RTP_GSO,	   /* one socket, a sendmsg() for what the device can cut (UDP_SEGMENT) */
	RTP_GSO_CONNECTED, /* the same with a socket for each client */
};

struct rtp_sender;

/* clients: room for so many; unit_size: bytes of the access unit, at least UNIT_MIN. Every 30th
 * unit, and the first, is a key unit. 0 or -errno. */
int rtp_sender_create(struct rtp_sender **out, enum rtp_sender_way way, size_t unit_size,
		      unsigned clients);
/* Adds a client: the peer of the connection, which has to be IPv4, at that port. 0 or -errno. */
int rtp_sender_add(struct rtp_sender *sender, int connection, uint16_t port);
/* Makes the nth unit the one that is sent. */
void rtp_sender_choose(struct rtp_sender *sender, uint64_t n);
/* Sends it to a client, by its number. 0, or -errno of the first send that failed. */
int rtp_sender_send(struct rtp_sender *sender, unsigned client);
void rtp_sender_destroy(struct rtp_sender *sender);

#endif
