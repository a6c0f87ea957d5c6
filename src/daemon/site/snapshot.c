/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/site/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define PATIENCE_US 8000000 /* less than http.h allows for an answer */

struct snapshot {
	struct loop *loop;
	struct feed *feed; /* NULL: it is gone */
	struct feed_waiter waiter;
	struct list questions;
	struct loop_timer timeout;
};

/* X-Timestamp is the capture time, in seconds of Unix time, as uStreamer has it. */
static void reply(const struct unit *unit, struct http_question *question)
{
	int64_t wall_us = clock_wall_us() - (clock_now_us() - unit->pts_us);
	char headers[64];
	struct http_answer answer = {
		.status = 200,
		.type = "image/jpeg",
		.headers = headers,
		.body = unit->segment->pages.map + unit->offset,
		.len = unit->len,
	};

	snprintf(headers, sizeof headers, "X-Timestamp: %lld.%06lld\r\n",
		 (long long)(wall_us / 1000000), (long long)(wall_us % 1000000));
	http_answer(question, &answer);
}

static struct http_question *first_of(const struct snapshot *snapshot)
{
	return container_of(snapshot->questions.next, struct http_question, link);
}

static void refuse_all(struct snapshot *snapshot)
{
	static const char text[] = "503 Service Unavailable\nThe camera delivers no pictures.\n";

	while (!list_empty(&snapshot->questions))
		http_reply(first_of(snapshot), 503, "text/plain; charset=utf-8", text,
			   sizeof text - 1);
}

static void stop_waiting(struct snapshot *snapshot)
{
	loop_timer_cancel(snapshot->loop, &snapshot->timeout);
	if (snapshot->feed)
		feed_unwait(snapshot->feed, &snapshot->waiter);
}

static void handle_units(struct feed_waiter *waiter)
{
	struct snapshot *snapshot = container_of(waiter, struct snapshot, waiter);
	const struct log *log = feed_log(snapshot->feed);

	if (log->tail < log->head)
		while (!list_empty(&snapshot->questions))
			reply(log_unit(log, log->head - 1), first_of(snapshot));
	if (list_empty(&snapshot->questions))
		stop_waiting(snapshot);
}

static void handle_gone(struct feed_waiter *waiter)
{
	struct snapshot *snapshot = container_of(waiter, struct snapshot, waiter);

	snapshot->feed = NULL;
	refuse_all(snapshot);
	stop_waiting(snapshot);
}

static void handle_timeout(struct loop_timer *timer)
{
	struct snapshot *snapshot = container_of(timer, struct snapshot, timeout);

	refuse_all(snapshot);
	stop_waiting(snapshot);
}

void snapshot_answer(struct snapshot *snapshot, struct http_question *question, int64_t max_age_us)
{
	const struct log *log = feed_log(snapshot->feed);
	int64_t now_us = loop_now_us(snapshot->loop);

	if (max_age_us > 0 && log->tail < log->head &&
	    now_us - log_unit(log, log->head - 1)->received_us <= max_age_us) {
		reply(log_unit(log, log->head - 1), question);
		return;
	}
	list_append(&snapshot->questions, &question->link);
	if (feed_waits(&snapshot->waiter))
		return;
	if (feed_wait(snapshot->feed, &snapshot->waiter) < 0)
		refuse_all(snapshot);
	else
		loop_timer_set(snapshot->loop, &snapshot->timeout, now_us + PATIENCE_US);
}

int snapshot_create(struct snapshot **out, struct loop *loop, struct feed *feed)
{
	struct snapshot *snapshot = calloc(1, sizeof *snapshot);

	if (!snapshot)
		return -ENOMEM;
	snapshot->loop = loop;
	snapshot->feed = feed;
	snapshot->waiter.units = handle_units;
	snapshot->waiter.gone = handle_gone;
	list_init(&snapshot->waiter.link);
	list_init(&snapshot->questions);
	loop_timer_init(&snapshot->timeout, handle_timeout);
	*out = snapshot;
	return 0;
}

void snapshot_destroy(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	refuse_all(snapshot);
	stop_waiting(snapshot);
	free(snapshot);
}
