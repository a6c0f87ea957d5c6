/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes pictures to PNG files on its own thread, so that the screen never waits. Main thread. */
#ifndef CLIENT_VIEW_SNAPSHOT_H
#define CLIENT_VIEW_SNAPSHOT_H

#include <SDL.h>

#include "client/view/ring.h"

struct view_snapshots;

struct view_wake;

/* folder: where the files go. wake: rung when one is done. Both borrowed. */
int view_snapshots_create(struct view_snapshots **out, const char *folder, struct view_wake *wake);
/* Waits for a snapshot that is being written. */
void view_snapshots_destroy(struct view_snapshots *snapshots);

/* Saves the contents of the renderer before they are presented. -EBUSY: the previous snapshot is
 * still being written. The result is logged, and available from view_snapshots_result(). */
int view_snapshots_window(struct view_snapshots *snapshots, SDL_Renderer *renderer);
/* A picture in its own size, with square pixels. name: of the server, becomes part
 * of the file's. */
int view_snapshots_picture(struct view_snapshots *snapshots, const char *name,
			   const struct view_picture *picture, const uint8_t *area);

/* Whether there is a result since the last call: then text says what it is, cut between
 * characters. */
bool view_snapshots_result(struct view_snapshots *snapshots, char *text, size_t size);

#endif
