/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/interfaces.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

/* RFC 5737, RFC 3849: never assigned, so they are routed as any far address is. */
#define FAR_IPV4 "198.51.100.1"
#define FAR_IPV6 "2001:db8::1"

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage storage;
};

void address_add(struct address_list *list, const char *text)
{
	size_t len = strlen(text);

	for (unsigned i = 0; i < list->n; i++)
		if (strcmp(list->text[i], text) == 0)
			return;
	if (list->n == ADDRESS_LIST_MAX || len >= ADDRESS_TEXT_MAX)
		return;
	memcpy(list->text[list->n++], text, len + 1);
}

/* False if nobody else can use it. An IPv4 address that came through an IPv6 socket is shown as
 * what it is. */
static bool describe(const struct sockaddr *sa, char text[INET6_ADDRSTRLEN])
{
	union address address;

	if (sa->sa_family == AF_INET) {
		memcpy(&address.in, sa, sizeof address.in);
		if (ntohl(address.in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET ||
		    address.in.sin_addr.s_addr == htonl(INADDR_ANY) ||
		    ntohl(address.in.sin_addr.s_addr) >> 16 == 0xa9fe /* 169.254, RFC 3927 */)
			return false;
		return inet_ntop(AF_INET, &address.in.sin_addr, text, INET6_ADDRSTRLEN);
	}
	if (sa->sa_family != AF_INET6)
		return false;
	memcpy(&address.in6, sa, sizeof address.in6);
	if (IN6_IS_ADDR_V4MAPPED(&address.in6.sin6_addr)) {
		struct sockaddr_in in = {.sin_family = AF_INET};

		memcpy(&in.sin_addr, address.in6.sin6_addr.s6_addr + 12, sizeof in.sin_addr);
		return describe((const struct sockaddr *)&in, text);
	}
	if (IN6_IS_ADDR_LOOPBACK(&address.in6.sin6_addr) ||
	    IN6_IS_ADDR_UNSPECIFIED(&address.in6.sin6_addr) ||
	    IN6_IS_ADDR_LINKLOCAL(&address.in6.sin6_addr))
		return false;
	return inet_ntop(AF_INET6, &address.in6.sin6_addr, text, INET6_ADDRSTRLEN);
}

static bool add_source(struct address_list *list, int fd, char text[INET6_ADDRSTRLEN])
{
	union address address;
	socklen_t len = sizeof address;

	if (getsockname(fd, &address.any, &len) < 0 || !describe(&address.any, text))
		return false;
	address_add(list, text);
	return true;
}

/* connect() on a datagram socket only looks the route up. */
static void add_default(struct address_list *list, int family)
{
	union address far = {.any.sa_family = (sa_family_t)family};
	char text[INET6_ADDRSTRLEN];
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (family == AF_INET) {
		far.in.sin_port = htons(9);
		inet_pton(AF_INET, FAR_IPV4, &far.in.sin_addr);
	} else {
		far.in6.sin6_port = htons(9);
		inet_pton(AF_INET6, FAR_IPV6, &far.in6.sin6_addr);
	}
	if (connect(fd, &far.any, family == AF_INET ? sizeof far.in : sizeof far.in6) == 0)
		add_source(list, fd, text);
	close(fd);
}

/* Those of one interface, or of all (name NULL). */
static void add_interface(struct address_list *list, const struct ifaddrs *all, const char *name,
			  int family)
{
	char text[INET6_ADDRSTRLEN];

	for (const struct ifaddrs *at = all; at; at = at->ifa_next)
		if (at->ifa_addr && at->ifa_addr->sa_family == family &&
		    (at->ifa_flags & IFF_RUNNING) && (!name || strcmp(at->ifa_name, name) == 0) &&
		    describe(at->ifa_addr, text))
			address_add(list, text);
}

static const char *find_interface(const struct ifaddrs *all, const char *wanted)
{
	char text[INET6_ADDRSTRLEN];

	for (const struct ifaddrs *at = all; at; at = at->ifa_next)
		if (at->ifa_addr && describe(at->ifa_addr, text) && strcmp(text, wanted) == 0)
			return at->ifa_name;
	return NULL;
}

void address_find(struct address_list *list, int towards)
{
	char text[INET6_ADDRSTRLEN];
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
		address_add(list, "127.0.0.1");
}

int address_family(const char *text)
{
	unsigned char address[16];

	if (inet_pton(AF_INET, text, address) == 1)
		return AF_INET;
	return inet_pton(AF_INET6, text, address) == 1 ? AF_INET6 : AF_UNSPEC;
}

bool address_is_any(const char *text)
{
	return text[0] == '\0' || strcmp(text, "0.0.0.0") == 0 || strcmp(text, "::") == 0;
}

bool address_is_loopback(const char *text)
{
	struct in_addr in;

	if (inet_pton(AF_INET, text, &in) == 1)
		return ntohl(in.s_addr) >> 24 == IN_LOOPBACKNET;
	return strcmp(text, "::1") == 0 || strcmp(text, "localhost") == 0;
}
