/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/interfaces.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* RFC 5737, RFC 3849: never assigned, so they are routed as any far address is. */
#define FAR_IPV4 "198.51.100.1"
#define FAR_IPV6 "2001:db8::1"

void net_host_list_add(struct net_host_list *list, const char *text)
{
	size_t len = strlen(text);

	for (unsigned i = 0; i < list->n; i++)
		if (strcmp(list->text[i], text) == 0)
			return;
	if (list->n == NET_HOST_LIST_MAX || len >= NET_HOST_MAX)
		return;
	memcpy(list->text[list->n++], text, len + 1);
}

/* Whether others can use it; then text is how it is written. */
static bool describe(const struct net_peer *address, char text[NET_PEER_TEXT_MAX])
{
	if (net_peer_is_loopback(address) || net_peer_is_link_local(address) ||
	    net_peer_is_any(address))
		return false;
	net_peer_format_host(address, text);
	return true;
}

static bool describe_interface(const struct ifaddrs *at, char text[NET_PEER_TEXT_MAX])
{
	struct net_peer address;

	if (!at->ifa_addr)
		return false;
	net_peer_from_sockaddr(&address, at->ifa_addr, sizeof(struct sockaddr_in6));
	return describe(&address, text);
}

static bool add_source(struct net_host_list *list, int fd, char text[NET_PEER_TEXT_MAX])
{
	struct net_peer address;

	net_peer_local_from_fd(&address, fd);
	if (!describe(&address, text))
		return false;
	net_host_list_add(list, text);
	return true;
}

/* connect() on a datagram socket only looks the route up. */
static void add_default(struct net_host_list *list, int family)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9)};
	bool v6 = family == AF_INET6;
	char text[NET_PEER_TEXT_MAX];
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	inet_pton(AF_INET, FAR_IPV4, &in.sin_addr);
	inet_pton(AF_INET6, FAR_IPV6, &in6.sin6_addr);
	if (connect(fd, v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in,
		    v6 ? sizeof in6 : sizeof in) == 0)
		add_source(list, fd, text);
	close(fd);
}

/* Those of one interface, or of all (name NULL). */
static void add_interface(struct net_host_list *list, const struct ifaddrs *all, const char *name,
			  int family)
{
	char text[NET_PEER_TEXT_MAX];

	for (const struct ifaddrs *at = all; at; at = at->ifa_next)
		if (at->ifa_addr && at->ifa_addr->sa_family == family &&
		    (at->ifa_flags & IFF_RUNNING) && (!name || strcmp(at->ifa_name, name) == 0) &&
		    describe_interface(at, text))
			net_host_list_add(list, text);
}

static const char *find_interface(const struct ifaddrs *all, const char *wanted)
{
	char text[NET_PEER_TEXT_MAX];

	for (const struct ifaddrs *at = all; at; at = at->ifa_next)
		if (describe_interface(at, text) && strcmp(text, wanted) == 0)
			return at->ifa_name;
	return NULL;
}

void net_host_list_find(struct net_host_list *list, int towards)
{
	char text[NET_PEER_TEXT_MAX];
	struct ifaddrs *all = NULL;
	const char *interface;

	list->n = 0;
	if (getifaddrs(&all) < 0)
		all = NULL;
	if (towards >= 0 && add_source(list, towards, text)) {
		interface = find_interface(all, text);
		if (interface) {
			add_interface(list, all, interface, AF_INET);
			add_interface(list, all, interface, AF_INET6);
		}
	}
	add_default(list, AF_INET);
	add_default(list, AF_INET6);
	add_interface(list, all, NULL, AF_INET);
	add_interface(list, all, NULL, AF_INET6);
	if (all)
		freeifaddrs(all);
	if (list->n == 0)
		net_host_list_add(list, "127.0.0.1");
}

/* A scope is a name, or the number of an interface (RFC 4007 clause 11.2). 0: there is none. */
static unsigned find_scope(const char *scope)
{
	unsigned long index = if_nametoindex(scope);
	char name[IF_NAMESIZE];

	if (index == 0 && scope[strspn(scope, "0123456789")] == '\0')
		index = strtoul(scope, NULL, 10);
	return index <= INT_MAX && if_indextoname((unsigned)index, name) ? (unsigned)index : 0;
}

/* An address, whose scope is looked up. 0 or -ENODEV. */
static int read_address(const char *text, struct net_peer *out)
{
	const char *scope = strchr(text, '%');
	char literal[INET6_ADDRSTRLEN];

	snprintf(literal, sizeof literal, "%.*s", (int)strcspn(text, "%"), text);
	if (!net_peer_from_host(out, literal))
		return -ENODEV;
	if (scope)
		out->scope = find_scope(scope + 1);
	return scope && out->scope == 0 ? -ENODEV : 0;
}

/* Whether it is an address of this interface, which is that of its scope, if it has one. */
static bool has_address(const struct ifaddrs *at, const struct net_peer *wanted)
{
	const int family = net_peer_is_ipv4(wanted) ? AF_INET : AF_INET6;
	struct net_peer own;

	if (!at->ifa_addr || at->ifa_addr->sa_family != family)
		return false;
	net_peer_from_sockaddr(&own, at->ifa_addr, sizeof(struct sockaddr_in6));
	return memcmp(own.address, wanted->address, sizeof own.address) == 0 &&
	       (wanted->scope == 0 || wanted->scope == if_nametoindex(at->ifa_name));
}

int net_interface_find(const char *text)
{
	unsigned index = if_nametoindex(text);
	struct net_peer wanted;
	struct ifaddrs *all;

	if (index > 0)
		return (int)index;
	if (read_address(text, &wanted) < 0 || getifaddrs(&all) < 0)
		return -ENODEV;
	for (const struct ifaddrs *at = all; at && index == 0; at = at->ifa_next)
		if (has_address(at, &wanted))
			index = if_nametoindex(at->ifa_name);
	freeifaddrs(all);
	return index > 0 ? (int)index : -ENODEV;
}
