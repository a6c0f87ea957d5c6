/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/wire.h"

#include <string.h>

#include "base/bytes.h"
#include "bench/lib/hls.h"
#include "bench/lib/multipart.h"
#include "bench/lib/websocket.h"
#include "bench/peers/rtmp.h"

#define HEADER_MAX 65536	/* of an HTTP answer */
#define LENGTH_MAX (64u << 20)	/* no unit is longer */
#define SKIP_AT_ONCE (1u << 24) /* bytes of a stream that has no end */

/* Without Host, which HTTP/1.0 does not need: servers refuse names that are not theirs. */
static const char http_tail[] = " HTTP/1.0\r\n\r\n";

static void put_text(struct buffer *out, const char *text)
{
	buffer_append(out, text, strlen(text));
}

void wire_init(struct wire *wire, const struct wire_source *source, unit_fn *unit, void *ctx)
{
	memset(wire, 0, sizeof(*wire));
	wire->source = source;
	wire->unit = unit;
	wire->ctx = ctx;
	ts_init(&wire->ts, unit, ctx);
	mp4_init(&wire->mp4, unit, ctx);
	if (source->framing == WIRE_RTMP) {
		wire->rtmp = rtmp_create(source->path, &wire->out, unit, ctx);
	} else if (source->framing == WIRE_RTSP) {
		wire->rtsp = rtsp_player_create(source->host, source->path, source->rtsp,
						&wire->out, unit, ctx);
		rtsp_player_use(wire->rtsp, source->transport, 0);
	} else if (source->framing == WIRE_HLS || source->framing == WIRE_HLS_PLAIN) {
		wire->player = hls_create(source->host, source->path, source->hls, &wire->out,
					  source->framing == WIRE_HLS_PLAIN, unit, ctx);
	} else if (source->framing == WIRE_WEBSOCKET) {
		wire->in_header = true;
		websocket_ask(&wire->out, source->host, source->path);
	} else if (source->http) {
		wire->in_header = true;
		put_text(&wire->out, "GET /");
		put_text(&wire->out, source->path);
		put_text(&wire->out, http_tail);
	}
}

void wire_use_port(struct wire *wire, uint16_t port)
{
	rtsp_player_use(wire->rtsp, wire->source->transport, port);
}

void wire_datagram(struct wire *wire, bool control, const uint8_t *data, size_t len, int64_t now_us)
{
	if (!wire->broken)
		wire->broken = rtsp_player_datagram(wire->rtsp, control, data, len, now_us) < 0;
}

const struct udp_group *wire_group(const struct wire *wire)
{
	return wire->rtsp ? rtsp_player_group(wire->rtsp) : NULL;
}

uint8_t *wire_room(struct wire *wire, size_t size)
{
	return buffer_room(&wire->in, size);
}

/* --- Annex B, and 32-bit big-endian lengths --- */

/* The length itself is included. */
static size_t length_unit(struct wire *wire)
{
	const uint8_t *data = wire->in.data;
	size_t len;

	if (wire->in.len < 4)
		return 0;
	len = bytes_get32(data);
	if (len > LENGTH_MAX) {
		wire->broken = true;
		return 0;
	}
	return wire->in.len >= 4 + len ? 4 + len : 0;
}

/* Returns the length of the first whole unit of wire->in, or 0 if there is none yet. */
static size_t find_unit(struct wire *wire)
{
	return wire->source->framing == WIRE_LENGTH
		       ? length_unit(wire)
		       : access_unit_find_end(&wire->search, wire->in.data, wire->in.len);
}

/* Passes on all whole units of wire->in. */
static void cut(struct wire *wire, size_t old_len, int64_t now_us)
{
	size_t skip = wire->source->framing == WIRE_LENGTH ? 4 : 0, done = 0, unit;
	struct buffer whole = wire->in;

	while ((unit = find_unit(wire)) > 0) {
		bool was_here = done + unit <= old_len; /* its last byte came earlier */

		if (unit > skip)
			wire->unit(wire->ctx, wire->in.data + skip, unit - skip,
				   was_here ? wire->byte_us : now_us);
		wire->in.data += unit;
		wire->in.len -= unit;
		wire->search = (struct access_unit_search){0};
		done += unit;
	}
	wire->in.data = whole.data;
	if (done > 0)
		memmove(whole.data, whole.data + done, wire->in.len);
}

/* --- all of them --- */

/* Returns true when the header is over; the bytes after it are in wire->in. */
static bool skip_header(struct wire *wire)
{
	const uint8_t *end = memmem(wire->in.data, wire->in.len, "\r\n\r\n", 4);
	const char *status;

	if (!end) {
		wire->broken |= wire->in.len > HEADER_MAX;
		return false;
	}
	status = wire->source->framing == WIRE_WEBSOCKET ? " 101 " : " 200 ";
	wire->broken |= !memmem(wire->in.data, (size_t)(end - wire->in.data), status, 5);
	buffer_drop(&wire->in, (size_t)(end - wire->in.data) + 4);
	wire->in_header = false;
	return true;
}

static int take_websocket(struct wire *wire, int64_t now_us)
{
	int result = websocket_read(&wire->in, &wire->payload, &wire->out);

	return result < 0 ? result : mp4_read(&wire->mp4, &wire->payload, now_us);
}

/* old_len: bytes in `in` that came earlier. 0, or negative: they are malformed. */
static int take(struct wire *wire, size_t old_len, int64_t now_us)
{
	switch (wire->source->framing) {
	case WIRE_ANNEXB:
	case WIRE_LENGTH:
		cut(wire, old_len, now_us);
		return 0;
	case WIRE_TS:
		return ts_read(&wire->ts, &wire->in, now_us);
	case WIRE_MP4:
		return mp4_read(&wire->mp4, &wire->in, now_us);
	case WIRE_MULTIPART:
		return multipart_read(&wire->in, wire->unit, wire->ctx, now_us);
	case WIRE_WEBSOCKET:
		return take_websocket(wire, now_us);
	case WIRE_HLS:
	case WIRE_HLS_PLAIN:
		return hls_received(wire->player, &wire->in, now_us);
	case WIRE_RTSP:
		return rtsp_player_received(wire->rtsp, &wire->in, now_us);
	case WIRE_RTMP:
		break;
	}
	return rtmp_received(wire->rtmp, &wire->in, &wire->out, now_us);
}

void wire_received(struct wire *wire, size_t n, int64_t now_us)
{
	size_t old_len = wire->in.len;

	wire->in.len += n;
	if (wire->in_header && !wire->broken && skip_header(wire))
		old_len = 0;
	if (wire->broken) {
		wire->in.len = 0;
		return;
	}
	if (wire->in_header)
		return;
	wire->broken |= take(wire, old_len, now_us) < 0;
	wire->byte_us = now_us;
}

void wire_tick(struct wire *wire, int64_t now_us)
{
	if (wire->player)
		hls_tick(wire->player, now_us);
	if (wire->rtsp)
		rtsp_player_tick(wire->rtsp, now_us);
}

bool wire_is_asking(const struct wire *wire)
{
	return wire->rtsp && !rtsp_player_plays(wire->rtsp);
}

bool wire_keeps_asking(const struct wire *wire)
{
	return wire->player || wire->rtsp;
}

void wire_stop_passing(struct wire *wire)
{
	if (wire->player)
		hls_stop_passing(wire->player);
	if (wire->rtsp) {
		wire->counting = true;
		buffer_finish(&wire->in);
	}
}

void wire_leave(struct wire *wire)
{
	if (wire->rtsp)
		rtsp_player_leave(wire->rtsp);
}

size_t wire_skippable(const struct wire *wire)
{
	if (wire->counting)
		return SKIP_AT_ONCE;
	return wire->player && wire->in.len == 0 ? hls_skippable(wire->player) : 0;
}

void wire_skipped(struct wire *wire, size_t n, int64_t now_us)
{
	if (wire->player)
		hls_skipped(wire->player, n, now_us);
}

void wire_finish(struct wire *wire)
{
	rtmp_destroy(wire->rtmp);
	rtsp_player_destroy(wire->rtsp);
	hls_destroy(wire->player);
	ts_finish(&wire->ts);
	mp4_finish(&wire->mp4);
	buffer_finish(&wire->in);
	buffer_finish(&wire->payload);
	buffer_finish(&wire->out);
	memset(wire, 0, sizeof(*wire));
}
