/* SPDX-License-Identifier: BSD-2-Clause */
/* Text in the columns of a terminal. Any thread; text is UTF-8 that text_clean() has made. */
#ifndef CLIENT_FIND_COLUMNS_H
#define CLIENT_FIND_COLUMNS_H

#include <stdio.h>

/* Columns that text takes: 2 for wide characters (Hangul, Han, Kana...), 0 for combining ones. */
unsigned columns_width(const char *text);

/* Writes text, and spaces up to `columns`; what is wider is cut and ends in "~". */
void columns_print(FILE *out, const char *text, unsigned columns);

#endif
