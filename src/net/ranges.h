/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges of addresses, as `allow` and `deny` name them (CIDR, RFC 4632; RFC 4291 clause 2.3). Any
 * thread. */
#ifndef NET_RANGES_H
#define NET_RANGES_H

#include "net/address.h"

#define NET_RANGES_MAX 32 /* in one list */

struct net_range {
	uint8_t address[16]; /* as struct net_peer has it; zero behind the prefix */
	uint8_t bits;	     /* 0 to 128; those of IPv4 count from 96 on */
};

struct net_ranges {
	struct net_range items[NET_RANGES_MAX];
	size_t n;
	bool local; /* also the networks of this machine */
};

/*
 * Reads a list, separated by commas or blanks: "192.168.1.0/24", "2001:db8::/32", an address alone,
 * an IPv4 address in IPv6 ("::ffff:192.0.2.0/120"), or "local". Bits behind a prefix are
 * ignored. NULL: *out is the list, which may be empty; else what is wrong, a phrase for a message,
 * borrowed for ever.
 */
const char *net_ranges_parse(struct net_ranges *out, const char *text);

/* Adds the range of the first `bits` bits of an address (of its 128). False: there is no room. */
bool net_ranges_add(struct net_ranges *ranges, const uint8_t address[16], unsigned bits);

/* Whether a peer is in the list; own: the networks of this machine, for `local`
 * (net_own_networks()), NULL: none. Loopback and link-local addresses, which no router passes on,
 * are local always. An IPv4 peer, also one in IPv6, is only in ranges of IPv4. */
bool net_ranges_contain(const struct net_ranges *ranges, const struct net_peer *peer,
			const struct net_ranges *own);

/* The networks of the machine's interfaces that are up, from the kernel; the ones behind
 * NET_RANGES_MAX are left out. 0 or -errno, *out is empty then. */
int net_own_networks(struct net_ranges *out);

#endif
