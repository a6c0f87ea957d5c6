/* SPDX-License-Identifier: BSD-2-Clause */
/* The networks of this machine, which `local` stands for: read at the start, and again when an
 * address of an interface changes (rtnetlink(7)). Loop thread only. */
#ifndef DAEMON_AUTH_NETWORKS_H
#define DAEMON_AUTH_NETWORKS_H

#include "daemon/loop/loop.h"
#include "net/ranges.h"

struct networks;

/* Where the kernel tells of no changes, the networks are those of the start, and a line of the log
 * says so. 0 or -ENOMEM. */
int networks_create(struct networks **out, struct loop *loop);
void networks_destroy(struct networks *networks); /* NULL is allowed */

/* Borrowed; it changes in place. */
const struct net_ranges *networks_own(const struct networks *networks);

#endif
