/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"

#define BACKLOG 4096 /* a connect storm waits here instead of being refused */
/* A server that has just ended may keep its port for a moment, while the kernel tidies up behind
 * it. */
#define TAKEN_TRIES 50
#define TAKEN_PAUSE_MS 20

/* With port 0 and two families the port that one got may be taken in the other. */
#define SAME_PORT_TRIES 16

static uint16_t local_port(int fd)
{
	struct net_peer local;

	net_peer_local_from_fd(&local, fd);
	return local.port;
}

/* A socket that is bound, but does not listen yet. */
static int bind_one(const struct addrinfo *info, uint16_t port)
{
	struct sockaddr_storage address = {0};
	int fd, err, one = 1;

	memcpy(&address, info->ai_addr, info->ai_addrlen);
	net_sockaddr_set_port((struct sockaddr *)&address, port);
	fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* A restart need not wait for the old connections' TIME_WAIT. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
	    (info->ai_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) < 0) ||
	    bind(fd, (struct sockaddr *)&address, info->ai_addrlen) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int open_one(const struct addrinfo *info, uint16_t port)
{
	int fd = bind_one(info, port), err;

	if (fd >= 0 && listen(fd, BACKLOG) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static void close_all(int *fds, int n)
{
	while (n > 0)
		close(fds[--n]);
}

/* The kernel has no IPv6, or it is switched off. */
static bool can_be_left_out(const struct addrinfo *info, int err, bool any)
{
	return err == -EAFNOSUPPORT ||
	       (any && info->ai_family == AF_INET6 && err == -EADDRNOTAVAIL);
}

/* One socket per entry of list, all on one port. Families that this kernel lacks are left out.
 * Returns how many, or -errno with the address that it was in *failed. */
static int open_all(const struct addrinfo *list, uint16_t port, bool any, int *fds,
		    struct sockaddr_storage *failed)
{
	int n = 0;

	for (const struct addrinfo *info = list; info && n < LISTEN_MAX; info = info->ai_next) {
		int fd = open_one(info, port);

		if (can_be_left_out(info, fd, any))
			continue;
		if (fd < 0) {
			memcpy(failed, info->ai_addr, info->ai_addrlen);
			net_sockaddr_set_port((struct sockaddr *)failed, port);
			close_all(fds, n);
			return fd;
		}
		fds[n++] = fd;
		if (port == 0)
			port = local_port(fd);
	}
	return n > 0 ? n : -EAFNOSUPPORT;
}

static void explain(int err, const struct sockaddr_storage *address, const char *key)
{
	char where[NET_PEER_TEXT_MAX];
	struct net_peer peer;

	net_peer_from_sockaddr(&peer, (const struct sockaddr *)address, sizeof *address);
	net_peer_format(&peer, where);
	switch (-err) {
	case EADDRINUSE:
		diag_error("cannot listen on %s: another program has this port, perhaps a second "
			   "camcastd (`ss -ltnp sport = :%u` shows which): stop it, or change %s",
			   where, peer.port, key);
		break;
	case EADDRNOTAVAIL:
		diag_error("cannot listen on %s: no interface here has this address: change %s",
			   where, key);
		break;
	case EACCES:
		diag_error("cannot listen on %s: ports below 1024 need CAP_NET_BIND_SERVICE: "
			   "change %s",
			   where, key);
		break;
	case EINVAL:
		if (net_peer_is_link_local(&peer) && peer.scope == 0) {
			diag_error("cannot listen on %s: an address that is valid on a single link "
				   "needs its interface, as in [fe80::1%%eth0]:%u: change %s",
				   where, peer.port, key);
			break;
		}
		/* fall through */
	default:
		diag_error("cannot listen on %s (%s): %s", where, key, strerror(-err));
	}
}

/* Of one host, for all of its ports. */
struct host {
	char name[NET_HOST_MAX];
	int fault; /* of getaddrinfo(); 0 */
	struct addrinfo *list;
};

struct listen_hosts {
	struct host *items;
	size_t n;
};

static int look_up(struct host *host, const char *name)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};

	snprintf(host->name, sizeof host->name, "%s", name);
	host->list = NULL;
	host->fault = getaddrinfo(name[0] ? name : NULL, "0", &hints, &host->list);
	return host->fault == EAI_MEMORY ? -ENOMEM : 0;
}

static void forget(struct host *host)
{
	if (host->list)
		freeaddrinfo(host->list);
}

static const struct host *find_host(const struct listen_hosts *hosts, const char *name)
{
	for (size_t i = 0; i < hosts->n; i++)
		if (strcmp(hosts->items[i].name, name) == 0)
			return &hosts->items[i];
	return NULL;
}

static int open_host(const struct host *host, uint16_t port, const char *key, bool patient,
		     int fds[LISTEN_MAX])
{
	const int tries = port == 0 ? SAME_PORT_TRIES : patient ? TAKEN_TRIES : 1;
	struct sockaddr_storage failed = {0};
	int ret = -EADDRINUSE;

	if (host->fault != 0) {
		diag_error("cannot listen on %s: %s: change %s", host->name,
			   gai_strerror(host->fault), key);
		return -EADDRNOTAVAIL;
	}
	for (int i = 0; i < tries && ret == -EADDRINUSE; i++) {
		ret = open_all(host->list, port, host->name[0] == '\0', fds, &failed);
		if (ret == -EADDRINUSE && port && patient)
			poll(NULL, 0, TAKEN_PAUSE_MS);
	}
	if (ret < 0)
		explain(ret, &failed, key);
	return ret;
}

int listen_open(const struct net_address *address, const char *key, int fds[LISTEN_MAX])
{
	struct host host;
	int ret;

	look_up(&host, address->host);
	ret = open_host(&host, address->port, key, true, fds);
	forget(&host);
	return ret;
}

int listen_open_known(const struct net_address *address, const struct listen_hosts *hosts,
		      const char *key, int fds[LISTEN_MAX])
{
	const struct host *host = find_host(hosts, address->host);

	return host ? open_host(host, address->port, key, false, fds) : -EADDRNOTAVAIL;
}

struct listen_hosts *listen_hosts_create(void)
{
	return calloc(1, sizeof(struct listen_hosts));
}

void listen_hosts_destroy(struct listen_hosts *hosts)
{
	if (!hosts)
		return;
	for (size_t i = 0; i < hosts->n; i++)
		forget(&hosts->items[i]);
	free(hosts->items);
	free(hosts);
}

int listen_hosts_add(struct listen_hosts *hosts, const struct net_address *address)
{
	struct host *items;
	int err;

	if (find_host(hosts, address->host))
		return 0;
	items = reallocarray(hosts->items, hosts->n + 1, sizeof *items);
	if (!items)
		return -ENOMEM;
	hosts->items = items;
	err = look_up(&items[hosts->n], address->host);
	if (err == 0)
		hosts->n++;
	return err;
}

int listen_check(const struct net_address *address)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	bool any = address->host[0] == '\0';
	struct addrinfo *list;
	char port[8];
	int err = 0;

	snprintf(port, sizeof port, "%u", address->port);
	if (getaddrinfo(any ? NULL : address->host, port, &hints, &list) != 0)
		return 0; /* a name */
	for (const struct addrinfo *info = list; info && err == 0; info = info->ai_next) {
		int fd = bind_one(info, address->port);

		if (fd >= 0)
			close(fd);
		else if (!can_be_left_out(info, fd, any))
			err = fd;
	}
	freeaddrinfo(list);
	return err;
}

int listen_udp(const struct sockaddr *address, socklen_t len, bool shared)
{
	const int on = 1;
	int fd = socket(address->sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	if ((!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0) &&
	    bind(fd, address, len) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}
