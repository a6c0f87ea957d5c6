/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses of this machine that others can reach. Any thread; asks the kernel, sends nothing. */
#ifndef NET_INTERFACES_H
#define NET_INTERFACES_H

#include "net/address.h"

#define NET_HOST_LIST_MAX 8

struct net_host_list {
	unsigned n;
	char text[NET_HOST_LIST_MAX][NET_HOST_MAX]; /* IPv6 without brackets */
};

/* Adds text unless it is there already or there is no room. */
void net_host_list_add(struct net_host_list *list, const char *text);

/*
 * Finds this machine's addresses, the best one first: the source of the connected socket `towards`
 * (-1: none), the other ones of its interface, the default route's sources (IPv4, IPv6), then any
 * other. Loopback and link-local addresses are left out, except 127.0.0.1 where there is nothing
 * else: *list is never empty.
 */
void net_host_list_find(struct net_host_list *list, int towards);

/* The index of an interface (at least 1) with this name or this address (IPv6 without brackets); of
 * a link-local one without a scope, the first that has it. -ENODEV: there is none. */
int net_interface_find(const char *text);

#endif
