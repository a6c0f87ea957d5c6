/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A UsernameToken of WS-Security with a digest (Web Services Security UsernameToken Profile 1.1,
 * clause 3.1): SHA-1 of a nonce, a time and the password. Any thread; a memory of nonces: one
 * thread at a time.
 */
#ifndef DAEMON_ONVIF_TOKEN_H
#define DAEMON_ONVIF_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "daemon/onvif/xml.h"
#include "net/address.h"

#define TOKEN_NAME_MAX 64  /* bytes, terminator included */
#define TOKEN_NONCE_MAX 64 /* bytes */
#define TOKEN_SHA1_SIZE 20
#define TOKEN_TIME_MAX 40 /* bytes of a time, terminator included */
#define TOKEN_SKEW_S 300  /* how much the clock of a client may differ */
#define TOKEN_AGAIN_S 5
#define TOKEN_NONCES 2048 /* that are remembered */

struct token {
	char name[TOKEN_NAME_MAX];
	uint8_t digest[TOKEN_SHA1_SIZE];
	uint8_t nonce[TOKEN_NONCE_MAX];
	size_t nonce_len;
	char created[TOKEN_TIME_MAX]; /* as it was written */
	int64_t created_s;	      /* since 1970 */
};

/* Of the header of an envelope (NULL: there is none). 0; -ENOENT: there is no token; -EBADMSG: it
 * is malformed, or of another kind. */
int token_read(struct token *out, const struct xml *xml, const struct xml_node *header);

/* Whether the token was made with this password. Takes the same time in both cases. */
bool token_fits(const struct token *token, const char *password);

/*
 * The tokens that were taken, of each user: where there is no room, one of the user with most of
 * them is forgotten, and that user's tokens up to its time are not taken any more. One is good
 * once; but some clients make the same one for all requests of a second, so that it may come again
 * from its address, for TOKEN_AGAIN_S, with a request that changes nothing.
 */
struct token_memory {
	struct {
		uint64_t key; /* of its digest; 0: the place is free */
		uint64_t host[2];
		int64_t since_s, until_s;
		size_t user; /* in users */
	} items[TOKEN_NONCES];
	/* Those who have proved to be somebody. More of them, of configurations that followed each
	 * other, share the last place. */
	struct {
		char name[TOKEN_NAME_MAX];
		int64_t floor_s; /* one that was forgotten may be of this time; 0: none was */
	} users[CONFIG_USERS_MAX];
	size_t n_users;
};

/* Whether a token of this peer is of this time, and not used. changes: the request changes
 * something. now_s: since 1970. */
bool token_is_fresh(const struct token_memory *memory, const struct token *token,
		    const struct net_peer *peer, bool changes, int64_t now_s);
/* Remembers a token that was right. */
void token_remember(struct token_memory *memory, const struct token *token,
		    const struct net_peer *peer, int64_t now_s);

#endif
