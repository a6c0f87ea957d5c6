/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <cmocka.h>

#include "client/view/grid.h"

#define MAX 64
#define LINE 20

static bool overlap(const struct view_rect *a, const struct view_rect *b)
{
	return a->x < b->x + b->width && b->x < a->x + a->width && a->y < b->y + b->height &&
	       b->y < a->y + a->height;
}

static const struct view_shape shapes[MAX]; /* not known */

static void check(size_t n, int width, int height)
{
	struct view_rect tiles[MAX];

	view_grid_place(shapes, n, width, height, LINE, tiles);
	for (size_t i = 0; i < n; i++) {
		assert_true(tiles[i].x >= 0 && tiles[i].y >= 0);
		assert_true(tiles[i].x + tiles[i].width <= width);
		assert_true(tiles[i].y + tiles[i].height <= height);
		for (size_t j = 0; j < i; j++)
			assert_false(overlap(&tiles[i], &tiles[j]));
	}
}

static void tiles_stay_inside_and_apart(void **state)
{
	static const int sizes[][2] = {{1280, 720}, {720, 1280}, {3840, 2160}, {101, 67},
				       {5000, 40},  {3, 3},	 {1, 1},       {0, 0}};

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++)
		for (size_t n = 0; n <= MAX; n++)
			check(n, sizes[s][0], sizes[s][1]);
}

static void one_tile_has_the_window(void **state)
{
	struct view_rect tile;

	(void)state;
	view_grid_place(shapes, 1, 1279, 719, LINE, &tile);
	assert_int_equal(tile.x, 0);
	assert_int_equal(tile.y, 0);
	assert_int_equal(tile.width, 1279);
	assert_int_equal(tile.height, 719);
}

static void the_grid_follows_the_windows_shape(void **state)
{
	struct view_rect tiles[2];

	(void)state;
	view_grid_place(shapes, 2, 1600, 500, LINE, tiles);
	assert_int_equal(tiles[0].y, tiles[1].y);
	view_grid_place(shapes, 2, 500, 1600, LINE, tiles);
	assert_int_equal(tiles[0].x, tiles[1].x);
	assert_true(tiles[1].y > tiles[0].y);
}

static void eight_make_three_rows_and_the_last_is_centred(void **state)
{
	struct view_rect tiles[8];

	(void)state;
	view_grid_place(shapes, 8, 1200, 720, LINE, tiles);
	assert_int_equal(tiles[2].x, 800);
	assert_int_equal(tiles[3].y, 240);
	assert_int_equal(tiles[6].x, 200);
	assert_int_equal(tiles[7].x, 600);
	assert_int_equal(tiles[7].y, 480);
}

static void the_grid_follows_the_pictures_shapes(void **state)
{
	const struct view_shape upright[] = {{1080, 1920}, {1080, 1920}, {720, 1280}};
	const struct view_shape wide[] = {{5120, 720}, {5120, 720}, {5120, 720}};
	struct view_rect tiles[3];

	(void)state;
	view_grid_place(upright, 3, 1280, 720, LINE, tiles);
	assert_int_equal(tiles[0].y, tiles[2].y);
	view_grid_place(wide, 3, 1280, 720, LINE, tiles);
	assert_int_equal(tiles[0].x, tiles[2].x);
	assert_true(tiles[1].y > tiles[0].y && tiles[2].y > tiles[1].y);
}

static void more_shapes_than_are_counted_have_places(void **state)
{
	struct view_shape many[MAX];
	struct view_rect tiles[MAX];

	(void)state;
	for (unsigned i = 0; i < MAX; i++)
		many[i] = (struct view_shape){i + 1, 100};
	view_grid_place(many, MAX, 1280, 720, LINE, tiles);
	for (unsigned i = 0; i < MAX; i++)
		assert_true(tiles[i].width > 0 && tiles[i].height > LINE);
}

static void a_negative_window_has_no_room(void **state)
{
	struct view_rect tiles[3];

	(void)state;
	view_grid_place(shapes, 3, -5, -7, LINE, tiles);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(tiles[i].width * tiles[i].height, 0);
}

static void a_picture_keeps_its_shape(void **state)
{
	const struct view_rect inside = {10, 20, 400, 400};
	struct view_rect fit = view_grid_fit(inside, 1280, 720);

	(void)state;
	assert_int_equal(fit.x, 10);
	assert_int_equal(fit.width, 400);
	assert_int_equal(fit.height, 225);
	assert_int_equal(fit.y, 20 + (400 - 225) / 2);
	fit = view_grid_fit(inside, 100, 8192);
	assert_int_equal(fit.height, 400);
	assert_int_equal(fit.width, 4);
	fit = view_grid_fit(inside, 0, 0);
	assert_int_equal(fit.width, 400);
	assert_int_equal(fit.height, 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tiles_stay_inside_and_apart),
		cmocka_unit_test(one_tile_has_the_window),
		cmocka_unit_test(the_grid_follows_the_windows_shape),
		cmocka_unit_test(eight_make_three_rows_and_the_last_is_centred),
		cmocka_unit_test(the_grid_follows_the_pictures_shapes),
		cmocka_unit_test(more_shapes_than_are_counted_have_places),
		cmocka_unit_test(a_negative_window_has_no_room),
		cmocka_unit_test(a_picture_keeps_its_shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
