/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/worker/demand.h"

#include <errno.h>
#include <stdlib.h>

#include "camcast/worker.h"

#define IDR_PERIOD_US 1000000

/* What is wanted of one stream, and what the process knows of that. */
struct stream_demand {
	struct worker_demand *all;
	unsigned stream;
	unsigned feeds_watched;
	int64_t wanted_us;    /* 0: not wanted */
	uint32_t bitrate_bps; /* 0: as configured */
	bool want_unsaid, bitrate_unsaid;
	bool idr_deferred;
	int64_t idr_said_us;
	struct loop_timer linger, idr;
};

struct feed_link {
	struct feed_demand demand;
	struct stream_demand *stream;
};

struct worker_demand {
	struct loop *loop;
	struct worker_demand_options options;
	bool up;
	struct stream_demand *streams; /* by number */
	struct feed_link *links;       /* the same */
};

static bool say(struct worker_demand *all, const void *message, size_t size)
{
	return all->options.say(all->options.user, message, size);
}

static void say_state(struct stream_demand *demand)
{
	if (demand->want_unsaid) {
		struct camcast_msg_want want = {
			.type = CAMCAST_MSG_WANT,
			.stream = demand->stream,
			.wanted = demand->wanted_us != 0,
		};
		demand->want_unsaid = !say(demand->all, &want, sizeof want);
	}
	if (demand->bitrate_unsaid) {
		struct camcast_msg_bitrate bitrate = {
			.type = CAMCAST_MSG_BITRATE,
			.stream = demand->stream,
			.bitrate_bps = demand->bitrate_bps,
		};
		demand->bitrate_unsaid = !say(demand->all, &bitrate, sizeof bitrate);
	}
}

void worker_demand_say_all(struct worker_demand *all)
{
	for (unsigned i = 0; i < all->options.camera->n_streams; i++) {
		struct stream_demand *demand = &all->streams[i];

		demand->want_unsaid = true;
		demand->bitrate_unsaid = demand->bitrate_bps != 0;
		demand->idr_deferred = false;
		loop_timer_cancel(all->loop, &demand->idr);
		say_state(demand);
	}
}

void worker_demand_say_rest(struct worker_demand *all)
{
	for (unsigned i = 0; i < all->options.camera->n_streams; i++)
		say_state(&all->streams[i]);
}

void worker_demand_set_up(struct worker_demand *all, bool up)
{
	all->up = up;
}

/* --- wanted or not --- */

static void set_wanted(struct stream_demand *demand, bool wanted)
{
	if (wanted == (demand->wanted_us != 0))
		return;
	demand->wanted_us = wanted ? loop_now_us(demand->all->loop) : 0;
	demand->want_unsaid = true;
	say_state(demand);
}

static void handle_linger(struct loop_timer *timer)
{
	set_wanted(container_of(timer, struct stream_demand, linger), false);
}

static void handle_watched(struct feed_demand *feed_demand, bool watched)
{
	struct feed_link *link = container_of(feed_demand, struct feed_link, demand);
	struct stream_demand *demand = link->stream;
	struct loop *loop = demand->all->loop;
	const struct config_stream *config =
		demand->all->options.camera->streams[demand->stream]->config;

	if (watched)
		demand->feeds_watched++;
	else
		demand->feeds_watched--;
	if (!config->on_demand)
		return;
	if (demand->feeds_watched > 0) {
		loop_timer_cancel(loop, &demand->linger);
		set_wanted(demand, true);
	} else {
		loop_timer_set(loop, &demand->linger,
			       loop_now_us(loop) + (int64_t)config->linger_ms * 1000);
	}
}

int64_t worker_demand_wanted_us(const struct worker_demand *all, unsigned stream)
{
	return all->streams[stream].wanted_us;
}

void worker_demand_set_bitrate(struct worker_demand *all, unsigned stream, uint32_t bitrate_bps)
{
	struct stream_demand *demand = &all->streams[stream];

	demand->bitrate_bps = bitrate_bps;
	demand->bitrate_unsaid = true;
	say_state(demand);
}

/* --- IDRs --- */

static void say_idr(struct stream_demand *demand)
{
	struct camcast_msg_idr idr = {.type = CAMCAST_MSG_IDR, .stream = demand->stream};
	int64_t now = loop_now_us(demand->all->loop);

	demand->idr_deferred = false;
	if (!demand->all->up)
		return;
	demand->idr_deferred = !say(demand->all, &idr, sizeof idr);
	demand->idr_said_us = now;
	if (demand->idr_deferred)
		loop_timer_set(demand->all->loop, &demand->idr, now + IDR_PERIOD_US);
}

static void handle_idr_timer(struct loop_timer *timer)
{
	struct stream_demand *demand = container_of(timer, struct stream_demand, idr);

	if (demand->idr_deferred)
		say_idr(demand);
}

void worker_demand_request_idr(struct worker_demand *all, unsigned stream)
{
	struct stream_demand *demand = &all->streams[stream];
	int64_t at = demand->idr_said_us + IDR_PERIOD_US;

	if (demand->idr_deferred)
		return;
	if (demand->idr_said_us == 0 || loop_now_us(all->loop) >= at) {
		say_idr(demand);
		return;
	}
	demand->idr_deferred = true;
	loop_timer_set(all->loop, &demand->idr, at);
}

static void handle_idr(struct feed_demand *feed_demand)
{
	struct feed_link *link = container_of(feed_demand, struct feed_link, demand);

	worker_demand_request_idr(link->stream->all, link->stream->stream);
}

void worker_demand_key_came(struct worker_demand *all, unsigned stream)
{
	all->streams[stream].idr_deferred = false;
}

/* --- life --- */

struct feed_demand *worker_demand_of_feed(struct worker_demand *all, unsigned feed)
{
	return &all->links[feed].demand;
}

static void set_up(struct worker_demand *all)
{
	const struct camera *camera = all->options.camera;

	for (unsigned i = 0; i < camera->n_streams; i++) {
		struct stream_demand *demand = &all->streams[i];
		bool on_demand = camera->streams[i]->config->on_demand;

		demand->all = all;
		demand->stream = i;
		demand->wanted_us = on_demand ? 0 : loop_now_us(all->loop);
		loop_timer_init(&demand->linger, handle_linger);
		loop_timer_init(&demand->idr, handle_idr_timer);
	}
	for (unsigned i = 0; i < camera->n_outputs; i++) {
		struct feed_link *link = &all->links[i];

		link->demand.idr = handle_idr;
		link->demand.watched = handle_watched;
		link->stream = &all->streams[camera->outputs[i]->stream->number];
	}
}

int worker_demand_create(struct worker_demand **out, struct loop *loop,
			 const struct worker_demand_options *options)
{
	struct worker_demand *all = calloc(1, sizeof *all);

	if (!all)
		return -ENOMEM;
	all->loop = loop;
	all->options = *options;
	all->streams = calloc(options->camera->n_streams + 1, sizeof *all->streams);
	all->links = calloc(options->camera->n_outputs + 1, sizeof *all->links);
	if (!all->streams || !all->links) {
		free(all->links);
		free(all->streams);
		free(all);
		return -ENOMEM;
	}
	set_up(all);
	*out = all;
	return 0;
}

void worker_demand_destroy(struct worker_demand *all)
{
	if (!all)
		return;
	for (unsigned i = 0; i < all->options.camera->n_streams; i++) {
		loop_timer_cancel(all->loop, &all->streams[i].linger);
		loop_timer_cancel(all->loop, &all->streams[i].idr);
	}
	free(all->links);
	free(all->streams);
	free(all);
}
