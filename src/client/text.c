/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/text.h"

#include <stdint.h>
#include <string.h>
#include <wchar.h>

/* One character of at most len bytes; returns its length, 0 if it is malformed. RFC 3629. */
static size_t decode(const char *text, size_t len, uint32_t *out)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)text;
	uint32_t c = p[0];
	size_t n = c < 0x80 ? 1 : c >= 0xf0 && c < 0xf8 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 0;

	if (n == 0 || n > len || c >= 0xf8)
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
	*out = c;
	return n;
}

bool text_is_utf8(const char *text, size_t len)
{
	uint32_t c;

	for (size_t i = 0, n; i < len; i += n) {
		n = decode(text + i, len - i, &c);
		if (n == 0)
			return false;
	}
	return true;
}

static bool acts_on_terminal(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || /* C0, DEL, C1 */
	       c == 0x2028 || c == 0x2029 ||	      /* line and paragraph separators */
	       c == 0x200e || c == 0x200f ||	      /* direction: marks, */
	       (c >= 0x202a && c <= 0x202e) ||	      /* embeddings and overrides, */
	       (c >= 0x2066 && c <= 0x2069) ||	      /* isolates */
	       c == 0xfeff || (c & 0xfffe) == 0xfffe; /* byte order mark, no characters */
}

bool text_copy_clean(char *out, size_t size, const char *text)
{
	size_t len = strlen(text), at = 0;
	uint32_t c;

	out[0] = '\0';
	if (!text_is_utf8(text, len))
		return false;
	for (size_t i = 0, n; i < len; i += n) {
		n = decode(text + i, len - i, &c);
		if (acts_on_terminal(c)) {
			if (at + 2 > size)
				break;
			out[at++] = '?';
			continue;
		}
		if (at + n + 1 > size)
			break;
		memcpy(out + at, text + i, n);
		at += n;
	}
	out[at] = '\0';
	return true;
}

/* wcwidth() knows the characters of the locale only, which is "C" where nobody has set one. */
static unsigned width_of(uint32_t c)
{
	int width = wcwidth((wchar_t)c);

	if (width >= 0)
		return (unsigned)width;
	/* Hangul, Han, Kana, full width forms, and pictures: East Asian Wide, UAX #11. */
	return (c >= 0x1100 && c < 0x1160) || (c >= 0x2e80 && c < 0xa4d0) ||
			       (c >= 0xac00 && c < 0xd7a4) || (c >= 0xf900 && c < 0xfb00) ||
			       (c >= 0xfe30 && c < 0xfe70) || (c >= 0xff00 && c < 0xff61) ||
			       (c >= 0xffe0 && c < 0xffe7) || (c >= 0x1f300 && c < 0x1fb00) ||
			       (c >= 0x20000 && c < 0x40000)
		       ? 2
		       : 1;
}

unsigned text_width(const char *text)
{
	size_t len = strlen(text);
	unsigned width = 0;
	uint32_t c;

	for (size_t i = 0, n; i < len; i += n) {
		n = decode(text + i, len - i, &c);
		if (n == 0)
			break;
		width += width_of(c);
	}
	return width;
}

void text_print_column(FILE *out, const char *text, unsigned columns)
{
	size_t len = strlen(text), i = 0, n;
	bool cut = text_width(text) > columns;
	unsigned width = 0;
	uint32_t c;

	for (; i < len; i += n) {
		n = decode(text + i, len - i, &c);
		if (n == 0 || width + width_of(c) + (cut ? 1 : 0) > columns)
			break;
		width += width_of(c);
	}
	fwrite(text, 1, i, out);
	if (cut && columns > 0) {
		fputc('~', out);
		width++;
	}
	fprintf(out, "%*s", (int)(columns - width), "");
}
