/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is going on, for people and programs: /status.json (docs/STATUS.md), /metrics (Prometheus
 * text format 0.0.4) and /healthz. Reads everything, changes nothing. Loop thread only.
 */
#ifndef DAEMON_SERVE_STATUS_H
#define DAEMON_SERVE_STATUS_H

#include "daemon/discovery/discovery.h"
#include "daemon/serve/http.h"
#include "daemon/worker/worker.h"

#define STATUS_CLIENTS_MAX 1000 /* shown in status.json; the others are counted */
#define STATUS_FRESH_US 3000000 /* pictures flow when the newest is younger */
#define STATUS_WHY_MAX 384

/* All borrowed. */
struct status_view {
	struct loop *loop;
	const struct cameras *cameras; /* with workers and feeds */
	struct admission *admission;
	struct fdreserve *reserve;
	struct discovery *discovery; /* NULL: off */
	int64_t started_us;	     /* on the loop's clock */
};

/* An http_handler; user is a struct status_view. */
void status_handle(void *user, const char *path, struct http_answer *answer);

/* The texts alone, malloc'ed and terminated; NULL: no memory. */
char *status_json(const struct status_view *view);
char *status_metrics(const struct status_view *view);

/* True while pictures flow: every stream that somebody wants had a unit lately; one that nobody
 * wants counts by its camera's frames. Else why not. */
bool status_healthy(const struct status_view *view, char why[STATUS_WHY_MAX]);

#endif
