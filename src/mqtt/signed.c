/* SPDX-License-Identifier: BSD-2-Clause */
#include "mqtt/signed.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define SIGNATURE_BYTES 64
#define PREFIX "camcast info 1\n" /* of what is signed */
#define PREFIX_LEN (sizeof PREFIX - 1)
#define KEY_HEAD ",\"signed\":{\"key\":\""
#define START_HEAD "\",\"start\":"
#define COUNT_HEAD ",\"count\":"
#define SIGNATURE_HEAD ",\"signature\":\""
#define SIGNATURE_END "\"}"
#define TAIL_LEN (sizeof SIGNATURE_HEAD - 1 + 2 * SIGNATURE_BYTES + sizeof SIGNATURE_END - 1)

struct signer {
	EVP_PKEY *key;
	uint8_t public[SIGNED_KEY_BYTES];
};

int signed_compare(const struct signed_number *a, const struct signed_number *b)
{
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return (a->count > b->count) - (a->count < b->count);
}

/* --- hexadecimal --- */

/* -1: it is no lower-case digit */
static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* text has 2 * n bytes. */
static bool read_hex(uint8_t *out, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

char *signed_key_text(char out[SIGNED_HEX_MAX], const uint8_t key[SIGNED_KEY_BYTES])
{
	bytes_write_hex(out, key, SIGNED_KEY_BYTES);
	return out;
}

bool signed_key_parse(uint8_t key[SIGNED_KEY_BYTES], const char *text, size_t len)
{
	return len >= SIGNED_HEX_MAX - 1 && read_hex(key, text, SIGNED_KEY_BYTES);
}

char *signed_fingerprint(char out[SIGNED_FINGERPRINT_MAX], const uint8_t key[SIGNED_KEY_BYTES])
{
	uint8_t digest[EVP_MAX_MD_SIZE] = {0};

	EVP_Digest(key, SIGNED_KEY_BYTES, digest, NULL, EVP_sha256(), NULL);
	bytes_write_hex(out, digest, (SIGNED_FINGERPRINT_MAX - 1) / 2);
	return out;
}

/* --- to sign --- */

int signer_create(struct signer **out, const uint8_t seed[SIGNED_KEY_BYTES])
{
	struct signer *signer = calloc(1, sizeof *signer);
	size_t len = sizeof signer->public;

	if (!signer)
		return -ENOMEM;
	signer->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SIGNED_KEY_BYTES);
	if (!signer->key || EVP_PKEY_get_raw_public_key(signer->key, signer->public, &len) != 1) {
		ERR_clear_error();
		signer_destroy(signer);
		return -EIO;
	}
	*out = signer;
	return 0;
}

void signer_destroy(struct signer *signer)
{
	if (!signer)
		return;
	EVP_PKEY_free(signer->key);
	free(signer);
}

const uint8_t *signer_key(const struct signer *signer)
{
	return signer->public;
}

/* Ed25519 takes all that is signed at once. */
static bool make_signature(const struct signer *signer, const char *text, size_t len,
			   uint8_t out[SIGNATURE_BYTES])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t out_len = SIGNATURE_BYTES;
	bool fine = context && EVP_DigestSignInit(context, NULL, NULL, NULL, signer->key) == 1 &&
		    EVP_DigestSign(context, out, &out_len, (const uint8_t *)text, len) == 1 &&
		    out_len == SIGNATURE_BYTES;

	EVP_MD_CTX_free(context);
	ERR_clear_error();
	return fine;
}

char *signer_sign(const struct signer *signer, const char *json, const struct signed_number *number)
{
	const size_t len = strlen(json), size = PREFIX_LEN + len + SIGNED_EXTRA_MAX;
	char key[SIGNED_HEX_MAX], hex[2 * SIGNATURE_BYTES + 1], *text;
	uint8_t signature[SIGNATURE_BYTES];
	int n;

	if (len < 3 || json[0] != '{' || json[len - 1] != '}' ||
	    number->start > SIGNED_NUMBER_MAX || number->count > SIGNED_NUMBER_MAX)
		return NULL;
	text = malloc(size);
	if (!text)
		return NULL;
	n = snprintf(text, size,
		     PREFIX "%.*s" KEY_HEAD "%s" START_HEAD "%" PRIu64 COUNT_HEAD "%" PRIu64 "}",
		     (int)(len - 1), json, signed_key_text(key, signer->public), number->start,
		     number->count);
	if (!make_signature(signer, text, (size_t)n, signature)) {
		free(text);
		return NULL;
	}
	bytes_write_hex(hex, signature, sizeof signature);
	memmove(text, text + PREFIX_LEN, (size_t)n - PREFIX_LEN);
	snprintf(text + n - PREFIX_LEN, size - ((size_t)n - PREFIX_LEN),
		 SIGNATURE_HEAD "%s" SIGNATURE_END, hex);
	return text;
}

/* --- to check --- */

/* What is left of a text; a reader that returns false leaves it anywhere. */
struct rest {
	const char *at, *end;
};

static bool skip(struct rest *rest, const char *word)
{
	const size_t len = strlen(word);

	if ((size_t)(rest->end - rest->at) < len || memcmp(rest->at, word, len) != 0)
		return false;
	rest->at += len;
	return true;
}

/* A number as JSON has it: no sign, no leading zero. */
static bool read_number(struct rest *rest, uint64_t *out)
{
	const char *begin = rest->at;

	*out = 0;
	for (; rest->at < rest->end && *rest->at >= '0' && *rest->at <= '9'; rest->at++) {
		*out = *out * 10 + (uint64_t)(*rest->at - '0');
		if (*out > SIGNED_NUMBER_MAX)
			return false;
	}
	return rest->at > begin && (*begin != '0' || rest->at == begin + 1);
}

/* Where the key and the number begin, which end the text; NULL: there are none. */
static const char *find_signer(const char *text, size_t len)
{
	const size_t window = len < SIGNED_EXTRA_MAX ? len : SIGNED_EXTRA_MAX;
	const char *end = text + len;

	for (const char *at = end - (sizeof KEY_HEAD - 1); at >= end - window; at--)
		if (memcmp(at, KEY_HEAD, sizeof KEY_HEAD - 1) == 0)
			return at;
	return NULL;
}

static bool read_signer(const char *text, size_t len, struct signed_by *by)
{
	struct rest rest = {len >= sizeof KEY_HEAD ? find_signer(text, len) : NULL, text + len};

	if (!rest.at || !skip(&rest, KEY_HEAD) ||
	    !signed_key_parse(by->key, rest.at, (size_t)(rest.end - rest.at)))
		return false;
	rest.at += SIGNED_HEX_MAX - 1;
	return skip(&rest, START_HEAD) && read_number(&rest, &by->number.start) &&
	       skip(&rest, COUNT_HEAD) && read_number(&rest, &by->number.count) &&
	       skip(&rest, "}") && rest.at == rest.end;
}

static bool verify(const uint8_t key[SIGNED_KEY_BYTES], const uint8_t *text, size_t len,
		   const uint8_t signature[SIGNATURE_BYTES])
{
	EVP_PKEY *public =
		EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, SIGNED_KEY_BYTES);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool right = public && context &&
		     EVP_DigestVerifyInit(context, NULL, NULL, NULL, public) == 1 &&
		     EVP_DigestVerify(context, signature, SIGNATURE_BYTES, text, len) == 1;

	EVP_MD_CTX_free(context);
	EVP_PKEY_free(public);
	ERR_clear_error();
	return right;
}

static bool is_right(const char *text, size_t len, const uint8_t signature[SIGNATURE_BYTES],
		     struct signed_by *by)
{
	uint8_t *copy;
	bool right;

	if (!read_signer(text, len, by))
		return false;
	copy = malloc(PREFIX_LEN + len);
	if (!copy)
		return false;
	memcpy(copy, PREFIX, PREFIX_LEN);
	memcpy(copy + PREFIX_LEN, text, len);
	right = verify(by->key, copy, PREFIX_LEN + len, signature);
	free(copy);
	return right;
}

void signed_check(struct signed_by *out, const char *text, size_t len)
{
	struct signed_by by = {.state = SIGNED_RIGHT};
	uint8_t signature[SIGNATURE_BYTES];
	struct rest rest;

	memset(out, 0, sizeof *out);
	if (len < TAIL_LEN)
		return;
	rest = (struct rest){text + len - TAIL_LEN, text + len};
	if (!skip(&rest, SIGNATURE_HEAD))
		return;
	out->state = SIGNED_WRONG;
	if (read_hex(signature, rest.at, SIGNATURE_BYTES) &&
	    memcmp(text + len - 2, SIGNATURE_END, 2) == 0 &&
	    is_right(text, len - TAIL_LEN, signature, &by))
		*out = by;
}
