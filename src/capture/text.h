/* SPDX-License-Identifier: BSD-2-Clause */
/* Text for people in fixed fields: what does not fit is cut, on purpose, between characters. */
#ifndef CAPTURE_TEXT_H
#define CAPTURE_TEXT_H

#include <stddef.h>
#include <string.h>

/* out holds a terminated text in size bytes; `text` (UTF-8) is put behind it. */
static inline void text_append(char *out, size_t size, const char *text)
{
	size_t used = strnlen(out, size - 1), room = size - 1 - used;
	size_t len = strlen(text);

	if (len > room) {
		for (len = room; len > 0 && (text[len] & 0xc0) == 0x80;)
			len--;
	}
	memmove(out + used, text, len);
	out[used + len] = '\0';
}

static inline void text_set(char *out, size_t size, const char *text)
{
	out[0] = '\0';
	text_append(out, size, text);
}

#endif
