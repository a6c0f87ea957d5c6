/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/leaving.h"

#include <stdlib.h>

#include "daemon/site/presentations.h"
#include "daemon/site/site.h"
#include "daemon/worker/worker.h"

#define SWEEP_PERIOD_US 50000
#define DRAIN_US 2000000

struct gone_camera {
	struct list link;
	struct camera *camera, *successor;
};

struct gone_stream {
	struct list link;
	struct stream *stream;
	int64_t drained_us; /* when the feeds end in any case */
};

static void ignore(struct feed_demand *demand)
{
	(void)demand;
}

static void ignore_end(struct feed_demand *demand, bool viewed)
{
	(void)demand, (void)viewed;
}

/* Of a feed that no worker fills. */
static struct feed_demand no_demand = {.idr = ignore, .watched = ignore, .unwatched = ignore_end};

static void ignore_drained(void *user)
{
	(void)user;
}

/* --- cameras --- */

static void end_camera(struct gone_camera *gone)
{
	struct camera *camera = gone->camera;

	list_remove(&gone->link);
	worker_destroy(camera->worker);
	camera_free(camera);
	free(gone);
}

static void start_successor(struct gone_camera *gone)
{
	if (!gone->successor || !worker_is_over(gone->camera->worker))
		return;
	worker_start(gone->successor->worker);
	gone->successor = NULL;
}

/* Puts another camera in the place of one that waits for its start. False: none waits. */
static bool succeed(struct leaving *leaving, const struct camera *camera, struct camera *successor)
{
	for (struct list *pos = leaving->cameras.next; pos != &leaving->cameras; pos = pos->next) {
		struct gone_camera *gone = container_of(pos, struct gone_camera, link);

		if (gone->successor != camera)
			continue;
		gone->successor = successor;
		return true;
	}
	return false;
}

static void begin_sweep(struct leaving *leaving)
{
	if (!loop_timer_is_set(&leaving->sweep))
		loop_timer_set(leaving->loop, &leaving->sweep,
			       loop_now_us(leaving->loop) + SWEEP_PERIOD_US);
}

void leaving_add_camera(struct leaving *leaving, struct camera *camera, struct camera *successor)
{
	struct gone_camera *gone = calloc(1, sizeof *gone);

	if (succeed(leaving, camera, successor))
		successor = NULL;
	worker_stop(camera->worker);
	if (!gone) {
		worker_destroy(camera->worker);
		camera_free(camera);
		if (successor)
			worker_start(successor->worker);
		return;
	}
	gone->camera = camera;
	gone->successor = successor;
	list_init(&gone->link);
	list_append(&leaving->cameras, &gone->link);
	begin_sweep(leaving);
}

/* --- streams --- */

static bool is_idle(const struct stream *stream)
{
	for (size_t i = 0; i < stream->n_outputs; i++) {
		const struct output *output = &stream->outputs[i];

		if (!endpoint_is_idle(&output->tcp) || !endpoint_is_idle(&output->http) ||
		    !endpoint_is_idle(&output->hls) || !endpoint_is_idle(&output->rtsp))
			return false;
	}
	return true;
}

static bool is_watched(const struct stream *stream)
{
	for (size_t i = 0; i < stream->n_outputs; i++)
		if (stream->outputs[i].feed &&
		    feed_stats(stream->outputs[i].feed)->audience.cursors > 0)
			return true;
	return false;
}

static void end_feeds(struct stream *stream)
{
	for (size_t i = 0; i < stream->n_outputs; i++) {
		struct output *output = &stream->outputs[i];

		if (!output->feed)
			continue;
		feed_destroy(output->feed);
		output->feed = NULL;
	}
}

static void free_stream(struct gone_stream *gone)
{
	list_remove(&gone->link);
	stream_free(gone->stream);
	free(gone);
}

void leaving_add_stream(struct leaving *leaving, struct stream *stream)
{
	struct gone_stream *gone = calloc(1, sizeof *gone);

	for (size_t i = 0; i < stream->n_outputs; i++) {
		struct output *output = &stream->outputs[i];

		output->tcp.closed = output->http.closed = output->hls.closed = true;
		output->rtsp.closed = true;
		output->tcp.gate = NULL;
		feed_set_demand(output->feed, &no_demand);
		site_forget(output);
		presentations_forget(output);
		feed_drain(output->feed, ignore_drained, NULL);
	}
	if (!gone) { /* it stays for ever, as small as it can be */
		end_feeds(stream);
		return;
	}
	gone->stream = stream;
	gone->drained_us = loop_now_us(leaving->loop) + DRAIN_US;
	list_init(&gone->link);
	list_append(&leaving->streams, &gone->link);
	begin_sweep(leaving);
}

/* --- both --- */

static void handle_sweep(struct loop_timer *timer)
{
	struct leaving *leaving = container_of(timer, struct leaving, sweep);
	int64_t now_us = loop_now_us(leaving->loop);
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &leaving->cameras) {
		struct gone_camera *gone = container_of(pos, struct gone_camera, link);

		start_successor(gone);
		if (worker_has_ended(gone->camera->worker))
			end_camera(gone);
	}
	list_for_each_safe (pos, tmp, &leaving->streams) {
		struct gone_stream *gone = container_of(pos, struct gone_stream, link);

		if (!is_watched(gone->stream) || now_us >= gone->drained_us)
			end_feeds(gone->stream);
		if (is_idle(gone->stream) && !is_watched(gone->stream))
			free_stream(gone);
	}
	if (!list_empty(&leaving->cameras) || !list_empty(&leaving->streams))
		begin_sweep(leaving);
}

void leaving_init(struct leaving *leaving, struct loop *loop)
{
	leaving->loop = loop;
	loop_timer_init(&leaving->sweep, handle_sweep);
	list_init(&leaving->cameras);
	list_init(&leaving->streams);
}

void leaving_finish(struct leaving *leaving)
{
	struct list *pos, *tmp;

	if (!leaving->loop)
		return;
	loop_timer_cancel(leaving->loop, &leaving->sweep);
	list_for_each_safe (pos, tmp, &leaving->cameras) {
		struct gone_camera *gone = container_of(pos, struct gone_camera, link);

		end_camera(gone);
	}
	list_for_each_safe (pos, tmp, &leaving->streams)
		end_feeds(container_of(pos, struct gone_stream, link)->stream);
}

void leaving_free(struct leaving *leaving)
{
	struct list *pos, *tmp;

	if (!leaving->loop)
		return;
	list_for_each_safe (pos, tmp, &leaving->streams)
		free_stream(container_of(pos, struct gone_stream, link));
}
