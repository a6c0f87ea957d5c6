/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Secrets that were found right, remembered for a bounded time as keyed hashes (HMAC-SHA-256), so
 * that a password is not hashed for each request, and who has logged in. The key is random and dies
 * with the process: what is here tells nothing about a password. Loop thread only.
 */
#ifndef DAEMON_AUTH_TICKETS_H
#define DAEMON_AUTH_TICKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE 32

struct digest {
	uint8_t bytes[DIGEST_SIZE];
};

struct digest_key {
	uint8_t bytes[DIGEST_SIZE];
};

/* 0 or -errno. */
int digest_key_init(struct digest_key *key);
/* Of a name (which may be "") and a secret. kind: so that secrets of different kinds differ. */
void digest_make(struct digest *out, const struct digest_key *key, char kind, const char *name,
		 const char *secret);
/* In constant time. */
bool digest_equal(const struct digest *a, const struct digest *b);

struct ticket;

struct tickets {
	struct ticket *items;
	size_t max;
	int64_t lifetime_us; /* since it was given, or since its last use */
	bool by_use;
};

/* 0 or -ENOMEM. */
int tickets_init(struct tickets *tickets, size_t max, int64_t lifetime_us, bool by_use);
void tickets_finish(struct tickets *tickets);

/* The user, as tickets_give() got it; -1: there is none. */
int tickets_find(struct tickets *tickets, const struct digest *digest, int64_t now_us);
/* Remembers a secret of a user (0 or greater). Of more than max, one of the user who has most of
 * them is forgotten, that which was used longest ago. */
void tickets_give(struct tickets *tickets, const struct digest *digest, int user, int64_t now_us);
/* Users have other numbers now: that of user i is now[i], for i below n; -1: what was remembered of
 * him is forgotten. */
void tickets_renumber(struct tickets *tickets, const int *now, size_t n);
void tickets_take_back(struct tickets *tickets, const struct digest *digest);

#endif
