/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors held back for what must not fail when clients (or a lowered RLIMIT_NOFILE) have
 * filled the table: segments that workers send, new workers, status requests. They are held open on
 * /dev/null and given back when one is needed. Loop thread only.
 */
#ifndef DAEMON_FDRESERVE_H
#define DAEMON_FDRESERVE_H

#include "daemon/loop/loop.h"

struct fdreserve;

/* Holds n descriptors. 0 or -errno (-EMFILE: the limit does not even allow that). */
int fdreserve_create(struct fdreserve **out, struct loop *loop, unsigned n);
void fdreserve_destroy(struct fdreserve *reserve);

/* A descriptor could not be had: gives up to n back, so that the next attempt finds one. Returns
 * how many. The reserve fills again by itself as soon as the table has room. */
unsigned fdreserve_give(struct fdreserve *reserve, unsigned n);

/* The table is full, or was a moment ago: take no more clients. */
bool fdreserve_short(const struct fdreserve *reserve);

/* How many are held now. */
unsigned fdreserve_held(const struct fdreserve *reserve);

#endif
