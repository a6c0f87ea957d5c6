/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/status/counters.h"

#include <string.h>
#include <time.h>

#include "daemon/status/rows.h"

const struct counter_table *const counter_tables[COUNTER_KINDS] = {
	[COUNTERS_SERVER] = &rows_server, [COUNTERS_MQTT] = &rows_mqtt,
	[COUNTERS_CAMERA] = &rows_camera, [COUNTERS_STREAM] = &rows_stream,
	[COUNTERS_PUSH] = &rows_push,	  [COUNTERS_FEED] = &rows_feed,
	[COUNTERS_CLIENT] = &rows_client,
};

void counted_init(struct counted *counted, const struct status_view *view)
{
	memset(counted, 0, sizeof *counted);
	counted->view = view;
	counted->now_us = loop_now_us(view->loop);
	counted->realtime_offset_s = time(NULL) - counted->now_us / 1000000;
	counted->healthy = health_check(view->cameras, counted->now_us, counted->why);
	if (view->discovery)
		counted->discovery = discovery_status(view->discovery);
}

bool counted_select(struct counted *counted, enum counter_kind kind, size_t i)
{
	const struct cameras *all = counted->view->cameras;

	switch (kind) {
	case COUNTERS_CAMERA:
		counted->camera = i < all->n_cameras ? all->cameras[i] : NULL;
		return counted->camera;
	case COUNTERS_STREAM:
		counted->stream = i < all->n_streams ? all->streams[i] : NULL;
		return counted->stream;
	case COUNTERS_PUSH:
		counted->push = i < pushes_count(counted->view->pushes)
					? pushes_status(counted->view->pushes, i)
					: NULL;
		return counted->push;
	case COUNTERS_FEED:
		counted->output = i < all->n_outputs ? all->outputs[i] : NULL;
		return counted->output;
	default:
		return i == 0;
	}
}

const char *counted_name(const struct counted *counted, enum counter_kind kind)
{
	return kind == COUNTERS_CAMERA	 ? counted->camera->config->name
	       : kind == COUNTERS_STREAM ? counted->stream->config->name
	       : kind == COUNTERS_PUSH	 ? counted->push->name
					 : counted->output->name;
}

double counter_number(const struct counter *counter, const struct counted *counted)
{
	const char *at;
	uint64_t u64;
	uint32_t u32;

	if (counter->number)
		return counter->number(counted);
	at = (const char *)counter->in(counted) + counter->offset;
	if (counter->size == sizeof u64) {
		memcpy(&u64, at, sizeof u64);
		return (double)u64;
	}
	memcpy(&u32, at, sizeof u32);
	return u32;
}

const char *counter_text(const struct counter *counter, const struct counted *counted,
			 char buffer[COUNTER_TEXT_MAX])
{
	if (counter->text)
		return counter->text(counted, buffer);
	return (const char *)counter->in(counted) + counter->offset;
}

const char *counted_time(const struct counted *counted, int64_t at_s, char buffer[COUNTER_TEXT_MAX])
{
	time_t at = (time_t)(at_s + counted->realtime_offset_s);
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(buffer, COUNTER_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return buffer;
}

bool counter_grouped(const struct counter *counter)
{
	return counter->path && strchr(counter->path, '.');
}

const char *counter_key(const struct counter *counter)
{
	const char *dot = strchr(counter->path, '.');

	return dot ? dot + 1 : counter->path;
}
