/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/site/ways.h"

#include <stdio.h>
#include <string.h>

const struct way ways[] = {
	{"h264", "h264", CONFIG_FRAMING_ANNEXB},
	{"mp4", "mp4", CONFIG_FRAMING_MP4},
	{"ts", "ts", CONFIG_FRAMING_MPEGTS},
	{"hls", "m3u8", CONFIG_FRAMING_MP4}, /* a playlist, which names ranges of the feed */
	{"ws", "ws", CONFIG_FRAMING_MP4_WS},
	{"mjpeg", "mjpg", CONFIG_FRAMING_MULTIPART},
	{"jpeg", "jpg", CONFIG_FRAMING_JPEG},
};
const size_t n_ways = sizeof ways / sizeof *ways;

const struct way *way_find(const char *extension)
{
	for (size_t i = 0; i < n_ways; i++)
		if (strcmp(ways[i].extension, extension) == 0)
			return &ways[i];
	return NULL;
}

bool way_is_hls(const struct way *way)
{
	return strcmp(way->key, "hls") == 0;
}

static const struct config_feed *find_feed(const struct config *config,
					   const struct config_stream *stream,
					   enum config_framing framing)
{
	for (size_t i = 0; i < config->n_feeds; i++)
		if (&config->streams[config->feeds[i].stream] == stream &&
		    config->feeds[i].framing == framing)
			return &config->feeds[i];
	return NULL;
}

const struct config_feed *way_feed(const struct config *config, const struct config_stream *stream,
				   enum config_framing framing)
{
	const struct config_feed *feed = find_feed(config, stream, framing);
	const struct config_stream *jpegs;

	if (feed)
		return feed;
	jpegs = config_snapshot_stream(config, stream);
	return jpegs ? find_feed(config, jpegs, framing) : NULL;
}

void way_path(char path[WAY_PATH_MAX], const struct config_stream *stream, const struct way *way)
{
	snprintf(path, WAY_PATH_MAX, "/%s.%s", stream->name, way->extension);
}

const char *way_transport(const struct cursor *cursor, const struct config_feed *feed)
{
	enum config_framing framing = feed->framing;
	const char *scheme = cursor->sink->scheme(cursor);

	if (strcmp(scheme, "tcp") == 0 || strcmp(scheme, "tls") == 0 ||
	    strcmp(scheme, "push") == 0 || strcmp(scheme, "multicast") == 0 ||
	    strncmp(scheme, "rtsp", 4) == 0)
		return scheme;
	if (framing == CONFIG_FRAMING_MULTIPART_EARLY)
		framing = CONFIG_FRAMING_MULTIPART;
	for (size_t i = 0; i < n_ways; i++)
		if (ways[i].framing == framing)
			return ways[i].extension;
	return scheme;
}

void way_player(struct cursor *numbers, const struct hls_player *player)
{
	*numbers = (struct cursor){
		.state = CURSOR_LIVE,
		.sent_bytes = player->sent_bytes,
		.since_s = (uint32_t)(player->since_us / 1000000),
	};
}

int64_t way_player_lag_us(const struct hls_player *player, int64_t now_us)
{
	return player->newest_us ? now_us - player->newest_us : 0;
}
