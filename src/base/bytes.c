/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/bytes.h"

#include <string.h>

void bytes_write_hex(char *out, const uint8_t *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = '\0';
}

int bytes_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20; /* lower case */
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int bytes_read_hex(const char *text)
{
	int high = bytes_hex_digit(text[0]);
	int low = high < 0 ? -1 : bytes_hex_digit(text[1]);

	return low < 0 ? -1 : high << 4 | low;
}

int bytes_base64_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

int bytes_read_base64(uint8_t *out, size_t size, const char *text)
{
	unsigned bits = 0, n_bits = 0;
	size_t len = 0;
	int value;

	for (; (value = bytes_base64_digit(*text)) >= 0; text++) {
		bits = bits << 6 | (unsigned)value;
		n_bits += 6;
		if (n_bits < 8)
			continue;
		if (len == size)
			return -1;
		n_bits -= 8;
		out[len++] = (uint8_t)(bits >> n_bits);
	}
	return text[strspn(text, "=")] == '\0' ? (int)len : -1;
}

uint64_t bytes_hash(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}
