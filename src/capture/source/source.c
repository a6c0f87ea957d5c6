/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/text.h"

/* The first libcamera camera, else the pattern. A camera that is there and does not open is an
 * error and no pattern, because a working picture would hide the reason. */
static int open_auto(struct source **out, const struct config_camera *config,
		     enum source_coding coding, enum config_codec coded_codec,
		     const struct source_events *events, char *why)
{
	int r = source_libcamera.open(out, config, coding, coded_codec, events, why);

	if (r == 0) {
		diag_info("camera %s: source = auto: %s", config->name, (*out)->info.name);
		return 0;
	}
	if (r != -ENODEV)
		return r;
	diag_info("camera %s: source = auto: no camera here, so the test pattern (%s)",
		  config->name, why);
	return source_pattern.open(out, config, coding, coded_codec, events, why);
}

int source_open(struct source **out, const struct config_camera *config, enum source_coding coding,
		enum config_codec coded_codec, const struct source_events *events, char *why)
{
	const struct source_ops *ops = NULL;

	switch (config_source_kind(config->source, NULL)) {
	case CONFIG_SOURCE_AUTO:
		return open_auto(out, config, coding, coded_codec, events, why);
	case CONFIG_SOURCE_PATTERN:
		ops = &source_pattern;
		break;
	case CONFIG_SOURCE_FILE:
		ops = &source_file;
		break;
	case CONFIG_SOURCE_LIBCAMERA:
		ops = &source_libcamera;
		break;
	case CONFIG_SOURCE_URL:
	case CONFIG_SOURCE_EXEC:
	case CONFIG_SOURCE_PIPE:
		ops = &source_live;
		break;
	case CONFIG_SOURCE_UNKNOWN:
		snprintf(why, 256, "unknown source");
		diag_error("camera %s: %s", config->name, why);
		return -EINVAL;
	}
	return ops->open(out, config, coding, coded_codec, events, why);
}

static void add_name(char *list, size_t size, const char *name)
{
	if (list[0])
		text_append(list, size, ", ");
	text_append(list, size, name);
}

void source_warn_ignored(const struct config_camera *config, const char *what, bool turns)
{
	char ignored[256] = "";

	if (!turns && config->hflip)
		add_name(ignored, sizeof(ignored), "hflip");
	if (!turns && config->vflip)
		add_name(ignored, sizeof(ignored), "vflip");
	if (!turns && config->rotation)
		add_name(ignored, sizeof(ignored), "rotation");
	if (config->tuning_file && *config->tuning_file)
		add_name(ignored, sizeof(ignored), "tuning_file");
	for (size_t i = 0; i < config->n_controls; i++)
		add_name(ignored, sizeof(ignored), config->controls[i].name);
	if (ignored[0])
		diag_warn("camera %s: these settings do nothing, because %s has none of them: %s",
			  config->name, what, ignored);
}

struct orientation source_orientation(struct orientation orientation,
				      const struct config_camera *config)
{
	const bool half_turn = config->rotation == 180;

	orientation.hflip ^= config->hflip != half_turn;
	orientation.vflip ^= config->vflip != half_turn;
	return orientation;
}

const struct source_info *source_info(const struct source *source)
{
	return &source->info;
}

void source_size(const struct source *source, uint32_t *width, uint32_t *height)
{
	const uint64_t size = atomic_load_explicit(&source->size, memory_order_relaxed);

	*width = size ? (uint32_t)(size >> 32) : source->info.format.width;
	*height = size ? (uint32_t)size : source->info.format.height;
}

int64_t source_due_us(const struct source *source)
{
	return atomic_load_explicit(&source->due_us, memory_order_relaxed);
}

bool source_away(struct source *source, char *why)
{
	return source->ops->away && source->ops->away(source, why);
}

uint32_t source_reconnects(const struct source *source)
{
	return atomic_load_explicit(&source->reconnects, memory_order_relaxed);
}

void source_count_reconnect(struct source *source)
{
	atomic_fetch_add_explicit(&source->reconnects, 1, memory_order_relaxed);
}

void source_set_size(struct source *source, uint32_t width, uint32_t height)
{
	if (width > 0 && height > 0)
		atomic_store_explicit(&source->size, (uint64_t)width << 32 | height,
				      memory_order_relaxed);
}

void source_set_due(struct source *source, int64_t due_us)
{
	atomic_store_explicit(&source->due_us, due_us, memory_order_relaxed);
}

int source_start(struct source *source)
{
	return source->ops->start(source);
}

void source_stop(struct source *source)
{
	source->ops->stop(source);
}

void source_close(struct source *source)
{
	if (source)
		source->ops->close(source);
}

void source_want_frames(struct source *source, bool wanted)
{
	if (source->ops->want_frames)
		source->ops->want_frames(source, wanted);
}

int source_set_control(struct source *source, const char *name, const char *value)
{
	if (!source->ops->set_control)
		return -ENOTSUP;
	return source->ops->set_control(source, name, value);
}
