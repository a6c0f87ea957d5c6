/* SPDX-License-Identifier: BSD-2-Clause */
/* What a request says about who sends it: Basic (RFC 7617), Bearer (RFC 6750 clause 2.1), the
 * parameter `token` of the query, or the cookie of the page's login. Any thread. */
#ifndef DAEMON_AUTH_CREDENTIALS_H
#define DAEMON_AUTH_CREDENTIALS_H

#include "net/message.h"

#define CREDENTIALS_NAME_MAX 64	   /* bytes, terminator included */
#define CREDENTIALS_SECRET_MAX 256 /* the same */
#define CREDENTIALS_CERTIFICATE_MAX 65
#define CREDENTIALS_COOKIE_MAX 24 /* bytes of a cookie's name, terminator included */

enum credentials_kind {
	CREDENTIALS_NONE,
	CREDENTIALS_PASSWORD,
	CREDENTIALS_TOKEN,
	CREDENTIALS_LOGIN, /* what the page's login left in a cookie */
	CREDENTIALS_BAD,   /* malformed */
};

struct credentials {
	enum credentials_kind kind;
	bool in_query, in_cookie;	     /* the token came with the URL, or as a cookie */
	char name[CREDENTIALS_NAME_MAX];     /* with a password */
	char secret[CREDENTIALS_SECRET_MAX]; /* password, token, or login */
	/* The certificate of the connection is valid, and the name in it; this counts where nothing
	 * else is said. */
	bool certified;
	char certificate[CREDENTIALS_CERTIFICATE_MAX];
};

/* The name of the cookie of a server on this port: browsers do not tell ports apart. */
void credentials_cookie_name(char name[CREDENTIALS_COOKIE_MAX], uint16_t port);

/* In this order: the header Authorization (of another scheme: as if it were not there), the query,
 * the cookie of this name. The certificate is the caller's to add. */
void credentials_read(struct credentials *out, const struct message *head, const char *cookie);

/* The rest of a header Authorization behind its scheme, in any case, and blanks; NULL: it is of
 * another scheme. */
const char *credentials_after_scheme(const char *value, const char *scheme);

/* What a cookie has as its value: a token or a login. */
#define CREDENTIALS_COOKIE_TOKEN "t-"
#define CREDENTIALS_COOKIE_LOGIN "s-"

#define CREDENTIALS_TOKEN_MIN 20 /* characters */
#define CREDENTIALS_TOKEN_MAX 128
/* Whether a text can be a token: letters, digits and -._~+/= (RFC 6750 clause 2.1), not too short.
 */
bool credentials_is_token(const char *text);

#endif
