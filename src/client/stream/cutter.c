/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/stream/cutter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "media/jpeg.h"
#include "media/nal.h"

/* Bytes that arrive now are not part of a unit yet. */
static void begin_unit(struct cutter *cutter)
{
	cutter->begun = false;
	cutter->search = (struct access_unit_search){.fields = &cutter->fields};
}

void cutter_init(struct cutter *cutter, enum stream_framing framing)
{
	memset(cutter, 0, sizeof *cutter);
	cutter->framing = framing;
	begin_unit(cutter);
}

void cutter_finish(struct cutter *cutter)
{
	free(cutter->data);
	cutter->data = NULL;
	cutter->room = 0;
}

void cutter_reset(struct cutter *cutter)
{
	cutter->begin = cutter->end = cutter->noise = 0;
	cutter->guessed = false;
	cutter->fields.possible = false;
	begin_unit(cutter);
}

uint8_t *cutter_room(struct cutter *cutter, size_t *len)
{
	if (cutter->begin > 0 && cutter->room - cutter->end < CUTTER_ROOM_MIN) {
		memmove(cutter->data, cutter->data + cutter->begin, cutter->end - cutter->begin);
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

bool cutter_is_empty(const struct cutter *cutter)
{
	return cutter->begin == cutter->end;
}

static void give(struct cutter *cutter, struct cutter_unit *unit, size_t len,
		 enum stream_codec codec, bool key)
{
	*unit = (struct cutter_unit){
		.data = cutter->data + cutter->begin,
		.len = len,
		.codec = codec,
		.key = key,
	};
	cutter->begin += len;
}

static int give_picture(struct cutter *cutter, struct cutter_unit *unit, size_t len)
{
	if (len > CUTTER_UNIT_MAX)
		return -EBADMSG;
	give(cutter, unit, len, STREAM_H264, access_unit_is_key(&cutter->search.head));
	begin_unit(cutter);
	return CUTTER_UNIT;
}

/* No unit has begun, and there is no start code yet. */
static int skip_noise(struct cutter *cutter)
{
	const size_t len = cutter->end - cutter->begin;
	/* Bytes that may belong to a start code, with the zero byte before and two bytes after it,
	 * are searched again. */
	const size_t past = len < 5 ? 0 : len - 5;

	if (cutter->guessed) { /* when a start code arrives, it shows that the guess was wrong */
		cutter->search.done = past;
	} else {
		cutter->noise += past;
		cutter->begin += past;
	}
	return cutter->noise > CUTTER_NOISE_MAX || cutter->end - cutter->begin > CUTTER_UNIT_MAX
		       ? -EBADMSG
		       : CUTTER_MORE;
}

/* Searches the first start code with two bytes after it. CUTTER_UNIT: a unit begins there. */
static int find_beginning(struct cutter *cutter)
{
	const uint8_t *data = cutter->data + cutter->begin;
	const size_t len = cutter->end - cutter->begin;
	const size_t at = nal_find_start_code(data, len, cutter->search.done);
	size_t zeros = at;
	bool split;

	if (at + 5 > len)
		return skip_noise(cutter);
	while (zeros > 0 && data[zeros - 1] == 0)
		zeros--;
	/* The bytes before it, or a slice that continues a picture, are the rest of the unit that
	 * was already returned. */
	split = cutter->guessed && (zeros > 0 || !access_unit_begins(data + at + 3));
	cutter->begin += at - (zeros < at); /* a zero byte before it belongs to it: B.1.1 */
	begin_unit(cutter);
	cutter->begun = true;
	cutter->guessed = false;
	cutter->noise = 0;
	return split ? CUTTER_SPLIT : CUTTER_UNIT;
}

static int next_in_byte_stream(struct cutter *cutter, struct cutter_unit *unit)
{
	size_t len;

	if (!cutter->begun) {
		int r = find_beginning(cutter);

		if (r != CUTTER_UNIT)
			return r;
	}
	len = access_unit_find_end(&cutter->search, cutter->data + cutter->begin,
				   cutter->end - cutter->begin);
	if (len > 0)
		return give_picture(cutter, unit, len);
	return cutter->end - cutter->begin > CUTTER_UNIT_MAX ? -EBADMSG : CUTTER_MORE;
}

/* u32 length, most significant byte first, then the picture; no bytes follow a length of 0. */
static int next_behind_length(struct cutter *cutter, struct cutter_unit *unit)
{
	struct access_unit_head head;
	const uint8_t *data;
	size_t have, len;

	for (;;) {
		data = cutter->data + cutter->begin;
		have = cutter->end - cutter->begin;
		if (have < 4)
			return CUTTER_MORE;
		len = bytes_get32(data);
		if (len > CUTTER_UNIT_MAX)
			return -EBADMSG;
		if (have < 4 + len)
			return CUTTER_MORE;
		cutter->begin += 4;
		if (len > 0)
			break;
	}
	if (jpeg_begins(data + 4, len)) {
		give(cutter, unit, len, STREAM_MJPEG, true);
		return CUTTER_UNIT;
	}
	access_unit_read_head(data + 4, len, &head);
	if (!nal_begins(data + 4, len) || !head.slice) {
		cutter->begin += len;
		return CUTTER_JUNK;
	}
	give(cutter, unit, len, STREAM_H264, access_unit_is_key(&head));
	return CUTTER_UNIT;
}

int cutter_next(struct cutter *cutter, struct cutter_unit *unit)
{
	return cutter->framing == STREAM_ANNEXB ? next_in_byte_stream(cutter, unit)
						: next_behind_length(cutter, unit);
}

bool cutter_has_picture(const struct cutter *cutter)
{
	return cutter->search.head.slice;
}

int cutter_end_unit(struct cutter *cutter, struct cutter_unit *unit)
{
	const uint8_t *last = cutter->data + cutter->end - 4;
	int r;

	if (cutter->framing != STREAM_ANNEXB || !cutter_has_picture(cutter) ||
	    cutter->fields.possible)
		return CUTTER_MORE;
	/* A NAL unit never ends in a zero byte (7.4.1), so this one belongs to the next start
	 * code. */
	if (last[3] == 0 || (last[0] == 0 && last[1] == 0 && last[2] == 1) ||
	    (last[1] == 0 && last[2] == 0 && last[3] == 1))
		return CUTTER_MORE;
	r = give_picture(cutter, unit, cutter->end - cutter->begin);
	cutter->guessed = true;
	return r;
}
