/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of everything that the status tells. /status.json, /metrics and the tables of
 * docs/STATUS.md are made from its rows: a new counter is one row of a rows_*.c, and `make status-page`.
 * Loop thread only.
 */
#ifndef DAEMON_STATUS_COUNTERS_H
#define DAEMON_STATUS_COUNTERS_H

#include "daemon/discovery/discovery.h"
#include "daemon/status/health.h"
#include "daemon/worker/worker.h"

#define COUNTER_TEXT_MAX HEALTH_WHY_MAX /* bytes of a text made for a row, terminator included */
#define COUNTER_RANK_MAX 9

/* What the status is told of; all borrowed. */
struct status_view {
	struct loop *loop;
	const struct cameras *cameras; /* with workers and feeds */
	struct admission *admission;
	struct fdreserve *reserve;
	struct discovery *discovery; /* NULL: off */
	int64_t started_us;	     /* on the loop's clock */
};

/* What is counted: one array of rows for each. */
enum counter_kind {
	COUNTERS_SERVER,
	COUNTERS_MQTT,
	COUNTERS_CAMERA,
	COUNTERS_STREAM,
	COUNTERS_FEED,
	COUNTERS_CLIENT,
	COUNTER_KINDS
};

/* One object of a kind, with those that it belongs to; all borrowed. */
struct counted {
	const struct status_view *view;
	int64_t now_us;		   /* on the loop's clock */
	int64_t realtime_offset_s; /* of CLOCK_REALTIME to that */
	char why[HEALTH_WHY_MAX];  /* why the server is not healthy; "" */
	bool healthy;
	const struct discovery_status *discovery; /* NULL: off */
	const struct camera *camera;
	const struct stream *stream;
	const struct output *output;
	const struct cursor *cursor;
	uint64_t clients_omitted; /* of the list of clients; valid behind it */
};

enum counter_type {
	COUNTER_TEXT,
	COUNTER_BOOL,
	COUNTER_GAUGE,	 /* a number that goes up and down */
	COUNTER_COUNTER, /* one that only grows */
	COUNTER_GROUP,	 /* a JSON object of the rows behind it, "refused" of "refused.no_fds" */
	COUNTER_OBJECT,	 /* the JSON object of another kind */
	COUNTER_LIST,	 /* the JSON array of another kind's objects */
};

struct counter {
	const char *path;   /* the JSON key, perhaps in a group; NULL: a metric only */
	const char *metric; /* its name behind "camcast_"; NULL: none. A group's rows are samples of
			     * the group's metric, told apart by `label` = the end of their path. */
	const char *label;  /* of a group with a metric */
	enum counter_type type;
	const char *unit;	/* NULL: none */
	const char *help;	/* whole sentences, in Markdown; the HELP text of the metric */
	enum counter_kind kind; /* of an object or a list */
	/* Up to COUNTER_RANK_MAX: metrics stand in the order of their ranks, then of their rows. */
	unsigned rank;

	/* Where the value is; of these, the one that is set. A field: `offset` and `size` (of a
	 * number; texts are arrays) in the structure that in() returns. */
	const void *(*in)(const struct counted *counted);
	size_t offset, size;
	double (*number)(const struct counted *counted);
	const char *(*text)(const struct counted *counted, char buffer[COUNTER_TEXT_MAX]);

	bool (*present)(const struct counted *counted); /* in the JSON; NULL: always */
};

struct counter_table {
	const char *name;  /* its key in the server's JSON object: "cameras"; "" for the server's */
	const char *label; /* of its metrics, which names the object; NULL: there is only one */
	const struct counter *rows;
	size_t n_rows;
	/* False: there is nothing to count, and only the first row is in the JSON object. NULL:
	 * always true. */
	bool (*exists)(const struct counted *counted);
};
extern const struct counter_table *const counter_tables[COUNTER_KINDS];

/* Takes the server's part of *counted from the view, for one answer. */
void counted_init(struct counted *counted, const struct status_view *view);
/* Goes to the i-th object of a kind, in the order of the configuration; false: there is none. Not
 * for clients, which feed_for_each_cursor() lists. */
bool counted_select(struct counted *counted, enum counter_kind kind, size_t i);
/* The label's value: the selected object's name. */
const char *counted_name(const struct counted *counted, enum counter_kind kind);

/* Of a gauge, a counter or a bool. Exact up to 2^53, which is 285 years of microseconds and 9
 * petabytes. */
double counter_number(const struct counter *counter, const struct counted *counted);
/* Of a text: in the buffer, or borrowed from what is counted. */
const char *counter_text(const struct counter *counter, const struct counted *counted,
			 char buffer[COUNTER_TEXT_MAX]);
/* The last part of its path: the JSON key, and the value of its group's label. */
const char *counter_key(const struct counter *counter);
/* Whether a row is of a group. */
bool counter_grouped(const struct counter *counter);

#endif
