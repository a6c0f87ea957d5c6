/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * WS-Discovery (version 2005/04, as the ONVIF Core Specification, clause 7, uses it) on UDP port
 * 3702 and 239.255.255.250: Hello and Bye are sent, Probe and Resolve are answered. IPv4 only, as
 * recorders have it. Loop thread only.
 *
 * An answer is longer than its question, and its address can be forged. So it goes only to peers on
 * the networks of this machine that may connect (`allow`, `deny`), at most DISCOVER_BURST at once
 * and DISCOVER_RATE a second, and a third of that to one address.
 */
#ifndef DAEMON_ONVIF_DISCOVER_H
#define DAEMON_ONVIF_DISCOVER_H

#include "daemon/auth/gate.h"
#include "daemon/cameras.h"
#include "daemon/loop/loop.h"

#define DISCOVER_RATE 20
#define DISCOVER_BURST 60

struct discover;

struct discover_options {
	struct loop *loop;
	const struct cameras *cameras; /* borrowed; for the configuration */
	const struct gate *gate;       /* borrowed */
	uint16_t port;		       /* of HTTP */
	const char *path;	       /* where requests are sent to; borrowed */
};

/* 0, or -errno after a line in the log. */
int discover_create(struct discover **out, const struct discover_options *options);
/* Says goodbye first. NULL is allowed. */
void discover_destroy(struct discover *discover);

#endif
