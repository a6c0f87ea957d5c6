/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gates of a configuration: one for everything, and for each stream one for protocols that can
 * ask for a password, and one for raw TCP, which cannot. Loop thread, but gates_init() and
 * gates_finish() of gates that are not in use: any thread.
 */
#ifndef DAEMON_AUTH_GATES_H
#define DAEMON_AUTH_GATES_H

#include "config/config.h"
#include "daemon/auth/gate.h"

struct gates {
	struct gate all;
	struct gate *streams, *raw; /* by the number of the stream */
	size_t n;
};

/* The addresses of the configuration. They are in use behind gates_replace(). 0 or -ENOMEM. */
int gates_init(struct gates *gates, const struct config *config);
/* Also of gates that are all zero. */
void gates_finish(struct gates *gates);

/* Whether one of them asks for the networks of this machine. */
bool gates_need_own(const struct gates *gates);

/* Puts `next` in the place of `gates`, which stay where they are, and leaves `next` empty. config:
 * that of `next`. own: the networks of this machine, borrowed; NULL where none of them asks. */
void gates_replace(struct gates *gates, struct gates *next, const struct config *config,
		   const struct net_ranges *own);

#endif
