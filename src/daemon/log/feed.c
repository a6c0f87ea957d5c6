/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/log/feed.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/log/cursor.h"

#define LOG_PERIOD_US 1000000
#define KEEPALIVE_IDLE_S 60
/* What the index may refer to where the configuration says nothing: four times what the bitrate
 * makes in history_ms, or this where no bitrate is known. */
#define HISTORY_BYTES_MIN (4ull << 20)
#define HISTORY_BYTES_UNKNOWN (64ull << 20)

/* --- create, destroy --- */

static uint64_t history_bytes(const struct config_stream *policy)
{
	uint64_t bytes;

	if (policy->history_max > 0)
		return policy->history_max;
	if (policy->codec != CONFIG_CODEC_H264 || policy->encoder == CONFIG_ENCODER_COPY)
		return HISTORY_BYTES_UNKNOWN;
	bytes = (uint64_t)policy->bitrate / 8 * policy->history_ms / 1000 * 4;
	return bytes > HISTORY_BYTES_MIN ? bytes : HISTORY_BYTES_MIN;
}

static void close_stalled(struct feed *feed, struct client *client, int64_t now_us)
{
	uint64_t suppressed;

	if (diag_allowed(&feed->stall_log, now_us, LOG_PERIOD_US, &suppressed))
		diag_info("feed %s: %s: a unit was not taken within %lld ms: reset "
			  "(%llu more like it not told)",
			  feed->options.name, client->peer,
			  (long long)(feed->stall_timeout_us / 1000),
			  (unsigned long long)suppressed);
	client_close(client, FEED_OUT_STALLED, true);
}

/* Out goes who does not finish a unit within the stall timeout, however much it trickled, and who
 * has not taken a byte of the next one for as long. */
static void handle_stall(struct loop_timer *timer)
{
	struct feed *feed = container_of(timer, struct feed, stall);
	int64_t now_us = loop_now_us(feed->loop), oldest_us = now_us - feed->stall_timeout_us;
	int64_t next_us = INT64_MAX;

	while (!list_empty(&feed->mid)) {
		struct client *client = container_of(feed->mid.next, struct client, link);

		if (client->begun_us > oldest_us) {
			next_us = client->begun_us;
			break;
		}
		close_stalled(feed, client, now_us);
	}
	while (!list_empty(&feed->full)) {
		struct client *client = container_of(feed->full.next, struct client, link);

		if (client->refused_us > oldest_us) {
			if (client->refused_us < next_us)
				next_us = client->refused_us;
			break;
		}
		close_stalled(feed, client, now_us);
	}
	if (next_us != INT64_MAX)
		loop_timer_set(feed->loop, timer, next_us + feed->stall_timeout_us);
}

void feed_watch_stalls(struct feed *feed)
{
	if (list_empty(&feed->stall.link))
		loop_timer_set(feed->loop, &feed->stall,
			       loop_now_us(feed->loop) + feed->stall_timeout_us);
}

static void handle_drain_done(struct loop_timer *timer)
{
	struct feed *feed = container_of(timer, struct feed, drain_done);

	feed->drained(feed->drained_user);
}

int feed_create(struct feed **out, struct loop *loop, const struct feed_options *options,
		struct feed_demand *demand)
{
	const struct config_stream *policy = options->policy;
	struct index_limits limits = {
		/* Of key-only feeds nobody is sent anything but the newest. */
		.history_us = options->key_only ? 0 : (int64_t)policy->history_ms * 1000,
		.bytes_max = history_bytes(policy),
		.keep_gop = !options->can_force_idr,
	};
	struct feed *feed = calloc(1, sizeof(*feed));
	int ret;

	if (!feed)
		return -ENOMEM;
	feed->loop = loop;
	feed->demand = demand;
	feed->options = *options;
	feed->key_only = options->key_only;
	feed->can_force_idr = options->can_force_idr;
	feed->join_burst_us = (int64_t)policy->join_burst_ms * 1000;
	feed->shed_lag_us = (int64_t)policy->shed_lag_ms * 1000;
	feed->max_lag_us = (int64_t)policy->max_lag_ms * 1000;
	feed->stall_timeout_us = (int64_t)policy->stall_timeout_ms * 1000;
	feed->need_key = true;
	list_init(&feed->idle);
	list_init(&feed->waiting);
	list_init(&feed->busy);
	list_init(&feed->mid);
	list_init(&feed->full);
	list_init(&feed->closing);
	loop_timer_init(&feed->stall, handle_stall);
	loop_timer_init(&feed->drain_done, handle_drain_done);
	ret = index_init(&feed->index, &limits, &feed->stats);
	if (ret < 0) {
		free(feed);
		return ret;
	}
	*out = feed;
	return 0;
}

static void free_feed(struct feed *feed)
{
	index_finish(&feed->index);
	free(feed);
}

static void close_all(struct list *clients, bool reset)
{
	while (!list_empty(clients))
		client_close(container_of(clients->next, struct client, link), FEED_OUT_SHUTDOWN,
			     reset);
}

void feed_destroy(struct feed *feed)
{
	if (!feed)
		return;
	feed->destroyed = true;
	loop_timer_cancel(feed->loop, &feed->stall);
	loop_timer_cancel(feed->loop, &feed->drain_done);
	close_all(&feed->idle, true);
	close_all(&feed->waiting, true);
	close_all(&feed->busy, true);
	close_all(&feed->mid, true);
	close_all(&feed->full, true);
	if (list_empty(&feed->closing))
		free_feed(feed);
}

void feed_set_can_force_idr(struct feed *feed, bool can)
{
	feed->can_force_idr = can;
	feed->index.limits.keep_gop = !can;
}

/* --- from the worker's side --- */

int feed_add_segment(struct feed *feed, uint32_t id, int fd, uint32_t size)
{
	return index_add_segment(&feed->index, id, fd, size);
}

bool feed_has_segment(const struct feed *feed, uint32_t id)
{
	return feed->index.current && feed->index.current->id == id;
}

/* The unit to everybody who has all the others. Nobody else costs anything here. */
static void fan_out(struct feed *feed, struct segment *segment, uint32_t offset, uint32_t len)
{
	struct list *pos;

	if (list_empty(&feed->idle))
		return;
	/* One client later each time, so that nobody is always last. */
	pos = feed->idle.next;
	list_remove(pos);
	list_append(&feed->idle, pos);
	for (pos = feed->idle.next; pos != &feed->idle; pos = pos->next)
		client_begin(container_of(pos, struct client, link), segment, offset, len, len);
	list_splice(&feed->busy, &feed->idle);
}

int feed_add_unit(struct feed *feed, uint32_t segment, uint32_t offset, uint32_t len,
		  uint32_t flags, int64_t pts_us)
{
	int64_t now_us = loop_now_us(feed->loop);
	struct list *pos;
	uint64_t seq;
	int ret = index_check(&feed->index, segment, offset, len);

	(void)pts_us;
	if (ret < 0)
		return ret;
	flags &= CAMCAST_UNIT_KEY | CAMCAST_UNIT_DROPPABLE;
	if (feed->key_only)
		flags |= CAMCAST_UNIT_KEY;
	if (flags & CAMCAST_UNIT_KEY)
		flags &= ~(uint32_t)CAMCAST_UNIT_DROPPABLE;
	else if (feed->need_key) {
		feed->stats.units_refused++;
		return -EAGAIN;
	}
	feed->need_key = false;

	seq = index_push(&feed->index, offset, len, flags, now_us);
	feed->stats.units++;
	feed->stats.bytes += len;
	feed->stats.last_unit_us = now_us;
	if (flags & CAMCAST_UNIT_KEY) {
		feed->stats.keys++;
		for (pos = feed->waiting.next; pos != &feed->waiting; pos = pos->next)
			client_end_wait(container_of(pos, struct client, link), seq);
		list_splice(&feed->idle, &feed->waiting);
	}
	fan_out(feed, feed->index.current, offset, len);
	return 0;
}

void feed_gap(struct feed *feed)
{
	feed->need_key = true;
}

void feed_reset(struct feed *feed)
{
	feed->need_key = true;
	index_close_segment(&feed->index);
}

/* --- from the listeners' side --- */

static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* What waits, waits in the log, where it can still be dropped, and not in the kernel. */
static int set_up_socket(const struct feed *feed, int fd)
{
	uint32_t send_buffer = feed->options.send_buffer, lowat = feed->options.notsent_lowat;
	int ret = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);

	if (ret == 0 && lowat > 0)
		ret = set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)lowat);
	if (ret == 0 && send_buffer > 0)
		ret = set_option(fd, SOL_SOCKET, SO_SNDBUF, (int)send_buffer);
	/* For a peer that vanished while there was nothing to send. A living one answers probes in
	 * its kernel, so that an idle feed times nobody out. No TCP_USER_TIMEOUT: with a closed window
	 * the kernel counts it from the first probe until the whole of what waits fits into the
	 * window, and so ends viewers that take a little all the time. */
	if (ret == 0)
		ret = set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (ret == 0)
		ret = set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	return ret;
}

int feed_add_client(struct feed *feed, int fd, const char *peer, struct feed_client_owner *owner)
{
	struct client *client;
	int ret;

	if (feed->draining)
		return -ESHUTDOWN;
	ret = set_up_socket(feed, fd);
	if (ret < 0)
		return ret;
	client = aligned_alloc(64, (sizeof(*client) + 63) / 64 * 64);
	if (!client)
		return -ENOMEM;
	memset(client, 0, sizeof(*client));
	client->feed = feed;
	client->owner = owner;
	client->since_us = loop_now_us(feed->loop);
	snprintf(client->peer, sizeof(client->peer), "%s", peer);
	list_init(&client->link);
	ret = loop_conn_open(feed->loop, &client->conn, fd, &client_conn_ops);
	if (ret < 0) {
		free(client);
		return ret;
	}
	feed->stats.accepted++;
	if (feed->stats.clients++ == 0)
		feed->demand->watched(feed->demand, true);
	client_join(client);
	return 0;
}

void feed_client_closed(struct client *client)
{
	struct feed *feed = client->feed;

	list_remove(&client->link);
	feed->stats.clients--;
	if (feed->destroyed) {
		free(client);
		if (list_empty(&feed->closing))
			free_feed(feed);
		return;
	}
	if (client->owner)
		client->owner->gone(client->owner, client);
	free(client);
	if (feed->stats.clients > 0)
		return;
	feed->demand->watched(feed->demand, false);
	if (feed->draining)
		loop_timer_set(feed->loop, &feed->drain_done, loop_now_us(feed->loop));
}

void feed_drain(struct feed *feed, void (*drained)(void *user), void *user)
{
	feed->draining = true;
	feed->drained = drained;
	feed->drained_user = user;
	close_all(&feed->idle, false);
	close_all(&feed->waiting, false);
	close_all(&feed->full, false);
	if (feed->stats.clients == 0)
		loop_timer_set(feed->loop, &feed->drain_done, loop_now_us(feed->loop));
}

/* --- for the status --- */

const struct feed_stats *feed_stats(const struct feed *feed)
{
	return &feed->stats;
}

void feed_for_each_client(const struct feed *feed,
			  void (*each)(const struct client_info *info, void *user), void *user)
{
	const struct list *lists[] = {&feed->idle, &feed->waiting, &feed->busy, &feed->mid,
				      &feed->full};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		for (struct list *pos = lists[i]->next; pos != lists[i]; pos = pos->next) {
			const struct client *client = container_of(pos, struct client, link);
			struct client_info info = {
				.peer = client->peer,
				.state = client->state,
				.lag_us = client_lag_us(client),
				.delay_us = client->flags & CLIENT_DELAYED ? client->delay_us : 0,
				.since_us = client->since_us,
				.sent_bytes = client->sent_bytes,
				.units_dropped = client->units_dropped,
				.units_shed = client->units_shed,
				.resyncs = client->resyncs,
			};

			each(&info, user);
		}
	}
}

size_t feed_client_size(void)
{
	return (sizeof(struct client) + 63) / 64 * 64;
}
