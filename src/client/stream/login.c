/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/stream/login.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/secret.h"

#define VALUE_MAX 256 /* bytes of a realm, a nonce */
#define HEX_MAX (2 * 32 + 1)
#define CNONCE_BYTES 8

enum scheme { NONE, BASIC, DIGEST_MD5, DIGEST_SHA256 }; /* the strongest last */

struct challenge {
	enum scheme scheme;
	char realm[VALUE_MAX], nonce[VALUE_MAX], opaque[VALUE_MAX];
	bool has_opaque, qop, stale, named; /* named: the algorithm was */
};

struct login {
	char user[LOGIN_TEXT_MAX], password[LOGIN_TEXT_MAX];
	bool known;
	struct challenge challenge;
	unsigned count; /* of uses of the nonce */
	EVP_MD *md5, *sha256;
};

/* --- the environment --- */

static void name_of(char out[32], unsigned number)
{
	snprintf(out, 32, "CAMCAST_LOGIN_%u", number);
}

static int keep(unsigned number, const char *text)
{
	char name[32];

	name_of(name, number);
	return setenv(name, text, 1) == 0 ? 0 : -ENOMEM;
}

/* Decodes %XX. What a header cannot have is refused. */
static int decode(char out[LOGIN_TEXT_MAX], const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '%') {
			int byte = len - i < 3 ? -1 : bytes_read_hex(text + i + 1);

			if (byte < 0)
				return -EINVAL;
			c = (unsigned char)byte;
			i += 2;
		}
		if (c < ' ' || c == 0x7f || n + 1 == LOGIN_TEXT_MAX)
			return -EINVAL;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return 0;
}

int login_keep(const char *userinfo, size_t len)
{
	const char *colon = memchr(userinfo, ':', len);
	const size_t user_len = colon ? (size_t)(colon - userinfo) : len;
	char user[LOGIN_TEXT_MAX], password[LOGIN_TEXT_MAX] = "", text[2 * LOGIN_TEXT_MAX];
	int err = decode(user, userinfo, user_len);

	if (err == 0 && colon)
		err = decode(password, colon + 1, len - user_len - 1);
	/* A colon in a user's name is impossible with both schemes. */
	if (err < 0 || !user[0] || strchr(user, ':'))
		return -EINVAL;
	snprintf(text, sizeof text, "%s:%s", user, password);
	for (unsigned number = 1; number <= LOGIN_MAX; number++) {
		char name[32];
		const char *there;

		name_of(name, number);
		there = getenv(name);
		if (there && strcmp(there, text) != 0)
			continue;
		err = keep(number, text);
		explicit_bzero(password, sizeof password);
		explicit_bzero(text, sizeof text);
		return err < 0 ? err : (int)number;
	}
	return -ENOSPC;
}

int login_keep_file(const char *path, char *why)
{
	char text[2 * LOGIN_TEXT_MAX];
	int err = secret_read(path, text, sizeof text, why);

	if (err == 0 && !strchr(text, ':')) {
		err = -EINVAL;
		snprintf(why, SECRET_WHY_MAX, "%.300s: its first line is not USER:PASSWORD", path);
	}
	if (err == 0)
		err = keep(0, text);
	explicit_bzero(text, sizeof text);
	return err;
}

int login_create(struct login **out, unsigned number)
{
	struct login *login = calloc(1, sizeof *login);
	const char *text, *colon;
	char name[32];

	if (!login)
		return -ENOMEM;
	login->md5 = EVP_MD_fetch(NULL, "MD5", NULL); /* NULL where the system forbids it */
	login->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	name_of(name, number);
	text = getenv(name);
	colon = text ? strchr(text, ':') : NULL;
	if (colon && (size_t)(colon - text) < sizeof login->user &&
	    strlen(colon + 1) < sizeof login->password) {
		memcpy(login->user, text, (size_t)(colon - text));
		strcpy(login->password, colon + 1);
		login->known = true;
	}
	*out = login;
	return 0;
}

void login_destroy(struct login *login)
{
	if (!login)
		return;
	EVP_MD_free(login->md5);
	EVP_MD_free(login->sha256);
	explicit_bzero(login, sizeof *login);
	free(login);
}

bool login_is_known(const struct login *login)
{
	return login->known;
}

/* --- challenges --- */

void login_forget(struct login *login)
{
	memset(&login->challenge, 0, sizeof login->challenge);
	login->count = 0;
}

bool login_is_stale(const struct login *login)
{
	return login->challenge.stale;
}

/* The next NAME=VALUE or NAME="VALUE" (RFC 9110 clause 11.2). False: there is none. */
static bool next_parameter(const char **at, char name[32], char value[VALUE_MAX])
{
	size_t n = 0;

	*at += strspn(*at, " \t,");
	n = strcspn(*at, "= \t,\"");
	if (n == 0 || n >= 32 || (*at)[n] != '=')
		return false;
	memcpy(name, *at, n);
	name[n] = '\0';
	*at += n + 1;
	n = 0;
	if (**at != '"') {
		for (; **at && !strchr(" \t,", **at); (*at)++)
			if (n + 1 < VALUE_MAX)
				value[n++] = **at;
	} else {
		for ((*at)++; **at && **at != '"'; (*at)++) {
			if (**at == '\\' && (*at)[1])
				(*at)++;
			/* It is sent back between quotes. */
			if (n + 2 >= VALUE_MAX || **at == '"' || **at == '\\')
				return false;
			value[n++] = **at;
		}
		*at += **at == '"';
	}
	value[n] = '\0';
	return true;
}

static bool has_word(const char *list, const char *word)
{
	const size_t len = strlen(word);

	while (*list) {
		list += strspn(list, " ,");
		if (strncasecmp(list, word, len) == 0 && strchr(" ,", list[len]))
			return true;
		list += strcspn(list, " ,");
	}
	return false;
}

static bool read_digest(struct challenge *out, const char *at)
{
	char name[32], value[VALUE_MAX];

	out->scheme = DIGEST_MD5;
	while (next_parameter(&at, name, value)) {
		if (strcasecmp(name, "realm") == 0)
			strcpy(out->realm, value);
		else if (strcasecmp(name, "nonce") == 0)
			strcpy(out->nonce, value);
		else if (strcasecmp(name, "stale") == 0)
			out->stale = strcasecmp(value, "true") == 0;
		else if (strcasecmp(name, "qop") == 0 && value[0] && !has_word(value, "auth"))
			return false; /* auth-int, which needs bodies */
		else if (strcasecmp(name, "qop") == 0)
			out->qop = value[0];
		if (strcasecmp(name, "opaque") == 0) {
			strcpy(out->opaque, value);
			out->has_opaque = true;
		}
		if (strcasecmp(name, "algorithm") != 0)
			continue;
		out->named = true;
		if (strcasecmp(value, "SHA-256") == 0)
			out->scheme = DIGEST_SHA256;
		else if (strcasecmp(value, "MD5") != 0)
			return false; /* of sessions, or a stronger one that nobody has */
	}
	return out->nonce[0];
}

bool login_take(struct login *login, const char *challenge)
{
	struct challenge found = {0};

	if (strncasecmp(challenge, "Digest ", 7) == 0) {
		if (!read_digest(&found, challenge + 7) ||
		    !(found.scheme == DIGEST_MD5 ? login->md5 : login->sha256))
			return false;
	} else if (strncasecmp(challenge, "Basic", 5) == 0) {
		found.scheme = BASIC;
	} else {
		return false;
	}
	if (found.scheme > login->challenge.scheme)
		login->challenge = found;
	return true;
}

/* --- answers --- */

/* The digest of texts with colons between them; NULL ends the list. */
static void hash(const struct login *login, char hex[HEX_MAX], const char *const *texts)
{
	const EVP_MD *md = login->challenge.scheme == DIGEST_SHA256 ? login->sha256 : login->md5;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char digest[EVP_MAX_MD_SIZE] = {0};
	unsigned len = 0;

	if (context && EVP_DigestInit_ex2(context, md, NULL) == 1) {
		for (size_t i = 0; texts[i]; i++) {
			EVP_DigestUpdate(context, ":", i > 0);
			EVP_DigestUpdate(context, texts[i], strlen(texts[i]));
		}
		EVP_DigestFinal_ex(context, digest, &len);
	}
	EVP_MD_CTX_free(context);
	bytes_write_hex(hex, digest, len);
}

static bool write_digest(struct login *login, const char *method, const char *url,
			 char out[LOGIN_HEADER_MAX])
{
	const struct challenge *challenge = &login->challenge;
	char a1[HEX_MAX], a2[HEX_MAX], response[HEX_MAX], count[9];
	char cnonce[2 * CNONCE_BYTES + 1];
	unsigned char bytes[CNONCE_BYTES] = {0};
	int n;

	RAND_bytes(bytes, sizeof bytes);
	bytes_write_hex(cnonce, bytes, sizeof bytes);
	snprintf(count, sizeof count, "%08x", ++login->count);
	hash(login, a1, (const char *[]){login->user, challenge->realm, login->password, NULL});
	hash(login, a2, (const char *[]){method, url, NULL});
	if (challenge->qop)
		hash(login, response,
		     (const char *[]){a1, challenge->nonce, count, cnonce, "auth", a2, NULL});
	else
		hash(login, response, (const char *[]){a1, challenge->nonce, a2, NULL});
	n = snprintf(out, LOGIN_HEADER_MAX,
		     "Authorization: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", "
		     "uri=\"%s\", response=\"%s\"%s%s%s%s%s%s%s%s%s\r\n",
		     login->user, challenge->realm, challenge->nonce, url, response,
		     challenge->named ? ", algorithm=" : "",
		     !challenge->named			  ? ""
		     : challenge->scheme == DIGEST_SHA256 ? "SHA-256"
							  : "MD5",
		     challenge->qop ? ", qop=auth, nc=" : "", challenge->qop ? count : "",
		     challenge->qop ? ", cnonce=\"" : "", challenge->qop ? cnonce : "",
		     challenge->qop ? "\"" : "", challenge->has_opaque ? ", opaque=\"" : "",
		     challenge->has_opaque ? challenge->opaque : "");
	if (n > 0 && n + 1 < LOGIN_HEADER_MAX && challenge->has_opaque) {
		strcpy(out + n - 2, "\"\r\n");
		n++;
	}
	return n > 0 && n < LOGIN_HEADER_MAX;
}

static bool write_basic(const struct login *login, char out[LOGIN_HEADER_MAX])
{
	char text[2 * LOGIN_TEXT_MAX], base64[4 * LOGIN_TEXT_MAX];
	int n = snprintf(text, sizeof text, "%s:%s", login->user, login->password);

	EVP_EncodeBlock((unsigned char *)base64, (const unsigned char *)text, n);
	n = snprintf(out, LOGIN_HEADER_MAX, "Authorization: Basic %s\r\n", base64);
	explicit_bzero(text, sizeof text);
	explicit_bzero(base64, sizeof base64);
	return n > 0 && n < LOGIN_HEADER_MAX;
}

bool login_write(struct login *login, const char *method, const char *url,
		 char out[LOGIN_HEADER_MAX])
{
	out[0] = '\0';
	if (!login->known || login->challenge.scheme == NONE)
		return true;
	/* A user's name stands between quotes. */
	if (login->challenge.scheme == BASIC)
		return write_basic(login, out);
	return !strpbrk(login->user, "\"\\") && write_digest(login, method, url, out);
}
