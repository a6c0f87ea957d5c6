/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the tiles stand in the window. Pure arithmetic; any thread. */
#ifndef CLIENT_VIEW_GRID_H
#define CLIENT_VIEW_GRID_H

#include <stddef.h>

struct view_rect {
	int x, y, width, height; /* pixels */
};

/*
 * Places n tiles in a window of width x height: as many columns as make a 16:9 picture above a line
 * of text_height largest; rows filled from the left, the last one centred. tiles: n of them, inside
 * the window, not overlapping; empty (width or height 0) where the window has no room at all.
 */
void view_grid_place(size_t n, int width, int height, int text_height, struct view_rect *tiles);

/* The largest rectangle of the picture's shape inside `inside`, centred. A picture of no size fills
 * it. */
struct view_rect view_grid_fit(struct view_rect inside, unsigned picture_width,
			       unsigned picture_height);

#endif
