/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An RTMP player, as far as one server's one H.264 stream needs it: handshake, connect,
 * createStream, play, and the video messages as Annex B units. After Adobe's RTMP specification 1.0
 * (section numbers in the source) and FLV's VIDEODATA. One thread.
 */
#ifndef BENCH_PEERS_RTMP_H
#define BENCH_PEERS_RTMP_H

#include <stddef.h>
#include <stdint.h>

struct wire;
struct wire_buffer;
struct wire_rtmp;

/* path: "app/stream", borrowed. What is to be said first is appended to out. */
struct wire_rtmp *rtmp_create(const char *path, struct wire_buffer *out);
/* New bytes are in wire->in; whole messages are taken from it, answers appended to wire->out.
 * -EPROTO: this is not RTMP, or the server refused. */
int rtmp_received(struct wire_rtmp *rtmp, struct wire *wire, int64_t now_us);
void rtmp_destroy(struct wire_rtmp *rtmp);

#endif
