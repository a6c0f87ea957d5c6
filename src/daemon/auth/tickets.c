/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/auth/tickets.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TEXT_MAX 512 /* bytes of kind, name and secret */

struct ticket {
	struct digest digest;
	int64_t given_us, used_us; /* used_us 0: the place is free */
	int user;
};

int digest_key_init(struct digest_key *key)
{
	return getrandom(key->bytes, sizeof key->bytes, 0) == (ssize_t)sizeof key->bytes ? 0
											 : -errno;
}

void digest_make(struct digest *out, const struct digest_key *key, char kind, const char *name,
		 const char *secret)
{
	size_t name_len = strnlen(name, TEXT_MAX / 4);
	size_t secret_len = strnlen(secret, TEXT_MAX / 2);
	unsigned char text[TEXT_MAX];
	unsigned len = sizeof out->bytes;

	/* The terminator of the name stays between the two. */
	text[0] = (unsigned char)kind;
	memcpy(text + 1, name, name_len);
	text[1 + name_len] = '\0';
	memcpy(text + 2 + name_len, secret, secret_len);
	if (!HMAC(EVP_sha256(), key->bytes, sizeof key->bytes, text, 2 + name_len + secret_len,
		  out->bytes, &len))
		/* No memory: equal to nothing. */
		(void)!getrandom(out->bytes, sizeof out->bytes, 0);
	OPENSSL_cleanse(text, sizeof text);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return CRYPTO_memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

int tickets_init(struct tickets *tickets, size_t max, int64_t lifetime_us, bool by_use)
{
	*tickets = (struct tickets){.max = max, .lifetime_us = lifetime_us, .by_use = by_use};
	tickets->items = calloc(max, sizeof *tickets->items);
	return tickets->items ? 0 : -ENOMEM;
}

void tickets_finish(struct tickets *tickets)
{
	free(tickets->items);
	tickets->items = NULL;
}

static bool is_valid(const struct tickets *tickets, const struct ticket *ticket, int64_t now_us)
{
	int64_t since_us = tickets->by_use ? ticket->used_us : ticket->given_us;

	return ticket->used_us > 0 && now_us - since_us < tickets->lifetime_us;
}

static struct ticket *find(const struct tickets *tickets, const struct digest *digest)
{
	for (size_t i = 0; i < tickets->max; i++)
		if (tickets->items[i].used_us > 0 &&
		    digest_equal(&tickets->items[i].digest, digest))
			return &tickets->items[i];
	return NULL;
}

int tickets_find(struct tickets *tickets, const struct digest *digest, int64_t now_us)
{
	struct ticket *ticket = find(tickets, digest);

	if (!ticket || !is_valid(tickets, ticket, now_us))
		return -1;
	ticket->used_us = now_us;
	return ticket->user;
}

static size_t count(const struct tickets *tickets, int user)
{
	size_t n = 0;

	for (size_t i = 0; i < tickets->max; i++)
		n += tickets->items[i].used_us > 0 && tickets->items[i].user == user;
	return n;
}

/* A place that is free, or has ended, or that of the user who has most places. */
static struct ticket *find_place(const struct tickets *tickets, int64_t now_us)
{
	struct ticket *found = &tickets->items[0];
	size_t most = 0;

	for (size_t i = 0; i < tickets->max; i++) {
		struct ticket *ticket = &tickets->items[i];
		size_t n = count(tickets, ticket->user);

		if (!is_valid(tickets, ticket, now_us))
			return ticket;
		if (n > most || (n == most && ticket->used_us < found->used_us)) {
			found = ticket;
			most = n;
		}
	}
	return found;
}

void tickets_give(struct tickets *tickets, const struct digest *digest, int user, int64_t now_us)
{
	struct ticket *ticket = find(tickets, digest);

	if (!ticket)
		ticket = find_place(tickets, now_us);
	*ticket = (struct ticket){
		.digest = *digest, .given_us = now_us, .used_us = now_us, .user = user};
}

void tickets_take_back(struct tickets *tickets, const struct digest *digest)
{
	struct ticket *ticket = find(tickets, digest);

	if (ticket)
		ticket->used_us = 0;
}

void tickets_renumber(struct tickets *tickets, const int *now, size_t n)
{
	for (size_t i = 0; i < tickets->max; i++) {
		struct ticket *ticket = &tickets->items[i];

		if (ticket->used_us == 0)
			continue;
		ticket->user = (size_t)ticket->user < n ? now[ticket->user] : -1;
		if (ticket->user < 0)
			ticket->used_us = 0;
	}
}
