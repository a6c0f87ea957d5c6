/* SPDX-License-Identifier: BSD-2-Clause */
/* The places of the tiles in the window. Pure arithmetic; any thread. */
#ifndef CLIENT_VIEW_GRID_H
#define CLIENT_VIEW_GRID_H

#include <stddef.h>

struct view_rect {
	int x, y, width, height; /* pixels */
};

struct view_shape {
	unsigned width, height; /* of a picture; 0: not known, 16:9 is planned for */
};

/*
 * Places n tiles, which show pictures of these shapes above a line of text_height, in a window of
 * width x height: in as many columns as give the pictures the largest area in all; rows filled from
 * the left, the last one centred. tiles: n of them, inside the window, not overlapping; empty
 * (width or height 0) where the window has no room at all.
 */
void view_grid_place(const struct view_shape *shapes, size_t n, int width, int height,
		     int text_height, struct view_rect *tiles);

/* The largest rectangle of the picture's shape inside `inside`, centred. A picture of no size fills
 * it. */
struct view_rect view_grid_fit(struct view_rect inside, unsigned picture_width,
			       unsigned picture_height);

#endif
