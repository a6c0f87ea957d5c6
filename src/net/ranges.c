/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/ranges.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#define SEPARATORS ", \t"
#define ITEM_MAX 64 /* bytes of an item, terminator included */
#define MAPPED_BITS 96

static const uint8_t mapped[MAPPED_BITS / 8] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* --- lists --- */

bool net_ranges_add(struct net_ranges *ranges, const uint8_t address[16], unsigned bits)
{
	struct net_range *range = &ranges->items[ranges->n];

	if (ranges->n == NET_RANGES_MAX)
		return false;
	*range = (struct net_range){.bits = (uint8_t)bits};
	memcpy(range->address, address, bits / 8);
	if (bits % 8)
		range->address[bits / 8] = (uint8_t)(address[bits / 8] & 0xff00u >> bits % 8);
	ranges->n++;
	return true;
}

/* "24", at most `max`; -1: it is none. */
static int read_bits(const char *text, int max)
{
	int bits = 0;

	if (*text == '\0' || strlen(text) > 3)
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		bits = bits * 10 + (*text - '0');
	}
	return bits <= max ? bits : -1;
}

static const char *read_item(struct net_ranges *out, char *item)
{
	char *slash = strchr(item, '/');
	uint8_t address[16];
	int family, bits;

	if (strcasecmp(item, "local") == 0) {
		out->local = true;
		return NULL;
	}
	if (slash)
		*slash = '\0';
	family = strchr(item, ':') ? AF_INET6 : AF_INET;
	memcpy(address, mapped, sizeof mapped);
	if (inet_pton(family, item, family == AF_INET ? address + sizeof mapped : address) != 1)
		return "each must be an address, ADDRESS/BITS, or local";
	bits = slash ? read_bits(slash + 1, family == AF_INET ? 32 : 128)
		     : (family == AF_INET ? 32 : 128);
	if (bits < 0)
		return "the bits of a prefix are 0 to 32, with IPv6 0 to 128";
	if (!net_ranges_add(out, address, (unsigned)bits + (family == AF_INET ? MAPPED_BITS : 0)))
		return "there are too many";
	return NULL;
}

const char *net_ranges_parse(struct net_ranges *out, const char *text)
{
	struct net_ranges list = {.n = 0};
	char item[ITEM_MAX];
	const char *wrong;

	for (text += strspn(text, SEPARATORS); *text; text += strspn(text, SEPARATORS)) {
		size_t len = strcspn(text, SEPARATORS);

		if (len >= sizeof item)
			return "each must be an address, ADDRESS/BITS, or local";
		memcpy(item, text, len);
		item[len] = '\0';
		wrong = read_item(&list, item);
		if (wrong)
			return wrong;
		text += len;
	}
	*out = list;
	return NULL;
}

/* --- asking --- */

static bool is_ipv4(const struct net_range *range)
{
	return range->bits >= MAPPED_BITS && memcmp(range->address, mapped, sizeof mapped) == 0;
}

static bool contains(const struct net_range *range, const struct net_peer *peer)
{
	unsigned bytes = range->bits / 8, bits = range->bits % 8;

	return is_ipv4(range) == net_peer_is_ipv4(peer) &&
	       memcmp(range->address, peer->address, bytes) == 0 &&
	       (bits == 0 ||
		((range->address[bytes] ^ peer->address[bytes]) & 0xff00u >> bits & 0xff) == 0);
}

static bool is_listed(const struct net_ranges *ranges, const struct net_peer *peer)
{
	for (size_t i = 0; i < ranges->n; i++)
		if (contains(&ranges->items[i], peer))
			return true;
	return false;
}

bool net_ranges_contain(const struct net_ranges *ranges, const struct net_peer *peer,
			const struct net_ranges *own)
{
	if (is_listed(ranges, peer))
		return true;
	return ranges->local && (net_peer_is_loopback(peer) || net_peer_is_link_local(peer) ||
				 (own && is_listed(own, peer)));
}

/* --- the networks of this machine --- */

static unsigned count_bits(const uint8_t *mask, size_t len)
{
	unsigned n = 0;

	while (n < len * 8 && mask[n / 8] & 0x80u >> n % 8)
		n++;
	return n;
}

static void add_network(struct net_ranges *out, const struct ifaddrs *at)
{
	struct net_peer address;
	unsigned bits;

	net_peer_from_sockaddr(&address, at->ifa_addr,
			       at->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
								  : sizeof(struct sockaddr_in6));
	if (at->ifa_addr->sa_family == AF_INET)
		bits = MAPPED_BITS +
		       count_bits((const uint8_t *)&(
					  (const struct sockaddr_in *)(const void *)at->ifa_netmask)
					  ->sin_addr,
				  4);
	else
		bits = count_bits(((const struct sockaddr_in6 *)(const void *)at->ifa_netmask)
					  ->sin6_addr.s6_addr,
				  16);
	/* The whole world is nobody's own network. */
	if (bits > 0 && bits != MAPPED_BITS)
		net_ranges_add(out, address.address, bits);
}

int net_own_networks(struct net_ranges *out)
{
	struct ifaddrs *all;

	*out = (struct net_ranges){.n = 0};
	if (getifaddrs(&all) < 0)
		return -errno;
	for (const struct ifaddrs *at = all; at; at = at->ifa_next)
		if (at->ifa_addr && at->ifa_netmask && at->ifa_flags & IFF_UP &&
		    (at->ifa_addr->sa_family == AF_INET || at->ifa_addr->sa_family == AF_INET6))
			add_network(out, at);
	freeifaddrs(all);
	return 0;
}
