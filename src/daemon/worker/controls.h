/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The controls of a camera that somebody set at run time. They are stored here and sent again to
 * each new process, so that a restart does not undo them. Loop thread only.
 */
#ifndef DAEMON_WORKER_CONTROLS_H
#define DAEMON_WORKER_CONTROLS_H

#include <stdbool.h>
#include <stddef.h>

#include "camcast/worker.h"

#define WORKER_CONTROLS_MAX 64

struct worker_controls {
	struct camcast_msg_control *list[WORKER_CONTROLS_MAX]; /* the oldest first */
	size_t n;
	size_t said; /* of them, those that the process has */
};

/* Stores a value; one that was set before goes, and the new one is the last to be sent. 0,
 * -EMSGSIZE (too long for a message), -ENOSPC or -ENOMEM. */
int worker_controls_set(struct worker_controls *controls, const char *name, const char *value);
/* The value that was set; NULL: none was. */
const char *worker_controls_value(const struct worker_controls *controls, const char *name);

/* A new process has none of them. */
void worker_controls_reset(struct worker_controls *controls);
/* Sends those that the process does not have, up to the first that say() cannot send. */
void worker_controls_say(struct worker_controls *controls,
			 bool (*say)(void *user, const void *message, size_t size), void *user);

void worker_controls_finish(struct worker_controls *controls);

#endif
