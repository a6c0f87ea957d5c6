/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of text in the window, in any script and direction. Main thread. */
#ifndef CLIENT_VIEW_TEXT_H
#define CLIENT_VIEW_TEXT_H

#include <stdbool.h>

#include <SDL.h>

#include "client/view/fonts.h"

/* A line of text; keeps its texture as long as the text and its room are the same. Zeroed at
 * first. */
struct view_text {
	char text[256];
	int max_width;
	SDL_Texture *texture;
	int width, height; /* pixels; 0: nothing to show */
	int rise;	   /* pixels above the line of the usual font */
};

/* text may be anything: it is cleaned (text_clean()). A text that is wider than max_width pixels is
 * cut, and ends in an ellipsis. Returns whether the line changed. */
bool view_text_set(struct view_text *line, struct view_fonts *fonts, SDL_Renderer *renderer,
		   const char *text, int max_width);
/* Pixels that it would take without a limit. */
int view_text_measure(struct view_fonts *fonts, const char *text);
/* x, y: the upper left corner of a line of the usual font. */
void view_text_draw(const struct view_text *line, SDL_Renderer *renderer, int x, int y);
void view_text_finish(struct view_text *line);

#endif
