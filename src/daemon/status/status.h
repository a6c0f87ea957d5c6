/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is going on, for people and programs: /status.json (docs/STATUS.md), /metrics (Prometheus
 * text format 0.0.4) and /healthz. Both texts are made from the rows of counters.h. Reads
 * everything, changes nothing. Loop thread only.
 */
#ifndef DAEMON_STATUS_STATUS_H
#define DAEMON_STATUS_STATUS_H

#include "daemon/serve/http.h"
#include "daemon/status/counters.h"

#define STATUS_CLIENTS_MAX 1000 /* shown in status.json; the others are counted */

/* An http_handler; user is a struct status_view. */
void status_handle(void *user, const char *path, struct http_answer *answer);

/* The texts alone, malloc'ed and terminated; NULL: no memory. */
char *status_json(const struct status_view *view);
char *status_metrics(const struct status_view *view);

#endif
