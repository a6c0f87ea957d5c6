/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The status over HTTP: /status.json (docs/STATUS.md), /metrics (Prometheus text format 0.0.4) and
 * /healthz. Both texts are generated from the rows of counters.h. It reads all objects and changes
 * none. Loop thread only.
 *
 * Requests take a bounded part of the loop's time, however many there are: all that come while a
 * text may not be made again share the next one, and a long one is written in steps, a few clients
 * in a turn of the loop. An answer is never older than its request.
 */
#ifndef DAEMON_STATUS_STATUS_H
#define DAEMON_STATUS_STATUS_H

#include "daemon/serve/http.h"
#include "daemon/status/counters.h"

struct status;

/* view is borrowed. 0 or -ENOMEM. */
int status_create(struct status **out, const struct status_view *view);
/* Completes a text that is being written: what it tells of may go then. NULL is allowed. */
void status_settle(struct status *status);
/* Requests that still wait must have ended: their connections are closed. */
void status_destroy(struct status *status);

/* Answers a request for one of the paths above. False: it is for another one. */
bool status_handle(struct status *status, const char *path, struct http_question *question);

/* The metrics alone, malloc'ed and terminated; NULL: no memory. */
char *status_metrics(const struct status_view *view);

#endif
