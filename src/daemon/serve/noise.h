/* SPDX-License-Identifier: BSD-2-Clause */
/* A viewer has nothing, or little, to say: one that sends more than NOISE_MAX within a minute only
 * costs time. Loop thread only. */
#ifndef DAEMON_SERVE_NOISE_H
#define DAEMON_SERVE_NOISE_H

#include "daemon/serve/connection.h"

#define NOISE_MAX (64 << 10) /* bytes */

/* Counts len bytes that a viewer sent. count: zero at first; its low 16 bits are the caller's.
 * True: it was too much, and the connection is closed, after a line in the log. */
bool noise_exceeded(struct connection *connection, uint64_t *count, size_t len);

#endif
