/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UTF-8 (RFC 3629), and text from outside made harmless. Any thread; text is borrowed for the call.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The character at the beginning of text, of which len > 0 bytes may be read: its length, 1 to 4,
 * and its code point in *code. 0, with *code unchanged, where no well-formed character is: stray or
 * missing bytes, overlong forms, surrogates, beyond U+10FFFF. A terminating 0 is a character.
 */
size_t text_decode(const char *text, size_t len, uint32_t *code);

/* Whether len bytes are well-formed UTF-8. */
bool text_is_utf8(const char *text, size_t len);

/* The greatest length of at most max bytes at which the terminated text can be cut between two
 * characters; its own length where that is no more than max. */
size_t text_cut(const char *text, size_t max);

/* out holds a terminated text in size > 0 bytes; `text` (terminated, UTF-8, not within out) is put
 * behind it, cut between characters to what fits. */
void text_append(char *out, size_t size, const char *text);
/* The same in place of what out holds. */
void text_set(char *out, size_t size, const char *text);

/*
 * The one function that makes text from outside fit to be shown: in logs, tables, names, tiles. It
 * copies the terminated text to out, cut between characters to fit size > 0 bytes. out may be text:
 * the result is never longer than the text. Each of these becomes one '?':
 *   - a byte that belongs to no well-formed character;
 *   - control characters: C0 (line feed and tab are among them), DEL, C1;
 *   - line and paragraph separators, U+2028 and U+2029;
 *   - characters that change the direction of writing: marks U+061C, U+200E and U+200F, embeddings
 *     and overrides U+202A to U+202E, isolates U+2066 to U+2069;
 *   - invisible characters, which make different names look the same: U+200B, U+2060 to U+206F, the
 *     byte order mark U+FEFF, soft hyphens, fillers, selectors, tags;
 *   - the 66 noncharacters, and planes 4 to 14, where Unicode has no visible character.
 * The joiners U+200C and U+200D stay between two characters of a script that they shape (Arabic,
 * Indic and others), U+200D also between two emoji, and the selector U+FE0F after an emoji and
 * before U+20E3. Elsewhere they are invisible, and become '?'. Letters of all scripts stay, and
 * right-to-left words are displayed as usual.
 */
void text_clean(char *out, size_t size, const char *text);

#endif
