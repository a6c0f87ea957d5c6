/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failed attempts by address: after SLOWDOWN_FREE of them, an address waits a second before its
 * next one is looked at, then two, four, up to a minute. Ten minutes without one, and it
 * begins at zero. An address is an IPv4 address or a /64 (net_peer_host_key()). Of more than
 * SLOWDOWN_ADDRESSES, the one with the oldest failure is forgotten. Loop thread only.
 */
#ifndef DAEMON_AUTH_SLOWDOWN_H
#define DAEMON_AUTH_SLOWDOWN_H

#include "net/address.h"

#define SLOWDOWN_FREE 5
#define SLOWDOWN_ADDRESSES 1024
#define SLOWDOWN_MAX_US 60000000
#define SLOWDOWN_FORGET_US 600000000

struct slowdown;

int slowdown_create(struct slowdown **out); /* 0 or -ENOMEM */
void slowdown_destroy(struct slowdown *slowdown);

/* How long the address has to wait; 0: its attempt is looked at. */
int64_t slowdown_wait_us(const struct slowdown *slowdown, const struct net_peer *peer,
			 int64_t now_us);
void slowdown_failed(struct slowdown *slowdown, const struct net_peer *peer, int64_t now_us);

#endif
