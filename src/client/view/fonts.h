/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fonts of the window: the usual sans-serif font, and others, found by fontconfig, for characters
 * that it lacks (Hangul, emoji). Main thread.
 */
#ifndef CLIENT_VIEW_FONTS_H
#define CLIENT_VIEW_FONTS_H

#include <stdbool.h>
#include <stdint.h>

#include <SDL_ttf.h>

struct view_fonts;

/* pixels: size of the text. -ENOENT: there is no font at all; an error was logged that names a
 * package that has one. */
int view_fonts_create(struct view_fonts **out, int pixels);
void view_fonts_destroy(struct view_fonts *fonts);

/* Another size of text. -errno, with a line in the log: the old size stays. Numbers of fonts and
 * lines of text made before are void. */
int view_fonts_resize(struct view_fonts *fonts, int pixels);

int view_fonts_pixels(const struct view_fonts *fonts);	    /* the size of the text */
int view_fonts_line_height(const struct view_fonts *fonts); /* pixels */
int view_fonts_padding(const struct view_fonts *fonts);	    /* pixels around text */

/* The number of the font for a character; 0, the usual one, where none has it. before: the font of
 * the character before, which marks, joiners and variation selectors keep; -1: there is none. */
int view_fonts_choose(struct view_fonts *fonts, uint32_t code, int before);
/* font: from view_fonts_choose(). Borrowed. */
TTF_Font *view_fonts_get(const struct view_fonts *fonts, int font);
/* Whether the font consists of coloured bitmaps of one size, which have to be scaled. */
bool view_fonts_is_bitmap(const struct view_fonts *fonts, int font);

#endif
