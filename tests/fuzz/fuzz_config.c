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
		require(config->feeds[i].n_listen >= 1);
		require(config->feeds[i].n_listen <= CONFIG_LISTENERS_MAX);
	}
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
	config_destroy(config);
	free(messages);
	return 0;
}
