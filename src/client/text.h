/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text from the network: checked, made harmless for a terminal, and laid out in columns. Any
 * thread.
 */
#ifndef CLIENT_TEXT_H
#define CLIENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Whether len bytes are well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates. */
bool text_is_utf8(const char *text, size_t len);

/*
 * Copies text, cut between characters to fit size. Whatever a terminal would act on instead of
 * showing it, control characters (C0, DEL, C1), line separators, and what turns the direction of
 * writing around, becomes '?'. Returns false, with nothing written but the end, if text is not
 * UTF-8.
 */
bool text_copy_clean(char *out, size_t size, const char *text);

/* Columns that text takes on a terminal: 2 for wide characters (Hangul, Han, Kana...), 0 for
 * combining ones. text is UTF-8. */
unsigned text_width(const char *text);

/* Writes text, and spaces up to `columns`; what is wider is cut and ends in "~". */
void text_print_column(FILE *out, const char *text, unsigned columns);

#endif
