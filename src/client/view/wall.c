/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/wall.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "client/view/grid.h"
#include "client/view/tile.h"

#define NONE SIZE_MAX
#define MARGIN 2 /* pixels between tiles */

struct view_wall {
	struct view_wall_options options;
	struct view_tile **tiles;
	size_t n, n_urls; /* those of URLs come first */
	size_t room;
	struct view_tile **leaving; /* their children are about to end */
	size_t n_leaving;
	size_t alone, selected; /* NONE, or a tile's number */
	struct view_text notice;
	char notice_text[256];
	bool dirty;
};

/* --- tiles come and go --- */

static bool is_url(const char *wanted)
{
	return strstr(wanted, "://") != NULL;
}

static int make_room(struct view_wall *wall)
{
	const size_t room = wall->room ? 2 * wall->room : 8;
	struct view_tile **tiles;

	if (wall->n < wall->room)
		return 0;
	tiles = realloc(wall->tiles, room * sizeof(struct view_tile *));
	if (!tiles)
		return -ENOMEM;
	wall->tiles = tiles;
	wall->room = room;
	return 0;
}

static void move_numbers(struct view_wall *wall, size_t from, ptrdiff_t by)
{
	size_t *const numbers[] = {&wall->alone, &wall->selected};

	for (size_t i = 0; i < 2; i++)
		if (*numbers[i] != NONE && *numbers[i] >= from)
			*numbers[i] += (size_t)by;
}

/* A new tile at that place. */
static int add_tile(struct view_wall *wall, size_t at, const char *key, const char *name,
		    const char *url)
{
	const struct view_tile_job job = {
		.key = key,
		.name = name,
		.url = url,
		.hardware = wall->options.hardware,
		.wake = wall->options.wake,
	};
	struct view_tile *tile;
	int r = make_room(wall);

	if (!r)
		r = view_tile_create(&tile, &job);
	if (r)
		return r;
	memmove(wall->tiles + at + 1, wall->tiles + at,
		(wall->n - at) * sizeof(struct view_tile *));
	wall->tiles[at] = tile;
	wall->n++;
	move_numbers(wall, at, 1);
	wall->dirty = true;
	return 0;
}

/* Its child ends by and by. */
static void remove_tile(struct view_wall *wall, size_t at)
{
	struct view_tile *tile = wall->tiles[at], **leaving;

	view_tile_end(tile);
	leaving = realloc(wall->leaving, (wall->n_leaving + 1) * sizeof(struct view_tile *));
	if (leaving) {
		wall->leaving = leaving;
		wall->leaving[wall->n_leaving++] = tile;
	} else {
		view_tile_destroy(tile);
	}
	wall->n--;
	memmove(wall->tiles + at, wall->tiles + at + 1,
		(wall->n - at) * sizeof(struct view_tile *));
	if (wall->alone == at)
		wall->alone = NONE;
	if (wall->selected == at)
		wall->selected = NONE;
	move_numbers(wall, at, -1);
	wall->dirty = true;
}

/* What a tile of a server is to be: its key, and where its stream comes from. */
struct place {
	char key[160], name[336], url[SERVER_URL_MAX];
};

static void place_of(const struct server *server, const struct server_stream *stream, bool tell,
		     struct place *out)
{
	snprintf(out->key, sizeof(out->key), "%s/%s", server->id, tell ? stream->name : "");
	if (tell)
		snprintf(out->name, sizeof(out->name), "%s/%s", server->name, stream->name);
	else
		snprintf(out->name, sizeof(out->name), "%s", server->name);
	server_stream_url(stream, out->url);
}

/* The i-th place that the list and what is wanted make; false: there is none. */
static bool nth_place(const struct view_wall *wall, const struct server *list, size_t n, size_t i,
		      struct place *out)
{
	const struct view_wall_options *options = &wall->options;
	const char *wanted = options->n_wanted ? options->wanted[i] : NULL;
	const struct server *server;
	const struct server_stream *stream;
	char why[256];

	/* A URL has its tile already; a server by its id, which is its own: a name may be
	 * several's. */
	if (wanted ? is_url(wanted) : !list[i].online)
		return false;
	if (servers_find(list, n, wanted ? wanted : list[i].id, &server, &stream, why,
			 sizeof(why)) != 0)
		return false; /* it may come yet */
	place_of(server, stream, wanted && strchr(wanted, '/'), out);
	return true;
}

static size_t find_tile(const struct view_wall *wall, size_t from, const struct place *place)
{
	for (size_t i = from; i < wall->n; i++)
		if (strcmp(view_tile_key(wall->tiles[i]), place->key) == 0 &&
		    strcmp(view_tile_url(wall->tiles[i]), place->url) == 0 &&
		    strcmp(view_tile_name(wall->tiles[i]), place->name) == 0)
			return i;
	return NONE;
}

/* Moves a tile forwards to `at`. */
static void move_tile(struct view_wall *wall, size_t from, size_t at)
{
	struct view_tile *tile = wall->tiles[from];
	size_t *const numbers[] = {&wall->alone, &wall->selected};

	if (from == at)
		return;
	memmove(wall->tiles + at + 1, wall->tiles + at, (from - at) * sizeof(struct view_tile *));
	wall->tiles[at] = tile;
	for (size_t i = 0; i < 2; i++) {
		if (*numbers[i] == from)
			*numbers[i] = at;
		else if (*numbers[i] != NONE && *numbers[i] >= at && *numbers[i] < from)
			++*numbers[i];
	}
	wall->dirty = true;
}

void view_wall_update(struct view_wall *wall, const struct server *list, size_t n)
{
	const size_t n_places = wall->options.n_wanted ? wall->options.n_wanted : n;
	size_t at = wall->n_urls;

	for (size_t i = 0; i < n_places; i++) {
		struct place place = {0};
		size_t found;
		int r;

		if (!nth_place(wall, list, n, i, &place))
			continue;
		found = find_tile(wall, at, &place);
		if (found != NONE) {
			move_tile(wall, found, at++);
			continue;
		}
		if (find_tile(wall, 0, &place) != NONE)
			continue; /* asked for twice */
		r = add_tile(wall, at, place.key, place.name, place.url);
		if (!r)
			at++;
		else
			diag_error("%s: no tile: %s", place.name, strerror(-r));
	}
	while (wall->n > at)
		remove_tile(wall, wall->n - 1);
}

static int add_urls(struct view_wall *wall)
{
	for (size_t i = 0; i < wall->options.n_wanted; i++) {
		const char *url = wall->options.wanted[i];
		int r;

		if (!is_url(url))
			continue;
		r = add_tile(wall, wall->n_urls, url, url, url);
		if (r)
			return r;
		wall->n_urls++;
	}
	return 0;
}

int view_wall_create(struct view_wall **out, const struct view_wall_options *options)
{
	struct view_wall *wall = calloc(1, sizeof(*wall));
	int r;

	if (!wall)
		return -ENOMEM;
	wall->options = *options;
	wall->alone = wall->selected = NONE;
	wall->dirty = true;
	r = add_urls(wall);
	if (r) {
		view_wall_destroy(wall);
		return r;
	}
	*out = wall;
	return 0;
}

void view_wall_destroy(struct view_wall *wall)
{
	if (!wall)
		return;
	for (size_t i = 0; i < wall->n; i++)
		view_tile_end(wall->tiles[i]);
	for (size_t i = 0; i < wall->n; i++)
		view_tile_destroy(wall->tiles[i]);
	for (size_t i = 0; i < wall->n_leaving; i++)
		view_tile_destroy(wall->leaving[i]);
	view_text_finish(&wall->notice);
	free(wall->leaving);
	free(wall->tiles);
	free(wall);
}

void view_wall_set_notice(struct view_wall *wall, const char *text)
{
	if (strcmp(wall->notice_text, text) == 0)
		return;
	snprintf(wall->notice_text, sizeof(wall->notice_text), "%s", text);
	if (!wall->n)
		wall->dirty = true;
}

int view_wall_poll(struct view_wall *wall, int64_t now_us)
{
	int again_ms = 500;
	bool ignored = false;

	for (size_t i = 0; i < wall->n; i++) {
		const int ms = view_tile_poll(wall->tiles[i], now_us, &wall->dirty);

		again_ms = ms < again_ms ? ms : again_ms;
	}
	for (size_t i = 0; i < wall->n_leaving;) {
		const int ms = view_tile_poll(wall->leaving[i], now_us, &ignored);

		again_ms = ms < again_ms ? ms : again_ms;
		if (!view_tile_ended(wall->leaving[i])) {
			i++;
			continue;
		}
		view_tile_destroy(wall->leaving[i]);
		wall->leaving[i] = wall->leaving[--wall->n_leaving];
	}
	return again_ms;
}

/* --- the picture of it all --- */

bool view_wall_dirty(const struct view_wall *wall)
{
	if (wall->dirty)
		return true;
	for (size_t i = 0; i < wall->n; i++)
		if ((wall->alone == NONE || wall->alone == i) && view_tile_has_news(wall->tiles[i]))
			return true;
	return false;
}

void view_wall_touch(struct view_wall *wall)
{
	wall->dirty = true;
}

void view_wall_upload(struct view_wall *wall)
{
	for (size_t i = 0; i < wall->n; i++)
		if (wall->alone == NONE || wall->alone == i)
			view_tile_upload(wall->tiles[i], wall->options.renderer);
}

/* Where the tiles are; NULL: out of memory, or there are none. free() it. */
static struct view_rect *place_tiles(const struct view_wall *wall)
{
	struct view_rect *places = calloc(wall->n ? wall->n : 1, sizeof(*places));
	int width = 0, height = 0;

	if (!places || !wall->n)
		goto none;
	SDL_GetRendererOutputSize(wall->options.renderer, &width, &height);
	if (wall->alone != NONE)
		places[wall->alone] = (struct view_rect){0, 0, width, height};
	else
		view_grid_place(wall->n, width, height, view_fonts_line_height(wall->options.fonts),
				places);
	return places;

none:
	free(places);
	return NULL;
}

static void draw_notice(struct view_wall *wall)
{
	SDL_Renderer *renderer = wall->options.renderer;
	int width = 0, height = 0, x;

	SDL_GetRendererOutputSize(renderer, &width, &height);
	view_text_set(&wall->notice, wall->options.fonts, renderer, wall->notice_text);
	x = width > wall->notice.width ? (width - wall->notice.width) / 2 : 0;
	view_text_draw(&wall->notice, renderer, x, height / 2, width);
}

void view_wall_draw(struct view_wall *wall)
{
	SDL_Renderer *renderer = wall->options.renderer;
	struct view_rect *places = place_tiles(wall);

	SDL_SetRenderDrawColor(renderer, 12, 12, 12, 255);
	SDL_RenderClear(renderer);
	if (!wall->n)
		draw_notice(wall);
	for (size_t i = 0; places && i < wall->n; i++) {
		struct view_rect place = places[i];

		if (wall->alone == NONE) {
			place.width -= MARGIN;
			place.height -= MARGIN;
		}
		if (place.width > 0 && place.height > 0)
			view_tile_draw(wall->tiles[i], renderer, wall->options.fonts, place,
				       wall->alone == NONE && wall->selected == i);
		else
			view_tile_hide(wall->tiles[i]);
	}
	free(places);
	wall->dirty = false;
}

void view_wall_shown(struct view_wall *wall, int64_t now_us)
{
	for (size_t i = 0; i < wall->n; i++)
		view_tile_shown(wall->tiles[i], now_us);
}

void view_wall_forget_textures(struct view_wall *wall)
{
	for (size_t i = 0; i < wall->n; i++)
		view_tile_forget_textures(wall->tiles[i]);
	view_text_finish(&wall->notice);
	wall->dirty = true;
}

/* --- what the person does --- */

size_t view_wall_count(const struct view_wall *wall)
{
	return wall->n;
}

void view_wall_show_alone(struct view_wall *wall, size_t index)
{
	wall->alone = index < wall->n && wall->alone != index ? index : NONE;
	if (wall->alone != NONE)
		wall->selected = wall->alone;
	wall->dirty = true;
}

void view_wall_toggle_selected(struct view_wall *wall)
{
	view_wall_show_alone(wall, wall->alone != NONE ? wall->alone : wall->selected);
}

void view_wall_show_all(struct view_wall *wall)
{
	wall->alone = NONE;
	wall->dirty = true;
}

void view_wall_select(struct view_wall *wall, int step)
{
	if (!wall->n)
		return;
	if (wall->selected == NONE)
		wall->selected = step > 0 ? 0 : wall->n - 1;
	else
		wall->selected = (wall->selected + wall->n + (size_t)step) % wall->n;
	if (wall->alone != NONE)
		wall->alone = wall->selected;
	wall->dirty = true;
}

void view_wall_click(struct view_wall *wall, int x, int y)
{
	struct view_rect *places;

	if (wall->alone != NONE) {
		view_wall_show_all(wall);
		return;
	}
	places = place_tiles(wall);
	for (size_t i = 0; places && i < wall->n; i++)
		if (x >= places[i].x && x < places[i].x + places[i].width && y >= places[i].y &&
		    y < places[i].y + places[i].height) {
			view_wall_show_alone(wall, i);
			break;
		}
	free(places);
}

struct view_tile *view_wall_alone(const struct view_wall *wall)
{
	return wall->alone == NONE ? NULL : wall->tiles[wall->alone];
}

cJSON *view_wall_describe(const struct view_wall *wall)
{
	cJSON *array = cJSON_CreateArray();

	for (size_t i = 0; array && i < wall->n; i++)
		cJSON_AddItemToArray(array, view_tile_describe(wall->tiles[i]));
	return array;
}
