/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/find/columns.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#include "base/text.h"

/* wcwidth() knows no character where the system lacks the locale, nor one that is newer than it. */
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

unsigned columns_width(const char *text)
{
	size_t len = strlen(text);
	unsigned width = 0;
	uint32_t c;

	for (size_t i = 0, n; i < len; i += n) {
		n = text_decode(text + i, len - i, &c);
		if (n == 0)
			break;
		width += width_of(c);
	}
	return width;
}

void columns_print(FILE *out, const char *text, unsigned columns)
{
	size_t len = strlen(text), i = 0, n;
	bool cut = columns_width(text) > columns;
	unsigned width = 0;
	uint32_t c;

	for (; i < len; i += n) {
		n = text_decode(text + i, len - i, &c);
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
