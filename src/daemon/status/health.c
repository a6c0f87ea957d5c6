/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/status/health.h"

#include <stdio.h>

#include "base/flow.h"
#include "daemon/worker/worker.h"

static int64_t last_unit_us(const struct stream *stream)
{
	int64_t last = 0;

	for (size_t i = 0; i < stream->n_outputs; i++) {
		int64_t at = feed_stats(stream->outputs[i].feed)->last_unit_us;

		if (at > last)
			last = at;
	}
	return last;
}

/* The time from one picture to the next: the duration of the newest unit, or the configured one if
 * that is longer. */
static int64_t interval_us(const struct stream *stream)
{
	const struct rate *rate = &stream->camera->config->framerate;
	int64_t longest = rate->num > 0 ? (int64_t)rate->den * 1000000 / rate->num : 0;

	for (size_t i = 0; i < stream->n_outputs; i++) {
		int64_t us = feed_stats(stream->outputs[i].feed)->unit_duration_us;

		if (us > longest)
			longest = us;
	}
	return longest;
}

/* The reason why a camera's pictures may be missing. */
static const char *camera_trouble(const struct worker_status *status)
{
	if (status->state == WORKER_RUNNING)
		return status->heartbeat.reason;
	return status->reason;
}

/* A recording pauses, and its stream, whose newest picture came at last_us, has all before that. */
static bool is_pause(const struct worker_status *status, int64_t last_us, int64_t now_us)
{
	return status->state == WORKER_RUNNING && last_us > 0 &&
	       status->frames_at_us - last_us <= flow_fresh_us(0) &&
	       now_us - status->due_us <= flow_fresh_us(0);
}

static bool stream_healthy(const struct stream *stream, int64_t now, char *why)
{
	const struct worker_status *status = stream->camera->status;
	int64_t wanted = status->wanted_us[stream->number];
	int64_t last = wanted ? last_unit_us(stream) : status->frames_at_us;
	int64_t fresh_us = flow_fresh_us(interval_us(stream));
	const char *trouble = camera_trouble(status);
	char age[48] = "yet";

	if (last > 0 && now - last <= fresh_us)
		return true;
	if (is_pause(status, last, now))
		return true;
	/* A first viewer has just joined an idle stream: its first unit will follow. */
	if (stream->config->on_demand && wanted && now - wanted <= fresh_us &&
	    now - status->frames_at_us <= fresh_us)
		return true;
	if (last > 0)
		snprintf(age, sizeof age, "for %.1f s", (double)(now - last) / 1e6);
	snprintf(why, HEALTH_WHY_MAX, "%s %s: no picture %s%s%s", wanted ? "stream" : "camera",
		 wanted ? stream->config->name : stream->camera->config->name, age,
		 trouble[0] ? ": " : "", trouble);
	return false;
}

bool health_check(const struct cameras *cameras, int64_t now_us, char why[HEALTH_WHY_MAX])
{
	why[0] = '\0';
	for (size_t i = 0; i < cameras->n_streams; i++) {
		const struct stream *stream = cameras->streams[i];

		/* The camera of an idle one has another stream, which says how it is. */
		if (stream->config->implied && !stream->camera->status->wanted_us[stream->number])
			continue;
		if (!stream_healthy(stream, now_us, why))
			return false;
	}
	return true;
}
