/* SPDX-License-Identifier: BSD-2-Clause */
/* The users of the configuration, with what their files say. Loop thread only. */
#ifndef DAEMON_AUTH_USERS_H
#define DAEMON_AUTH_USERS_H

#include <stdatomic.h>

#include "config/config.h"
#include "daemon/auth/tickets.h"

struct user {
	const struct config_user *config; /* borrowed */
	char *hash;			  /* of crypt(5); NULL: no password */
	char *clear;	     /* the password itself, of password_file; NULL: it is not known */
	struct digest token; /* as digest_make() makes it of a token */
	bool has_token;
	struct digest secret; /* of the password, or of its hash; zeroed: there is none */
};

#define USERS_WHY_MAX 640 /* bytes of a text, terminator included */

struct users {
	struct user *items; /* in the order of the configuration */
	size_t n;
	size_t n_hashes;
	char why[USERS_WHY_MAX]; /* what is wrong with a file */
};

#define USERS_TOKEN 't' /* kind of the digest of a token */

/* Reads the files of the users. A file that cannot be used, or that others may read, is an error,
 * after a line in the log. cancelled: another thread may set it, and then -ECANCELED is returned
 * before the next user is read; NULL: nobody does. 0 or -errno. users_finish() is needed in both
 * cases. Any thread. */
int users_init(struct users *users, const struct config *config, const struct digest_key *key,
	       const atomic_bool *cancelled);
void users_finish(struct users *users);

/* The number of the user; -1: there is none. */
int users_find_name(const struct users *users, const char *name);
/* The hash of a user, for a name that nobody has: for the same name always the same one, so that
 * the time that it takes says nothing. NULL: nobody has one. Borrowed. */
const char *users_stand_in(const struct users *users, const struct digest_key *key,
			   const char *name);
int users_find_token(const struct users *users, const struct digest *token);

/* Whether two users have the same name, password and token; their digests have one key. */
bool users_are_same(const struct user *a, const struct user *b);

#endif
