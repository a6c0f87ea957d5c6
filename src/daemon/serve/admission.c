/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/admission.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/diag.h"

#define LOG_PERIOD_US 1000000

/* How many viewers one address has. */
struct address {
	struct list link; /* in its bucket */
	uint64_t key[2];
	unsigned viewers;
};

struct admission {
	struct loop *loop;
	const struct config_daemon *config;
	struct fdreserve *reserve;
	unsigned viewers;
	struct diag_limit log;
	uint64_t hash_key; /* so that nobody chooses addresses that share a bucket */
	size_t n_buckets;  /* power of two; 0: addresses are not limited */
	struct list *buckets;
};

static const char *const refusal_names[ADMISSION_REFUSALS] = {
	[ADMISSION_OVER_TOTAL] = "max_clients",
	[ADMISSION_OVER_QUOTA] = "max_clients_feed",
	[ADMISSION_OVER_ADDRESS] = "max_clients_per_ip",
	[ADMISSION_NO_FDS] = "no_fds",
	[ADMISSION_NO_MEMORY] = "no_memory",
};

const char *admission_refusal_name(enum admission_refusal why)
{
	return refusal_names[why];
}

unsigned admission_viewers(const struct admission *admission)
{
	return admission->viewers;
}

/* --- viewers by address --- */

static struct list *bucket_of(const struct admission *admission, const uint64_t key[2])
{
	uint64_t hash =
		(key[0] ^ key[1] * 0x9e3779b97f4a7c15u ^ admission->hash_key) * 0x9e3779b97f4a7c15u;

	hash ^= hash >> 32;
	hash *= 0xd6e8feb86659fd93u;
	return &admission->buckets[(hash >> 32) & (admission->n_buckets - 1)];
}

static struct address *find_address(const struct admission *admission, const uint64_t key[2])
{
	struct list *bucket = bucket_of(admission, key), *pos, *tmp;

	list_for_each_safe (pos, tmp, bucket) {
		struct address *address = container_of(pos, struct address, link);

		if (memcmp(address->key, key, sizeof(address->key)) == 0)
			return address;
	}
	return NULL;
}

/* True if the address has a place now. */
static bool take_address(struct admission *admission, const struct net_peer *peer,
			 enum admission_refusal *why)
{
	struct address *address;
	uint64_t key[2];

	if (admission->n_buckets == 0)
		return true;
	net_peer_host_key(peer, key);
	address = find_address(admission, key);
	if (!address) {
		address = calloc(1, sizeof(*address));
		if (!address) {
			*why = ADMISSION_NO_MEMORY;
			return false;
		}
		memcpy(address->key, key, sizeof(key));
		list_append(bucket_of(admission, key), &address->link);
	}
	if (address->viewers >= admission->config->max_clients_per_ip) {
		*why = ADMISSION_OVER_ADDRESS;
		return false;
	}
	address->viewers++;
	return true;
}

static void give_address(struct admission *admission, const struct net_peer *peer)
{
	struct address *address;
	uint64_t key[2];

	if (admission->n_buckets == 0)
		return;
	net_peer_host_key(peer, key);
	address = find_address(admission, key);
	if (address && --address->viewers == 0) {
		list_remove(&address->link);
		free(address);
	}
}

/* --- letting in --- */

void admission_refuse(struct admission *admission, struct quota *quota, enum admission_refusal why,
		      const struct net_peer *peer)
{
	char text[NET_PEER_TEXT_MAX];
	uint64_t suppressed;

	quota->refused[why]++;
	if (!diag_allowed(&admission->log, loop_now_us(admission->loop), LOG_PERIOD_US,
			  &suppressed))
		return;
	net_peer_format(peer, text);
	diag_warn("%s: client %s refused (%s), and %llu others since the last such line",
		  quota->name, text, refusal_names[why], (unsigned long long)suppressed);
}

static bool try_to_enter(struct admission *admission, struct quota *quota,
			 const struct net_peer *peer, enum admission_refusal *why)
{
	if (quota->viewers && fdreserve_short(admission->reserve)) {
		*why = ADMISSION_NO_FDS;
		return false;
	}
	if (quota->viewers && admission->viewers >= admission->config->max_clients) {
		*why = ADMISSION_OVER_TOTAL;
		return false;
	}
	if (quota->max > 0 && quota->used >= quota->max) {
		*why = ADMISSION_OVER_QUOTA;
		return false;
	}
	return !quota->viewers || take_address(admission, peer, why);
}

bool admission_enter(struct admission *admission, struct quota *quota, const struct net_peer *peer)
{
	enum admission_refusal why;

	if (!try_to_enter(admission, quota, peer, &why)) {
		admission_refuse(admission, quota, why, peer);
		return false;
	}
	quota->used++;
	if (quota->viewers)
		admission->viewers++;
	return true;
}

void admission_leave(struct admission *admission, struct quota *quota, const struct net_peer *peer)
{
	quota->used--;
	if (!quota->viewers)
		return;
	admission->viewers--;
	give_address(admission, peer);
}

/* --- life --- */

static int create_buckets(struct admission *admission)
{
	if (admission->config->max_clients_per_ip == 0)
		return 0;
	if (getrandom(&admission->hash_key, sizeof(admission->hash_key), 0) < 0)
		return -errno;
	admission->n_buckets = 64;
	while (admission->n_buckets < admission->config->max_clients)
		admission->n_buckets *= 2;
	admission->buckets = calloc(admission->n_buckets, sizeof(*admission->buckets));
	if (!admission->buckets)
		return -ENOMEM;
	for (size_t i = 0; i < admission->n_buckets; i++)
		list_init(&admission->buckets[i]);
	return 0;
}

int admission_create(struct admission **out, struct loop *loop, const struct config_daemon *config,
		     struct fdreserve *reserve)
{
	struct admission *admission = calloc(1, sizeof(*admission));
	int err;

	if (!admission)
		return -ENOMEM;
	admission->loop = loop;
	admission->config = config;
	admission->reserve = reserve;
	err = create_buckets(admission);
	if (err < 0) {
		free(admission);
		return err;
	}
	*out = admission;
	return 0;
}

void admission_destroy(struct admission *admission)
{
	struct list *pos, *tmp;

	if (!admission)
		return;
	for (size_t i = 0; i < admission->n_buckets; i++)
		list_for_each_safe (pos, tmp, &admission->buckets[i])
			free(container_of(pos, struct address, link));
	free(admission->buckets);
	free(admission);
}
