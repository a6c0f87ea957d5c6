/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/auth/networks.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/diag.h"

#define SETTLE_US 100000 /* changes come several at a time */
#define READS_MAX 64	 /* of news at a time */

struct networks {
	struct loop *loop;
	struct net_ranges own;
	struct loop_watch news; /* fd -1: none */
	struct loop_timer settle;
};

static void read_networks(struct networks *networks)
{
	int err = net_own_networks(&networks->own);

	if (err < 0)
		diag_warn("cannot read the networks of this machine (%s): local is this machine "
			  "alone",
			  strerror(-err));
}

static void handle_settled(struct loop_timer *timer)
{
	read_networks(container_of(timer, struct networks, settle));
}

/* What the news say is of no interest, and they may be incomplete (ENOBUFS). */
static void handle_news(struct loop_watch *watch, uint32_t events)
{
	struct networks *networks = container_of(watch, struct networks, news);
	char buffer[4096];

	(void)events;
	for (int i = 0; i < READS_MAX; i++)
		if (recv(watch->fd, buffer, sizeof buffer, MSG_DONTWAIT) < 0 && errno != ENOBUFS)
			break;
	if (!loop_timer_is_set(&networks->settle))
		loop_timer_set(networks->loop, &networks->settle,
			       loop_now_us(networks->loop) + SETTLE_US);
}

static int watch_news(struct networks *networks)
{
	struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int err;

	if (fd < 0)
		return -errno;
	networks->news.fd = fd;
	networks->news.events = EPOLLIN;
	networks->news.ready = handle_news;
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		err = -errno;
	else
		err = loop_watch_add(networks->loop, &networks->news);
	if (err < 0) {
		close(fd);
		networks->news.fd = -1;
	}
	return err;
}

int networks_create(struct networks **out, struct loop *loop)
{
	struct networks *networks = calloc(1, sizeof *networks);
	int err;

	if (!networks)
		return -ENOMEM;
	networks->loop = loop;
	networks->news.fd = -1;
	loop_timer_init(&networks->settle, handle_settled);
	err = watch_news(networks);
	if (err < 0)
		diag_warn("the kernel tells of no changes of addresses (%s): local is what it is "
			  "now",
			  strerror(-err));
	read_networks(networks);
	*out = networks;
	return 0;
}

void networks_destroy(struct networks *networks)
{
	if (!networks)
		return;
	loop_timer_cancel(networks->loop, &networks->settle);
	if (networks->news.fd >= 0) {
		loop_watch_remove(networks->loop, &networks->news);
		close(networks->news.fd);
	}
	free(networks);
}

const struct net_ranges *networks_own(const struct networks *networks)
{
	return &networks->own;
}
