/* SPDX-License-Identifier: BSD-2-Clause */
/* A viewer has nothing, or little, to say: one that sends more than NOISE_MAX within a minute only
 * costs time. Loop thread only. */
#ifndef DAEMON_SERVE_NOISE_H
#define DAEMON_SERVE_NOISE_H

#include "daemon/serve/connection.h"

#define NOISE_MAX (64 << 10) /* bytes */
/* What is read at once counts as at least so many bytes: a record of TLS, or a segment of TCP,
 * costs the same however short it is. */
#define NOISE_READ_MIN 64

/* Counts len bytes of a viewer that were read at once. count: zero at first; its low 16 bits are
 * the caller's. True: it was too much, and the connection is closed, after a line in the log. */
bool noise_exceeded(struct connection *connection, uint64_t *count, size_t len);

#endif
