/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/udp_pair.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net/listen.h"

#define FIRST_PORT 10000 /* below those that the kernel chooses (ip_local_port_range) */
#define PAIRS 11000	 /* of ports, from there on */
#define PORT_TRIES 100
#define DATAGRAM_MAX 65536 /* bytes */
#define READ_AT_ONCE 8	   /* datagrams */
#define COUNT_AT_ONCE 64
#define ROUNDS 40 /* reads of either kind in a call */

union address {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
};

static int open_both(struct udp_pair *pair, union address *address, socklen_t len, unsigned rtp,
		     unsigned rtcp, bool shared)
{
	net_sockaddr_set_port(&address->any, (uint16_t)rtp);
	pair->rtp = listen_udp(&address->any, len, shared);
	if (pair->rtp < 0)
		return pair->rtp;
	net_sockaddr_set_port(&address->any, (uint16_t)rtcp);
	pair->rtcp = listen_udp(&address->any, len, shared);
	if (pair->rtcp < 0) {
		int err = pair->rtcp;

		udp_pair_close(pair);
		return err;
	}
	pair->port = (uint16_t)rtp;
	return 0;
}

static int take_whole(struct udp_pair *pair, bool whole)
{
	const int on = 1;
	int err;

	if (!whole || setsockopt(pair->rtp, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) == 0)
		return 0;
	err = -errno;
	udp_pair_close(pair);
	return err;
}

int udp_pair_open(struct udp_pair *pair, int connection, uint32_t number, bool whole)
{
	union address address = {0};
	socklen_t len = sizeof(address);
	int err = -EADDRINUSE;

	*pair = (struct udp_pair){-1, -1, 0};
	if (getsockname(connection, &address.any, &len) < 0)
		return -errno;
	for (uint32_t i = 0; i < PORT_TRIES && err == -EADDRINUSE; i++) {
		unsigned port = FIRST_PORT + 2 * ((number + i) % PAIRS);

		err = open_both(pair, &address, len, port, port + 1, false);
	}
	return err < 0 ? err : take_whole(pair, whole);
}

int udp_pair_join(struct udp_pair *pair, int connection, const struct udp_group *group, bool whole)
{
	union address address = {0};
	socklen_t len = sizeof(address);
	struct ip_mreqn join = {.imr_multiaddr = group->address};
	int err;

	*pair = (struct udp_pair){-1, -1, 0};
	if (getsockname(connection, &address.any, &len) < 0)
		return -errno;
	if (address.any.sa_family != AF_INET)
		return -EAFNOSUPPORT;
	join.imr_address = address.ip4.sin_addr;
	address.ip4.sin_addr = group->address;
	err = open_both(pair, &address, len, group->rtp, group->rtcp, true);
	if (err < 0)
		return err;
	if (setsockopt(pair->rtp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)) < 0 ||
	    setsockopt(pair->rtcp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)) < 0) {
		err = -errno;
		udp_pair_close(pair);
		return err;
	}
	return take_whole(pair, whole);
}

void udp_pair_close(struct udp_pair *pair)
{
	if (pair->rtp >= 0)
		close(pair->rtp);
	if (pair->rtcp >= 0)
		close(pair->rtcp);
	pair->rtp = pair->rtcp = -1;
}

void udp_pair_enlarge(const struct udp_pair *pair, int bytes)
{
	if (setsockopt(pair->rtp, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(pair->rtp, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

static int drop_all(int fd)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog program = {.len = 1, .filter = &none};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
											   : 0;
}

int udp_pair_go_deaf(const struct udp_pair *pair, bool rtp)
{
	int err = drop_all(pair->rtcp);

	return err == 0 && rtp ? drop_all(pair->rtp) : err;
}

/* --- reading --- */

/* UDP_GRO beside a message: the length of all datagrams in it but the last. */
union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static size_t segment_of(struct msghdr *message, size_t len)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
	     part = CMSG_NXTHDR(message, part)) {
		int segment;

		if (part->cmsg_level != IPPROTO_UDP || part->cmsg_type != UDP_GRO)
			continue;
		memcpy(&segment, CMSG_DATA(part), sizeof(segment));
		return segment > 0 ? (size_t)segment : len;
	}
	return len;
}

/* Returns the number of messages, and adds their bytes. */
static int read_some(int fd, bool control, udp_pair_fn *fn, void *ctx, size_t *bytes)
{
	static uint8_t data[READ_AT_ONCE][DATAGRAM_MAX]; /* too large for the stack */
	union control controls[READ_AT_ONCE] = {0};
	struct iovec pieces[READ_AT_ONCE];
	struct mmsghdr messages[READ_AT_ONCE];
	int n;

	memset(messages, 0, sizeof(messages));
	for (int i = 0; i < READ_AT_ONCE; i++) {
		pieces[i] = (struct iovec){data[i], sizeof(data[i])};
		messages[i].msg_hdr.msg_iov = &pieces[i];
		messages[i].msg_hdr.msg_iovlen = 1;
		messages[i].msg_hdr.msg_control = controls[i].bytes;
		messages[i].msg_hdr.msg_controllen = sizeof(controls[i].bytes);
	}
	n = recvmmsg(fd, messages, READ_AT_ONCE, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		size_t len = messages[i].msg_len;
		size_t segment = segment_of(&messages[i].msg_hdr, len);

		*bytes += len;
		for (size_t at = 0; at < len; at += segment)
			fn(ctx, control, data[i] + at, len - at < segment ? len - at : segment);
	}
	return n;
}

size_t udp_pair_read(const struct udp_pair *pair, udp_pair_fn *fn, void *ctx)
{
	size_t bytes = 0, control = 0;

	/* RTCP first: a report describes what follows it. */
	(void)read_some(pair->rtcp, true, fn, ctx, &control);
	for (int round = 0; round < ROUNDS; round++) {
		if (read_some(pair->rtp, false, fn, ctx, &bytes) < READ_AT_ONCE)
			break;
	}
	return bytes;
}

size_t udp_pair_count(const struct udp_pair *pair)
{
	size_t bytes = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct mmsghdr messages[COUNT_AT_ONCE];
		int n;

		memset(messages, 0, sizeof(messages));
		/* The kernel says how long each is, and copies none. */
		n = recvmmsg(pair->rtp, messages, COUNT_AT_ONCE, MSG_DONTWAIT | MSG_TRUNC, NULL);
		for (int i = 0; i < n; i++)
			bytes += messages[i].msg_len;
		if (n < COUNT_AT_ONCE)
			break;
	}
	return bytes;
}

uint32_t udp_pair_dropped(const struct udp_pair *pair)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(pair->rtp, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
		return 0;
	return info[SK_MEMINFO_DROPS];
}
