/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a configuration changes in a server that runs with another one. A table in changes.c says
 * for each key what a change of it means; for one that it does not name, the section decides: a
 * change in [camera] and [stream] restarts the camera's worker, one in [daemon] waits for the next
 * start. Any thread.
 */
#ifndef CONFIG_CHANGES_H
#define CONFIG_CHANGES_H

#include "config/config.h"

struct config_changes {
	/* By index in the new configuration, the index in the old one. A camera whose worker needs
	 * not know of the change; a stream of the same name and codec, whose viewers stay. -1:
	 * there is none. */
	int *same_camera;
	int *same_stream;
	bool announced; /* clients learn something else of this server, or in another way */
};

/*
 * Compares two configurations. Where a change must wait for the next start, `next` keeps the old
 * value, and later() is called with the key, "backend in [daemon]". 0 and *out (free it with
 * config_changes_free()), or -ENOMEM; `next` is of no use then.
 */
int config_compare(struct config_changes **out, const struct config *old, struct config *next,
		   void (*later)(void *user, const char *key), void *user);
/* NULL is allowed. */
void config_changes_free(struct config_changes *changes);

#endif
