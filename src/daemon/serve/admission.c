/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/admission.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/diag.h"

#define LOG_PERIOD_US 1000000

/* The share of one address by default: fewer than all places of a large server, and as many as a
 * household behind one address can want. */
#define SHARE_MIN 64

/* An address with viewers. */
struct address {
	struct list link; /* in its bucket */
	uint64_t key[2];
	struct list viewers; /* their links, the newest last */
	unsigned n;	     /* viewers; at least 1 */
	unsigned at;	     /* its place in the heap */
};

struct admission {
	struct loop *loop;
	const struct config_daemon *config;
	struct fdreserve *reserve;
	unsigned viewers;
	struct diag_limit log;
	uint64_t hash_key; /* so that nobody chooses addresses that share a bucket */
	size_t n_buckets;  /* power of two */
	struct list *buckets;
	/* All addresses: a binary heap, so that the one with most viewers is the first. */
	struct address **heap;
	unsigned n_addresses; /* at most n_heap */
	unsigned n_heap;      /* places; at least max_clients */
};

static const char *const refusal_names[ADMISSION_REFUSALS] = {
	[ADMISSION_OVER_TOTAL] = "max_clients",
	[ADMISSION_OVER_QUOTA] = "max_clients_feed",
	[ADMISSION_OVER_ADDRESS] = "max_clients_per_ip",
	[ADMISSION_NOT_ALLOWED] = "not_allowed",
	[ADMISSION_NO_FDS] = "no_fds",
	[ADMISSION_NO_MEMORY] = "no_memory",
};

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

static struct address *find_peer(const struct admission *admission, const struct net_peer *peer)
{
	uint64_t key[2];

	net_peer_host_key(peer, key);
	return find_address(admission, key);
}

/* --- the addresses by their viewers --- */

static void put(struct admission *admission, unsigned at, struct address *address)
{
	admission->heap[at] = address;
	address->at = at;
}

static void sift_up(struct admission *admission, struct address *address)
{
	unsigned at = address->at;

	while (at > 0 && admission->heap[(at - 1) / 2]->n < address->n) {
		put(admission, at, admission->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(admission, at, address);
}

static void sift_down(struct admission *admission, struct address *address)
{
	unsigned at = address->at, child;

	while ((child = 2 * at + 1) < admission->n_addresses) {
		if (child + 1 < admission->n_addresses &&
		    admission->heap[child + 1]->n > admission->heap[child]->n)
			child++;
		if (admission->heap[child]->n <= address->n)
			break;
		put(admission, at, admission->heap[child]);
		at = child;
	}
	put(admission, at, address);
}

static struct address *add_address(struct admission *admission, const struct net_peer *peer)
{
	struct address *address = calloc(1, sizeof(*address));

	if (!address)
		return NULL;
	net_peer_host_key(peer, address->key);
	list_init(&address->viewers);
	list_init(&address->link);
	list_append(bucket_of(admission, address->key), &address->link);
	put(admission, admission->n_addresses++, address);
	return address;
}

static void remove_address(struct admission *admission, struct address *address)
{
	struct address *last = admission->heap[--admission->n_addresses];

	if (last != address) {
		put(admission, address->at, last);
		sift_up(admission, last);
		sift_down(admission, last);
	}
	list_remove(&address->link);
	free(address);
}

/* The address of a peer with one viewer more; NULL: no memory. */
static struct address *take_address(struct admission *admission, const struct net_peer *peer)
{
	struct address *address = find_peer(admission, peer);

	if (!address)
		address = add_address(admission, peer);
	if (address) {
		address->n++;
		sift_up(admission, address);
	}
	return address;
}

static void give_address(struct admission *admission, const struct net_peer *peer)
{
	struct address *address = find_peer(admission, peer);

	if (--address->n == 0)
		remove_address(admission, address);
	else
		sift_down(admission, address);
}

/* Programs of this machine, such as a proxy, may stand for viewers all over the world. */
static unsigned address_max(const struct admission *admission, const struct net_peer *peer)
{
	unsigned share = admission->config->max_clients - admission->config->max_clients / 4;

	if (admission->config->max_clients_per_ip > 0)
		return admission->config->max_clients_per_ip;
	if (net_peer_is_loopback(peer))
		return UINT32_MAX;
	return share > SHARE_MIN ? share : SHARE_MIN;
}

void admission_for_each_viewer(struct admission *admission,
			       void (*each)(struct list *link, void *user), void *user)
{
	for (unsigned i = 0; i < admission->n_addresses; i++) {
		struct list *viewers = &admission->heap[i]->viewers;

		for (struct list *pos = viewers->next; pos != viewers; pos = pos->next)
			each(pos, user);
	}
}

struct list *admission_any_viewer(const struct admission *admission)
{
	return admission->n_addresses > 0 ? admission->heap[0]->viewers.prev : NULL;
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

/* The limit that stands against a peer; ADMISSION_REFUSALS: none. That on all viewers comes last,
 * because another viewer can make room there. */
static enum admission_refusal check(const struct admission *admission, const struct quota *quota,
				    const struct quota *given, const struct net_peer *peer)
{
	const struct address *address = quota->viewers ? find_peer(admission, peer) : NULL;
	unsigned own = given && given->viewers; /* of the viewers */

	if (quota->viewers && !own && fdreserve_short(admission->reserve))
		return ADMISSION_NO_FDS;
	if (quota->max > 0 && quota->used - (given == quota) >= quota->max)
		return ADMISSION_OVER_QUOTA;
	if (address && address->n - own >= address_max(admission, peer))
		return ADMISSION_OVER_ADDRESS;
	if (quota->viewers && admission->viewers - own >= admission->config->max_clients)
		return ADMISSION_OVER_TOTAL;
	return ADMISSION_REFUSALS;
}

struct list *admission_find_displaced(struct admission *admission, const struct quota *quota,
				      const struct quota *given, const struct net_peer *peer)
{
	const struct address *own, *greediest;

	if (!quota->viewers || admission->n_addresses == 0 ||
	    admission->viewers < admission->config->max_clients ||
	    check(admission, quota, given, peer) != ADMISSION_OVER_TOTAL)
		return NULL;
	own = find_peer(admission, peer);
	greediest = admission->heap[0];
	return greediest->n >= (own ? own->n : 0) + 2 ? greediest->viewers.prev : NULL;
}

bool admission_enter(struct admission *admission, struct quota *quota, const struct quota *given,
		     const struct net_peer *peer, struct list **fellows)
{
	enum admission_refusal why = check(admission, quota, given, peer);

	if (why == ADMISSION_REFUSALS && quota->viewers) {
		struct address *address = take_address(admission, peer);

		if (address)
			*fellows = &address->viewers;
		else
			why = ADMISSION_NO_MEMORY;
	}
	if (why != ADMISSION_REFUSALS) {
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

static int create_tables(struct admission *admission)
{
	if (getrandom(&admission->hash_key, sizeof(admission->hash_key), 0) < 0)
		return -errno;
	admission->n_buckets = 64;
	while (admission->n_buckets < admission->config->max_clients)
		admission->n_buckets *= 2;
	admission->buckets = calloc(admission->n_buckets, sizeof(*admission->buckets));
	admission->n_heap = admission->config->max_clients;
	admission->heap = calloc(admission->n_heap, sizeof(struct address *));
	if (!admission->buckets || !admission->heap)
		return -ENOMEM;
	for (size_t i = 0; i < admission->n_buckets; i++)
		list_init(&admission->buckets[i]);
	return 0;
}

void admission_no_fds(struct admission *admission, const struct quota *quota)
{
	if (!quota->viewers && !fdreserve_short(admission->reserve))
		fdreserve_give(admission->reserve, 1);
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
	err = create_tables(admission);
	if (err < 0) {
		admission_destroy(admission);
		return err;
	}
	*out = admission;
	return 0;
}

int admission_prepare(struct admission *admission, const struct config_daemon *config)
{
	struct address **heap;

	if (config->max_clients <= admission->n_heap)
		return 0;
	heap = realloc(admission->heap, config->max_clients * sizeof(struct address *));
	if (!heap)
		return -ENOMEM;
	admission->heap = heap;
	admission->n_heap = config->max_clients;
	return 0;
}

void admission_renew(struct admission *admission, const struct config_daemon *config)
{
	admission->config = config;
}

void admission_destroy(struct admission *admission)
{
	if (!admission)
		return;
	for (unsigned i = 0; i < admission->n_addresses; i++)
		free(admission->heap[i]);
	free(admission->heap);
	free(admission->buckets);
	free(admission);
}
