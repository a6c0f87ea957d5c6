/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where clients come in: the listening sockets of all feeds, and who is let in. A client over a
 * limit is accepted and closed at once (left in the backlog it would only try again), counted, and
 * logged at most once a second. Loop thread only.
 */
#ifndef DAEMON_SERVE_LISTENER_H
#define DAEMON_SERVE_LISTENER_H

#include <stdio.h>

#include "daemon/cameras.h"
#include "daemon/worker/fdreserve.h"

struct listeners;

/*
 * Listens for every output of cameras (borrowed), whose feeds are there, and says so in the log. The
 * limits are the configuration's max_clients, max_clients_per_ip (for IPv6 an "ip" is a /64, as one
 * host has that many) and each stream's max_clients. Keeps the outputs' port, clients and refused.
 * 0 or -errno after a line that says what to do.
 */
int listeners_create(struct listeners **out, struct loop *loop, struct cameras *cameras,
		     struct fdreserve *reserve);
/* After the feeds, which call back to tell that a client has gone. */
void listeners_destroy(struct listeners *listeners);
/* Stops listening. */
void listeners_stop(struct listeners *listeners);

/* Clients in all feeds. */
unsigned listeners_clients(const struct listeners *listeners);

#endif
