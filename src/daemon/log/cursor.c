/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/log/cursor.h"

#include <assert.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

static_assert(sizeof(struct client) <= 256, "memory per client is bounded");
static_assert(offsetof(struct client, units_dropped) <= 128, "the hot part is two cache lines");

static void release(struct client *client)
{
	segment_unref(&client->feed->index, client->segment);
	client->segment = NULL;
}

void client_close(struct client *client, enum feed_out reason, bool reset)
{
	struct feed *feed = client->feed;

	if (client->flags & CLIENT_CLOSING)
		return;
	client->flags |= CLIENT_CLOSING;
	feed->stats.out[reason]++;
	client_move(client, &feed->closing);
	/* The segment stays until the kernel is done with the send: feed_client_closed(). */
	loop_conn_close(feed->loop, &client->conn, reset);
}

int64_t client_lag_us(const struct client *client)
{
	const struct index *index = &client->feed->index;
	uint64_t seq = client->cursor > index->tail ? client->cursor : index->tail;

	if (client->state == CLIENT_WAIT_KEY || seq >= index->head)
		return 0;
	return loop_now_us(client->feed->loop) - index_unit(index, seq)->received_us;
}

/* --- what comes next --- */

/* Moves the cursor to a later unit. What lies between is lost to this client. */
static void jump(struct client *client, uint64_t seq)
{
	uint64_t dropped = seq - client->cursor;

	client->cursor = seq;
	if (client->flags & CLIENT_STARTED) {
		client->units_dropped += dropped;
		client->feed->stats.units_dropped += dropped;
	}
}

static void resynced(struct client *client)
{
	if (client->flags & CLIENT_STARTED) {
		client->resyncs++;
		client->feed->stats.resyncs++;
	}
	client->state = CLIENT_LIVE;
	client->flags &= ~CLIENT_DELAYED;
	if (!client->feed->can_force_idr)
		client->flags |= CLIENT_CATCHING_UP;
}

static void wait_for_key(struct client *client)
{
	client->state = CLIENT_WAIT_KEY;
	client_move(client, &client->feed->waiting);
}

static void ask_for_idr(struct feed *feed)
{
	if (feed->key_only || !feed->can_force_idr)
		return;
	feed->stats.idr_requests++;
	feed->demand->idr(feed->demand);
}

void client_end_wait(struct client *client, uint64_t seq)
{
	jump(client, seq);
	resynced(client);
}

/* Drop-oldest. True if there is a key unit to go on with. */
static bool resync(struct client *client)
{
	struct feed *feed = client->feed;
	int64_t now_us = loop_now_us(feed->loop);
	uint64_t key = index_key_from(&feed->index, client->cursor);

	if (key && (!feed->can_force_idr ||
		    now_us - index_unit(&feed->index, key)->received_us <= feed->max_lag_us)) {
		client_end_wait(client, key);
		return true;
	}
	wait_for_key(client);
	if (now_us >= client->next_idr_us) {
		client->next_idr_us = now_us + CLIENT_IDR_PERIOD_US;
		ask_for_idr(feed);
	}
	return false;
}

/* Whether the viewer's full buffer is what kept us from sending for so long (its window was closed),
 * and not a link that carries nothing. tcp(7), TCP_INFO: tcpi_rwnd_limited is since the connection
 * began, in microseconds. */
static bool viewer_paused(const struct client *client, int64_t waited_us)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	return getsockopt(client->conn.fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       len >= offsetof(struct tcp_info, tcpi_rwnd_limited) +
			       sizeof(info.tcpi_rwnd_limited) &&
	       (int64_t)info.tcpi_rwnd_limited >= waited_us / 2;
}

/* A player may read ahead and then, paced, take nothing until it has played that (`ffmpeg -re`
 * does, for five seconds). It is behind because it wants to be, and goes on where it was, as far as
 * the history reaches: from here on lag is what it falls behind its own pace. Granted once, until it
 * has caught up or is resynced, so that somebody who pauses for ever goes no further than
 * max_lag behind that. */
static void grant_pause(struct client *client)
{
	const struct index *index = &client->feed->index;
	int64_t now_us = loop_now_us(client->feed->loop), waited_us = now_us - client->refused_us;

	if (waited_us <= client->feed->max_lag_us || client->flags & CLIENT_DELAYED ||
	    client->cursor < index->tail || client->cursor >= index->head ||
	    !viewer_paused(client, waited_us))
		return;
	client->flags |= CLIENT_DELAYED;
	client->delay_us = (uint32_t)(now_us - index_unit(index, client->cursor)->received_us);
}

/* Microseconds that the client is behind its own pace. */
static int64_t own_lag_us(struct client *client)
{
	int64_t lag_us = client_lag_us(client);

	if (!(client->flags & CLIENT_DELAYED))
		return lag_us;
	if (lag_us < client->delay_us)
		client->delay_us = (uint32_t)lag_us;
	return lag_us - client->delay_us;
}

/* Skips droppable units. */
static void shed(struct client *client)
{
	const struct index *index = &client->feed->index;
	uint64_t from = client->cursor;

	while (client->cursor < index->head &&
	       index_unit(index, client->cursor)->flags & CAMCAST_UNIT_DROPPABLE)
		client->cursor++;
	client->units_shed += client->cursor - from;
	client->feed->stats.units_shed += client->cursor - from;
}

/* Who falls further and further behind, though droppable units are skipped for it, would only come to
 * max_lag: it goes on at a key unit as soon as one brings it near the present. Who was held up for a
 * moment and now catches up loses nothing; nor does a viewer that keeps its own pace. True if the
 * cursor is on a key unit. */
static bool resync_early(struct client *client, int64_t lag_us)
{
	struct feed *feed = client->feed;
	int64_t half_us = feed->shed_lag_us / 2;
	uint64_t key;

	if (client->state != CLIENT_SHED || lag_us < client->least_lag_us)
		client->least_lag_us = (uint32_t)lag_us;
	if (client->flags & CLIENT_DELAYED || lag_us - client->least_lag_us < half_us)
		return false;
	key = index_key_from(&feed->index, client->cursor);
	if (!key || loop_now_us(feed->loop) - index_unit(&feed->index, key)->received_us > half_us)
		return false;
	client_end_wait(client, key);
	return true;
}

/* Puts the cursor on the unit to be sent now. False: there is none. */
static bool choose(struct client *client)
{
	struct feed *feed = client->feed;
	const struct index *index = &feed->index;
	int64_t lag_us;

	if (client->cursor < index->head) {
		if (feed->key_only) {
			jump(client, index->head - 1);
			return true;
		}
		if (client->cursor < index->tail)
			return resync(client);
		lag_us = client->flags & CLIENT_CATCHING_UP ? 0 : own_lag_us(client);
		if (lag_us > feed->max_lag_us)
			return resync(client);
		if (lag_us <= feed->shed_lag_us) {
			client->state = CLIENT_LIVE;
		} else if (!resync_early(client, lag_us)) {
			client->state = CLIENT_SHED;
			shed(client);
		}
	}
	if (client->cursor < index->head)
		return true;
	client->state = CLIENT_LIVE;
	client->flags &= ~(CLIENT_CATCHING_UP | CLIENT_DELAYED);
	client_move(client, &feed->idle);
	return false;
}

/* Bytes from the unit at the cursor on that can go in one send. */
static uint32_t run_length(const struct client *client, const struct unit *first)
{
	const struct index *index = &client->feed->index;
	uint32_t len = first->len;

	for (uint64_t seq = client->cursor + 1; seq < index->head; seq++) {
		const struct unit *unit = index_unit(index, seq);

		if (unit->segment != first->segment || unit->offset != first->offset + len ||
		    len + (uint64_t)unit->len > CLIENT_RUN_MAX ||
		    (client->state == CLIENT_SHED && unit->flags & CAMCAST_UNIT_DROPPABLE))
			break;
		len += unit->len;
	}
	return len;
}

void client_continue(struct client *client)
{
	struct feed *feed = client->feed;
	const struct unit *unit;

	if (feed->draining) {
		client_close(client, FEED_OUT_SHUTDOWN, false);
		return;
	}
	if (!choose(client))
		return;
	unit = index_unit(&feed->index, client->cursor);
	client_move(client, &feed->busy);
	client_begin(client, unit->segment, unit->offset, unit->len, run_length(client, unit));
}

void client_join(struct client *client)
{
	struct feed *feed = client->feed;
	uint64_t key = index_key_from(&feed->index, feed->index.tail);

	if (key && (!feed->can_force_idr ||
		    loop_now_us(feed->loop) - index_unit(&feed->index, key)->received_us <
			    feed->join_burst_us)) {
		client->cursor = key;
		resynced(client);
		client_continue(client);
		return;
	}
	client->cursor = feed->index.head;
	wait_for_key(client);
	ask_for_idr(feed);
}

/* --- what the loop reports --- */

/* The unit at the cursor is in the kernel in part: from now on it must be finished, in time. */
static void handle_short(struct client *client)
{
	struct feed *feed = client->feed;

	if (!(client->flags & CLIENT_MID_UNIT)) {
		client->flags |= CLIENT_MID_UNIT;
		client->begun_us = loop_now_us(feed->loop);
		client_move(client, &feed->mid);
		feed_watch_stalls(feed);
	}
	/* Again, until the kernel says EAGAIN: without that there will be no edge. */
	loop_conn_send(feed->loop, &client->conn, &client->segment->pages, client->at,
		       client->unit_end - client->at);
}

static void handle_not_sent(struct client *client, int error)
{
	struct feed *feed = client->feed;

	if (error != -EAGAIN) {
		client_close(client, FEED_OUT_PEER, true);
		return;
	}
	client->refused_us = loop_now_us(feed->loop);
	if (!(client->flags & CLIENT_MID_UNIT)) {
		/* Not begun: what is sent is decided anew when the socket takes something. */
		release(client);
		if (feed->draining) {
			client_close(client, FEED_OUT_SHUTDOWN, false);
			return;
		}
		client_move(client, &feed->full);
		feed_watch_stalls(feed);
	}
	loop_conn_want_writable(feed->loop, &client->conn);
}

static void client_sent(struct loop_conn *conn, int result)
{
	struct client *client = container_of(conn, struct client, conn);
	struct feed *feed = client->feed;
	uint32_t unit_len;

	if (result < 0) {
		handle_not_sent(client, result);
		return;
	}
	client->sent_bytes += (uint32_t)result;
	feed->stats.sent_bytes += (uint32_t)result;
	if (loop_sends_by_reference(feed->loop, conn->len))
		feed->stats.sendfiles++;
	else
		feed->stats.sends++;
	client->flags |= CLIENT_STARTED;
	client->at += (uint32_t)result;
	while (client->at >= client->unit_end) {
		client->flags &= ~CLIENT_MID_UNIT;
		client->cursor++;
		if (client->at == client->unit_end) {
			release(client);
			client_continue(client);
			return;
		}
		unit_len = index_len(&feed->index, client->cursor);
		if (unit_len == 0) {
			/* A whole ring of units came within this one send: the boundary is lost. */
			client_close(client, FEED_OUT_STALLED, true);
			return;
		}
		client->unit_end += unit_len;
	}
	handle_short(client);
}

static void client_writable(struct loop_conn *conn)
{
	struct client *client = container_of(conn, struct client, conn);

	grant_pause(client);
	if (client->flags & CLIENT_MID_UNIT)
		loop_conn_send(client->feed->loop, conn, &client->segment->pages, client->at,
			       client->unit_end - client->at);
	else
		client_continue(client);
}

static void client_hangup(struct loop_conn *conn, int error)
{
	(void)error;
	client_close(container_of(conn, struct client, conn), FEED_OUT_PEER, true);
}

static void client_closed(struct loop_conn *conn)
{
	struct client *client = container_of(conn, struct client, conn);

	if (client->segment)
		release(client);
	feed_client_closed(client);
}

const struct loop_conn_ops client_conn_ops = {
	.sent = client_sent,
	.writable = client_writable,
	.hangup = client_hangup,
	.closed = client_closed,
};
