/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes as protocols have them: numbers with the most significant byte first, hexadecimal digits,
 * and base64 (RFC 4648 clause 4); and a hash of them. Any thread.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline uint16_t bytes_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t bytes_get32(const uint8_t *at)
{
	return (uint32_t)bytes_get16(at) << 16 | bytes_get16(at + 2);
}

/* Returns where the next one goes. */
static inline uint8_t *bytes_put16(uint8_t *out, unsigned value)
{
	out[0] = (uint8_t)(value >> 8);
	out[1] = (uint8_t)value;
	return out + 2;
}

static inline uint8_t *bytes_put32(uint8_t *out, uint32_t value)
{
	return bytes_put16(bytes_put16(out, value >> 16), value);
}

/* Writes 2 * len lower-case digits and a terminator. */
void bytes_write_hex(char *out, const uint8_t *bytes, size_t len);
/* The value of a hexadecimal digit of either case; -1: it is none. */
int bytes_hex_digit(char c);
/* The byte that two such digits at the beginning of a text say; -1: they are not there. */
int bytes_read_hex(const char *text);

/* The value of a digit of base64; -1: it is none. */
int bytes_base64_digit(char c);
/* Decodes a text, with or without padding. Returns the number of bytes, or -1: it is no base64, or
 * has more than size bytes. */
int bytes_read_base64(uint8_t *out, size_t size, const char *text);

/* A hash (FNV-1a) that has no key: whoever wants two texts with the same one finds them. Of more
 * bytes, `hash` is that of those before. */
#define BYTES_HASH UINT64_C(0xcbf29ce484222325) /* of none */
uint64_t bytes_hash(uint64_t hash, const void *data, size_t len);

#endif
