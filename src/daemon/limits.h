/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the machine allows, compared at start with what the configuration could ask for. Main
 * thread.
 */
#ifndef DAEMON_LIMITS_H
#define DAEMON_LIMITS_H

#include "config/config.h"

#define LIMITS_FDS_HELD 32 /* for fdreserve_create() */

/* Descriptors that camcastd may need besides its viewers': those of cameras and feeds, and
 * `others`. */
unsigned limits_fds_reserved(const struct config *config, unsigned others);

/*
 * Raises the soft RLIMIT_NOFILE to the hard one, and fits config's max_clients and send_buffer to
 * the machine. max_clients = 0 becomes what descriptors and tcp_mem carry. Of an explicit one more
 * than the descriptors allow is taken off, with a warning. 0, or -EMFILE after a line: they leave
 * nothing.
 */
int limits_apply(struct config *config, unsigned others);

/*
 * The part about tcp_mem, for a given pressure mark in bytes. The kernel charges every page that
 * waits in a socket to that socket in full, shared or not, and above the pressure mark of
 * net.ipv4.tcp_mem it shrinks everybody's buffers. All clients together must stay below it: lowers
 * max_clients if it was chosen here, else send_buffer; where that would make it too small to fill a
 * link with a long round trip, warns with what to change.
 */
void limits_fit_tcp_mem(struct config *config, uint64_t pressure_bytes, bool chosen);

#endif
