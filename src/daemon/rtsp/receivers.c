/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/rtsp/receivers.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define RTCP_PER_TURN 64

static struct list *bucket_of(struct receivers *receivers, const struct net_peer *end)
{
	unsigned sum = end->port;

	for (size_t i = 0; i < sizeof end->address; i++)
		sum = sum * 31 + end->address[i];
	return &receivers->buckets[sum % RECEIVERS_BUCKETS];
}

static bool is_end(const struct net_peer *a, const struct net_peer *b)
{
	return memcmp(a->address, b->address, sizeof a->address) == 0 && a->scope == b->scope &&
	       a->port == b->port;
}

void receivers_init(struct receivers *receivers)
{
	for (size_t i = 0; i < RECEIVERS_BUCKETS; i++)
		list_init(&receivers->buckets[i]);
}

void receivers_add(struct receivers *receivers, struct receiver *receiver)
{
	list_init(&receiver->link);
	list_append(bucket_of(receivers, &receiver->end), &receiver->link);
}

void receivers_remove(struct receiver *receiver)
{
	list_remove(&receiver->link);
}

struct receiver *receivers_find(struct receivers *receivers, const struct net_peer *end,
				struct receiver *last)
{
	struct list *bucket = bucket_of(receivers, end);

	for (struct list *pos = last ? last->link.next : bucket->next; pos != bucket;
	     pos = pos->next) {
		struct receiver *receiver = container_of(pos, struct receiver, link);

		if (is_end(&receiver->end, end))
			return receiver;
	}
	return NULL;
}

void receivers_hear(int fd,
		    void (*take)(void *user, const struct net_peer *from, const uint8_t *data,
				 size_t len),
		    void *user)
{
	for (int i = 0; i < RTCP_PER_TURN; i++) {
		uint8_t data[RTCP_MAX];
		struct sockaddr_storage address;
		socklen_t address_len = sizeof address;
		struct net_peer from;
		ssize_t n = recvfrom(fd, data, sizeof data, MSG_DONTWAIT | MSG_TRUNC,
				     (struct sockaddr *)&address, &address_len);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 || (size_t)n > sizeof data)
			continue; /* a refusal of what was sent, or no report of ours */
		net_peer_from_sockaddr(&from, (struct sockaddr *)&address, address_len);
		take(user, &from, data, (size_t)n);
	}
}
