/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ways to watch a stream over HTTP: each is an ending of the path "/STREAM.ENDING", and the
 * framing of the feed that is sent there. A new way is a row in ways.c. Any
 * thread, if not said otherwise.
 */
#ifndef DAEMON_SITE_WAYS_H
#define DAEMON_SITE_WAYS_H

#include "config/config.h"
#include "daemon/log/cursor.h"

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
 * "rtsp", "rtsps", the ending of its path, or "hls" while an object of HLS is sent to it. Static.
 * Loop thread. */
const char *way_transport(const struct cursor *cursor, const struct config_feed *feed);

#endif
