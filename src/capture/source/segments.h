/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HLS (RFC 8216) as a live source: libavformat's reader fetches playlists and segments, and what it
 * opens, and when its pictures go on, is decided here. One thread at a time.
 */
#ifndef CAPTURE_SOURCE_SEGMENTS_H
#define CAPTURE_SOURCE_SEGMENTS_H

#include <stdbool.h>

#include <libavformat/avformat.h>

/* Silence for less is none: the next segment is made meanwhile. */
#define SEGMENTS_SILENCE_MS 20000
/* Pictures that are so far ahead, or behind, have another clock than those before. */
#define SEGMENTS_JUMP_US 10000000
#define SEGMENTS_LATE_US 1000000

/* Bytes of a playlist, and of the URL at which it is. */
#define SEGMENTS_PLAYLIST_MAX (2 << 20)
#define SEGMENTS_PLACE_MAX 2048
/* Parts that a playlist names; at the opening, those that all of them name. */
#define SEGMENTS_PARTS_MAX 20000
/* Lines for variants, renditions and initialization sections at the opening; those behind them are
 * left out. libavformat keeps up to ten thousand bytes for each until it is closed, again for each
 * time that it reads the playlist: so later ones are left out, too. What they say it has heard, and
 * of MP4 it takes no second initialization. */
#define SEGMENTS_KEPT_MAX 256

struct segments {
	const char *url;       /* of the playlist; borrowed */
	AVDictionary *options; /* for each of its parts on the same server; its cookies, too */
	AVIOContext *playlist; /* as it was read first */
	uint64_t n_read;       /* bytes of parts so far */
	const char *wrong;     /* why no more is read; NULL: nothing */
	bool opened;
	unsigned n_kept, n_parts; /* at the opening */
	bool placed;		  /* offset_us is known */
	int64_t offset_us;	  /* from a timestamp to the time at which its picture goes on */
};

/* url: http or https; borrowed. options: for connections; copied. 0, or an error of libav. */
int segments_init(struct segments *segments, const char *url, const AVDictionary *options);
/* A zeroed one is fine. */
void segments_finish(struct segments *segments);

/* What `input` opens from now on is of the scheme of the URL. Where it is of the same host and
 * port, too, it has the options of the URL, and the cookies of its server; on other servers only
 * the options by which a server is checked and waited for. `segments` is borrowed as long as input
 * is; *options are those with which it will be opened. 0, or an error of libav. */
int segments_attach(struct segments *segments, AVFormatContext *input, AVDictionary **options);

/* The same, and opens the playlist as avformat_open_input() does. Once input is closed,
 * segments_finish() closes the rest. 0, or an error of libav, with segments->wrong where a playlist
 * was refused; so is one that is read later. */
int segments_open(struct segments *segments, AVFormatContext **input, AVDictionary **options);

/* Whether an open of the URL has ended at one of another scheme, because the server redirects.
 * libavformat connects to the host of an `http:` URL even where only `https` is allowed. */
bool segments_led_away(AVIOContext *io, const char *url);

/*
 * When a picture goes on (CLOCK_MONOTONIC) that came at now_us: a segment comes at once, and its
 * pictures keep their rhythm. Now, at first and where the timestamps jump; no longer than
 * SEGMENTS_JUMP_US ahead.
 */
int64_t segments_due_us(struct segments *segments, int64_t dts_us, int64_t now_us);

#endif
