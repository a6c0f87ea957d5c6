/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The worker's end of the pair to camcastd (camcast/worker.h). No function waits: a message for
 * which the pair has no room is refused with -EAGAIN.
 */
#ifndef CAPTURE_PUBLISH_LINK_H
#define CAPTURE_PUBLISH_LINK_H

#include <stddef.h>

#include "camcast/worker.h"

/* Sends one message, with fd (borrowed) if it is not -1. 0, -EAGAIN (no room now, or no memory for
 * it), -EPIPE (camcastd is gone), -errno. Any thread. */
int link_send(int pair, const void *message, size_t len, int fd);

/* Handlers of camcastd's messages, called from link_receive(). */
struct link_handlers {
	void (*want)(void *user, const struct camcast_msg_want *message);
	void (*idr)(void *user, const struct camcast_msg_idr *message);
	void (*bitrate)(void *user, const struct camcast_msg_bitrate *message);
	void (*control)(void *user, const struct camcast_msg_control *message);
	void (*get_segment)(void *user, const struct camcast_msg_get_segment *message);
};

/* Handles every message that waits. A message of unknown type or wrong size is skipped with a
 * warning: it means that camcastd and the worker are of different builds. 0, -EPIPE (closed: stop),
 * -errno. Main thread. */
int link_receive(int pair, const struct link_handlers *handlers, void *user);

#endif
