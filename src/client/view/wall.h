/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All tiles: the servers that have one, their places, and the one that is selected or shown alone.
 * Main thread.
 */
#ifndef CLIENT_VIEW_WALL_H
#define CLIENT_VIEW_WALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <SDL.h>
#include <cjson/cJSON.h>

#include "client/find/server.h"
#include "client/view/text.h"

struct view_tile;
struct view_wake;

struct view_wall_options {
	char *const *wanted; /* names and URLs, borrowed; n 0: every server */
	size_t n_wanted;
	size_t max_servers;   /* with every server (seats.h) */
	const char *hardware; /* view_decoder_create() */
	struct view_wake *wake;
	SDL_Renderer *renderer;
	struct view_fonts *fonts;
};

struct view_wall;

/* URLs get their tiles at once, and keep them. */
int view_wall_create(struct view_wall **out, const struct view_wall_options *options);
/* Ends all children, at the same time. */
void view_wall_destroy(struct view_wall *wall);

/* Gives a tile to each server that is online and wanted, in the order in which they are wanted,
 * else of their names and to max_servers of them at most. The tile of a server that goes offline
 * stays, and says so, as long as there are no more than max_servers tiles. */
void view_wall_update(struct view_wall *wall, const struct server *list, size_t n, int64_t now_us);
/* Whether servers are left out: then view_wall_update() is to be called each second. */
bool view_wall_leaves_out(const struct view_wall *wall);
/* Calls confirm(user, url) for each tile that shows pictures now. */
void view_wall_confirm(const struct view_wall *wall, void (*confirm)(void *user, const char *url),
		       void *user);
/* The text while there is no tile. */
void view_wall_set_notice(struct view_wall *wall, const char *text);

/* Supervises all children. Returns the ms until the next call. */
int view_wall_poll(struct view_wall *wall, int64_t now_us);
/* Whether anything would look different if it were drawn now. */
bool view_wall_dirty(const struct view_wall *wall);
void view_wall_touch(struct view_wall *wall); /* it would: the window was uncovered, resized */
void view_wall_upload(struct view_wall *wall);
void view_wall_draw(struct view_wall *wall);
void view_wall_shown(struct view_wall *wall, int64_t now_us);
void view_wall_forget_textures(struct view_wall *wall);
void view_wall_forget_texts(struct view_wall *wall); /* fonts have changed */

size_t view_wall_count(const struct view_wall *wall);
/* Pixels of the renderer. Shows the tile there alone, or all again. */
void view_wall_click(struct view_wall *wall, int x, int y);
/* The tile of that number, from 0, alone; the same again, or one that is not there: all. */
void view_wall_show_alone(struct view_wall *wall, size_t index);
void view_wall_toggle_selected(struct view_wall *wall);
void view_wall_show_all(struct view_wall *wall);
void view_wall_select(struct view_wall *wall, int step);     /* 1 or -1: the next, the one before */
void view_wall_select_row(struct view_wall *wall, int step); /* in the row below or above */
/* Removes the tiles of servers that are offline; they come back with their servers. Returns their
 * number. */
size_t view_wall_remove_offline(struct view_wall *wall);
/* The tile that is shown alone, or NULL. */
struct view_tile *view_wall_alone(const struct view_wall *wall);

/* A JSON array; NULL: out of memory. */
cJSON *view_wall_describe(const struct view_wall *wall);

#endif
