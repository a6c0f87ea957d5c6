/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/log/feed.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/log/policy.h"

/* The default limit on the bytes of a log: four times the bytes that the bitrate produces in
 * the history, or this constant where the bitrate is not known. */
#define HISTORY_BYTES_MIN (4ull << 20)
#define HISTORY_BYTES_UNKNOWN (64ull << 20)

struct feed {
	struct loop *loop;
	struct feed_demand *demand;
	struct feed_options options;
	struct log log;
	struct audience audience;
	struct feed_stats stats;
	bool viewed;	/* by a cursor or a waiter since there were none */
	bool need_key;	/* non-key units are refused */
	bool destroyed; /* goes with the last cursor_release() */
	void (*drained)(void *user);
	void *drained_user;
	struct loop_timer drain_done;
	struct list waiters;
	size_t n_waiters;
	int64_t kept_us;	  /* feed_keep_history() */
	struct loop_timer notify; /* calls them */
};

/* --- create, destroy --- */

static uint64_t history_bytes(const struct config_stream *policy, int64_t history_us)
{
	uint64_t bytes;

	if (policy->history_max > 0)
		return policy->history_max;
	if (policy->codec != CONFIG_CODEC_H264 || policy->encoder == CONFIG_ENCODER_COPY)
		return HISTORY_BYTES_UNKNOWN;
	bytes = (uint64_t)policy->bitrate / 8 * (uint64_t)(history_us / 1000) / 1000 * 4;
	return bytes > HISTORY_BYTES_MIN ? bytes : HISTORY_BYTES_MIN;
}

static void set_limits(struct audience_policy *policy, const struct config_stream *config)
{
	policy->join_burst_us = (int64_t)config->join_burst_ms * 1000;
	policy->shed_lag_us = (int64_t)config->shed_lag_ms * 1000;
	policy->max_lag_us = (int64_t)config->max_lag_ms * 1000;
	policy->stall_timeout_us = (int64_t)config->stall_timeout_ms * 1000;
}

static void handle_drain_done(struct loop_timer *timer)
{
	struct feed *feed = container_of(timer, struct feed, drain_done);

	feed->drained(feed->drained_user);
}

static void handle_ask_idr(struct audience *audience)
{
	struct feed *feed = container_of(audience, struct feed, audience);

	feed->demand->idr(feed->demand);
}

static void free_feed(struct feed *feed)
{
	log_finish(&feed->log);
	free(feed);
}

/* Nobody needs the feed's units any more. */
static void end_demand(struct feed *feed)
{
	feed->demand->unwatched(feed->demand, feed->viewed);
	feed->viewed = false;
}

static void drain_if_empty(struct feed *feed)
{
	if (feed->audience.draining && feed->stats.audience.cursors == 0)
		loop_timer_set(feed->loop, &feed->drain_done, loop_now_us(feed->loop));
}

static void handle_left(struct audience *audience, bool viewed)
{
	struct feed *feed = container_of(audience, struct feed, audience);

	feed->viewed |= viewed;
	if (feed->stats.audience.cursors > 0)
		return;
	if (feed->destroyed) {
		free_feed(feed);
		return;
	}
	if (feed->n_waiters == 0)
		end_demand(feed);
	drain_if_empty(feed);
}

/* --- those who wait for units --- */

static void handle_notify(struct loop_timer *timer)
{
	struct feed *feed = container_of(timer, struct feed, notify);
	struct list due;

	list_init(&due);
	list_splice(&due, &feed->waiters);
	while (!list_empty(&due)) {
		struct feed_waiter *waiter = container_of(due.next, struct feed_waiter, link);

		list_remove(&waiter->link);
		list_append(&feed->waiters, &waiter->link);
		feed->viewed = true;
		waiter->units(waiter);
	}
}

static void dismiss_waiters(struct feed *feed)
{
	while (!list_empty(&feed->waiters)) {
		struct feed_waiter *waiter =
			container_of(feed->waiters.next, struct feed_waiter, link);

		list_remove(&waiter->link);
		feed->n_waiters--;
		if (waiter->gone)
			waiter->gone(waiter);
	}
}

int feed_create(struct feed **out, struct loop *loop, const struct feed_options *options,
		struct feed_demand *demand)
{
	const struct config_stream *config = options->policy;
	struct log_limits limits = {
		/* Viewers of key-only feeds get the newest unit only. */
		.history_us = options->key_only ? 0 : (int64_t)config->history_ms * 1000,
		.bytes_max = history_bytes(config, (int64_t)config->history_ms * 1000),
		.keep_gop = !options->can_force_idr,
	};
	struct audience_policy policy = {
		.key_only = options->key_only,
		.can_force_idr = options->can_force_idr,
		.preamble_apart = options->preamble_apart,
	};
	struct feed *feed = calloc(1, sizeof(*feed));
	int ret;

	if (!feed)
		return -ENOMEM;
	set_limits(&policy, config);
	feed->loop = loop;
	feed->demand = demand;
	feed->options = *options;
	feed->need_key = true;
	audience_init(&feed->audience, loop, &feed->log, options->name, &policy,
		      &feed->stats.audience);
	feed->audience.ask_idr = handle_ask_idr;
	feed->audience.left = handle_left;
	loop_timer_init(&feed->drain_done, handle_drain_done);
	loop_timer_init(&feed->notify, handle_notify);
	list_init(&feed->waiters);
	ret = log_init(&feed->log, &limits, &feed->stats.log);
	if (ret < 0) {
		free(feed);
		return ret;
	}
	*out = feed;
	return 0;
}

void feed_destroy(struct feed *feed)
{
	if (!feed)
		return;
	feed->destroyed = true;
	loop_timer_cancel(feed->loop, &feed->drain_done);
	loop_timer_cancel(feed->loop, &feed->notify);
	dismiss_waiters(feed);
	audience_close(&feed->audience);
	if (feed->stats.audience.cursors == 0)
		free_feed(feed);
}

void feed_set_can_force_idr(struct feed *feed, bool can)
{
	feed->audience.policy.can_force_idr = can;
	feed->log.limits.keep_gop = !can;
}

void feed_set_policy(struct feed *feed, const struct config_stream *policy)
{
	feed->options.policy = policy;
	set_limits(&feed->audience.policy, policy);
	audience_renew(&feed->audience);
	if (feed->options.key_only)
		feed->log.limits.bytes_max =
			history_bytes(policy, (int64_t)policy->history_ms * 1000);
	else
		feed_keep_history(feed, feed->kept_us);
}

void feed_set_demand(struct feed *feed, struct feed_demand *demand)
{
	feed->demand = demand;
	if (feed_is_wanted(feed))
		demand->watched(demand);
}

bool feed_is_wanted(const struct feed *feed)
{
	return feed->stats.audience.cursors > 0 || feed->n_waiters > 0;
}

bool feed_drains(const struct feed *feed)
{
	return feed->audience.draining;
}

/* --- from the worker's side --- */

int feed_add_segment(struct feed *feed, uint32_t id, int fd, uint32_t size)
{
	return log_add_segment(&feed->log, id, fd, size);
}

int feed_set_preamble(struct feed *feed, const void *data, uint32_t len)
{
	feed->need_key = true;
	return log_set_preamble(&feed->log, data, len);
}

int feed_add_unit(struct feed *feed, uint32_t segment, const struct feed_unit *unit)
{
	struct unit entry = {
		.received_us = loop_now_us(feed->loop),
		.pts_us = unit->pts_us,
		.offset = unit->offset,
		.len = unit->len,
		.duration_us = unit->duration_us,
		.flags = unit->flags & (CAMCAST_UNIT_KEY | CAMCAST_UNIT_DROPPABLE),
		.track = (uint8_t)unit->track,
	};
	int ret = log_check(&feed->log, segment, unit->offset, unit->len);

	if (ret < 0)
		return ret;
	if (feed->options.key_only)
		entry.flags |= CAMCAST_UNIT_KEY;
	if (entry.flags & CAMCAST_UNIT_KEY) {
		entry.flags = CAMCAST_UNIT_KEY;
		feed->stats.keys++;
	} else if (feed->need_key) {
		feed->stats.units_refused++;
		return -EAGAIN;
	}
	if (feed->need_key)
		entry.flags |= LOG_UNIT_AFTER_GAP;
	feed->need_key = false;
	feed->stats.units++;
	feed->stats.bytes += unit->len;
	feed->stats.last_unit_us = entry.received_us;
	feed->stats.unit_duration_us = unit->duration_us;
	audience_unit(&feed->audience, log_push(&feed->log, &entry));
	if (feed->n_waiters > 0)
		loop_timer_set(feed->loop, &feed->notify, entry.received_us);
	return 0;
}

void feed_gap(struct feed *feed)
{
	feed->need_key = true;
}

void feed_forget(struct feed *feed)
{
	feed->need_key = true;
	log_clear(&feed->log);
}

void feed_reset(struct feed *feed)
{
	feed->need_key = true;
	log_close_segment(&feed->log);
	(void)log_set_preamble(&feed->log, NULL, 0); /* nothing to copy: it does not fail */
}

/* --- from the viewers' side --- */

static int begin_demand(struct feed *feed)
{
	if (feed->audience.draining)
		return -ESHUTDOWN;
	if (!feed_is_wanted(feed))
		feed->demand->watched(feed->demand);
	return 0;
}

int feed_join(struct feed *feed, struct cursor *cursor, const struct sink *sink, uint64_t had)
{
	int ret = begin_demand(feed);

	if (ret == 0)
		cursor_join(cursor, &feed->audience, sink, had);
	return ret;
}

int feed_join_range(struct feed *feed, struct cursor *cursor, const struct sink *sink,
		    uint64_t from, uint64_t until)
{
	int ret;

	if (from == 0 || from > feed->log.head)
		return -ERANGE;
	ret = begin_demand(feed);
	if (ret == 0)
		cursor_join_range(cursor, &feed->audience, sink, from, until);
	return ret;
}

uint64_t feed_join_at(const struct feed *feed, uint64_t had)
{
	return policy_join_at(&feed->audience, had);
}

int feed_wait(struct feed *feed, struct feed_waiter *waiter)
{
	int ret = begin_demand(feed);

	if (ret < 0)
		return ret;
	list_init(&waiter->link);
	list_append(&feed->waiters, &waiter->link);
	feed->n_waiters++;
	return 0;
}

void feed_unwait(struct feed *feed, struct feed_waiter *waiter)
{
	if (!feed_waits(waiter))
		return;
	list_remove(&waiter->link);
	if (--feed->n_waiters == 0 && feed->stats.audience.cursors == 0)
		end_demand(feed);
}

const struct log *feed_log(const struct feed *feed)
{
	return &feed->log;
}

void feed_drain(struct feed *feed, void (*drained)(void *user), void *user)
{
	feed->drained = drained;
	feed->drained_user = user;
	audience_drain(&feed->audience);
	drain_if_empty(feed);
}

void feed_keep_history(struct feed *feed, int64_t history_us)
{
	const struct config_stream *policy = feed->options.policy;
	int64_t configured_us = (int64_t)policy->history_ms * 1000;

	feed->kept_us = history_us;
	if (history_us < configured_us)
		history_us = configured_us;
	feed->log.limits.history_us = history_us;
	feed->log.limits.bytes_max = history_bytes(policy, history_us);
}

bool feed_can_force_idr(const struct feed *feed)
{
	return feed->audience.policy.can_force_idr;
}

void feed_ask_key(struct feed *feed)
{
	if (feed_can_force_idr(feed))
		feed->demand->idr(feed->demand);
}

/* --- for the status --- */

const struct feed_stats *feed_stats(const struct feed *feed)
{
	return &feed->stats;
}

void feed_for_each_cursor(const struct feed *feed,
			  void (*each)(const struct cursor *cursor, void *user), void *user)
{
	audience_for_each(&feed->audience, each, user);
}
