/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signed announcements (docs/DISCOVERY.md): the text of a server's info ends with a key, a number
 * and a signature,
 *
 *	...,"signed":{"key":"KEY","start":N,"count":N},"signature":"SIGNATURE"}
 *
 * exactly in this form, KEY and SIGNATURE as lower-case hexadecimal digits. The signature (Ed25519,
 * RFC 8032) is one of all bytes in front of `,"signature"`, behind a prefix that no other use of
 * the key has. It covers the bytes as they are sent, so that nothing needs a canonical form, and to
 * JSON both are members that older clients ignore. Any thread; the state is in the arguments.
 */
#ifndef MQTT_SIGNED_H
#define MQTT_SIGNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGNED_KEY_BYTES 32
#define SIGNED_HEX_MAX (2 * SIGNED_KEY_BYTES + 1)
#define SIGNED_FINGERPRINT_MAX 33 /* 32 digits and the terminator */
#define SIGNED_EXTRA_MAX 320	  /* bytes that signing adds at most */
/* Of a start and of a count: what a JSON reader with doubles keeps exactly. */
#define SIGNED_NUMBER_MAX ((UINT64_C(1) << 53) - 1)

/* A later announcement has a greater number: first by the start of its server, then by the count
 * since. */
struct signed_number {
	uint64_t start, count;
};

/* <0, 0, >0: a is lower, equal, greater. */
int signed_compare(const struct signed_number *a, const struct signed_number *b);

/* --- the server's side --- */

struct signer;

/* seed: the private key, copied. 0; -ENOMEM, or -EIO: OpenSSL has no Ed25519. */
int signer_create(struct signer **out, const uint8_t seed[SIGNED_KEY_BYTES]);
void signer_destroy(struct signer *signer); /* NULL is fine */
/* The public key; borrowed. */
const uint8_t *signer_key(const struct signer *signer);
/* The text of a JSON object with one member at least, signed; both numbers are at most
 * SIGNED_NUMBER_MAX. malloc'ed and terminated; NULL: no memory, or it is no such text. */
char *signer_sign(const struct signer *signer, const char *json,
		  const struct signed_number *number);

/* --- the clients' side --- */

enum signed_state {
	SIGNED_NOT,   /* it does not end with a signature */
	SIGNED_WRONG, /* it does, but not with that of these bytes by this key */
	SIGNED_RIGHT,
};

struct signed_by {
	enum signed_state state;
	uint8_t key[SIGNED_KEY_BYTES]; /* these two with SIGNED_RIGHT only, else 0 */
	struct signed_number number;
};

/* Finds the signer of these bytes. Hostile input: reads no byte beyond len. Without memory it is
 * SIGNED_WRONG. */
void signed_check(struct signed_by *out, const char *text, size_t len);

/* What people compare: the first 128 bits of the key's SHA-256. Returns out. */
char *signed_fingerprint(char out[SIGNED_FINGERPRINT_MAX], const uint8_t key[SIGNED_KEY_BYTES]);
/* A key as text, and back; false: no 64 lower-case hexadecimal digits begin text. */
char *signed_key_text(char out[SIGNED_HEX_MAX], const uint8_t key[SIGNED_KEY_BYTES]);
bool signed_key_parse(uint8_t key[SIGNED_KEY_BYTES], const char *text, size_t len);

#endif
