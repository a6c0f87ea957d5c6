/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of all values in the status. /status.json, /metrics and the tables of docs/STATUS.md
 * are generated from its rows: a new counter needs one row in a rows_*.c, and `make status-page`.
 * Loop thread only.
 */
#ifndef DAEMON_STATUS_COUNTERS_H
#define DAEMON_STATUS_COUNTERS_H

#include "daemon/auth/access.h"
#include "daemon/discovery/discovery.h"
#include "daemon/push/push.h"
#include "daemon/mdns/mdns.h"
#include "daemon/reload.h"
#include "daemon/rtsp/rtsp.h"
#include "daemon/serve/http.h"
#include "daemon/status/health.h"
#include "daemon/worker/worker.h"

#define COUNTER_TEXT_MAX HEALTH_WHY_MAX /* bytes of a text made for a row, terminator included */
#define COUNTER_RANK_MAX 9

/* The objects that the status reports; all borrowed. */
struct status_view {
	struct loop *loop;
	const struct cameras *cameras; /* with workers and feeds */
	struct admission *admission;
	const struct access *access; /* NULL: nobody is asked who he is */
	struct fdreserve *reserve;
	const struct handshakes *handshakes; /* NULL: no TLS */
	const struct http *http;	     /* NULL: there is no HTTP */
	const struct rtsp *rtsp;	     /* NULL: there is no RTSP */
	const struct pushes *pushes;	     /* NULL: there are none */
	struct discovery *discovery;	     /* NULL: off */
	struct mdns *mdns;		     /* NULL: nothing is announced */
	const struct reload_status *reload;  /* NULL: no configuration is read again */
	int64_t started_us;		     /* on the loop's clock */
};

/* The kinds of objects; each has one array of rows. */
enum counter_kind {
	COUNTERS_SERVER,
	COUNTERS_MQTT,
	COUNTERS_CAMERA,
	COUNTERS_STREAM,
	COUNTERS_PUSH,
	COUNTERS_FEED,
	COUNTERS_CLIENT,
	COUNTER_KINDS
};

/* A client as it was when an answer was begun: it may be gone when its row is written. */
struct counted_client {
	struct cursor cursor; /* a copy, for its numbers */
	int64_t lag_us, delay_us;
	const struct output *output;
	const char *transport;
	const char *encryption; /* static; NULL: it has several connections */
	char address[SINK_TEXT_MAX];
	bool reported;
	struct sink_report report; /* valid if `reported` */
	bool is_group;
	struct sink_group group; /* valid if `is_group` */
};

/* One object of a kind, with the objects that contain it; all borrowed. */
struct counted {
	const struct status_view *view;
	int64_t now_us;		   /* on the loop's clock */
	int64_t realtime_offset_s; /* from the loop's clock to CLOCK_REALTIME */
	char why[HEALTH_WHY_MAX];  /* why the server is not healthy; "" */
	bool healthy;
	const struct discovery_status *discovery; /* NULL: off */
	const struct camera *camera;
	const struct stream *stream;
	const struct push_status *push;
	const struct output *output;
	const struct counted_client *client;
	uint64_t clients_omitted; /* from the list of clients */
};

enum counter_type {
	COUNTER_TEXT,
	COUNTER_BOOL,
	COUNTER_GAUGE,	 /* a number that goes up and down */
	COUNTER_COUNTER, /* one that only grows */
	COUNTER_GROUP,	 /* an object of the rows after it: "refused" of "refused.no_fds" */
	COUNTER_OBJECT,	 /* the JSON object of another kind */
	COUNTER_LIST,	 /* the JSON array of another kind's objects */
};

struct counter {
	const char *path;   /* the JSON key, perhaps in a group; NULL: a metric only */
	const char *metric; /* its name after "camcast_"; NULL: none. A group's rows are samples of
			     * the group's metric, with the end of their path as the value of
			     * `label`. */
	const char *label;  /* of a group with a metric */
	enum counter_type type;
	const char *unit;	/* NULL: none */
	const char *help;	/* whole sentences, in Markdown; the HELP text of the metric */
	enum counter_kind kind; /* of an object or a list */
	/* Up to COUNTER_RANK_MAX: metrics are sorted by rank, then by row. */
	unsigned rank;

	/* The source of the value: exactly one of these is set. in() returns the structure with a
	 * field at `offset`, of `size` bytes if it is a number (texts are arrays). */
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
	/* False: there is no such object, and its JSON has the first row only. NULL: always
	 * true. */
	bool (*exists)(const struct counted *counted);
};
extern const struct counter_table *const counter_tables[COUNTER_KINDS];

/* Fills the server's part of *counted from the view, for one answer. */
void counted_init(struct counted *counted, const struct status_view *view);
/* Selects the i-th object of a kind, in the order of the configuration; false: there is none. Not
 * for clients, which feed_for_each_cursor() lists. */
bool counted_select(struct counted *counted, enum counter_kind kind, size_t i);
/* The label's value: the selected object's name. */
const char *counted_name(const struct counted *counted, enum counter_kind kind);

/* The value of a gauge, a counter or a bool. Exact up to 2^53, which is 285 years in microseconds,
 * or 9 petabytes. */
double counter_number(const struct counter *counter, const struct counted *counted);
/* The value of a text: in the buffer, or borrowed from the selected object. */
const char *counter_text(const struct counter *counter, const struct counted *counted,
			 char buffer[COUNTER_TEXT_MAX]);
/* The last part of a row's path: the JSON key, and the value of its group's label. */
const char *counter_key(const struct counter *counter);
/* A time in seconds of the loop's clock as UTC, "2026-01-31T12:00:00Z", in the buffer. */
const char *counted_time(const struct counted *counted, int64_t at_s,
			 char buffer[COUNTER_TEXT_MAX]);
/* Whether a row belongs to a group. */
bool counter_grouped(const struct counter *counter);

#endif
