/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What arrives at a client, cut into access units, whatever server it comes from: raw H.264, 32-bit
 * lengths, MPEG-TS, each over TCP or HTTP, and RTMP. Units are given as an Annex B byte stream (or
 * as the picture that a length announced). One thread.
 *
 * Of a byte stream only the beginning of the next unit tells that a unit is over. The time given
 * for it is therefore the one at which its last byte came, not the one at which that was known.
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
	bool broken;	/* these bytes make no sense: all further ones are ignored */
	/* Bytes that are not yet part of a unit given. */
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

/* path: what to ask for: by HTTP if http, or "app/stream" for RTMP; else NULL. Borrowed. */
void wire_init(struct wire *wire, enum wire_framing framing, bool http, const char *path,
	       unit_fn *unit, void *ctx);
/* Where to read the next bytes to: at least size bytes of room. */
uint8_t *wire_room(struct wire *wire, size_t size);
/* n bytes came there at now_us. */
void wire_received(struct wire *wire, size_t n, int64_t now_us);
void wire_finish(struct wire *wire);

#endif
