/* SPDX-License-Identifier: BSD-2-Clause */
/* The overlay on the tiles: the list of keys, and a message for a few seconds. Main thread. */
#ifndef CLIENT_VIEW_OVERLAY_H
#define CLIENT_VIEW_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <SDL.h>

#include "client/view/text.h"

#define VIEW_KEYS 9

struct view_overlay {
	bool help;
	char message[256]; /* "": none */
	int64_t until_us;  /* CLOCK_MONOTONIC, when the message goes */
	struct view_text line, keys[VIEW_KEYS], actions[VIEW_KEYS];
}; /* zeroed at first */

/* text: cut between characters. */
void view_overlay_say(struct view_overlay *overlay, const char *text, int64_t now_us);
void view_overlay_toggle_help(struct view_overlay *overlay);
/* Whether it must be drawn again, because a message has expired. */
bool view_overlay_poll(struct view_overlay *overlay, int64_t now_us);
/* Width and height of the window in pixels. */
void view_overlay_draw(struct view_overlay *overlay, struct view_fonts *fonts,
		       SDL_Renderer *renderer, int width, int height);
/* Textures or fonts are lost; also the end. */
void view_overlay_forget(struct view_overlay *overlay);

/* The same list of keys as text, for --help. */
void view_overlay_print_keys(FILE *out);

#endif
