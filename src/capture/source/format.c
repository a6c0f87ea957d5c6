/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/format.h"

#include <string.h>

static bool begins_mpegts(const uint8_t *data, size_t len)
{
	return len > 2 * 188 && data[0] == 0x47 && data[188] == 0x47 && data[2 * 188] == 0x47;
}

static bool begins_jpeg(const uint8_t *data, size_t len)
{
	return len >= 3 && data[0] == 0xff && data[1] == 0xd8 && data[2] == 0xff;
}

/* Where the first NAL unit begins behind a start code; 0: there is none. */
static size_t start_code_len(const uint8_t *data, size_t len)
{
	static const uint8_t code[] = {0, 0, 0, 1};

	if (len > 5 && memcmp(data, code, 4) == 0)
		return 4;
	return len > 4 && memcmp(data, code + 1, 3) == 0 ? 3 : 0;
}

/* A video parameter set, or a delimiter: H.264 has no NAL units with these two bytes. */
static bool begins_hevc(const uint8_t *data, size_t len)
{
	const size_t at = start_code_len(data, len);

	return at && (data[at] == 0x40 || data[at] == 0x46) && data[at + 1] == 1;
}

/* Delimiter, SEI, parameter sets and slices: types 1 to 9. */
static bool begins_h264(const uint8_t *data, size_t len)
{
	const size_t at = start_code_len(data, len);

	return at && !(data[at] & 0x80) && (data[at] & 31) >= 1 && (data[at] & 31) <= 9;
}

static bool begins_mp4(const uint8_t *data, size_t len)
{
	return len >= 8 && (memcmp(data + 4, "ftyp", 4) == 0 || memcmp(data + 4, "styp", 4) == 0);
}

static bool begins_matroska(const uint8_t *data, size_t len)
{
	return len >= 4 && memcmp(data, "\x1a\x45\xdf\xa3", 4) == 0;
}

static bool begins_flv(const uint8_t *data, size_t len)
{
	return len >= 4 && memcmp(data, "FLV\1", 4) == 0;
}

static bool begins_multipart(const uint8_t *data, size_t len)
{
	const size_t blank = len > 2 && memcmp(data, "\r\n", 2) == 0 ? 2 : 0;

	return len >= blank + 3 && memcmp(data + blank, "--", 2) == 0;
}

static bool begins_playlist(const uint8_t *data, size_t len)
{
	return len >= 7 && memcmp(data, "#EXTM3U", 7) == 0;
}

static const struct known {
	struct format format;
	bool (*begins)(const uint8_t *data, size_t len);
	bool at_once; /* or not at all: other bytes, or text, may have these in their middle */
} known[] = {
	/* In this order, at the same place. */
	{{"mpegts", true, true}, begins_mpegts, false},
	{{"mjpeg", false, false}, begins_jpeg, false},
	{{"hevc", false, false}, begins_hevc, false},
	{{"h264", false, false}, begins_h264, false},
	{{"mp4", true, false}, begins_mp4, false},
	{{"matroska", true, false}, begins_matroska, false},
	{{"flv", true, false}, begins_flv, false},
	{{"mpjpeg", false, false}, begins_multipart, true},
	{{"hls", true, true}, begins_playlist, true},
};

static const struct known *find(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].begins(data, len))
			return &known[i];
	return NULL;
}

const struct format *format_find(const uint8_t *data, size_t len, bool within)
{
	const struct known *found = find(data, len);

	for (size_t i = 1; !found && within && i < len; i++) {
		found = find(data + i, len - i);
		if (found && found->at_once)
			found = NULL;
	}
	return found ? &found->format : NULL;
}
