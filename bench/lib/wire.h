/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cuts the bytes that a client receives into access units, for every server: raw H.264, 32-bit
 * lengths and MPEG-TS, each over TCP or HTTP, and RTMP. A unit is passed on as Annex B, or as the
 * picture that a length announced. One thread.
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
#include "bench/lib/unit.h"
#include "media/access_unit.h"

enum wire_framing { WIRE_ANNEXB, WIRE_LENGTH, WIRE_TS, WIRE_RTMP };

struct wire {
	enum wire_framing framing;
	bool in_header; /* of an HTTP answer */
	bool broken;	/* the bytes are malformed: all further ones are ignored */
	/* Bytes that are not yet part of a unit that was passed on. */
	struct buffer in;
	struct access_unit_search search; /* Annex B: for the end of the first unit in `in` */
	struct buffer pes;		  /* TS: the unit being put together */
	int pid;			  /* TS: of the video; -1: not yet known */
	int64_t byte_us, unit_byte_us;
	struct rtmp *rtmp;
	struct buffer out; /* to be sent to the server */
	unit_fn *unit;
	void *ctx;
};

/* path is what to request by HTTP if http, or "app/stream" for RTMP, else NULL. Borrowed. */
void wire_init(struct wire *wire, enum wire_framing framing, bool http, const char *path,
	       unit_fn *unit, void *ctx);
/* Returns a place for the next bytes, with at least size bytes of room. */
uint8_t *wire_room(struct wire *wire, size_t size);
/* Takes n bytes that were read there at now_us. */
void wire_received(struct wire *wire, size_t n, int64_t now_us);
void wire_finish(struct wire *wire);

#endif
