/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may watch: the one place that every protocol asks. Loop thread only.
 */
#ifndef DAEMON_AUTH_ACCESS_H
#define DAEMON_AUTH_ACCESS_H

#include "config/config.h"
#include "daemon/auth/gate.h"
#include "daemon/loop/loop.h"

struct access;

/* config is borrowed. 0 or -errno. */
int access_create(struct access **out, struct loop *loop, const struct config *config);
void access_destroy(struct access *access); /* NULL is allowed */

/* The gate of [daemon], for a protocol that can serve every stream. Borrowed. */
const struct gate *access_gate(const struct access *access);
/* That of a stream and of [daemon], for a protocol that serves this stream alone; index: in the
 * configuration. Borrowed. */
const struct gate *access_stream_gate(const struct access *access, size_t index);

/* Whether a peer may watch a stream, by its address. The pictures of a stream that the file does
 * not have are those of its camera's other streams: one of them decides. */
bool access_lets_in(const struct access *access, const struct net_peer *peer, size_t index);

#endif
