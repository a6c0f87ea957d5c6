/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ways to watch a stream over HTTP: each is an ending of the path "/STREAM.ENDING", and the
 * framing of the feed that is sent there. A new way is a row in ways.c. Any thread, if not said
 * otherwise.
 */
#ifndef DAEMON_SITE_WAYS_H
#define DAEMON_SITE_WAYS_H

#include "config/config.h"
#include "daemon/log/cursor.h"
#include "daemon/serve/hls_players.h"

#define WAY_PATH_MAX (CONFIG_STREAM_NAME_MAX + 8) /* bytes of a path, terminator included */

struct way {
	const char *key;       /* of its URL in /api/cameras and in the info over MQTT */
	const char *extension; /* the ending, without the dot */
	enum config_framing framing;
};

extern const struct way ways[];
extern const size_t n_ways;

/* NULL: there is no such way. */
const struct way *way_find(const char *extension);

/* Whether it is the playlist of HLS, which names ranges of the feed; the others send its units. */
bool way_is_hls(const struct way *way);

/* The feed that is sent to a viewer of this stream. JPEGs of an H.264 stream are those of another
 * stream of its camera. NULL: the stream cannot be watched in this way. Borrowed. */
const struct config_feed *way_feed(const struct config *config, const struct config_stream *stream,
				   enum config_framing framing);

/* "/NAME.ENDING" */
void way_path(char path[WAY_PATH_MAX], const struct config_stream *stream, const struct way *way);

/* What /status.json and /api/viewers call the transport of a viewer of the feed: "tcp", "tls",
 * "rtsp", "rtsps", "multicast", "push", or the ending of its path. Static. Loop thread. */
const char *way_transport(const struct cursor *cursor, const struct config_feed *feed);

#define WAY_HLS "hls" /* the same of a player of HLS */
/* A player in the form of the other viewers: the numbers of a cursor. Its lag is the age of the
 * newest picture that was sent to it; 0: none was. */
void way_player(struct cursor *numbers, const struct hls_player *player);
int64_t way_player_lag_us(const struct hls_player *player, int64_t now_us);

#endif
