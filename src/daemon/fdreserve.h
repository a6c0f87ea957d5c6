/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reserves descriptors for operations that must not fail when clients (or a lowered RLIMIT_NOFILE)
 * fill the table: segments from workers, new workers, status requests. The descriptors are open on
 * /dev/null, and closed when one is needed. Loop thread only.
 */
#ifndef DAEMON_FDRESERVE_H
#define DAEMON_FDRESERVE_H

#include "daemon/loop/loop.h"

struct fdreserve;

/* Holds n descriptors. 0 or -errno (-EMFILE: the limit does not even allow that). */
int fdreserve_create(struct fdreserve **out, struct loop *loop, unsigned n);
void fdreserve_destroy(struct fdreserve *reserve);

/* Call it after an operation failed for lack of a descriptor: frees up to n of them for the next
 * attempt, and returns how many. The reserve refills itself as soon as the table has room. */
unsigned fdreserve_give(struct fdreserve *reserve, unsigned n);

/* Whether the table is full, or was a moment ago: then accept no more clients. */
bool fdreserve_short(const struct fdreserve *reserve);

#endif
