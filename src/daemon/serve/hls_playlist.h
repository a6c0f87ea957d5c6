/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The playlist of a timeline, what its names mean, and when a player that waits for something new
 * is to be answered. RFC 8216, and for low latency draft-pantos-hls-rfc8216bis. Pure; any thread.
 */
#ifndef DAEMON_SERVE_HLS_PLAYLIST_H
#define DAEMON_SERVE_HLS_PLAYLIST_H

#include <stddef.h>

#include "daemon/serve/hls_timeline.h"

#define HLS_PLAYLIST_MAX (64 << 10) /* bytes; enough for any timeline */
#define HLS_PREFIX_MAX 64	    /* bytes of a prefix, terminator included */

/* Writes the playlist to text, not terminated, and returns its bytes. prefix (shorter than
 * HLS_PREFIX_MAX, characters of a URI) stands before each name. */
size_t hls_playlist_write(const struct hls_timeline *timeline, const char *prefix,
			  char text[HLS_PLAYLIST_MAX]);

/* --- names --- */

/* Each name has one number. A part's and a segment's is that of its first unit: it is known before
 * the part is there, and says which of both it is. */
enum hls_kind {
	HLS_INIT,    /* init-MAP.mp4 */
	HLS_PART,    /* p-FROM.m4s */
	HLS_SEGMENT, /* s-FROM.m4s */
};

struct hls_name {
	enum hls_kind kind;
	uint64_t number;
};

/* name: behind the prefix, terminated, any bytes. 0, or -EINVAL: the playlist never has it. */
int hls_name_parse(struct hls_name *out, const char *name);

struct hls_object {
	uint64_t from, until; /* of a part or segment */
	uint16_t preamble;    /* its id in the log; of an initialization section */
};

/* 0 and *out; -EAGAIN (the part that the preload hint names is not finished), -ENOENT (the
 * playlist does not list it, and did not within the stored history). */
int hls_object_find(struct hls_object *out, const struct hls_timeline *timeline,
		    const struct hls_name *name);

/* --- blocking playlist reload --- */

struct hls_reload {
	bool has_msn, has_part;
	uint64_t msn, part; /* the playlist must have this segment, or this part of it */
};

/* query: behind the '?', terminated, any bytes; NULL: none. Unknown parameters are ignored. 0, or
 * -EINVAL: a number is wrong or there twice, or a part is wanted of no segment. */
int hls_reload_parse(struct hls_reload *out, const char *query);

/* 0 (the playlist has it), -EAGAIN (not yet), -EINVAL (it is too far ahead to wait for). */
int hls_reload_check(const struct hls_timeline *timeline, const struct hls_reload *reload);

#endif
