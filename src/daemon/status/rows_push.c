/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/status/rows.h"

#define IN_PUSH(field) FIELD(in_push, struct push_status, field)

static const void *in_push(const struct counted *c)
{
	return c->push;
}
static const char *push_stream(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->push->stream->config->name;
}
static const char *push_state(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return push_state_name(c->push->state);
}
static double push_live(const struct counted *c)
{
	return c->push->state == PUSH_LIVE;
}
static const char *push_since(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	return counted_time(c, c->push->since_us / 1000000, buffer);
}
static double push_left_out(const struct counted *c)
{
	return (double)push_dropped(c->push);
}
static bool push_waits(const struct counted *c)
{
	return c->push->state == PUSH_WAITING;
}
static double push_retry(const struct counted *c)
{
	return milliseconds(c->push->retry_at_us - c->now_us);
}

static const struct counter pushes[] = {
	{"name", TEXT, .help = "`STREAM/N`: the N-th URL of the stream's key `push`.",
	 IN_PUSH(name)},
	{"stream", TEXT, .help = "The stream that is sent.", .text = push_stream},
	{"url", TEXT, .help = "Scheme, host and port of the URL. The rest may be secret.",
	 IN_PUSH(url)},
	{"state", TEXT,
	 .help = "`connecting` (or waiting for a first picture), `live`, `waiting` (for the next "
		 "attempt).",
	 .text = push_state},
	{NULL, "push_live", BOOL, .help = "Whether pictures go out.", .number = push_live},
	{"since", TEXT, .help = "When it came into this state, in UTC.", .text = push_since},
	{"units", "push_units_total", COUNTER, .help = "Pictures sent.", IN_PUSH(units)},
	{"bytes", "push_bytes_total", COUNTER, .unit = "bytes", .help = "Pictures sent, in bytes.",
	 IN_PUSH(bytes)},
	{"dropped", "push_units_dropped_total", COUNTER,
	 .help = "Pictures left out because the server took them too slowly.",
	 .number = push_left_out},
	{"pid", GAUGE, .help = "The process id of its camcast-push; 0: not running.", IN_PUSH(pid)},
	{"restarts", "push_restarts_total", COUNTER, .help = "Attempts after the first one.",
	 IN_PUSH(restarts)},
	{"retry_in_ms", GAUGE, .unit = "ms",
	 .help = "Time until the next attempt; in state `waiting` only.", .number = push_retry,
	 .present = push_waits},
	{"error", TEXT, .help = "Why the last attempt ended; empty: none has.", IN_PUSH(error)},
};

static bool push_exists(const struct counted *c)
{
	return pushes_count(c->view->pushes) > 0;
}

const struct counter_table rows_push = {"pushes", "push", ROWS(pushes), .exists = push_exists};
