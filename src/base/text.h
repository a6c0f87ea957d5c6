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
 * Copies the terminated text to out, cut between characters to fit size > 0 bytes. out may be text:
 * what is written is never longer than what was read. Each of these becomes one '?':
 *   - a byte that belongs to no well-formed character;
 *   - control characters: C0 (line feed and tab are among them), DEL, C1;
 *   - line and paragraph separators, U+2028 and U+2029;
 *   - what turns the direction of writing around: marks U+061C, U+200E and U+200F, embeddings and
 *     overrides U+202A to U+202E, isolates U+2066 to U+2069;
 *   - the byte order mark U+FEFF, and the 66 noncharacters.
 * All else stays as it is, joiners (U+200C, U+200D) too: some scripts and pictures need them.
 */
void text_clean(char *out, size_t size, const char *text);

#endif
