/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/wire.h"

#include <string.h>

#include "bench/peers/rtmp.h"

#define TS_PACKET 188
#define HEADER_MAX 65536       /* of an HTTP answer */
#define LENGTH_MAX (64u << 20) /* no unit is longer */

/* Without Host, which HTTP/1.0 does not need: servers refuse names that are not theirs. */
static const char http_tail[] = " HTTP/1.0\r\n\r\n";

void wire_init(struct wire *wire, enum wire_framing framing, bool http, const char *path,
	       unit_fn *unit, void *ctx)
{
	memset(wire, 0, sizeof(*wire));
	wire->framing = framing;
	wire->in_header = http;
	wire->pid = -1;
	wire->unit = unit;
	wire->ctx = ctx;
	if (framing == WIRE_RTMP) {
		wire->rtmp = rtmp_create(path, &wire->out, unit, ctx);
	} else if (http) {
		buffer_append(&wire->out, "GET /", 5);
		buffer_append(&wire->out, path, strlen(path));
		buffer_append(&wire->out, http_tail, sizeof(http_tail) - 1);
	}
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
	len = (size_t)data[0] << 24 | (size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3];
	if (len > LENGTH_MAX) {
		wire->broken = true;
		return 0;
	}
	return wire->in.len >= 4 + len ? 4 + len : 0;
}

/* Returns the length of the first whole unit of wire->in, or 0 if there is none yet. */
static size_t find_unit(struct wire *wire)
{
	return wire->framing == WIRE_LENGTH
		       ? length_unit(wire)
		       : access_unit_find_end(&wire->search, wire->in.data, wire->in.len);
}

/* Passes on all whole units of wire->in. */
static void cut(struct wire *wire, size_t old_len, int64_t now_us)
{
	size_t skip = wire->framing == WIRE_LENGTH ? 4 : 0, done = 0, unit;
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

/* --- MPEG-TS (ISO/IEC 13818-1 clause 2.4.3): one access unit a PES packet --- */

static void ts_packet(struct wire *wire, const uint8_t *packet, int64_t now_us)
{
	int pid = (packet[1] & 31) << 8 | packet[2];
	bool begins = packet[1] & 0x40;
	size_t at = 4;

	if (!(packet[3] & 0x10)) /* no payload */
		return;
	if (packet[3] & 0x20)
		at += 1u + packet[4];
	if (at >= TS_PACKET)
		return;
	if (begins && wire->pid < 0 && at + 9 <= TS_PACKET &&
	    memcmp(packet + at, "\0\0\1", 3) == 0 && packet[at + 3] >> 4 == 0xe)
		wire->pid = pid;
	if (pid != wire->pid)
		return;
	if (begins) {
		if (wire->pes.len > 0)
			wire->unit(wire->ctx, wire->pes.data, wire->pes.len, wire->unit_byte_us);
		wire->pes.len = 0;
		if (at + 9 > TS_PACKET || at + 9 + packet[at + 8] > TS_PACKET) {
			wire->broken = true;
			return;
		}
		at += 9u + packet[at + 8];
	}
	buffer_append(&wire->pes, packet + at, TS_PACKET - at);
	wire->unit_byte_us = now_us;
}

static void ts_received(struct wire *wire, int64_t now_us)
{
	size_t at = 0;

	/* A server that does not parse TS lets clients begin within a packet. */
	while (at + TS_PACKET < wire->in.len && !wire->broken) {
		const uint8_t *packet = wire->in.data + at;

		if (packet[0] != 0x47 || packet[TS_PACKET] != 0x47) {
			at++;
			continue;
		}
		ts_packet(wire, packet, now_us);
		at += TS_PACKET;
	}
	if (at > 0)
		buffer_drop(&wire->in, at);
}

/* --- all of them --- */

/* Returns true when the header is over; the bytes after it are in wire->in. */
static bool skip_header(struct wire *wire)
{
	const uint8_t *end = memmem(wire->in.data, wire->in.len, "\r\n\r\n", 4);

	if (!end) {
		wire->broken |= wire->in.len > HEADER_MAX;
		return false;
	}
	wire->broken |= !memmem(wire->in.data, (size_t)(end - wire->in.data), " 200", 4);
	buffer_drop(&wire->in, (size_t)(end - wire->in.data) + 4);
	wire->in_header = false;
	return true;
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
	switch (wire->framing) {
	case WIRE_ANNEXB:
	case WIRE_LENGTH:
		cut(wire, old_len, now_us);
		break;
	case WIRE_TS:
		ts_received(wire, now_us);
		break;
	case WIRE_RTMP:
		wire->broken |= rtmp_received(wire->rtmp, &wire->in, &wire->out, now_us) < 0;
		break;
	}
	wire->byte_us = now_us;
}

void wire_finish(struct wire *wire)
{
	rtmp_destroy(wire->rtmp);
	buffer_finish(&wire->in);
	buffer_finish(&wire->pes);
	buffer_finish(&wire->out);
	memset(wire, 0, sizeof(*wire));
}
