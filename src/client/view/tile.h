/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tile of the window: one server's child process, the texture with its newest picture, and the
 * text about it. Main thread.
 */
#ifndef CLIENT_VIEW_TILE_H
#define CLIENT_VIEW_TILE_H

#include <stdbool.h>
#include <stdint.h>

#include <SDL.h>
#include <cjson/cJSON.h>

#include "client/view/grid.h"
#include "client/view/ring.h"
#include "client/view/text.h"

struct view_wake;

struct view_tile_job {
	const char *key;	/* what the tile stands for, unique in the window */
	const char *name;	/* shown */
	const char *url;	/* of the stream */
	const char *hardware;	/* view_decoder_create() */
	struct view_wake *wake; /* borrowed; rung at each picture */
};

struct view_tile;

int view_tile_create(struct view_tile **out, const struct view_tile_job *job);
/* Ends the child; may block for seconds unless view_tile_ended(). */
void view_tile_destroy(struct view_tile *tile);
/* Asks the child to end; go on polling until view_tile_ended(). */
void view_tile_end(struct view_tile *tile);
bool view_tile_ended(const struct view_tile *tile);

/* The server is not announced any more, or is again. Without an announcement the tile shows
 * pictures for as long as they come; then its child ends, and the tile says since when it is
 * offline. */
void view_tile_set_announced(struct view_tile *tile, bool announced);
/* Whether the child was ended because the server is offline: then only a new tile shows pictures
 * again. */
bool view_tile_is_offline(const struct view_tile *tile);
/* Whether a picture of it was ever on the screen, and whether pictures come now. */
bool view_tile_has_shown(const struct view_tile *tile);
bool view_tile_is_live(const struct view_tile *tile);

const char *view_tile_key(const struct view_tile *tile);
const char *view_tile_url(const struct view_tile *tile);
const char *view_tile_name(const struct view_tile *tile);

/* Supervises the child. Returns the ms until the next call. Sets *changed when the tile must be
 * drawn again. */
int view_tile_poll(struct view_tile *tile, int64_t now_us, bool *changed);
/* Whether there is a picture that was not uploaded. */
bool view_tile_has_news(const struct view_tile *tile);
/* Takes the newest picture into the texture. */
void view_tile_upload(struct view_tile *tile, SDL_Renderer *renderer);
/* Draws picture and text into rect. */
void view_tile_draw(struct view_tile *tile, SDL_Renderer *renderer, struct view_fonts *fonts,
		    struct view_rect rect, bool selected);
/* The tile is not visible: another one is shown alone. */
void view_tile_hide(struct view_tile *tile);
/* The drawn picture has reached the screen. */
void view_tile_shown(struct view_tile *tile, int64_t now_us);
/* Textures are lost; the newest picture is uploaded again. */
void view_tile_forget_textures(struct view_tile *tile);
/* Frees the textures of the texts only, because fonts have changed. */
void view_tile_forget_texts(struct view_tile *tile);
/* Of its picture; zeros before the first one. */
struct view_shape view_tile_shape(const struct view_tile *tile);

/* The newest picture, in shared memory; view_tile_release() it. False: there is none. */
bool view_tile_borrow(struct view_tile *tile, struct view_picture *picture, const uint8_t **area);
void view_tile_release(struct view_tile *tile);

/* {"name", "state", "fps", ...} of the last second; NULL: out of memory. */
cJSON *view_tile_describe(const struct view_tile *tile);

#endif
