/* SPDX-License-Identifier: BSD-2-Clause */
/* Listening sockets for an address of the configuration. Any thread. */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include <sys/socket.h>

#include "net/address.h"

#define LISTEN_MAX 8	    /* sockets for one configured address */
#define LISTEN_BACKLOG 4096 /* a connect storm waits here instead of being refused */
#define LISTEN_TEXT_MAX NET_PEER_TEXT_MAX

/*
 * Opens non-blocking, close-on-exec sockets for every address that address->host has (host "": all,
 * both families, on the same port also where the kernel chooses it). `key` names the configuration
 * key in messages ("annexb in [stream front]"). Returns how many (1..LISTEN_MAX) and fds, or
 * -errno after a line that says what to do.
 */
int listen_open(const struct net_address *address, const char *key, int fds[LISTEN_MAX]);

/* "192.0.2.1:8888", "[2001:db8::1]:8888"; an IPv4-mapped address is shown as IPv4. */
void listen_format_address(const struct sockaddr_storage *address, char text[LISTEN_TEXT_MAX]);
/* The same of the socket's own address. */
void listen_format_local(int fd, char text[LISTEN_TEXT_MAX]);

#endif
