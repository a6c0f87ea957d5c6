/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/auth/slowdown.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct failures {
	uint64_t key[2];
	int64_t last_us;
	unsigned n; /* 0: the place is free */
};

struct slowdown {
	struct failures addresses[SLOWDOWN_ADDRESSES];
};

int slowdown_create(struct slowdown **out)
{
	*out = calloc(1, sizeof **out);
	return *out ? 0 : -ENOMEM;
}

void slowdown_destroy(struct slowdown *slowdown)
{
	free(slowdown);
}

/* The failures of an address that still count; NULL: none. */
static const struct failures *find(const struct slowdown *slowdown, const struct net_peer *peer,
				   int64_t now_us)
{
	uint64_t key[2];

	net_peer_host_key(peer, key);
	for (size_t i = 0; i < SLOWDOWN_ADDRESSES; i++) {
		const struct failures *one = &slowdown->addresses[i];

		if (one->n > 0 && memcmp(one->key, key, sizeof key) == 0)
			return now_us - one->last_us < SLOWDOWN_FORGET_US ? one : NULL;
	}
	return NULL;
}

int64_t slowdown_wait_us(const struct slowdown *slowdown, const struct net_peer *peer,
			 int64_t now_us)
{
	const struct failures *one = find(slowdown, peer, now_us);
	int64_t wait_us = 1000000;

	if (!one || one->n < SLOWDOWN_FREE)
		return 0;
	for (unsigned i = SLOWDOWN_FREE; i < one->n && wait_us < SLOWDOWN_MAX_US; i++)
		wait_us *= 2;
	if (wait_us > SLOWDOWN_MAX_US)
		wait_us = SLOWDOWN_MAX_US;
	wait_us -= now_us - one->last_us;
	return wait_us > 0 ? wait_us : 0;
}

void slowdown_failed(struct slowdown *slowdown, const struct net_peer *peer, int64_t now_us)
{
	struct failures *place = &slowdown->addresses[0];
	uint64_t key[2];

	net_peer_host_key(peer, key);
	for (size_t i = 0; i < SLOWDOWN_ADDRESSES; i++) {
		struct failures *one = &slowdown->addresses[i];

		if (one->n > 0 && memcmp(one->key, key, sizeof key) == 0) {
			place = one;
			break;
		}
		if (place->n > 0 && (one->n == 0 || one->last_us < place->last_us))
			place = one;
	}
	if (memcmp(place->key, key, sizeof key) != 0 ||
	    now_us - place->last_us >= SLOWDOWN_FORGET_US)
		place->n = 0;
	memcpy(place->key, key, sizeof key);
	place->last_us = now_us;
	place->n++;
}
