/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cuts the bytes of a stream into access units. Knows no socket and no clock. One thread.
 *
 * In a byte stream (H.264 annex B) the end of a unit is found by the first NAL unit of the next one
 * (media/access_unit.h).
 */
#ifndef CLIENT_STREAM_CUTTER_H
#define CLIENT_STREAM_CUTTER_H

#include "client/stream/target.h"
#include "media/access_unit.h"

#define CUTTER_UNIT_MAX (16u << 20)  /* bytes of a unit */
#define CUTTER_NOISE_MAX (1u << 20)  /* bytes before the first start code of a byte stream */
#define CUTTER_ROOM_MIN (128u << 10) /* bytes that cutter_room() gives at least */

struct cutter {
	enum stream_framing framing;
	uint8_t *data;
	size_t room;
	size_t begin, end; /* of the bytes that were not returned yet */

	/* Only for a byte stream: */
	bool begun;			  /* a unit begins at `begin` */
	struct access_unit_search search; /* for its end, or while none has begun, its beginning */
	struct access_unit_fields fields;
	bool guessed; /* the unit before it was ended by cutter_end_unit() */
	size_t noise; /* bytes thrown away before the first start code */
};

struct cutter_unit {
	const uint8_t *data; /* borrowed until the next call */
	size_t len;
	enum stream_codec codec;
	bool key;
	bool timed;    /* time is valid: of RTP only */
	uint32_t time; /* when it is shown, 90 kHz; it wraps */
};

enum cutter_result {
	CUTTER_MORE = 0,
	CUTTER_UNIT = 1,
	CUTTER_SPLIT =
		2, /* the end given by cutter_end_unit() was within a unit; its rest is gone */
	CUTTER_JUNK = 3, /* a unit that is no picture; it was discarded */
	CUTTER_GAP = 4,	 /* units are missing (client/stream/unpack.h) */
};

void cutter_init(struct cutter *cutter, enum stream_framing framing);
void cutter_finish(struct cutter *cutter);
void cutter_reset(struct cutter *cutter); /* forgets everything but its memory */

/* Returns room for *len further bytes. NULL: no memory. */
uint8_t *cutter_room(struct cutter *cutter, size_t *len);
void cutter_add(struct cutter *cutter, size_t len);

/* Whether all bytes that arrived were returned or discarded. */
bool cutter_is_empty(const struct cutter *cutter);

/* Returns the next unit or another cutter_result; -EBADMSG: the bytes are no such stream. */
int cutter_next(struct cutter *cutter, struct cutter_unit *unit);

/* Whether the first slice of a picture, or the beginning of it, has arrived in the current unit of
 * a byte stream. */
bool cutter_has_picture(const struct cutter *cutter);

/* Ends the current unit: the bytes that have arrived are taken for all of it. CUTTER_UNIT, or
 * CUTTER_MORE if it contains no picture yet, its end is known anyway, or another
 * field may follow. */
int cutter_end_unit(struct cutter *cutter, struct cutter_unit *unit);

#endif
