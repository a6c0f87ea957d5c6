/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/playlist.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_LEN 1024

struct parser {
	struct playlist *playlist;
	bool parts;
	char map[PLAYLIST_URI];
	int64_t segment_us; /* EXTINF of the segment whose name comes next */
	int64_t part_hold_back_us, segment_hold_back_us;
};

/* The value of an attribute as seconds, in us; 0: it is not there. */
static int64_t time_attribute(const char *line, const char *name)
{
	const char *at = strstr(line, name);

	/* HOLD-BACK is also the end of PART-HOLD-BACK. */
	while (at && at > line && at[-1] != ':' && at[-1] != ',')
		at = strstr(at + 1, name);
	return at ? (int64_t)(strtod(at + strlen(name), NULL) * 1e6) : 0;
}

/* URI="..."; false: it is not there, or too long. */
static bool uri_attribute(char uri[PLAYLIST_URI], const char *line)
{
	const char *at = strstr(line, "URI=\""), *end = at ? strchr(at + 5, '"') : NULL;

	if (!end || end - at - 5 >= PLAYLIST_URI)
		return false;
	snprintf(uri, PLAYLIST_URI, "%.*s", (int)(end - at - 5), at + 5);
	return true;
}

static struct playlist_entry *add(struct parser *parser, int64_t duration_us)
{
	struct playlist *playlist = parser->playlist;
	struct playlist_entry *entry;

	if (playlist->n == PLAYLIST_ENTRIES)
		return NULL;
	entry = &playlist->entries[playlist->n++];
	entry->duration_us = duration_us;
	memcpy(entry->map, parser->map, sizeof(entry->map));
	return entry;
}

static int take_part(struct parser *parser, const char *line)
{
	struct playlist_entry *entry;

	parser->playlist->next_part++;
	if (!parser->parts)
		return 0;
	entry = add(parser, time_attribute(line, "DURATION="));
	if (!entry || !uri_attribute(entry->uri, line))
		return -EBADMSG;
	entry->independent = strstr(line, "INDEPENDENT=YES") != NULL;
	return 0;
}

static int take_segment(struct parser *parser, const char *uri)
{
	struct playlist_entry *entry;

	parser->playlist->next_msn++;
	parser->playlist->next_part = 0;
	/* Older segments have no parts: a player of parts does not need them. */
	if (parser->parts)
		return 0;
	entry = add(parser, parser->segment_us);
	if (!entry || strlen(uri) >= PLAYLIST_URI)
		return -EBADMSG;
	strcpy(entry->uri, uri);
	entry->independent = true;
	return 0;
}

static bool starts(const char *line, const char *word)
{
	return strncmp(line, word, strlen(word)) == 0;
}

static int take_line(struct parser *parser, const char *line)
{
	struct playlist *playlist = parser->playlist;

	if (line[0] == '\0')
		return 0;
	if (line[0] != '#')
		return take_segment(parser, line);
	if (starts(line, "#EXT-X-PART:"))
		return take_part(parser, line);
	if (starts(line, "#EXTINF:")) {
		parser->segment_us = (int64_t)(strtod(line + 8, NULL) * 1e6);
	} else if (starts(line, "#EXT-X-TARGETDURATION:")) {
		playlist->target_us = (int64_t)(strtod(line + 22, NULL) * 1e6);
	} else if (starts(line, "#EXT-X-MEDIA-SEQUENCE:")) {
		playlist->next_msn = strtoull(line + 22, NULL, 10);
	} else if (starts(line, "#EXT-X-PART-INF:")) {
		playlist->part_target_us = time_attribute(line, "PART-TARGET=");
	} else if (starts(line, "#EXT-X-SERVER-CONTROL:")) {
		playlist->can_block = strstr(line, "CAN-BLOCK-RELOAD=YES") != NULL;
		parser->part_hold_back_us = time_attribute(line, "PART-HOLD-BACK=");
		parser->segment_hold_back_us = time_attribute(line, "HOLD-BACK=");
	} else if (starts(line, "#EXT-X-MAP:")) {
		return uri_attribute(parser->map, line) ? 0 : -EBADMSG;
	}
	return 0;
}

int playlist_parse(struct playlist *playlist, const char *text, size_t len, bool parts)
{
	struct parser parser = {.playlist = playlist};
	const char *end = text + len;
	char line[LINE_MAX_LEN];
	int result = 0;

	memset(playlist, 0, offsetof(struct playlist, entries));
	if (len < 7 || memcmp(text, "#EXTM3U", 7) != 0)
		return -EBADMSG;
	parser.parts = parts && memmem(text, len, "#EXT-X-PART-INF:", 16);
	while (result == 0 && text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((stop ? stop : end) - text);

		if (n >= sizeof(line))
			return -EBADMSG;
		memcpy(line, text, n);
		line[n] = '\0';
		line[strcspn(line, "\r")] = '\0';
		result = take_line(&parser, line);
		text += n + 1;
	}
	playlist->hold_back_us =
		parser.parts ? parser.part_hold_back_us : parser.segment_hold_back_us;
	/* RFC 8216 clause 6.3.3 */
	if (playlist->hold_back_us == 0)
		playlist->hold_back_us = 3 * playlist->target_us;
	if (!parser.parts)
		playlist->part_target_us = 0;
	return result;
}

int playlist_find(const struct playlist *playlist, const char *uri)
{
	for (unsigned i = playlist->n; i-- > 0;) {
		if (strcmp(playlist->entries[i].uri, uri) == 0)
			return (int)i;
	}
	return -1;
}

int playlist_begin(const struct playlist *playlist)
{
	int64_t behind_us = 0;

	for (unsigned i = playlist->n; i-- > 0;) {
		behind_us += playlist->entries[i].duration_us;
		if (playlist->entries[i].independent && behind_us >= playlist->hold_back_us)
			return (int)i;
	}
	return -1;
}
