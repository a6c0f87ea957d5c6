/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever a server sends, in whatever pieces: units come out whole, in order and within their
 * bounds, and the pieces make no difference unless a unit's end was guessed. The first byte says
 * which framing it is and whether ends are guessed, the second how long the pieces are.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/stream/cutter.h"
#include "client/stream/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static uint64_t mix(uint64_t hash, const uint8_t *data, size_t len) /* FNV-1a */
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ data[i]) * 0x100000001b3;
	return hash * 0x100000001b3 + len;
}

static void check_unit(const struct cutter_unit *unit, enum stream_framing framing)
{
	const uint8_t *p = unit->data;

	require(unit->len > 0 && unit->len <= CUTTER_UNIT_MAX);
	if (framing == STREAM_LENGTH_PREFIXED && unit->codec == STREAM_MJPEG) {
		require(unit->key && unit->len >= 2 && p[0] == 0xff && p[1] == 0xd8);
		return;
	}
	require(unit->codec == STREAM_H264 && unit->len >= 4 && p[0] == 0 && p[1] == 0 &&
		(p[2] == 1 || (p[2] == 0 && p[3] == 1)));
}

/* Returns a hash over all units. */
static uint64_t cut(const uint8_t *data, size_t size, enum stream_framing framing, size_t piece,
		    bool guess)
{
	struct cutter cutter;
	uint64_t hash = 0xcbf29ce484222325;
	size_t given = 0, asked = 0;
	int r = CUTTER_MORE;

	cutter_init(&cutter, framing);
	for (size_t at = 0; at < size && r != -EBADMSG; at += piece) {
		size_t left = size - at, len = left < piece ? left : piece, room;
		uint8_t *to = cutter_room(&cutter, &room);
		struct cutter_unit unit;

		require(to && room >= len);
		memcpy(to, data + at, len);
		cutter_add(&cutter, len);
		while ((r = cutter_next(&cutter, &unit)) != CUTTER_MORE && r != -EBADMSG) {
			require(r == CUTTER_UNIT || r == CUTTER_SPLIT || r == CUTTER_JUNK);
			require(r != CUTTER_SPLIT || guess);
			require(asked++ <= size);
			if (r != CUTTER_UNIT)
				continue;
			check_unit(&unit, framing);
			given += unit.len;
			hash = mix(hash, unit.data, unit.len) + unit.key;
		}
		if (guess && r == CUTTER_MORE && cutter_end_unit(&cutter, &unit) == CUTTER_UNIT) {
			check_unit(&unit, framing);
			given += unit.len;
		}
		require(given <= at + len);
	}
	cutter_finish(&cutter);
	return hash;
}

static void parse_url(const uint8_t *data, size_t size)
{
	char *url = strndup((const char *)data, size), again[TARGET_URL_MAX];
	struct server_stream at, same;

	require(url != NULL);
	if (target_parse_url(url, &at) == 0) {
		require(at.host[0] && at.port > 0);
		require(target_parse_url(target_url(&at, again), &same) == 0);
		require(strcmp(at.host, same.host) == 0 && strcmp(at.path, same.path) == 0);
		require(at.port == same.port && at.login == same.login && at.tls == same.tls &&
			at.framing == same.framing && at.codec == same.codec);
	}
	free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum stream_framing framing;
	size_t piece;

	parse_url(data, size);
	if (size < 2)
		return 0;
	framing = data[0] & 1 ? STREAM_LENGTH_PREFIXED : STREAM_ANNEXB;
	piece = data[1] + 1u;
	if (data[0] & 2)
		cut(data + 2, size - 2, framing, piece, true);
	else
		require(cut(data + 2, size - 2, framing, piece, false) ==
			cut(data + 2, size - 2, framing, 4096, false));
	return 0;
}
