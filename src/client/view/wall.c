/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/wall.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/text.h"
#include "client/seats.h"
#include "client/view/grid.h"
#include "client/view/tile.h"

#define MARGIN 2 /* pixels between tiles */

struct wall_tile {
	struct view_tile *tile;
	size_t order;	/* among what is wanted; 0 where every server is */
	bool announced; /* in the list of servers, or a URL */
};

struct view_wall {
	struct view_wall_options options;
	struct wall_tile *tiles;
	size_t n, n_urls; /* those of URLs come first */
	size_t room;
	struct view_tile **leaving; /* their children are about to end */
	size_t n_leaving;
	struct view_tile *alone, *selected; /* NULL: none */
	struct seats seats;		    /* of tiles, where every server has one */
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
	struct wall_tile *tiles;

	if (wall->n < wall->room)
		return 0;
	tiles = realloc(wall->tiles, room * sizeof(*tiles));
	if (!tiles)
		return -ENOMEM;
	wall->tiles = tiles;
	wall->room = room;
	return 0;
}

/* The tile that a server is to have: its key, and where its stream comes from. */
struct place {
	char key[TARGET_URL_MAX], name[336], url[TARGET_URL_MAX];
	size_t order;
};

static int create_tile(const struct view_wall *wall, const struct place *place,
		       struct view_tile **out)
{
	const struct view_tile_job job = {
		.key = place->key,
		.name = place->name,
		.url = place->url,
		.hardware = wall->options.hardware,
		.wake = wall->options.wake,
	};

	return view_tile_create(out, &job);
}

static int add_tile(struct view_wall *wall, const struct place *place)
{
	struct view_tile *tile;
	int r = make_room(wall);

	if (!r)
		r = create_tile(wall, place, &tile);
	if (r)
		return r;
	wall->tiles[wall->n++] = (struct wall_tile){tile, place->order, true};
	wall->dirty = true;
	return 0;
}

/* The tile is in the window no longer; its child ends soon. */
static void let_go(struct view_wall *wall, struct view_tile *tile)
{
	struct view_tile **leaving;

	view_tile_end(tile);
	leaving = realloc(wall->leaving, (wall->n_leaving + 1) * sizeof(struct view_tile *));
	if (leaving) {
		wall->leaving = leaving;
		wall->leaving[wall->n_leaving++] = tile;
	} else {
		view_tile_destroy(tile);
	}
	wall->dirty = true;
}

static void remove_tile(struct view_wall *wall, size_t at)
{
	struct view_tile *tile = wall->tiles[at].tile;

	wall->n--;
	memmove(wall->tiles + at, wall->tiles + at + 1, (wall->n - at) * sizeof(*wall->tiles));
	if (wall->alone == tile)
		wall->alone = NULL;
	if (wall->selected == tile)
		wall->selected = NULL;
	let_go(wall, tile);
}

/* A new tile in place of one whose server has another address or name, or is back. */
static int replace_tile(struct view_wall *wall, struct wall_tile *at, const struct place *place)
{
	struct view_tile *old = at->tile;
	const int r = create_tile(wall, place, &at->tile);

	if (r) {
		at->tile = old;
		return r;
	}
	if (wall->alone == old)
		wall->alone = at->tile;
	if (wall->selected == old)
		wall->selected = at->tile;
	let_go(wall, old);
	return 0;
}

static void place_of(const struct server *server, const struct server_stream *stream, bool named,
		     struct place *out)
{
	snprintf(out->key, sizeof(out->key), "%s/%s", server->id, named ? stream->name : "");
	if (named)
		snprintf(out->name, sizeof(out->name), "%s/%s", server->name, stream->name);
	else
		snprintf(out->name, sizeof(out->name), "%s", server->name);
	target_url(stream, out->url);
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

	/* A URL has its tile already. A server is found by its id, which no other one has; several
	 * may have one name. */
	if (wanted ? is_url(wanted) : !list[i].online)
		return false;
	if (servers_find(list, n, wanted ? wanted : list[i].id, &server, &stream, why,
			 sizeof(why)) != 0)
		return false; /* it may still appear */
	place_of(server, stream, wanted && strchr(wanted, '/'), out);
	out->order = wanted ? i : 0;
	return true;
}

static struct wall_tile *find_tile(const struct view_wall *wall, const char *key)
{
	for (size_t i = wall->n_urls; i < wall->n; i++)
		if (strcmp(view_tile_key(wall->tiles[i].tile), key) == 0)
			return &wall->tiles[i];
	return NULL;
}

static bool shows(const struct view_tile *tile, const struct place *place)
{
	return !view_tile_is_offline(tile) && strcmp(view_tile_url(tile), place->url) == 0 &&
	       strcmp(view_tile_name(tile), place->name) == 0;
}

static int fill_place(struct view_wall *wall, const struct place *place)
{
	struct wall_tile *at = find_tile(wall, place->key);

	if (!at)
		return add_tile(wall, place);
	if (at->announced)
		return 0; /* asked for twice */
	at->announced = true;
	return shows(at->tile, place) ? 0 : replace_tile(wall, at, place);
}

static int by_order(const void *a, const void *b)
{
	const struct wall_tile *left = a, *right = b;
	int order = (left->order > right->order) - (left->order < right->order);

	if (order == 0)
		order = server_compare_names(view_tile_name(left->tile),
					     view_tile_name(right->tile));
	return order ? order : strcmp(view_tile_key(left->tile), view_tile_key(right->tile));
}

/* Gives seats to the servers that are online, and to those whose tile still shows pictures. */
static void seat_servers(struct view_wall *wall, const struct server *list, size_t n,
			 int64_t now_us)
{
	struct seats *seats = &wall->seats;
	struct place place;
	int r = 0;

	seats_begin(seats);
	for (size_t i = wall->n_urls; i < wall->n && !r; i++) {
		const struct view_tile *tile = wall->tiles[i].tile;

		if (view_tile_is_offline(tile))
			continue;
		r = seats_offer(seats, view_tile_key(tile), false);
		if (!r && view_tile_has_shown(tile))
			seats_delivered(seats, view_tile_key(tile));
	}
	for (size_t i = 0; i < n && !r; i++)
		if (nth_place(wall, list, n, i, &place))
			r = seats_offer(seats, place.key, false);
	seats_settle(seats, now_us);
	seats_report(seats, "shown", now_us);
}

/* Removes tiles whose servers have no seat, and tiles of offline servers that are too many. */
static void remove_unseated(struct view_wall *wall)
{
	for (size_t i = wall->n; i-- > wall->n_urls;) {
		const struct view_tile *tile = wall->tiles[i].tile;

		if (view_tile_is_offline(tile) ? wall->n - wall->n_urls > wall->seats.max
					       : !seats_has(&wall->seats, view_tile_key(tile)))
			remove_tile(wall, i);
	}
}

bool view_wall_leaves_out(const struct view_wall *wall)
{
	return wall->seats.left_out > 0;
}

void view_wall_confirm(const struct view_wall *wall, void (*confirm)(void *user, const char *url),
		       void *user)
{
	for (size_t i = wall->n_urls; i < wall->n; i++)
		if (view_tile_is_live(wall->tiles[i].tile))
			confirm(user, view_tile_url(wall->tiles[i].tile));
}

void view_wall_update(struct view_wall *wall, const struct server *list, size_t n, int64_t now_us)
{
	const bool all = wall->options.n_wanted == 0;
	const size_t n_places = all ? n : wall->options.n_wanted;

	if (all)
		seat_servers(wall, list, n, now_us);

	for (size_t i = wall->n_urls; i < wall->n; i++)
		wall->tiles[i].announced = false;
	for (size_t i = 0; i < n_places; i++) {
		struct place place = {0};
		int r;

		if (!nth_place(wall, list, n, i, &place) ||
		    (all && !seats_has(&wall->seats, place.key)))
			continue;
		r = fill_place(wall, &place);
		if (r)
			diag_error("%s: no tile: %s", place.name, strerror(-r));
	}
	if (all)
		remove_unseated(wall);
	for (size_t i = wall->n_urls; i < wall->n; i++)
		view_tile_set_announced(wall->tiles[i].tile, wall->tiles[i].announced);
	if (wall->n > wall->n_urls)
		qsort(wall->tiles + wall->n_urls, wall->n - wall->n_urls, sizeof(*wall->tiles),
		      by_order);
	wall->dirty = true;
}

static int add_urls(struct view_wall *wall)
{
	for (size_t i = 0; i < wall->options.n_wanted; i++) {
		const char *url = wall->options.wanted[i];
		struct place place = {0};
		int r;

		if (!is_url(url))
			continue;
		text_set(place.key, sizeof(place.key), url);
		text_set(place.name, sizeof(place.name), url);
		/* The number of its login is nothing for people. */
		place.name[strcspn(place.name, "#")] = '\0';
		text_set(place.url, sizeof(place.url), url);
		r = add_tile(wall, &place);
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
	wall->seats.max = options->max_servers;
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
		view_tile_end(wall->tiles[i].tile);
	for (size_t i = 0; i < wall->n; i++)
		view_tile_destroy(wall->tiles[i].tile);
	for (size_t i = 0; i < wall->n_leaving; i++)
		view_tile_destroy(wall->leaving[i]);
	view_text_finish(&wall->notice);
	seats_finish(&wall->seats);
	free(wall->leaving);
	free(wall->tiles);
	free(wall);
}

void view_wall_set_notice(struct view_wall *wall, const char *text)
{
	if (strcmp(wall->notice_text, text) == 0)
		return;
	text_set(wall->notice_text, sizeof(wall->notice_text), text);
	if (!wall->n)
		wall->dirty = true;
}

int view_wall_poll(struct view_wall *wall, int64_t now_us)
{
	int again_ms = 500;
	bool ignored = false;

	for (size_t i = 0; i < wall->n; i++) {
		const int ms = view_tile_poll(wall->tiles[i].tile, now_us, &wall->dirty);

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

static bool is_shown(const struct view_wall *wall, size_t i)
{
	return !wall->alone || wall->alone == wall->tiles[i].tile;
}

bool view_wall_dirty(const struct view_wall *wall)
{
	if (wall->dirty)
		return true;
	for (size_t i = 0; i < wall->n; i++)
		if (is_shown(wall, i) && view_tile_has_news(wall->tiles[i].tile))
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
		if (is_shown(wall, i))
			view_tile_upload(wall->tiles[i].tile, wall->options.renderer);
}

/* Where the tiles are; NULL: out of memory, or there are none. free() it. */
static struct view_rect *place_tiles(const struct view_wall *wall)
{
	struct view_rect *places = calloc(wall->n ? wall->n : 1, sizeof(*places));
	struct view_shape *shapes = calloc(wall->n ? wall->n : 1, sizeof(*shapes));
	int width = 0, height = 0;

	if (!places || !shapes || !wall->n) {
		free(places);
		free(shapes);
		return NULL;
	}
	SDL_GetRendererOutputSize(wall->options.renderer, &width, &height);
	for (size_t i = 0; i < wall->n; i++) {
		shapes[i] = view_tile_shape(wall->tiles[i].tile);
		if (wall->alone == wall->tiles[i].tile)
			places[i] = (struct view_rect){0, 0, width, height};
	}
	if (!wall->alone)
		view_grid_place(shapes, wall->n, width, height,
				view_fonts_line_height(wall->options.fonts), places);
	free(shapes);
	return places;
}

static void draw_notice(struct view_wall *wall)
{
	SDL_Renderer *renderer = wall->options.renderer;
	int width = 0, height = 0, x;

	SDL_GetRendererOutputSize(renderer, &width, &height);
	view_text_set(&wall->notice, wall->options.fonts, renderer, wall->notice_text, width);
	x = (width - wall->notice.width) / 2;
	view_text_draw(&wall->notice, renderer, x, height / 2);
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
		struct view_tile *tile = wall->tiles[i].tile;
		struct view_rect place = places[i];

		if (!wall->alone) {
			place.width -= MARGIN;
			place.height -= MARGIN;
		}
		if (place.width > 0 && place.height > 0)
			view_tile_draw(tile, renderer, wall->options.fonts, place,
				       !wall->alone && wall->selected == tile);
		else
			view_tile_hide(tile);
	}
	free(places);
	wall->dirty = false;
}

void view_wall_shown(struct view_wall *wall, int64_t now_us)
{
	for (size_t i = 0; i < wall->n; i++)
		view_tile_shown(wall->tiles[i].tile, now_us);
}

void view_wall_forget_textures(struct view_wall *wall)
{
	for (size_t i = 0; i < wall->n; i++)
		view_tile_forget_textures(wall->tiles[i].tile);
	view_text_finish(&wall->notice);
	wall->dirty = true;
}

void view_wall_forget_texts(struct view_wall *wall)
{
	for (size_t i = 0; i < wall->n; i++)
		view_tile_forget_texts(wall->tiles[i].tile);
	view_text_finish(&wall->notice);
	wall->dirty = true;
}

/* --- commands of the user --- */

size_t view_wall_count(const struct view_wall *wall)
{
	return wall->n;
}

/* NULL: all. */
static void show(struct view_wall *wall, struct view_tile *tile)
{
	wall->alone = tile;
	if (tile)
		wall->selected = tile;
	wall->dirty = true;
}

void view_wall_show_alone(struct view_wall *wall, size_t index)
{
	struct view_tile *tile = index < wall->n ? wall->tiles[index].tile : NULL;

	show(wall, tile == wall->alone ? NULL : tile);
}

void view_wall_toggle_selected(struct view_wall *wall)
{
	show(wall, wall->alone ? NULL : wall->selected);
}

void view_wall_show_all(struct view_wall *wall)
{
	show(wall, NULL);
}

/* n: none */
static size_t number_of(const struct view_wall *wall, const struct view_tile *tile)
{
	size_t i = 0;

	while (i < wall->n && wall->tiles[i].tile != tile)
		i++;
	return i;
}

static void select_tile(struct view_wall *wall, size_t number)
{
	wall->selected = wall->tiles[number].tile;
	if (wall->alone)
		wall->alone = wall->selected;
	wall->dirty = true;
}

void view_wall_select(struct view_wall *wall, int step)
{
	const size_t at = number_of(wall, wall->selected);

	if (!wall->n)
		return;
	if (at == wall->n)
		select_tile(wall, step > 0 ? 0 : wall->n - 1);
	else
		select_tile(wall, (at + wall->n + (size_t)step) % wall->n);
}

void view_wall_select_row(struct view_wall *wall, int step)
{
	const size_t at = number_of(wall, wall->selected);
	struct view_rect *places = wall->alone ? NULL : place_tiles(wall);
	size_t best = wall->n;
	int best_y = 0, best_x = 0;

	if (!places || at == wall->n) {
		free(places);
		view_wall_select(wall, step);
		return;
	}
	/* The next row, and in it the nearest tile. */
	for (size_t i = 0; i < wall->n; i++) {
		const int y = (places[i].y - places[at].y) * step;
		const int x = abs(places[i].x - places[at].x);

		if (y <= 0 || (best < wall->n && (y > best_y || (y == best_y && x >= best_x))))
			continue;
		best = i;
		best_y = y;
		best_x = x;
	}
	if (best < wall->n)
		select_tile(wall, best);
	free(places);
}

void view_wall_click(struct view_wall *wall, int x, int y)
{
	struct view_rect *places;

	if (wall->alone) {
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

size_t view_wall_remove_offline(struct view_wall *wall)
{
	size_t removed = 0;

	for (size_t i = wall->n; i-- > wall->n_urls;)
		if (view_tile_is_offline(wall->tiles[i].tile)) {
			remove_tile(wall, i);
			removed++;
		}
	return removed;
}

struct view_tile *view_wall_alone(const struct view_wall *wall)
{
	return wall->alone;
}

cJSON *view_wall_describe(const struct view_wall *wall)
{
	cJSON *array = cJSON_CreateArray();

	for (size_t i = 0; array && i < wall->n; i++)
		cJSON_AddItemToArray(array, view_tile_describe(wall->tiles[i].tile));
	return array;
}
