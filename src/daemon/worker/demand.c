/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/worker/demand.h"

#include <errno.h>
#include <stdlib.h>

#include "camcast/worker.h"
#include "media/rtp.h"

#define IDR_PERIOD_US 1000000

/* The demand for one feed, and the part of it that the process knows. */
struct output_demand {
	struct feed_demand demand;
	struct stream_demand *stream;
	unsigned number;
	bool kept; /* always wanted */
	bool watched;
	bool wanted, unsaid;
	bool awaits_key; /* an IDR was asked for since its last key unit */
	struct loop_timer linger;
	int64_t viewed_us; /* when the last viewer left */
};

/* The demand for one stream. */
struct stream_demand {
	struct worker_demand *all;
	unsigned number;
	unsigned outputs_wanted;
	uint32_t bitrate_bps; /* 0: as configured */
	bool bitrate_unsaid;
	bool idr_deferred;
	int64_t idr_said_us;
	struct loop_timer idr;
};

struct worker_demand {
	struct loop *loop;
	struct worker_demand_options options;
	bool up;
	struct stream_demand *streams; /* by number */
	struct output_demand *outputs; /* the same */
	int64_t *wanted_us; /* by stream: since when one of its outputs is wanted; 0: none is */
};

static const struct config_stream *config_of(const struct stream_demand *stream)
{
	return stream->all->options.camera->streams[stream->number]->config;
}

/* --- messages to the process --- */

static bool say(struct worker_demand *all, const void *message, size_t size)
{
	return all->options.say(all->options.user, message, size);
}

static struct output *output_of(const struct output_demand *demand)
{
	return demand->stream->all->options.camera->outputs[demand->number];
}

/* A new process goes on behind the newest packets in the log. Workers are trusted for what they
 * write, and rtp_read_last() is bounded. */
static void note_sequence(struct output *output)
{
	const struct log *log = feed_log(output->feed);
	struct rtp_head last;

	if (log->tail < log->head) {
		const struct unit *unit = log_unit(log, log->head - 1);

		if (rtp_read_last(unit->segment->pages.map + unit->offset, unit->len, &last))
			output->rtp_sequence = (uint16_t)(last.sequence + 1);
	}
}

static void say_wanted(struct output_demand *output)
{
	struct worker_demand *all = output->stream->all;
	struct output *known = output_of(output);
	struct camcast_msg_want want = {
		.type = CAMCAST_MSG_WANT,
		.feed = output->number,
		.wanted = output->wanted,
	};

	if (!output->unsaid)
		return;
	if (output->wanted && output_is_rtp(known)) {
		note_sequence(known);
		want.rtp_ssrc = known->rtp_ssrc;
		want.rtp_offset = known->rtp_offset;
		want.rtp_sequence = known->rtp_sequence;
	}
	output->unsaid = !say(all, &want, sizeof want);
}

static void say_bitrate(struct stream_demand *stream)
{
	struct camcast_msg_bitrate bitrate = {
		.type = CAMCAST_MSG_BITRATE,
		.stream = stream->number,
		.bitrate_bps = stream->bitrate_bps,
	};

	if (stream->bitrate_unsaid)
		stream->bitrate_unsaid = !say(stream->all, &bitrate, sizeof bitrate);
}

void worker_demand_say_all(struct worker_demand *all)
{
	for (size_t i = 0; i < all->options.camera->n_outputs; i++) {
		all->outputs[i].unsaid = true;
		all->outputs[i].awaits_key = false;
	}
	for (size_t i = 0; i < all->options.camera->n_streams; i++) {
		struct stream_demand *stream = &all->streams[i];

		stream->bitrate_unsaid = stream->bitrate_bps != 0;
		stream->idr_deferred = false;
		loop_timer_cancel(all->loop, &stream->idr);
	}
	worker_demand_say_rest(all);
}

void worker_demand_say_rest(struct worker_demand *all)
{
	for (size_t i = 0; i < all->options.camera->n_outputs; i++)
		say_wanted(&all->outputs[i]);
	for (size_t i = 0; i < all->options.camera->n_streams; i++)
		say_bitrate(&all->streams[i]);
}

void worker_demand_set_up(struct worker_demand *all, bool up)
{
	all->up = up;
}

void worker_demand_set_bitrate(struct worker_demand *all, unsigned stream, uint32_t bitrate_bps)
{
	struct stream_demand *demand = &all->streams[stream];

	demand->bitrate_bps = bitrate_bps;
	demand->bitrate_unsaid = true;
	say_bitrate(demand);
}

/* --- IDRs --- */

static void say_idr(struct stream_demand *stream)
{
	struct camcast_msg_idr idr = {.type = CAMCAST_MSG_IDR, .stream = stream->number};
	struct loop *loop = stream->all->loop;
	int64_t now = loop_now_us(loop);

	stream->idr_deferred = false;
	if (!stream->all->up)
		return;
	stream->idr_deferred = !say(stream->all, &idr, sizeof idr);
	stream->idr_said_us = now;
	if (stream->idr_deferred)
		loop_timer_set(loop, &stream->idr, now + IDR_PERIOD_US);
}

static void handle_idr_timer(struct loop_timer *timer)
{
	struct stream_demand *stream = container_of(timer, struct stream_demand, idr);

	if (stream->idr_deferred)
		say_idr(stream);
}

static void request_idr(struct output_demand *output)
{
	struct stream_demand *stream = output->stream;
	struct loop *loop = stream->all->loop;
	int64_t at = stream->idr_said_us + IDR_PERIOD_US;

	output->awaits_key = true;
	if (stream->idr_deferred)
		return;
	if (stream->idr_said_us == 0 || loop_now_us(loop) >= at) {
		say_idr(stream);
		return;
	}
	stream->idr_deferred = true;
	loop_timer_set(loop, &stream->idr, at);
}

void worker_demand_request_idr(struct worker_demand *all, unsigned feed)
{
	request_idr(&all->outputs[feed]);
}

static void handle_idr(struct feed_demand *demand)
{
	request_idr(container_of(demand, struct output_demand, demand));
}

void worker_demand_key_came(struct worker_demand *all, unsigned feed)
{
	const struct stream *stream = all->options.camera->outputs[feed]->stream;

	all->outputs[feed].awaits_key = false;
	for (size_t i = 0; i < stream->n_outputs; i++)
		if (all->outputs[stream->outputs[i].number].awaits_key)
			return;
	all->streams[stream->number].idr_deferred = false;
}

/* --- wanted or not --- */

static void set_wanted(struct output_demand *output, bool wanted)
{
	struct stream_demand *stream = output->stream;

	if (wanted == output->wanted)
		return;
	output->wanted = wanted;
	output->unsaid = true;
	if (wanted) {
		if (output_is_rtp(output_of(output)))
			note_sequence(output_of(output));
		/* One that is watched already has another worker now. */
		if (!feed_is_wanted(output_of(output)->feed))
			feed_forget(output_of(output)->feed);
	}
	say_wanted(output);
	if (!wanted) {
		output->awaits_key = false;
		if (--stream->outputs_wanted == 0)
			stream->all->wanted_us[stream->number] = 0;
	} else if (stream->outputs_wanted++ == 0) {
		stream->all->wanted_us[stream->number] = loop_now_us(stream->all->loop);
	} else {
		/* The stream is being encoded already, and its next key unit may be far away. */
		request_idr(output);
	}
}

static void handle_linger(struct loop_timer *timer)
{
	set_wanted(container_of(timer, struct output_demand, linger), false);
}

static void handle_watched(struct feed_demand *demand)
{
	struct output_demand *output = container_of(demand, struct output_demand, demand);

	output->watched = true;
	if (output->kept)
		return;
	loop_timer_cancel(output->stream->all->loop, &output->linger);
	set_wanted(output, true);
}

static void begin_linger(struct output_demand *output)
{
	struct loop *loop = output->stream->all->loop;
	int64_t now_us = loop_now_us(loop);
	int64_t until_us = output->viewed_us + (int64_t)config_of(output->stream)->linger_ms * 1000;

	loop_timer_set(loop, &output->linger, until_us > now_us ? until_us : now_us);
}

/* The linger is for viewers that return. A peer that is no viewer, such as a port scanner, neither
 * starts nor ends it. */
static void handle_unwatched(struct feed_demand *demand, bool viewed)
{
	struct output_demand *output = container_of(demand, struct output_demand, demand);

	output->watched = false;
	if (output->kept)
		return;
	if (viewed)
		output->viewed_us = loop_now_us(output->stream->all->loop);
	begin_linger(output);
}

static void renew(struct output_demand *output)
{
	bool kept = output_of(output)->config->kept;

	if (kept == output->kept) {
		if (loop_timer_is_set(&output->linger))
			begin_linger(output);
		return;
	}
	output->kept = kept;
	if (kept) {
		loop_timer_cancel(output->stream->all->loop, &output->linger);
		set_wanted(output, true);
	} else if (!output->watched) {
		handle_unwatched(&output->demand, false);
	}
}

void worker_demand_renew(struct worker_demand *all)
{
	for (size_t i = 0; i < all->options.camera->n_outputs; i++)
		renew(&all->outputs[i]);
}

const int64_t *worker_demand_wanted_us(const struct worker_demand *all)
{
	return all->wanted_us;
}

/* --- life --- */

struct feed_demand *worker_demand_of_feed(struct worker_demand *all, unsigned feed)
{
	return &all->outputs[feed].demand;
}

static void set_up_stream(struct worker_demand *all, unsigned number)
{
	struct stream_demand *stream = &all->streams[number];

	stream->all = all;
	stream->number = number;
	loop_timer_init(&stream->idr, handle_idr_timer);
}

static void set_up_output(struct worker_demand *all, unsigned number)
{
	struct output_demand *output = &all->outputs[number];

	output->demand.idr = handle_idr;
	output->demand.watched = handle_watched;
	output->demand.unwatched = handle_unwatched;
	output->stream = &all->streams[all->options.camera->outputs[number]->stream->number];
	output->number = number;
	output->viewed_us = INT64_MIN / 2;
	loop_timer_init(&output->linger, handle_linger);
	output->kept = all->options.camera->outputs[number]->config->kept;
	if (!output->kept)
		return;
	output->wanted = true;
	output->stream->outputs_wanted++;
	all->wanted_us[output->stream->number] = loop_now_us(all->loop);
}

int worker_demand_create(struct worker_demand **out, struct loop *loop,
			 const struct worker_demand_options *options)
{
	const struct camera *camera = options->camera;
	struct worker_demand *all = calloc(1, sizeof *all);

	if (!all)
		return -ENOMEM;
	all->loop = loop;
	all->options = *options;
	all->streams = calloc(camera->n_streams + 1, sizeof *all->streams);
	all->outputs = calloc(camera->n_outputs + 1, sizeof *all->outputs);
	all->wanted_us = calloc(camera->n_streams + 1, sizeof *all->wanted_us);
	if (!all->streams || !all->outputs || !all->wanted_us) {
		free(all->wanted_us);
		free(all->outputs);
		free(all->streams);
		free(all);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < camera->n_streams; i++)
		set_up_stream(all, i);
	for (unsigned i = 0; i < camera->n_outputs; i++)
		set_up_output(all, i);
	*out = all;
	return 0;
}

void worker_demand_stop(struct worker_demand *all)
{
	for (size_t i = 0; i < all->options.camera->n_streams; i++)
		loop_timer_cancel(all->loop, &all->streams[i].idr);
	for (size_t i = 0; i < all->options.camera->n_outputs; i++)
		loop_timer_cancel(all->loop, &all->outputs[i].linger);
}

void worker_demand_destroy(struct worker_demand *all)
{
	if (!all)
		return;
	worker_demand_stop(all);
	free(all->wanted_us);
	free(all->outputs);
	free(all->streams);
	free(all);
}
