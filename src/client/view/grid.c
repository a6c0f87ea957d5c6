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

/* A shape, and how many pictures have it. */
struct shape_count {
	struct view_shape shape;
	size_t n;
};

#define SHAPES_MAX 8 /* that differ; more are planned for as 16:9 */

static size_t count_shapes(const struct view_shape *shapes, size_t n,
			   struct shape_count counts[SHAPES_MAX + 1])
{
	size_t n_counts = 1;

	counts[0] = (struct shape_count){.shape = {16, 9}};
	for (size_t i = 0; i < n; i++) {
		const struct view_shape shape = shapes[i];
		size_t at = 0;

		if (shape.width && shape.height)
			for (at = 0; at < n_counts; at++)
				if ((uint64_t)shape.width * counts[at].shape.height ==
				    (uint64_t)shape.height * counts[at].shape.width)
					break;
		if (at == n_counts && n_counts > SHAPES_MAX)
			at = 0;
		else if (at == n_counts)
			counts[n_counts++] = (struct shape_count){.shape = shape};
		counts[at].n++;
	}
	return n_counts;
}

/* The area of all pictures in a grid of so many columns. */
static int64_t picture_area(const struct shape_count *counts, size_t n_counts, size_t n,
			    size_t columns, const struct view_rect *window, int text_height)
{
	const size_t rows = (n + columns - 1) / columns;
	const struct view_rect cell = {0, 0, (int)((size_t)window->width / columns),
				       (int)((size_t)window->height / rows) - text_height};
	int64_t area = 0;

	if (cell.height <= 0)
		return 0;
	for (size_t i = 0; i < n_counts; i++) {
		const struct view_rect fit =
			view_grid_fit(cell, counts[i].shape.width, counts[i].shape.height);

		area += (int64_t)fit.width * fit.height * (int64_t)counts[i].n;
	}
	return area;
}

void view_grid_place(const struct view_shape *shapes, size_t n, int width, int height,
		     int text_height, struct view_rect *tiles)
{
	const struct view_rect window = {0, 0, width > 0 ? width : 0, height > 0 ? height : 0};
	struct shape_count counts[SHAPES_MAX + 1];
	const size_t n_counts = count_shapes(shapes, n, counts);
	size_t columns = 1, rows;
	int64_t best = -1;

	for (size_t candidate = 1; candidate <= n; candidate++) {
		const int64_t area =
			picture_area(counts, n_counts, n, candidate, &window, text_height);

		if (area > best) {
			best = area;
			columns = candidate;
		}
	}
	rows = (n + columns - 1) / columns;
	for (size_t i = 0; i < n; i++) {
		const size_t row = i / columns, column = i % columns;
		const size_t in_row = row + 1 < rows ? columns : n - row * columns;
		/* Edges are shared, so that no column of pixels is lost to rounding. */
		const int left = (int)((size_t)window.width * column / columns);
		const int right = (int)((size_t)window.width * (column + 1) / columns);
		const int top = (int)((size_t)window.height * row / rows);
		const int bottom = (int)((size_t)window.height * (row + 1) / rows);

		tiles[i] = (struct view_rect){
			.x = left + (int)((size_t)window.width * (columns - in_row) / columns / 2),
			.y = top,
			.width = right - left,
			.height = bottom - top,
		};
	}
}
