/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages with descriptors, over a pair of sockets between two processes (unix(7)). Any thread. */
#ifndef PROCESS_PAIR_H
#define PROCESS_PAIR_H

#include <stddef.h>
#include <sys/types.h>

#define PAIR_FDS_MAX 2 /* in a message */

/* Sends a message with n descriptors, which are borrowed; never waits. 0 or -errno. */
int pair_send(int pair, const void *message, size_t len, const int *fds, size_t n);

/* Receives a message of at most size bytes, and n descriptors; all are -1 if there were fewer, or
 * no room in the table. flags: MSG_DONTWAIT, or 0. Returns the length; 0: the end; or -errno. */
ssize_t pair_receive(int pair, void *message, size_t size, int *fds, size_t n, int flags);

#endif
