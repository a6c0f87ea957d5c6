/* SPDX-License-Identifier: BSD-2-Clause */
/* The one place that opens listening sockets. Any thread. */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include "net/address.h"

#define LISTEN_MAX 8 /* sockets for one configured address */

/*
 * Opens non-blocking, close-on-exec sockets for every address that address->host has (host "": all,
 * both families, on the same port also where the kernel chooses it). `key` names the configuration
 * key in messages ("annexb in [stream front]"). Waits up to a second for a port that is taken.
 * Returns how many (1..LISTEN_MAX) and fds, or -errno after a line that says what to do.
 */
int listen_open(const struct net_address *address, const char *key, int fds[LISTEN_MAX]);

/* What the hosts of addresses stand for, looked up before a thread needs it that may not wait. */
struct listen_hosts;

/* No hosts yet; NULL: no memory. */
struct listen_hosts *listen_hosts_create(void);
void listen_hosts_destroy(struct listen_hosts *hosts);
/* Looks the host up, which may take as long as the resolver lets it; one that stands for nothing is
 * no error before listen_open_known(). 0 or -ENOMEM. Any thread, one at a time. */
int listen_hosts_add(struct listen_hosts *hosts, const struct net_address *address);

/* listen_open() for a thread that may not wait: the host was added to `hosts`, and a port that is
 * taken is tried once. */
int listen_open_known(const struct net_address *address, const struct listen_hosts *hosts,
		      const char *key, int fds[LISTEN_MAX]);

/* Whether listen_open() would be let: binds the address for a moment, without listening. The host
 * is not resolved; for a name the result is 0. 0 or -errno (-EACCES: a port below 1024 without the
 * right, -EADDRNOTAVAIL: no interface has the address, -EADDRINUSE). Any thread. */
int listen_check(const struct net_address *address);

/* A socket of UDP that is bound to the address, non-blocking and close-on-exec; shared: others that
 * are may have it too (SO_REUSEADDR). The descriptor, or -errno. Any thread. */
int listen_udp(const struct sockaddr *address, socklen_t len, bool shared);

#endif
