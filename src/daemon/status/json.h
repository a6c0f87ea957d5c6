/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /status.json, written in steps, because a thousand clients take several milliseconds. All numbers
 * of clients are those of the beginning. Loop thread only.
 */
#ifndef DAEMON_STATUS_JSON_H
#define DAEMON_STATUS_JSON_H

#include "daemon/status/counters.h"

#define JSON_CLIENTS_MAX 1000 /* listed; the others are counted */

struct json;

/* Begins a text: takes the numbers of all clients, and writes everything else. NULL: no memory. */
struct json *json_begin(const struct status_view *view);
/* Writes at most max clients. True: the text is complete. */
bool json_step(struct json *json, unsigned max);
/* Clients that it lists. */
size_t json_clients(const struct json *json);
/* The text, malloc'ed and terminated; NULL: no memory. Ends json, which may be incomplete. */
char *json_end(struct json *json);

#endif
