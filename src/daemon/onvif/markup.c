/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/onvif/markup.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static void put(struct markup *markup, const char *bytes, size_t len)
{
	size_t size = markup->size ? markup->size : 2048;
	char *grown;

	if (markup->failed || len >= MARKUP_MAX - markup->len) {
		markup->failed = true;
		return;
	}
	while (size < markup->len + len + 1)
		size *= 2;
	if (size > markup->size) {
		grown = realloc(markup->text, size);
		if (!grown) {
			markup->failed = true;
			return;
		}
		markup->text = grown;
		markup->size = size;
	}
	memcpy(markup->text + markup->len, bytes, len);
	markup->len += len;
	markup->text[markup->len] = '\0';
}

static void put_text(struct markup *markup, const char *text)
{
	put(markup, text, strlen(text));
}

/* The references that a character needs; NULL: it stands for itself. */
static const char *reference(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&apos;";
	default:
		return NULL;
	}
}

static void put_escaped(struct markup *markup, const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		uint32_t code = 0;
		size_t len = text_decode(text, left, &code);
		const char *as = len == 1 ? reference(*text) : NULL;
		bool allowed = len > 0 && code >= 0x20 && code != 0xfffe && code != 0xffff;

		if (len == 0)
			len = 1;
		if (!as && !allowed)
			as = "?";
		if (as)
			put_text(markup, as);
		else
			put(markup, text, len);
		text += len;
		left -= len;
	}
}

void markup_add(struct markup *markup, const char *format, ...)
{
	char number[32];
	va_list ap;

	va_start(ap, format);
	for (;;) {
		size_t len = strcspn(format, "%");

		put(markup, format, len);
		format += len;
		if (*format == '\0')
			break;
		switch (format[1]) {
		case 's':
			put_escaped(markup, va_arg(ap, const char *));
			break;
		case 'd':
			snprintf(number, sizeof number, "%d", va_arg(ap, int));
			put_text(markup, number);
			break;
		case 'u':
			snprintf(number, sizeof number, "%u", va_arg(ap, unsigned));
			put_text(markup, number);
			break;
		case 'g':
			snprintf(number, sizeof number, "%g", va_arg(ap, double));
			put_text(markup, number);
			break;
		default:
			assert(format[1] == '%');
			put_text(markup, "%");
		}
		format += 2;
	}
	va_end(ap);
}

void markup_finish(struct markup *markup)
{
	free(markup->text);
	*markup = (struct markup){0};
}
