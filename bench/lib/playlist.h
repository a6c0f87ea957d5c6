/* SPDX-License-Identifier: BSD-2-Clause */
/* A media playlist of HLS (RFC 8216, draft-pantos-hls-rfc8216bis), as far as a player of a live
 * stream needs it. One thread. */
#ifndef BENCH_LIB_PLAYLIST_H
#define BENCH_LIB_PLAYLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAYLIST_ENTRIES 512
#define PLAYLIST_URI 128 /* bytes, terminator included */

/* A segment, or a part of one. */
struct playlist_entry {
	char uri[PLAYLIST_URI];
	char map[PLAYLIST_URI]; /* of its initialization section; "": none */
	int64_t duration_us;
	bool independent; /* a player may begin here */
};

struct playlist {
	int64_t target_us;
	int64_t part_target_us; /* 0: there are no parts */
	int64_t hold_back_us;	/* of the entries that are listed: how far from the end to begin */
	bool can_block;
	/* What comes next: a part of a segment, by its media sequence number. */
	uint64_t next_msn, next_part;
	unsigned n;
	struct playlist_entry entries[PLAYLIST_ENTRIES]; /* the oldest first */
};

/* text: len bytes. parts: list parts instead of segments if there are any. 0, or -EBADMSG: it is no
 * playlist, or has too long names or too many entries. */
int playlist_parse(struct playlist *playlist, const char *text, size_t len, bool parts);

/* The place of the entry with that uri, or -1. */
int playlist_find(const struct playlist *playlist, const char *uri);

/* The newest independent entry that is at least hold_back_us from the end, or -1. */
int playlist_begin(const struct playlist *playlist);

#endif
