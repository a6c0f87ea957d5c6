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

struct range {
	uint32_t first, last;
};

static bool is_within(const struct range *ranges, size_t n, uint32_t c)
{
	for (size_t i = 0; i < n; i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

#define IS_WITHIN(ranges, c) is_within(ranges, sizeof(ranges) / sizeof *(ranges), c)

/* See text_clean(). The invisible ones are Default_Ignorable_Code_Point of the Unicode Character
 * Database, without the joiners and selectors that has_use() judges. */
static bool is_harmful(uint32_t c)
{
	static const struct range ranges[] = {
		{0, 0x1f},	    {0x7f, 0x9f}, {0xad, 0xad}, /* soft hyphen */
		{0x34f, 0x34f},					/* combining grapheme joiner */
		{0x61c, 0x61c},					/* Arabic letter mark */
		{0x115f, 0x1160},				/* Hangul fillers */
		{0x17b4, 0x17b5},				/* Khmer inherent vowels */
		{0x180b, 0x180f},   /* Mongolian selectors and separator */
		{0x200b, 0x200b},   /* zero width space */
		{0x200e, 0x200f},   /* marks of direction */
		{0x2028, 0x202e},   /* separators; embeddings and overrides */
		{0x2060, 0x206f},   /* invisible operators; isolates */
		{0x3164, 0x3164},   /* Hangul filler */
		{0xfdd0, 0xfdef},   /* noncharacters */
		{0xfe00, 0xfe0e},   /* variation selectors, except the one of emoji */
		{0xfeff, 0xfeff},   /* byte order mark */
		{0xffa0, 0xffa0},   /* Hangul filler */
		{0xfff0, 0xfffb},   /* unassigned; annotations */
		{0x1bca0, 0x1bca3}, /* shorthand format controls */
		{0x1d173, 0x1d17a}, /* musical format controls */
		{0x40000, 0xeffff}, /* planes without characters; tags */
	};

	if (c >= 0x20 && c < 0x7f)
		return false;
	return IS_WITHIN(ranges, c) || (c & 0xfffe) == 0xfffe;
}

#define ZWNJ 0x200c
#define ZWJ 0x200d
#define EMOJI_SELECTOR 0xfe0f
#define KEYCAP 0x20e3

static bool is_picture(uint32_t c)
{
	static const struct range ranges[] = {{0x203c, 0x2049}, {0x2122, 0x2139},
					      {0x2190, 0x2bff}, {0x3030, 0x303d},
					      {0x3297, 0x3299}, {0x1f000, 0x1faff}};

	return IS_WITHIN(ranges, c);
}

/* Scripts in whose words joiners change the shape of letters. */
static bool is_shaped(uint32_t c)
{
	static const struct range ranges[] = {
		{0x600, 0x8ff},	  /* Arabic, Syriac, Thaana, N'Ko... */
		{0x900, 0xdff},	  /* the scripts of India */
		{0x1000, 0x109f}, /* Myanmar */
		{0x1780, 0x18af}, /* Khmer, Mongolian */
		{0xfb50, 0xfdcf}, /* presentation forms */
		{0xfe70, 0xfefc},
	};

	return IS_WITHIN(ranges, c);
}

#define CONDITIONAL_LEN 3 /* bytes in UTF-8 */

static bool is_conditional(uint32_t c)
{
	return c == ZWJ || c == ZWNJ || c == EMOJI_SELECTOR;
}

/* Whether a character that is_conditional() has an effect that can be seen, between its neighbours
 * (0: none). */
static bool has_use(uint32_t before, uint32_t c, uint32_t after)
{
	if (c == EMOJI_SELECTOR)
		return is_picture(before) || after == KEYCAP;
	if (is_shaped(before) && is_shaped(after))
		return true;
	return c == ZWJ && (is_picture(before) || before == EMOJI_SELECTOR) && is_picture(after);
}

/* The character at the beginning of text; 0: none. */
static uint32_t peek(const char *text, size_t len)
{
	uint32_t c = 0;

	return len > 0 && text_decode(text, len, &c) > 0 ? c : 0;
}

void text_clean(char *out, size_t size, const char *text)
{
	size_t len = strlen(text), at = 0;
	uint32_t before = 0;

	for (size_t i = 0, n, add; i < len; i += n, at += add) {
		uint32_t c = 0;
		bool harmful;

		n = text_decode(text + i, len - i, &c);
		harmful =
			n == 0 || is_harmful(c) ||
			(is_conditional(c) && !has_use(before, c, peek(text + i + n, len - i - n)));
		n = n ? n : 1;
		add = harmful ? 1 : n;
		if (add > size - 1 - at) {
			/* A joiner or selector whose neighbour is cut off joins nothing. */
			at -= is_conditional(before) ? CONDITIONAL_LEN : 0;
			break;
		}
		if (harmful)
			out[at] = '?';
		else
			memmove(out + at, text + i, n);
		before = harmful ? '?' : c;
	}
	out[at] = '\0';
}
