/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/grid.h"

#include <stdint.h>

struct view_rect view_grid_fit(struct view_rect inside, unsigned picture_width,
			       unsigned picture_height)
{
	struct view_rect fit = inside;

	if (!picture_width || !picture_height || inside.width <= 0 || inside.height <= 0)
		return inside;
	if ((int64_t)inside.width * picture_height > (int64_t)inside.height * picture_width)
		fit.width = (int)((int64_t)inside.height * picture_width / picture_height);
	else
		fit.height = (int)((int64_t)inside.width * picture_height / picture_width);
	fit.x += (inside.width - fit.width) / 2;
	fit.y += (inside.height - fit.height) / 2;
	return fit;
}

/* The picture's width in a grid of so many columns. */
static int picture_width(size_t n, size_t columns, int width, int height, int text_height)
{
	const size_t rows = (n + columns - 1) / columns;
	const struct view_rect cell = {0, 0, (int)((size_t)width / columns),
				       (int)((size_t)height / rows) - text_height};

	return cell.height > 0 ? view_grid_fit(cell, 16, 9).width : 0;
}

void view_grid_place(size_t n, int width, int height, int text_height, struct view_rect *tiles)
{
	size_t columns = 1, rows;
	int best = -1;

	if (width < 0)
		width = 0;
	if (height < 0)
		height = 0;
	for (size_t candidate = 1; candidate <= n; candidate++) {
		int size = picture_width(n, candidate, width, height, text_height);

		if (size > best) {
			best = size;
			columns = candidate;
		}
	}
	rows = (n + columns - 1) / columns;
	for (size_t i = 0; i < n; i++) {
		const size_t row = i / columns, column = i % columns;
		const size_t in_row = row + 1 < rows ? columns : n - row * columns;
		/* Edges are shared, so that no column of pixels is lost to rounding. */
		const int left = (int)((size_t)width * column / columns);
		const int right = (int)((size_t)width * (column + 1) / columns);
		const int top = (int)((size_t)height * row / rows);
		const int bottom = (int)((size_t)height * (row + 1) / rows);

		tiles[i] = (struct view_rect){
			.x = left + (int)((size_t)width * (columns - in_row) / columns / 2),
			.y = top,
			.width = right - left,
			.height = bottom - top,
		};
	}
}
