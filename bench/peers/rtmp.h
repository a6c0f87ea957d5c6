/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An RTMP player, as far as one server's one H.264 stream needs it: handshake, connect,
 * createStream, play, and the video messages as Annex B units. After Adobe's RTMP specification 1.0
 * (section numbers in the source) and FLV's VIDEODATA. One thread.
 */
#ifndef BENCH_PEERS_RTMP_H
#define BENCH_PEERS_RTMP_H

#include <stdint.h>

#include "bench/lib/buffer.h"
#include "bench/lib/unit.h"

struct rtmp;

/* path: "app/stream", borrowed. Appends the first message to out. Calls unit with ctx for each
 * picture. Without memory the program ends. */
struct rtmp *rtmp_create(const char *path, struct buffer *out, unit_fn *unit, void *ctx);
/* Takes whole messages from `in`, and appends answers to out. -EPROTO: the bytes are not RTMP, or
 * the server refused. */
int rtmp_received(struct rtmp *rtmp, struct buffer *in, struct buffer *out, int64_t now_us);
void rtmp_destroy(struct rtmp *rtmp);

#endif
