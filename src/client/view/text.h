/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text in the window: SDL2_ttf with fonts that fontconfig finds. A name in letters that the usual
 * font lacks (Korean, say) is set in one that has them, if there is one. Main thread.
 */
#ifndef CLIENT_VIEW_TEXT_H
#define CLIENT_VIEW_TEXT_H

#include <stdbool.h>

#include <SDL.h>

struct view_fonts;

/* pixels: height of the text. -ENOENT: no font at all, which has been told together with the
 * package that has one. */
int view_fonts_create(struct view_fonts **out, int pixels);
void view_fonts_destroy(struct view_fonts *fonts);
int view_fonts_line_height(const struct view_fonts *fonts);

/* A line of text; keeps its texture as long as the text is the same. Zeroed at first. */
struct view_text {
	char text[256];
	SDL_Texture *texture;
	int width, height; /* 0: nothing to show */
};

/* text may be anything: text_clean(). Returns whether it changed. */
bool view_text_set(struct view_text *line, struct view_fonts *fonts, SDL_Renderer *renderer,
		   const char *text);
/* Draws it at x, y, cut off at max_width. */
void view_text_draw(const struct view_text *line, SDL_Renderer *renderer, int x, int y,
		    int max_width);
void view_text_finish(struct view_text *line);

#endif
