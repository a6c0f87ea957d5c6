/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/auth/challenge.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"

#define NONCE 'n'	  /* kind of the keyed hash of a nonce */
#define TIME_LEN 12	  /* hexadecimal digits of a nonce that say when it was made, in us */
#define NONCE_HASH_LEN 14 /* bytes of its keyed hash */
#define NUMBER_LEN 16	  /* digits of that which challenge_nonce() returns */
#define TIME_MASK ((UINT64_C(1) << 4 * TIME_LEN) - 1)
#define KEY_MAX 16			   /* bytes of a parameter's name, terminator included */
#define TEXT_MAX (MESSAGE_TARGET_MAX + 64) /* bytes that are hashed at once */

/* --- nonces --- */

static void make_nonce(char nonce[CHALLENGE_NONCE_MAX], const struct digest_key *key,
		       const struct net_peer *peer, uint64_t connection, uint64_t time_us)
{
	char place[2 * sizeof peer->address + 48];
	struct digest hash;

	bytes_write_hex(place, peer->address, sizeof peer->address);
	snprintf(place + 2 * sizeof peer->address, sizeof place - 2 * sizeof peer->address,
		 "%%%" PRIu32 ":%u#%" PRIu64, peer->scope, peer->port, connection);
	snprintf(nonce, CHALLENGE_NONCE_MAX, "%012" PRIx64, time_us);
	digest_make(&hash, key, NONCE, place, nonce);
	bytes_write_hex(nonce + TIME_LEN, hash.bytes, NONCE_HASH_LEN);
}

void challenge_write(char header[CHALLENGE_MAX], const struct digest_key *key,
		     const struct net_peer *peer, uint64_t connection, int64_t now_us,
		     enum config_digest digest, bool stale)
{
	char nonce[CHALLENGE_NONCE_MAX];

	make_nonce(nonce, key, peer, connection, (uint64_t)now_us & TIME_MASK);
	/* Clients of RTSP know MD5, and some only if it is not named. */
	snprintf(header, CHALLENGE_MAX,
		 "WWW-Authenticate: Digest realm=\"" CHALLENGE_REALM "\", nonce=\"%s\"%s%s\r\n",
		 nonce, digest == CONFIG_DIGEST_SHA256 ? ", algorithm=SHA-256" : "",
		 stale ? ", stale=true" : "");
}

bool challenge_nonce(const struct challenge_answer *answer, int64_t *made_us, uint64_t *number)
{
	char text[TIME_LEN + 1] = "";

	if (strlen(answer->nonce) != CHALLENGE_NONCE_MAX - 1)
		return false;
	memcpy(text, answer->nonce, TIME_LEN);
	*made_us = (int64_t)(strtoull(text, NULL, 16) & TIME_MASK);
	*number = strtoull(answer->nonce + CHALLENGE_NONCE_MAX - 1 - NUMBER_LEN, NULL, 16);
	return true;
}

bool challenge_is_fresh(const struct challenge_answer *answer, const struct digest_key *key,
			const struct net_peer *peer, uint64_t connection, int64_t now_us)
{
	char nonce[CHALLENGE_NONCE_MAX];
	uint64_t number, age_us;
	int64_t made_us;

	if (!challenge_nonce(answer, &made_us, &number))
		return false;
	age_us = ((uint64_t)now_us - (uint64_t)made_us) & TIME_MASK;
	make_nonce(nonce, key, peer, connection, (uint64_t)made_us);
	return CRYPTO_memcmp(nonce, answer->nonce, sizeof nonce - 1) == 0 &&
	       age_us < CHALLENGE_LIFETIME_US;
}

/* --- the header --- */

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t");
}

/* Reads a token or a quoted string (RFC 9110 clause 5.6.4) into value, which has room for size
 * bytes. Returns what follows, NULL: malformed, or no room. */
static const char *read_value(const char *at, char *value, size_t size)
{
	bool quoted = *at == '"';
	size_t n = 0;

	for (at += quoted; *at && *at != (quoted ? '"' : ','); at++) {
		if (quoted && *at == '\\' && at[1])
			at++;
		if (!quoted && (*at == ' ' || *at == '\t' || *at == '"'))
			break;
		if (n + 1 == size)
			return NULL;
		value[n++] = *at;
	}
	value[n] = '\0';
	if (!quoted)
		return n > 0 ? at : NULL;
	return *at == '"' ? at + 1 : NULL;
}

/* Reads `name` and the equals sign, with the name in lower case. */
static const char *read_key(const char *at, char key[KEY_MAX])
{
	size_t n = 0;

	for (; isalnum((unsigned char)*at) || *at == '-'; at++) {
		if (n + 1 == KEY_MAX)
			return NULL;
		key[n++] = (char)tolower((unsigned char)*at);
	}
	key[n] = '\0';
	at = skip_blanks(at);
	return n > 0 && *at == '=' ? skip_blanks(at + 1) : NULL;
}

enum part { PART_NAME, PART_REALM, PART_NONCE, PART_URI, PART_RESPONSE, PART_ALGORITHM, PARTS };

struct parts {
	struct challenge_answer *out;
	char realm[sizeof CHALLENGE_REALM];
	char algorithm[16]; /* "": not said */
	unsigned seen;	    /* bits of enum part */
};

static enum part find_part(const char *key)
{
	static const char *const keys[PARTS] = {"username", "realm",	"nonce",
						"uri",	    "response", "algorithm"};

	for (enum part part = 0; part < PARTS; part++)
		if (strcmp(key, keys[part]) == 0)
			return part;
	return PARTS;
}

/* What was not offered, and would change the hash. */
static bool is_refused(const char *key)
{
	return strcmp(key, "qop") == 0 || strcmp(key, "username*") == 0 ||
	       strcmp(key, "userhash") == 0;
}

static const char *read_part(struct parts *parts, const char *key, const char *at)
{
	struct challenge_answer *out = parts->out;
	char other[MESSAGE_TARGET_MAX];
	enum part part = find_part(key);
	struct {
		char *text;
		size_t size;
	} places[PARTS + 1] = {
		[PART_NAME] = {out->name, sizeof out->name},
		[PART_REALM] = {parts->realm, sizeof parts->realm},
		[PART_NONCE] = {out->nonce, sizeof out->nonce},
		[PART_URI] = {out->uri, sizeof out->uri},
		[PART_RESPONSE] = {out->response, sizeof out->response},
		[PART_ALGORITHM] = {parts->algorithm, sizeof parts->algorithm},
		[PARTS] = {other, sizeof other},
	};

	if (is_refused(key) || (part < PARTS && parts->seen & 1u << part))
		return NULL;
	if (part < PARTS)
		parts->seen |= 1u << part;
	return read_value(at, places[part].text, places[part].size);
}

static bool read_parts(struct parts *parts, const char *at)
{
	char key[KEY_MAX];

	while (*(at = skip_blanks(at))) {
		at = read_key(at, key);
		if (at)
			at = read_part(parts, key, at);
		if (!at)
			return false;
		at = skip_blanks(at);
		if (*at && *at != ',')
			return false;
		at += *at == ',';
	}
	return true;
}

static bool is_hex(const char *text)
{
	return text[strspn(text, "0123456789abcdefABCDEF")] == '\0';
}

/* The digest is what the length says; an algorithm that is named has to be that one. */
static bool check_parts(const struct parts *parts)
{
	const unsigned needed = (1u << PART_ALGORITHM) - 1;
	struct challenge_answer *out = parts->out;
	size_t len = strlen(out->response);
	bool md5 = len == 32;

	if ((parts->seen & needed) != needed || strcmp(parts->realm, CHALLENGE_REALM) != 0 ||
	    (len != 32 && len != 64) || !is_hex(out->response) || strchr(out->name, ':'))
		return false;
	if (parts->algorithm[0] && strcasecmp(parts->algorithm, md5 ? "MD5" : "SHA-256") != 0)
		return false;
	out->digest = md5 ? CONFIG_DIGEST_MD5 : CONFIG_DIGEST_SHA256;
	for (char *at = out->response; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	return true;
}

int challenge_read(struct challenge_answer *out, const struct message *head)
{
	const char *value = message_header(head, "Authorization", NULL);
	struct parts parts = {.out = out};

	memset(out, 0, sizeof *out);
	value = value ? credentials_after_scheme(value, "Digest") : NULL;
	if (!value)
		return -ENOENT;
	return read_parts(&parts, value) && check_parts(&parts) ? 0 : -EBADMSG;
}

/* --- the response --- */

/* The hash, in hexadecimal, of texts with colons between them. False: one is too long, or this
 * machine refuses MD5. */
static bool hash_texts(char out[2 * DIGEST_SIZE + 1], const EVP_MD *md, const char *a,
		       const char *b, const char *c)
{
	char text[TEXT_MAX + CREDENTIALS_SECRET_MAX];
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned hash_len = 0;
	int len = snprintf(text, sizeof text, "%s:%s%s%s", a, b, c ? ":" : "", c ? c : "");
	bool done = len > 0 && (size_t)len < sizeof text &&
		    EVP_Digest(text, (size_t)len, hash, &hash_len, md, NULL) &&
		    hash_len <= DIGEST_SIZE;

	OPENSSL_cleanse(text, sizeof text);
	if (done)
		bytes_write_hex(out, hash, hash_len);
	return done;
}

bool challenge_fits(const struct challenge_answer *answer, const char *method, const char *password)
{
	const EVP_MD *md = answer->digest == CONFIG_DIGEST_SHA256 ? EVP_sha256() : EVP_md5();
	char user[2 * DIGEST_SIZE + 1], request[2 * DIGEST_SIZE + 1], whole[2 * DIGEST_SIZE + 1];
	bool fits = hash_texts(user, md, answer->name, CHALLENGE_REALM, password) &&
		    hash_texts(request, md, method, answer->uri, NULL) &&
		    hash_texts(whole, md, user, answer->nonce, request) &&
		    strlen(whole) == strlen(answer->response) &&
		    CRYPTO_memcmp(whole, answer->response, strlen(whole)) == 0;

	OPENSSL_cleanse(user, sizeof user);
	return fits;
}
