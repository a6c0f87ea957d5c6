/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/text.h"

#include <string.h>

size_t text_decode(const char *text, size_t len, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)text;
	uint32_t c = p[0];
	size_t n = c < 0x80 ? 1 : c >= 0xf8 ? 0 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 0;

	if (n == 0 || n > len)
		return 0;
	if (n > 1)
		c &= 0x7fu >> n;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*code = c;
	return n;
}

bool text_is_utf8(const char *text, size_t len)
{
	uint32_t c;

	for (size_t i = 0, n; i < len; i += n) {
		n = text_decode(text + i, len - i, &c);
		if (n == 0)
			return false;
	}
	return true;
}

size_t text_cut(const char *text, size_t max)
{
	size_t len = strnlen(text, max);

	if (len == max)
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	return len;
}

void text_append(char *out, size_t size, const char *text)
{
	size_t used = strnlen(out, size - 1), len = text_cut(text, size - 1 - used);

	memcpy(out + used, text, len);
	out[used + len] = '\0';
}

void text_set(char *out, size_t size, const char *text)
{
	out[0] = '\0';
	text_append(out, size, text);
}

static bool is_harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0x61c ||
	       c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069) || c == 0xfeff || (c >= 0xfdd0 && c <= 0xfdef) ||
	       (c & 0xfffe) == 0xfffe;
}

void text_clean(char *out, size_t size, const char *text)
{
	size_t len = strlen(text), at = 0;

	for (size_t i = 0, n, add; i < len; i += n, at += add) {
		uint32_t c;
		bool harmful;

		n = text_decode(text + i, len - i, &c);
		harmful = n == 0 || is_harmful(c);
		n = n ? n : 1;
		add = harmful ? 1 : n;
		if (add > size - 1 - at)
			break;
		if (harmful)
			out[at] = '?';
		else
			memmove(out + at, text + i, n);
	}
	out[at] = '\0';
}
