/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/cameras.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "config/changes.h"
#include "daemon/serve/hls.h"
#include "daemon/serve/raw.h"
#include "daemon/serve/websocket.h"

#define FEED_TITLE "feed "

void camera_free(struct camera *camera)
{
	if (!camera)
		return;
	free(camera->outputs);
	free(camera->streams);
	free(camera);
}

void stream_free(struct stream *stream)
{
	if (!stream)
		return;
	for (size_t i = 0; i < stream->n_outputs; i++)
		free(stream->outputs[i].title);
	free(stream->outputs);
	free(stream);
}

static struct camera *create_camera(const struct config_camera *config)
{
	struct camera *camera = calloc(1, sizeof *camera);

	if (!camera)
		return NULL;
	camera->config = config;
	/* One element more than needed, because calloc(0) may return NULL. */
	camera->streams = calloc(config->n_streams + 1, sizeof *camera->streams);
	camera->outputs = calloc(config->n_feeds + 1, sizeof *camera->outputs);
	camera->n_streams = config->n_streams;
	camera->n_outputs = config->n_feeds;
	if (camera->streams && camera->outputs)
		return camera;
	camera_free(camera);
	return NULL;
}

/* RFC 3550 clause 5.1: random, so that they tell nothing and are nobody else's. */
static int choose_rtp(struct output *output)
{
	uint32_t random[3];

	if (getrandom(random, sizeof random, 0) != sizeof random)
		return -EIO;
	output->rtp_ssrc = random[0];
	output->rtp_offset = random[1];
	output->rtp_sequence = (uint16_t)random[2];
	return 0;
}

static int create_output(struct stream *stream, struct output *output,
			 const struct config_feed *config)
{
	output->stream = stream;
	output->config = config;
	if (asprintf(&output->title, FEED_TITLE "%s/%s", stream->config->name,
		     config_framing_name(config->framing)) < 0) {
		output->title = NULL;
		return -ENOMEM;
	}
	output->name = output->title + sizeof FEED_TITLE - 1;
	output->quota = (struct quota){
		.name = output->title,
		.max = stream->config->max_clients,
		.viewers = true,
	};
	output->tcp = (struct endpoint){.protocol = &raw_protocol, .quota = &output->quota};
	output->http = (struct endpoint){
		.protocol = config->framing == CONFIG_FRAMING_MP4_WS ? &websocket_protocol
								     : &live_protocol,
		.quota = &output->quota,
	};
	return output_is_rtp(output) ? choose_rtp(output) : 0;
}

/* The number of a stream's first feed; the others follow. */
static size_t first_feed(const struct config *config, size_t stream)
{
	size_t first = 0;

	while (config->feeds[first].stream != stream)
		first++;
	return first;
}

static int create_stream(struct stream **out, const struct config *config, size_t index)
{
	const struct config_feed *feeds = &config->feeds[first_feed(config, index)];
	struct stream *stream = calloc(1, sizeof *stream);
	size_t n = 0;
	int err = 0;

	if (!stream)
		return -ENOMEM;
	while (&feeds[n] < &config->feeds[config->n_feeds] && feeds[n].stream == index)
		n++;
	stream->config = &config->streams[index];
	stream->outputs = calloc(n + 1, sizeof *stream->outputs);
	if (!stream->outputs)
		err = -ENOMEM;
	while (err == 0 && stream->n_outputs < n) {
		err = create_output(stream, &stream->outputs[stream->n_outputs],
				    &feeds[stream->n_outputs]);
		stream->n_outputs++;
	}
	if (err < 0)
		stream_free(stream);
	else
		*out = stream;
	return err;
}

/* Gives everything its place in the configuration. */
static void place(struct cameras *cameras)
{
	const struct config *config = cameras->config;

	for (size_t i = 0; i < cameras->n_cameras; i++) {
		cameras->cameras[i]->config = &config->cameras[i];
		cameras->cameras[i]->index = i;
	}
	for (size_t i = 0; i < cameras->n_streams; i++) {
		struct stream *stream = cameras->streams[i];

		stream->config = &config->streams[i];
		stream->index = i;
		stream->number = stream->config->number;
		stream->camera = cameras->cameras[stream->config->camera];
		stream->camera->streams[stream->number] = stream;
	}
	for (size_t i = 0; i < cameras->n_outputs; i++) {
		struct output *output = cameras->outputs[i];

		output->config = &config->feeds[i];
		output->index = i;
		output->number = output->config->number;
		output->quota.max = output->stream->config->max_clients;
		output->stream->camera->outputs[output->number] = output;
	}
}

bool output_is_rtp(const struct output *output)
{
	return output->config->framing == CONFIG_FRAMING_RTP ||
	       output->config->framing == CONFIG_FRAMING_RTP_JPEG ||
	       output->config->framing == CONFIG_FRAMING_RTP_TS;
}

struct output *stream_output(const struct stream *stream, enum config_framing framing)
{
	for (size_t i = 0; i < stream->n_outputs; i++)
		if (stream->outputs[i].config->framing == framing)
			return &stream->outputs[i];
	return NULL;
}

size_t stream_viewers(const struct stream *stream)
{
	size_t n = 0;

	for (size_t i = 0; i < stream->n_outputs; i++) {
		const struct output *output = &stream->outputs[i];
		const struct audience_stats *audience = &feed_stats(output->feed)->audience;

		n += audience->cursors - audience->ranges + hls_players_of(output->playlist)->n;
	}
	return n;
}

struct camera *cameras_find_camera(const struct cameras *cameras, const char *name)
{
	for (size_t i = 0; i < cameras->n_cameras; i++)
		if (strcmp(cameras->cameras[i]->config->name, name) == 0)
			return cameras->cameras[i];
	return NULL;
}

struct stream *cameras_find_stream(const struct cameras *cameras, const char *name, size_t len)
{
	for (size_t i = 0; i < cameras->n_streams; i++) {
		const char *own = cameras->streams[i]->config->name;

		if (strlen(own) == len && memcmp(own, name, len) == 0)
			return cameras->streams[i];
	}
	return NULL;
}

bool cameras_have_camera(const struct cameras *cameras, const struct camera *camera)
{
	for (size_t i = 0; i < cameras->n_cameras; i++)
		if (cameras->cameras[i] == camera)
			return true;
	return false;
}

bool cameras_have_stream(const struct cameras *cameras, const struct stream *stream)
{
	for (size_t i = 0; i < cameras->n_streams; i++)
		if (cameras->streams[i] == stream)
			return true;
	return false;
}

void cameras_free_shell(struct cameras *cameras)
{
	free(cameras->outputs);
	free(cameras->streams);
	free(cameras->cameras);
	free(cameras);
}

/* Frees what `kept`, which may be NULL, does not have. */
static void destroy(struct cameras *cameras, const struct cameras *kept)
{
	for (size_t i = 0; cameras->streams && i < cameras->n_streams; i++)
		if (!kept || !cameras_have_stream(kept, cameras->streams[i]))
			stream_free(cameras->streams[i]);
	for (size_t i = 0; cameras->cameras && i < cameras->n_cameras; i++)
		if (!kept || !cameras_have_camera(kept, cameras->cameras[i]))
			camera_free(cameras->cameras[i]);
	cameras_free_shell(cameras);
}

static int fill(struct cameras *cameras, const struct cameras *now,
		const struct config_changes *changes)
{
	const struct config *config = cameras->config;
	size_t n = 0;
	int err;

	for (size_t i = 0; i < config->n_cameras; i++) {
		int same = now ? changes->same_camera[i] : -1;

		cameras->cameras[i] =
			same >= 0 ? now->cameras[same] : create_camera(&config->cameras[i]);
		if (!cameras->cameras[i])
			return -ENOMEM;
	}
	for (size_t i = 0; i < config->n_streams; i++) {
		int same = now ? changes->same_stream[i] : -1;

		if (same >= 0) {
			cameras->streams[i] = now->streams[same];
		} else {
			err = create_stream(&cameras->streams[i], config, i);
			if (err < 0)
				return err;
		}
		for (size_t j = 0; j < cameras->streams[i]->n_outputs; j++)
			cameras->outputs[n++] = &cameras->streams[i]->outputs[j];
	}
	assert(n == config->n_feeds);
	return 0;
}

static int create(struct cameras **out, const struct config *config, const struct cameras *now,
		  const struct config_changes *changes)
{
	struct cameras *cameras = calloc(1, sizeof *cameras);
	int err = -ENOMEM;

	if (!cameras)
		return -ENOMEM;
	cameras->config = config;
	cameras->n_cameras = config->n_cameras;
	cameras->n_streams = config->n_streams;
	cameras->n_outputs = config->n_feeds;
	cameras->cameras = calloc(config->n_cameras + 1, sizeof(struct camera *));
	cameras->streams = calloc(config->n_streams + 1, sizeof(struct stream *));
	cameras->outputs = calloc(config->n_feeds + 1, sizeof(struct output *));
	if (cameras->cameras && cameras->streams && cameras->outputs)
		err = fill(cameras, now, changes);
	if (err < 0)
		destroy(cameras, now);
	else
		*out = cameras;
	return err;
}

int cameras_create(struct cameras **out, const struct config *config)
{
	int err = create(out, config, NULL, NULL);

	if (err == 0)
		place(*out);
	return err;
}

int cameras_create_next(struct cameras **out, const struct cameras *now,
			const struct config *config, const struct config_changes *changes)
{
	return create(out, config, now, changes);
}

void cameras_swap(struct cameras *now, struct cameras *next)
{
	struct cameras was = *now;
	uint16_t rtsp_port = now->rtsp_port;

	*now = *next;
	*next = was;
	now->rtsp_port = rtsp_port;
	place(now);
}

void cameras_destroy(struct cameras *cameras)
{
	if (cameras)
		destroy(cameras, NULL);
}
