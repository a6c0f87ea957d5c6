/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the machine allows, compared at start with what the configuration could ask for. Main
 * thread.
 */
#ifndef LIMITS_H
#define LIMITS_H

#include "common/config.h"

#define LIMITS_FDS_HELD 32 /* for fdreserve_create() */

/* Descriptors that camcastd may need besides its clients'. */
unsigned limits_fds_reserved(const struct config *config);

/*
 * Raises the soft RLIMIT_NOFILE to the hard one. Lowers config's max_clients to what that leaves
 * once the reserve is taken off, with a warning. 0, or -EMFILE after a line: it leaves nothing.
 */
int limits_apply_fds(struct config *config);

/*
 * The kernel charges every page that waits in a socket to that socket in full, shared or not, and
 * above the pressure mark of net.ipv4.tcp_mem it shrinks everybody's buffers. Lowers send_buffer so
 * that all clients together stay below the mark; where that would make it too small to fill a link
 * with a long round trip, warns with what to change.
 */
void limits_apply_tcp_mem(struct config *config);
/* The same for a given mark, in bytes. */
void limits_fit_tcp_mem(struct config *config, uint64_t pressure_bytes);

#endif
