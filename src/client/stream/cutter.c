/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/stream/cutter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum nal_type { /* H.264 table 7-1 */
		NAL_SLICE = 1,
		NAL_IDR = 5,
		NAL_SEI = 6,
		NAL_SPS = 7,
		NAL_PPS = 8,
		NAL_AUD = 9,
		NAL_PREFIX = 14,
		NAL_RESERVED_18 = 18,
};

void cutter_init(struct cutter *cutter, enum stream_framing framing)
{
	memset(cutter, 0, sizeof *cutter);
	cutter->framing = framing;
}

void cutter_finish(struct cutter *cutter)
{
	free(cutter->data);
	cutter->data = NULL;
	cutter->room = 0;
}

static void begin_unit(struct cutter *cutter)
{
	cutter->started = cutter->has_slice = false;
	cutter->has_idr = cutter->has_sps = cutter->has_pps = false;
}

void cutter_reset(struct cutter *cutter)
{
	cutter->begin = cutter->end = cutter->scan = cutter->noise = 0;
	cutter->guessed = false;
	begin_unit(cutter);
}

uint8_t *cutter_room(struct cutter *cutter, size_t *len)
{
	if (cutter->begin > 0 && cutter->room - cutter->end < CUTTER_ROOM_MIN) {
		memmove(cutter->data, cutter->data + cutter->begin, cutter->end - cutter->begin);
		if (cutter->framing == STREAM_ANNEXB)
			cutter->scan -= cutter->begin;
		cutter->end -= cutter->begin;
		cutter->begin = 0;
	}
	if (cutter->room - cutter->end < CUTTER_ROOM_MIN) {
		size_t room = cutter->room ? 2 * cutter->room : 2 * CUTTER_ROOM_MIN;
		uint8_t *data = realloc(cutter->data, room);

		if (!data)
			return NULL;
		cutter->data = data;
		cutter->room = room;
	}
	*len = cutter->room - cutter->end;
	return cutter->data + cutter->end;
}

void cutter_add(struct cutter *cutter, size_t len)
{
	cutter->end += len;
}

/* Whether the unit begins anew at a NAL unit of this type; header points at it, and one more byte
 * is there. */
static bool begins_picture(const uint8_t *header)
{
	unsigned type = header[0] & 0x1f;

	if (type == NAL_SLICE || type == 2 || type == NAL_IDR)
		return header[1] & 0x80; /* ue(v) 0 */
	return (type >= NAL_SEI && type <= NAL_AUD) ||
	       (type >= NAL_PREFIX && type <= NAL_RESERVED_18);
}

static void note_nal(struct cutter *cutter, unsigned type)
{
	cutter->started = true;
	cutter->has_idr |= type == NAL_IDR;
	cutter->has_slice |= type == NAL_SLICE || type == 2 || type == NAL_IDR;
	cutter->has_sps |= type == NAL_SPS;
	cutter->has_pps |= type == NAL_PPS;
}

/* The first 00 00 01 at or after `from` that has its two following bytes; `end` if there is none
 * yet. */
static size_t find_start_code(const uint8_t *data, size_t from, size_t end)
{
	for (size_t i = from + 2; i + 2 < end;) {
		const uint8_t *one = memchr(data + i, 1, end - 2 - i);

		if (!one)
			break;
		i = (size_t)(one - data);
		if (data[i - 1] == 0 && data[i - 2] == 0)
			return i - 2;
		i++;
	}
	return end;
}

static void give(struct cutter *cutter, struct cutter_unit *unit, size_t len,
		 enum stream_codec codec, bool key)
{
	unit->data = cutter->data + cutter->begin;
	unit->len = len;
	unit->codec = codec;
	unit->key = key;
	cutter->begin += len;
}

static int give_picture(struct cutter *cutter, struct cutter_unit *unit, size_t end)
{
	bool key = cutter->has_idr && cutter->has_sps && cutter->has_pps;

	if (end - cutter->begin > CUTTER_UNIT_MAX)
		return -EBADMSG;
	give(cutter, unit, end - cutter->begin, STREAM_H264, key);
	begin_unit(cutter);
	return CUTTER_UNIT;
}

/* A start code was found at `at`, and what stands in front of it is no unit's. Returns false if
 * that was the rest of a unit that had been given out. */
static bool skip_to(struct cutter *cutter, size_t at)
{
	size_t zeros = at;
	bool rest;

	while (zeros > cutter->begin && cutter->data[zeros - 1] == 0)
		zeros--;
	rest = cutter->guessed && zeros > cutter->begin;
	cutter->noise = 0;
	cutter->begin = at - (zeros < at); /* a zero byte in front belongs to it: B.1.1 */
	return !rest;
}

static int next_in_byte_stream(struct cutter *cutter, struct cutter_unit *unit)
{
	for (;;) {
		size_t at = find_start_code(cutter->data, cutter->scan, cutter->end);
		const uint8_t *header;
		bool split = false;

		if (at == cutter->end) {
			/* What may be a start code, with the zero byte in front and one byte
			 * behind, is looked at again. */
			size_t keep =
				cutter->end - cutter->begin < 5 ? cutter->begin : cutter->end - 5;

			if (cutter->scan < keep)
				cutter->scan = keep;
			if (cutter->started)
				return cutter->end - cutter->begin > CUTTER_UNIT_MAX ? -EBADMSG
										     : CUTTER_MORE;
			if (!cutter->guessed) {
				cutter->noise += keep - cutter->begin;
				cutter->begin = keep;
			}
			return cutter->noise > CUTTER_NOISE_MAX ||
					       cutter->end - cutter->begin > CUTTER_UNIT_MAX
				       ? -EBADMSG
				       : CUTTER_MORE;
		}
		header = cutter->data + at + 3;
		cutter->scan = at + 3;
		if (!cutter->started) {
			split = !skip_to(cutter, at);
			/* Also a slice that goes on with the picture was cut off from it. */
			split |= cutter->guessed && !begins_picture(header);
			cutter->guessed = false;
		} else if (cutter->has_slice && begins_picture(header)) {
			/* A zero byte in front belongs to the start code: B.1.1. */
			size_t end = at > cutter->begin && cutter->data[at - 1] == 0 ? at - 1 : at;
			int r = give_picture(cutter, unit, end);

			note_nal(cutter, header[0] & 0x1f);
			return r;
		}
		note_nal(cutter, header[0] & 0x1f);
		if (split)
			return CUTTER_SPLIT;
	}
}

/* Whether a unit is H.264, and what is in it. */
static bool look_through(struct cutter *cutter, const uint8_t *data, size_t len)
{
	size_t at = find_start_code(data, 0, len);

	if (at > 1 || at == len || (at == 1 && data[0] != 0))
		return false;
	for (; at < len; at = find_start_code(data, at + 3, len))
		note_nal(cutter, data[at + 3] & 0x1f);
	return cutter->has_slice;
}

/* u32 length, most significant byte first, then the picture; nothing behind a length of 0. */
static int next_behind_length(struct cutter *cutter, struct cutter_unit *unit)
{
	const uint8_t *data;
	size_t have, len;
	bool key;

	for (;;) {
		data = cutter->data + cutter->begin;
		have = cutter->end - cutter->begin;
		if (have < 4)
			return CUTTER_MORE;
		len = (size_t)data[0] << 24 | (size_t)data[1] << 16 | (size_t)data[2] << 8 |
		      data[3];
		if (len > CUTTER_UNIT_MAX)
			return -EBADMSG;
		if (have < 4 + len)
			return CUTTER_MORE;
		cutter->begin += 4;
		if (len > 0)
			break;
	}
	if (len >= 2 && data[4] == 0xff && data[5] == 0xd8) { /* JPEG's SOI marker */
		give(cutter, unit, len, STREAM_MJPEG, true);
		return CUTTER_UNIT;
	}
	begin_unit(cutter);
	if (!look_through(cutter, data + 4, len)) {
		cutter->begin += len;
		return CUTTER_JUNK;
	}
	key = cutter->has_idr && cutter->has_sps && cutter->has_pps;
	give(cutter, unit, len, STREAM_H264, key);
	return CUTTER_UNIT;
}

int cutter_next(struct cutter *cutter, struct cutter_unit *unit)
{
	return cutter->framing == STREAM_ANNEXB ? next_in_byte_stream(cutter, unit)
						: next_behind_length(cutter, unit);
}

int cutter_end_unit(struct cutter *cutter, struct cutter_unit *unit)
{
	const uint8_t *last = cutter->data + cutter->end - 4;
	int r;

	if (cutter->framing != STREAM_ANNEXB || !cutter->has_slice)
		return CUTTER_MORE;
	/* A NAL unit never ends in a zero byte (7.4.1): the next start code is on its way. */
	if (last[3] == 0 || (last[0] == 0 && last[1] == 0 && last[2] == 1) ||
	    (last[1] == 0 && last[2] == 0 && last[3] == 1))
		return CUTTER_MORE;
	r = give_picture(cutter, unit, cutter->end);
	cutter->scan = cutter->end;
	cutter->guessed = true;
	return r;
}
