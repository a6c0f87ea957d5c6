/* SPDX-License-Identifier: BSD-2-Clause */
/* The client's side of WebSocket (RFC 6455), as far as a viewer needs it. One thread. */
#ifndef BENCH_LIB_WEBSOCKET_H
#define BENCH_LIB_WEBSOCKET_H

#include "bench/lib/buffer.h"

/* Appends the request for the handshake. host: "HOST:PORT"; path: without the first slash. */
void websocket_ask(struct buffer *out, const char *host, const char *path);
/* Takes all whole frames from the beginning of in: appends the data of binary messages to payload,
 * and the answers to pings to out. 0, or -EBADMSG: a frame is masked, too long, or the end. */
int websocket_read(struct buffer *in, struct buffer *payload, struct buffer *out);

#endif
