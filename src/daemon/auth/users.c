/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/auth/users.h"

#include <crypt.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/secret.h"
#include "daemon/auth/checker.h"
#include "daemon/auth/credentials.h"

/* Kinds of digests, besides those of tickets. */
#define HASH 'h'
#define PASSWORD 'f'
#define STAND_IN 'i' /* of a name that nobody has */

/* The hash of a password that is there in clear: so that its check takes as long as any other. */
static int hash_password(struct user *user, const char *password)
{
	struct crypt_data *data = calloc(1, sizeof *data);
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *made = NULL;

	if (!data)
		return -ENOMEM;
	if (crypt_gensalt_rn(NULL, 0, NULL, 0, setting, sizeof setting))
		made = crypt_r(password, setting, data);
	user->hash = made && made[0] != '*' ? strdup(made) : NULL;
	explicit_bzero(data, sizeof *data);
	free(data);
	return user->hash ? 0 : -ENOMEM;
}

static int refuse(struct users *users, const struct user *user, const char *key, const char *why)
{
	snprintf(users->why, sizeof users->why, "user %s: %s %s", user->config->name, key, why);
	diag_error("%s", users->why);
	return -EINVAL;
}

static int load_password(struct users *users, struct user *user, const struct digest_key *key)
{
	char password[CREDENTIALS_SECRET_MAX], why[SECRET_WHY_MAX];
	int err;

	if (user->config->password[0]) {
		if (strlen(user->config->password) >= CHECKER_HASH_MAX ||
		    crypt_checksalt(user->config->password) == CRYPT_SALT_INVALID)
			return refuse(users, user, "password",
				      "is no hash that this system knows; \"camcast passwd\" makes "
				      "one");
		digest_make(&user->secret, key, HASH, "", user->config->password);
		user->hash = strdup(user->config->password);
		return user->hash ? 0 : -ENOMEM;
	}
	if (!user->config->password_file[0])
		return 0;
	if (secret_read(user->config->password_file, password, sizeof password, why) < 0)
		return refuse(users, user, "password_file", why);
	digest_make(&user->secret, key, PASSWORD, "", password);
	err = hash_password(user, password);
	if (err == 0 && !(user->clear = strdup(password)))
		err = -ENOMEM;
	explicit_bzero(password, sizeof password);
	return err;
}

static int load_token(struct users *users, struct user *user, const struct digest_key *key)
{
	char token[CREDENTIALS_TOKEN_MAX + 1], why[SECRET_WHY_MAX];
	int err = 0;

	if (!user->config->token_file[0])
		return 0;
	if (secret_read(user->config->token_file, token, sizeof token, why) < 0)
		return refuse(users, user, "token_file", why);
	if (credentials_is_token(token)) {
		digest_make(&user->token, key, USERS_TOKEN, "", token);
		user->has_token = true;
	} else {
		err = refuse(users, user, "token_file",
			     "has no token of 20 to 128 letters, digits and -._~+/=; \"openssl "
			     "rand -hex 20\" makes one");
	}
	explicit_bzero(token, sizeof token);
	return err;
}

int users_init(struct users *users, const struct config *config, const struct digest_key *key,
	       const atomic_bool *cancelled)
{
	*users = (struct users){.n = config->n_users};
	users->items = calloc(config->n_users + 1, sizeof *users->items);
	if (!users->items)
		return -ENOMEM;
	for (size_t i = 0; i < users->n; i++) {
		struct user *user = &users->items[i];
		int err;

		if (cancelled && atomic_load_explicit(cancelled, memory_order_relaxed))
			return -ECANCELED;
		user->config = &config->users[i];
		err = load_password(users, user, key);
		if (err == 0)
			err = load_token(users, user, key);
		if (err < 0)
			return err;
		users->n_hashes += user->hash != NULL;
	}
	return 0;
}

void users_finish(struct users *users)
{
	for (size_t i = 0; users->items && i < users->n; i++) {
		struct user *user = &users->items[i];

		free(user->hash);
		if (user->clear)
			explicit_bzero(user->clear, strlen(user->clear));
		free(user->clear);
	}
	free(users->items);
	users->items = NULL;
}

int users_find_name(const struct users *users, const char *name)
{
	for (size_t i = 0; i < users->n; i++)
		if (strcmp(users->items[i].config->name, name) == 0)
			return (int)i;
	return -1;
}

const char *users_stand_in(const struct users *users, const struct digest_key *key,
			   const char *name)
{
	struct digest digest;
	size_t left;

	if (users->n_hashes == 0)
		return NULL;
	digest_make(&digest, key, STAND_IN, name, "");
	left = (digest.bytes[0] << 8 | digest.bytes[1]) % users->n_hashes;
	for (size_t i = 0; i < users->n; i++)
		if (users->items[i].hash && left-- == 0)
			return users->items[i].hash;
	return NULL;
}

int users_find_token(const struct users *users, const struct digest *token)
{
	int found = -1;

	for (size_t i = 0; i < users->n; i++)
		if (users->items[i].has_token && digest_equal(&users->items[i].token, token))
			found = (int)i;
	return found;
}

bool users_are_same(const struct user *a, const struct user *b)
{
	return strcmp(a->config->name, b->config->name) == 0 && !a->hash == !b->hash &&
	       digest_equal(&a->secret, &b->secret) && a->has_token == b->has_token &&
	       digest_equal(&a->token, &b->token);
}
