/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compares the limits of the machine with the needs of the configuration, at the start and at each
 * reload. Main thread.
 */
#ifndef DAEMON_LIMITS_H
#define DAEMON_LIMITS_H

#include "config/config.h"

#define LIMITS_FDS_HELD 32 /* for fdreserve_create() */

/* The number of descriptors that camcastd may need for cameras, feeds, and `others`, without those
 * of viewers. */
unsigned limits_fds_reserved(const struct config *config, unsigned others);

/*
 * Raises the soft RLIMIT_NOFILE to the hard one, and fits config's max_clients and send_buffer to
 * the machine. max_clients = 0 becomes the number that descriptors and tcp_mem allow. An explicit
 * max_clients above the limit of the descriptors is lowered, with a warning. 0, or -EMFILE after a
 * log line: there are no descriptors for any client.
 */
int limits_apply(struct config *config, unsigned others);

/*
 * The part of limits_apply() that concerns tcp_mem, for a given pressure mark in bytes. The kernel
 * charges every page that waits in a socket to that socket in full, shared or not, and above the
 * pressure mark of net.ipv4.tcp_mem it shrinks everybody's buffers. All clients together must stay
 * below it: the function lowers max_clients if the configuration did not set it, otherwise
 * send_buffer. Where send_buffer would become too small for a link with a long round trip, it logs
 * a warning that says what to change.
 */
void limits_fit_tcp_mem(struct config *config, uint64_t pressure_bytes, bool chosen);

#endif
