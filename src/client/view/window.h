/* SPDX-License-Identifier: BSD-2-Clause */
/* The window and its renderer, of SDL. Main thread. */
#ifndef CLIENT_VIEW_WINDOW_H
#define CLIENT_VIEW_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include <SDL.h>

struct view_window {
	SDL_Window *window;
	SDL_Renderer *renderer;
	const char *drawn_by; /* SDL's name of the renderer; borrowed */
	int64_t refresh_us;   /* between two pictures of the screen */
};

/* Initialises SDL. Width and height in SDL's units, which a display may scale. -ENOTSUP, after a
 * line in the log: there is no display, or nothing can draw on it. */
int view_window_open(struct view_window *window, int width, int height, bool full_screen);
/* Also of one that was not opened (zeroed). */
void view_window_close(struct view_window *window);

/* Pixels for one of SDL's units: 1 on most screens, 2 on one that is scaled so. */
double view_window_scale(const struct view_window *window);
/* In pixels of the renderer. */
SDL_Point view_window_pixel(const struct view_window *window, int x, int y);

bool view_window_is_full_screen(const struct view_window *window);
void view_window_set_full_screen(struct view_window *window, bool full_screen);

#endif
