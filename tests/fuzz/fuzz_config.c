/* SPDX-License-Identifier: BSD-2-Clause */
/* Any text is either a configuration whose references all hold, or refused with a message. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_config(const struct config *config)
{
	require(config->n_cameras >= 1 && config->n_streams >= 1 && config->n_feeds >= 1);
	require(config->daemon.name && config->daemon.name[0] && config->daemon.capture);
	for (size_t i = 0; i < config->n_cameras; i++) {
		const struct config_camera *camera = &config->cameras[i];

		require(camera->name[0] && camera->source[0] && camera->allocator);
		require(camera->framerate.num > 0 && camera->framerate.den > 0);
		require(camera->size.width % 2 == 0 && camera->size.height % 2 == 0);
		for (size_t j = 0; j < camera->n_controls; j++)
			require(camera->controls[j].name[0] && camera->controls[j].value);
	}
	for (size_t i = 0; i < config->n_streams; i++) {
		const struct config_stream *stream = &config->streams[i];

		require(stream->camera < config->n_cameras);
		require(stream->join_burst_ms < stream->shed_lag_ms);
		require(stream->shed_lag_ms < stream->max_lag_ms);
		require(stream->max_lag_ms < stream->history_ms);
		require(strlen(stream->v4l2_format) == 4 && stream->level && stream->v4l2_device);
	}
	for (size_t i = 0; i < config->n_feeds; i++) {
		require(config->feeds[i].stream < config->n_streams);
		require(config->feeds[i].n_listen <= CONFIG_LISTENERS_MAX);
	}
}

/* A worker understands its excerpt as camcastd understands the whole. */
static void check_excerpt(const struct config *config, const struct config_camera *camera,
			  const char *text, size_t len)
{
	struct config *part;
	size_t part_len;
	char *excerpt;

	require(config_excerpt(&excerpt, &part_len, text, len, camera->name) == 0);
	require(config_parse(&part, "excerpt", excerpt, part_len, stderr) == 0);
	require(part->n_cameras == 1 && strcmp(part->cameras->name, camera->name) == 0);
	require(strcmp(part->cameras->source, camera->source) == 0);
	require(part->cameras->line == camera->line);
	require(part->cameras->n_controls == camera->n_controls);
	for (size_t i = 0; i < camera->n_controls; i++)
		require(strcmp(part->cameras->controls[i].value, camera->controls[i].value) == 0);
	require(part->cameras->n_streams == camera->n_streams);
	require(part->cameras->n_feeds == camera->n_feeds);
	for (size_t i = 0, n = 0; i < config->n_streams; i++) {
		if (&config->cameras[config->streams[i].camera] != camera)
			continue;
		require(strcmp(part->streams[n].name, config->streams[i].name) == 0);
		require(part->streams[n].bitrate == config->streams[i].bitrate);
		require(part->streams[n].number == config->streams[i].number);
		n++;
	}
	config_destroy(part);
	free(excerpt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = NULL;
	char *messages = NULL;
	size_t len = 0;
	FILE *errors = open_memstream(&messages, &len);
	int r;

	require(errors);
	r = config_parse(&config, "fuzz", (const char *)data, size, errors);
	fclose(errors);
	require(r == 0 ? len == 0 : r == -EINVAL && len > 0);
	if (r == 0)
		check_config(config);
	for (size_t i = 0; r == 0 && i < config->n_cameras; i++)
		check_excerpt(config, &config->cameras[i], (const char *)data, size);
	config_destroy(config);
	free(messages);
	return 0;
}
