/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses of this machine that others can reach. Any thread; asks the kernel, sends nothing. */
#ifndef NET_INTERFACES_H
#define NET_INTERFACES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#define ADDRESS_LIST_MAX 8
#define ADDRESS_TEXT_MAX 256 /* a host name too, where one is configured; terminator included */

struct address_list {
	unsigned n;
	char text[ADDRESS_LIST_MAX][ADDRESS_TEXT_MAX]; /* IPv6 without brackets */
};

/* Adds text unless it is there already or there is no room. */
void address_add(struct address_list *list, const char *text);

/*
 * The best one first: the source of the connected socket `towards` (-1: none), the other ones of
 * its interface, the default route's sources (IPv4, IPv6), then any other. Loopback and link-local
 * addresses are left out, but for 127.0.0.1 where there is nothing else: *list is never empty.
 */
void address_find(struct address_list *list, int towards);

/* AF_INET, AF_INET6, or AF_UNSPEC for a name. */
int address_family(const char *text);
/* "0.0.0.0", "::", or "" (both). */
bool address_is_any(const char *text);
/* 127.0.0.0/8, ::1, "localhost". */
bool address_is_loopback(const char *text);

#endif
