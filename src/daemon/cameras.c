/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/cameras.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "daemon/serve/raw.h"
#include "daemon/serve/websocket.h"

#define FEED_TITLE "feed "

static int create_camera(struct camera *camera, const struct config_camera *config)
{
	camera->config = config;
	/* One element more than needed, because calloc(0) may return NULL. */
	camera->streams = calloc(config->n_streams + 1, sizeof *camera->streams);
	camera->outputs = calloc(config->n_feeds + 1, sizeof *camera->outputs);
	camera->n_streams = config->n_streams;
	camera->n_outputs = config->n_feeds;
	return camera->streams && camera->outputs ? 0 : -ENOMEM;
}

static void create_stream(struct cameras *cameras, struct stream *stream,
			  const struct config_stream *config)
{
	struct camera *camera = &cameras->cameras[config->camera];

	assert(camera->streams); /* every stream has a camera */
	stream->camera = camera;
	stream->config = config;
	stream->number = config->number;
	camera->streams[stream->number] = stream;
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

static int create_output(struct cameras *cameras, struct output *output,
			 const struct config_feed *config)
{
	struct stream *stream = &cameras->streams[config->stream];

	output->stream = stream;
	output->config = config;
	output->number = config->number;
	/* The configuration has the feeds of a stream one after another. */
	if (stream->n_outputs++ == 0)
		stream->outputs = output;
	stream->camera->outputs[output->number] = output;
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

static int create_all(struct cameras *cameras, const struct config *config)
{
	int err;

	for (size_t i = 0; i < config->n_cameras; i++) {
		err = create_camera(&cameras->cameras[i], &config->cameras[i]);
		if (err < 0)
			return err;
	}
	for (size_t i = 0; i < config->n_streams; i++)
		create_stream(cameras, &cameras->streams[i], &config->streams[i]);
	for (size_t i = 0; i < config->n_feeds; i++) {
		err = create_output(cameras, &cameras->outputs[i], &config->feeds[i]);
		if (err < 0)
			return err;
	}
	return 0;
}

bool output_is_rtp(const struct output *output)
{
	return output->config->framing == CONFIG_FRAMING_RTP ||
	       output->config->framing == CONFIG_FRAMING_RTP_JPEG;
}

int cameras_create(struct cameras **out, const struct config *config)
{
	struct cameras *cameras = calloc(1, sizeof *cameras);
	int err = -ENOMEM;

	if (!cameras)
		return -ENOMEM;
	cameras->config = config;
	cameras->cameras = calloc(config->n_cameras + 1, sizeof *cameras->cameras);
	cameras->streams = calloc(config->n_streams + 1, sizeof *cameras->streams);
	cameras->outputs = calloc(config->n_feeds + 1, sizeof *cameras->outputs);
	if (!cameras->cameras || !cameras->streams || !cameras->outputs)
		goto destroy_cameras;
	cameras->n_cameras = config->n_cameras;
	cameras->n_streams = config->n_streams;
	cameras->n_outputs = config->n_feeds;
	err = create_all(cameras, config);
	if (err < 0)
		goto destroy_cameras;
	*out = cameras;
	return 0;

destroy_cameras:
	cameras_destroy(cameras);
	return err;
}

void cameras_destroy(struct cameras *cameras)
{
	if (!cameras)
		return;
	for (size_t i = 0; i < cameras->n_outputs; i++)
		free(cameras->outputs[i].title);
	for (size_t i = 0; i < cameras->n_cameras; i++) {
		free(cameras->cameras[i].outputs);
		free(cameras->cameras[i].streams);
	}
	free(cameras->outputs);
	free(cameras->streams);
	free(cameras->cameras);
	free(cameras);
}
