/* SPDX-License-Identifier: BSD-2-Clause */
/* Pictures to PNG files, on a thread of their own, so that nothing on the screen waits. Main
 * thread. */
#ifndef CLIENT_VIEW_SNAPSHOT_H
#define CLIENT_VIEW_SNAPSHOT_H

#include <SDL.h>

#include "client/view/ring.h"

struct view_snapshots;

/* folder: borrowed; where the files go. */
int view_snapshots_create(struct view_snapshots **out, const char *folder);
/* Waits for the one under way. */
void view_snapshots_destroy(struct view_snapshots *snapshots);

/* What the renderer has drawn and not yet presented. -EBUSY: one is under way still. The log says how
 * it ended. */
int view_snapshots_window(struct view_snapshots *snapshots, SDL_Renderer *renderer);
/* A picture in its own size, with square pixels. name: of the server, becomes part of the file's. */
int view_snapshots_picture(struct view_snapshots *snapshots, const char *name,
			   const struct view_picture *picture, const uint8_t *area);

#endif
