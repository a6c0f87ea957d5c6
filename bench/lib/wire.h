/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a client says to a server and what it receives, for every server: raw H.264, 32-bit lengths,
 * MPEG-TS and fragmented MP4, each over TCP or HTTP, multipart JPEGs, WebSocket, HLS, RTSP and
 * RTMP. The bytes are cut into access units. A unit is passed on as Annex B, or as the picture that
 * a length announced. One thread.
 *
 * In a byte stream, the end of a unit is known only when the next one begins. The time that is
 * passed on is the one at which the last byte of the unit came.
 */
#ifndef BENCH_LIB_WIRE_H
#define BENCH_LIB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/lib/buffer.h"
#include "bench/lib/mp4.h"
#include "bench/lib/rtsp.h"
#include "bench/lib/ts.h"
#include "bench/lib/unit.h"
#include "media/access_unit.h"

enum wire_framing {
	WIRE_ANNEXB,
	WIRE_LENGTH,
	WIRE_TS,
	WIRE_MP4,
	WIRE_MULTIPART,
	WIRE_WEBSOCKET, /* of MP4 */
	WIRE_HLS,	/* low latency where the playlist offers it */
	WIRE_HLS_PLAIN, /* whole segments */
	WIRE_RTSP,
	WIRE_RTMP,
};

/* What a client asks for. */
struct wire_source {
	enum wire_framing framing;
	bool http;		       /* the first five over HTTP */
	bool tls;		       /* over TLS, whose certificate is not checked */
	enum rtsp_transport transport; /* of RTSP */
	char host[80];		       /* "HOST:PORT" */
	char path[256]; /* of the URL, without the first slash; "app/stream" for RTMP */
	/* Of all players of HLS, and of RTSP; borrowed. */
	struct hls_tally *hls;
	struct rtsp_tally *rtsp;
};

struct wire {
	const struct wire_source *source;
	bool in_header; /* of an HTTP answer */
	bool broken;	/* the bytes are malformed: all further ones are ignored */
	/* Bytes that are not yet part of a unit that was passed on. */
	struct buffer in;
	struct access_unit_search search; /* Annex B: for the end of the first unit in `in` */
	struct ts_reader ts;
	struct mp4_reader mp4;
	struct buffer payload; /* of WebSocket messages */
	int64_t byte_us;
	struct rtmp *rtmp;
	struct rtsp_player *rtsp;
	bool counting; /* RTSP: the bytes are only counted */
	struct hls_player *player;
	struct buffer out; /* to be sent to the server */
	unit_fn *unit;
	void *ctx;
};

/* source is borrowed. */
void wire_init(struct wire *wire, const struct wire_source *source, unit_fn *unit, void *ctx);
/* RTSP over UDP: the port of RTP at which the client listens. */
void wire_use_port(struct wire *wire, uint16_t port);
/* RTSP: takes a datagram, of RTCP if `control`. */
void wire_datagram(struct wire *wire, bool control, const uint8_t *data, size_t len,
		   int64_t now_us);
/* RTSP by multicast: the group, once it is known; NULL before. */
const struct udp_group *wire_group(const struct wire *wire);
/* Returns a place for the next bytes, with at least size bytes of room. */
uint8_t *wire_room(struct wire *wire, size_t size);
/* Takes n bytes that were read there at now_us. */
void wire_received(struct wire *wire, size_t n, int64_t now_us);
/* HLS, RTSP: asks for what is due. Others do not need it. */
void wire_tick(struct wire *wire, int64_t now_us);
/* Whether there is a dialogue before the stream, which the server did not finish yet. */
bool wire_is_asking(const struct wire *wire);
/* Whether wire_tick() is needed as long as the connection lasts. */
bool wire_keeps_asking(const struct wire *wire);
/* For those that keep asking: passes on no units from now on; only the requests matter. */
void wire_stop_passing(struct wire *wire);
/* Says goodbye where the protocol has a word for it. */
void wire_leave(struct wire *wire);
/* The number of bytes that come next and whose content does not matter. */
size_t wire_skippable(const struct wire *wire);
/* Takes n of these, which came at now_us. */
void wire_skipped(struct wire *wire, size_t n, int64_t now_us);
void wire_finish(struct wire *wire);

#endif
