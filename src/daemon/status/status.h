/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The status over HTTP: /status.json (docs/STATUS.md), /metrics (Prometheus text format 0.0.4) and
 * /healthz. Both texts are generated from the rows of counters.h. It reads all objects and changes
 * none. Loop thread only.
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
