/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"
#define ALNUM DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define PORT_DIGITS_MAX 9 /* leading zeros included */

static const uint8_t ipv4_prefix[12] = {[10] = 0xff, [11] = 0xff};

/* --- as people write them --- */

static bool is_ipv6(const char *host)
{
	const char *scope = strchr(host, '%');
	char literal[INET6_ADDRSTRLEN];
	size_t len = scope ? (size_t)(scope - host) : strlen(host);
	struct in6_addr address;

	if (len >= sizeof literal)
		return false;
	memcpy(literal, host, len);
	literal[len] = '\0';
	if (inet_pton(AF_INET6, literal, &address) != 1)
		return false;
	if (!scope)
		return true;
	len = strlen(++scope);
	return len > 0 && len < IFNAMSIZ && strspn(scope, ALNUM "._-@") == len;
}

static bool is_ipv4(const char *host)
{
	struct in_addr address;

	return inet_pton(AF_INET, host, &address) == 1;
}

static bool is_name(const char *host)
{
	return host[0] != '\0' && host[strspn(host, ALNUM ".-_")] == '\0';
}

bool net_host_is_valid(const char *host)
{
	if (strlen(host) >= NET_HOST_MAX)
		return false;
	if (host[strspn(host, DIGITS ".")] == '\0')
		return is_ipv4(host);
	return is_name(host) || is_ipv6(host);
}

int net_host_family(const char *host)
{
	return is_ipv4(host) ? AF_INET : is_ipv6(host) ? AF_INET6 : AF_UNSPEC;
}

bool net_host_is_any(const char *host)
{
	return host[0] == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

bool net_host_is_loopback(const char *host)
{
	struct in_addr in;

	if (inet_pton(AF_INET, host, &in) == 1)
		return ntohl(in.s_addr) >> 24 == IN_LOOPBACKNET;
	return strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

static bool parse_port(const char *text, uint16_t *out)
{
	size_t len = strspn(text, DIGITS);
	unsigned long port;

	if (len == 0 || len > PORT_DIGITS_MAX || text[len] != '\0')
		return false;
	port = strtoul(text, NULL, 10);
	*out = (uint16_t)port;
	return port <= UINT16_MAX;
}

/* Where the host stands in text, and where the port does; NULL: nowhere. */
static bool split(const char *text, enum net_address_form form, const char **host, size_t *len,
		  const char **port)
{
	const char *end;

	*host = text;
	*port = NULL;
	if (text[0] == '[') {
		(*host)++;
		end = strchr(text, ']');
		if (!end || (end[1] != ':' && end[1] != '\0'))
			return false;
		*port = end[1] == ':' ? end + 2 : NULL;
	} else {
		end = strchr(text, ':');
		if (end && (form != NET_CONNECT_PORT_OPTIONAL || !strchr(end + 1, ':')))
			*port = end + 1;
		else if (!end && form == NET_LISTEN)
			*port = end = text;
		else
			end = text + strlen(text);
	}
	*len = (size_t)(end - *host);
	return *len < NET_HOST_MAX;
}

int net_address_parse(struct net_address *out, const char *text, enum net_address_form form)
{
	struct net_address address = {.port = 0};
	const char *host, *port;
	bool bracketed = text[0] == '[', valid;
	size_t len;

	if (!split(text, form, &host, &len, &port))
		return -EINVAL;
	if (form == NET_LISTEN && len == 1 && host[0] == '*' && !bracketed)
		len = 0;
	memcpy(address.host, host, len);
	if (bracketed || (!port && strchr(address.host, ':')))
		valid = is_ipv6(address.host);
	else if (form == NET_LISTEN)
		valid = len == 0 || (net_host_is_valid(address.host) && !strchr(address.host, ':'));
	else /* the resolver knows short forms too, such as 127.1 */
		valid = is_name(address.host);
	if (!valid)
		return -EINVAL;
	if (port ? !parse_port(port, &address.port) || (address.port == 0 && form != NET_LISTEN)
		 : form != NET_CONNECT_PORT_OPTIONAL)
		return -EINVAL;
	*out = address;
	return 0;
}

const char *net_address_explain(const char *text, enum net_address_form form)
{
	const char *host, *port;
	uint16_t number;
	size_t len;

	if (text[0] != '[' && is_ipv6(text))
		return "an IPv6 address needs brackets, as in [::1]:8888";
	if (split(text, form, &host, &len, &port) && port &&
	    (!parse_port(port, &number) || (number == 0 && form != NET_LISTEN)))
		return form == NET_LISTEN ? "the port must be 0 to 65535"
					  : "the port must be 1 to 65535";
	switch (form) {
	case NET_CONNECT_PORT_OPTIONAL:
		return "it must be HOST or HOST:PORT";
	case NET_CONNECT:
	case NET_LISTEN:
		break;
	}
	return form == NET_LISTEN ? "it must be PORT or ADDRESS:PORT" : "it must be HOST:PORT";
}

void net_format_host_port(char text[NET_HOST_PORT_MAX], const char *host, uint16_t port)
{
	bool ipv6 = strchr(host, ':') != NULL;

	snprintf(text, NET_HOST_PORT_MAX, "%s%.*s%s:%u", ipv6 ? "[" : "", NET_HOST_MAX - 1, host,
		 ipv6 ? "]" : "", port);
}

/* Whether it is a group that streams may have. */
static bool is_group(const struct net_peer *peer)
{
	const uint8_t *a = peer->address;
	unsigned scope = a[1] & 0x0f;

	if (net_peer_is_ipv4(peer))
		return (a[12] & 0xf0) == 0xe0 && (a[12] != 224 || a[13] != 0 || a[14] != 0);
	return a[0] == 0xff && scope >= 2 && scope <= 0xe;
}

int net_group_parse(struct net_peer *out, const char *text)
{
	struct net_address address;
	struct net_peer peer;

	if (net_address_parse(&address, text, NET_CONNECT) < 0 || address.port < 1024 ||
	    address.port % 2 != 0 || !net_peer_from_host(&peer, address.host) || !is_group(&peer))
		return -EINVAL;
	peer.port = address.port;
	*out = peer;
	return 0;
}

/* --- as the kernel has them --- */

/* Not of the internet. */
static bool is_local(const struct net_peer *peer)
{
	return peer->port == 0 && net_peer_is_any(peer) && !net_peer_is_ipv4(peer);
}

void net_peer_from_sockaddr(struct net_peer *out, const struct sockaddr *address, socklen_t len)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	*out = (struct net_peer){.port = 0};
	if (len >= sizeof in6 && address->sa_family == AF_INET6) {
		memcpy(&in6, address, sizeof in6);
		memcpy(out->address, &in6.sin6_addr, sizeof out->address);
		out->scope = in6.sin6_scope_id;
		out->port = ntohs(in6.sin6_port);
	} else if (len >= sizeof in && address->sa_family == AF_INET) {
		memcpy(&in, address, sizeof in);
		memcpy(out->address, ipv4_prefix, sizeof ipv4_prefix);
		memcpy(out->address + sizeof ipv4_prefix, &in.sin_addr, sizeof in.sin_addr);
		out->port = ntohs(in.sin_port);
	}
}

bool net_peer_from_host(struct net_peer *out, const char *host)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_in in = {.sin_family = AF_INET};

	if (inet_pton(AF_INET, host, &in.sin_addr) == 1)
		net_peer_from_sockaddr(out, (struct sockaddr *)&in, sizeof in);
	else if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1)
		net_peer_from_sockaddr(out, (struct sockaddr *)&in6, sizeof in6);
	else
		return false;
	return true;
}

socklen_t net_peer_to_sockaddr(const struct net_peer *peer, struct sockaddr_storage *out)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
				   .sin6_port = htons(peer->port),
				   .sin6_scope_id = peer->scope};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(peer->port)};

	memset(out, 0, sizeof *out);
	if (is_local(peer))
		return 0;
	if (net_peer_is_ipv4(peer)) {
		memcpy(&in.sin_addr, peer->address + sizeof ipv4_prefix, sizeof in.sin_addr);
		memcpy(out, &in, sizeof in);
		return sizeof in;
	}
	memcpy(&in6.sin6_addr, peer->address, sizeof in6.sin6_addr);
	memcpy(out, &in6, sizeof in6);
	return sizeof in6;
}

void net_sockaddr_set_port(struct sockaddr *address, uint16_t port)
{
	if (address->sa_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
}

int net_peer_from_fd(struct net_peer *out, int fd)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof address;
	int err = getpeername(fd, (struct sockaddr *)&address, &len) < 0 ? -errno : 0;

	net_peer_from_sockaddr(out, (struct sockaddr *)&address, err < 0 ? 0 : len);
	return err;
}

void net_peer_local_from_fd(struct net_peer *out, int fd)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof address;

	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		len = 0;
	net_peer_from_sockaddr(out, (struct sockaddr *)&address, len);
}

bool net_peer_is_ipv4(const struct net_peer *peer)
{
	return memcmp(peer->address, ipv4_prefix, sizeof ipv4_prefix) == 0;
}

bool net_peer_is_link_local(const struct net_peer *peer)
{
	const uint8_t *a = peer->address;

	if (net_peer_is_ipv4(peer))
		return a[12] == 169 && a[13] == 254;
	return a[0] == 0xfe && (a[1] & 0xc0) == 0x80;
}

bool net_peer_is_loopback(const struct net_peer *peer)
{
	static const uint8_t loopback[16] = {[15] = 1};

	if (net_peer_is_ipv4(peer))
		return peer->address[12] == IN_LOOPBACKNET;
	return memcmp(peer->address, loopback, sizeof loopback) == 0;
}

bool net_peer_is_any(const struct net_peer *peer)
{
	static const uint8_t any[16];

	return memcmp(peer->address, any, sizeof any) == 0 ||
	       (net_peer_is_ipv4(peer) && memcmp(peer->address + 12, any, 4) == 0);
}

void net_peer_host_key(const struct net_peer *peer, uint64_t key[2])
{
	bool ipv4 = net_peer_is_ipv4(peer);

	memcpy(&key[0], peer->address, sizeof key[0]);
	memcpy(&key[1], peer->address + 8, sizeof key[1]);
	if (!ipv4 && net_peer_is_link_local(peer))
		key[0] = UINT64_C(1) << 63 | peer->scope;
	else if (!ipv4)
		key[1] = 0;
}

void net_peer_format_host(const struct net_peer *peer, char text[NET_PEER_TEXT_MAX])
{
	char name[IF_NAMESIZE];
	size_t len;

	if (is_local(peer)) {
		strcpy(text, "local");
		return;
	}
	if (net_peer_is_ipv4(peer)) {
		inet_ntop(AF_INET, peer->address + sizeof ipv4_prefix, text, INET_ADDRSTRLEN);
		return;
	}
	inet_ntop(AF_INET6, peer->address, text, INET6_ADDRSTRLEN);
	len = strlen(text);
	if (peer->scope == 0)
		return;
	if (if_indextoname(peer->scope, name))
		snprintf(text + len, NET_PEER_TEXT_MAX - len, "%%%s", name);
	else
		snprintf(text + len, NET_PEER_TEXT_MAX - len, "%%%u", peer->scope);
}

void net_peer_format(const struct net_peer *peer, char text[NET_PEER_TEXT_MAX])
{
	char host[NET_PEER_TEXT_MAX], where[NET_HOST_PORT_MAX];

	net_peer_format_host(peer, host);
	net_format_host_port(where, host, peer->port);
	snprintf(text, NET_PEER_TEXT_MAX, "%.*s", NET_PEER_TEXT_MAX - 1,
		 is_local(peer) ? host : where);
}
