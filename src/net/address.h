/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses as people write them and as the kernel has them. An IPv6 address may have a scope, the
 * interface that a link-local one is valid on: "fe80::1%eth0" (RFC 4007, 11). Nothing here asks a
 * name server. Any thread.
 */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* --- as people write them --- */

#define NET_HOST_MAX 256 /* bytes of a host, terminator included; names have at most 253 */

struct net_address {
	char host[NET_HOST_MAX]; /* a name or an address, IPv6 without brackets */
	uint16_t port;
};

enum net_address_form {
	NET_CONNECT,		   /* HOST:PORT */
	NET_CONNECT_PORT_OPTIONAL, /* also HOST, and an IPv6 address without brackets: port 0 */
	NET_LISTEN, /* also :PORT, *:PORT and PORT: host "", every address; PORT may be 0 */
};

/*
 * Reads "HOST:PORT", where HOST is a name, an IPv4 address, or "[IPV6]", with or without a scope.
 * Names are of letters, digits, '.', '-' and '_'; PORT is decimal, 1 to 65535. The address
 * in *out is valid but need not exist. Returns 0, or -EINVAL with *out unchanged.
 */
int net_address_parse(struct net_address *out, const char *text, enum net_address_form form);

/* Why net_address_parse() refuses text: what it must be, as in "the port must be 1 to 65535".
 * Borrowed for ever; to be called only for a text that was refused. */
const char *net_address_explain(const char *text, enum net_address_form form);

/* A name, an IPv4 address, or an IPv6 address without brackets. Digits and points alone must be
 * an IPv4 address with its four numbers. */
bool net_host_is_valid(const char *host);
/* AF_INET or AF_INET6 of an address (IPv6 without brackets), AF_UNSPEC of a name. */
int net_host_family(const char *host);
/* "0.0.0.0", "::", or "" (both). */
bool net_host_is_any(const char *host);
/* 127.0.0.0/8, ::1, "localhost". */
bool net_host_is_loopback(const char *host);

struct net_peer;
/*
 * Reads a multicast group and the port of RTP in it, "239.1.2.3:5004" or "[ff15::1]:5004". The port
 * is even and 1024 to 65534, as that of RTCP is the next one (RFC 3550, 11). Groups of the
 * protocols of a link (224.0.0.0/24), and IPv6 groups that do not leave an interface, are refused.
 * Returns 0, or -EINVAL with *out unchanged.
 */
int net_group_parse(struct net_peer *out, const char *text);

#define NET_HOST_PORT_MAX (NET_HOST_MAX + 8) /* "[HOST]:65535", terminator included */
/* Writes "HOST:PORT", with brackets around an IPv6 address. host is cut to NET_HOST_MAX. */
void net_format_host_port(char text[NET_HOST_PORT_MAX], const char *host, uint16_t port);

/* --- as the kernel has them --- */

/* One end of a connection. Zeroed: not of the internet (a socket pair), shown as "local". */
struct net_peer {
	uint8_t address[16]; /* network byte order; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2) */
	uint32_t scope;	     /* index of the interface of a link-local address; 0: none */
	uint16_t port;	     /* host byte order */
};

#define NET_PEER_TEXT_MAX 72 /* "[2001:db8::1%eth0]:8888" at its longest, terminator included */

/* An address without brackets and scope; the port is 0. False: it is none, and *out is unchanged.
 */
bool net_peer_from_host(struct net_peer *out, const char *host);
/* Of any family but AF_INET and AF_INET6: *out is zeroed. len: bytes of *address. */
void net_peer_from_sockaddr(struct net_peer *out, const struct sockaddr *address, socklen_t len);
/* The same backwards: the bytes of the address in *out; 0: it is not of the internet. */
socklen_t net_peer_to_sockaddr(const struct net_peer *peer, struct sockaddr_storage *out);
/* Of AF_INET or AF_INET6. */
void net_sockaddr_set_port(struct sockaddr *address, uint16_t port);
/* The other end of the socket. 0 or -errno (-ENOTCONN: it has gone), *out then zeroed. */
int net_peer_from_fd(struct net_peer *out, int fd);
/* The socket's own end; zeroed where it has none. */
void net_peer_local_from_fd(struct net_peer *out, int fd);

/* IPv4, or IPv4 in IPv6. */
bool net_peer_is_ipv4(const struct net_peer *peer);
bool net_peer_is_link_local(const struct net_peer *peer); /* IPv4 too: RFC 3927 */
bool net_peer_is_loopback(const struct net_peer *peer);
bool net_peer_is_any(const struct net_peer *peer); /* 0.0.0.0 or :: */

/*
 * A key for each host of the world, for limits by address: an IPv4 address; the /64 of an
 * IPv6 address, for one host has as many as it likes within that (RFC 4291, 2.5.1); a link-local
 * one as a whole, with its interface, for all hosts share that /64. Equal keys: one host.
 */
void net_peer_host_key(const struct net_peer *peer, uint64_t key[2]);

/* "192.0.2.1:8888", "[2001:db8::1]:8888", "[fe80::1%eth0]:8888"; the interface by its number once
 * it is gone. Asks the kernel for the name of an interface, and for nothing else. */
void net_peer_format(const struct net_peer *peer, char text[NET_PEER_TEXT_MAX]);
/* The address alone, without brackets and port. */
void net_peer_format_host(const struct net_peer *peer, char text[NET_PEER_TEXT_MAX]);

#endif
