/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread that closes the descriptors of a worker that is given up. To close a foreign descriptor
 * may take as long as its maker likes: a TCP socket with SO_LINGER waits for its peer (socket(7)),
 * a file of a network or FUSE mount for its server, a buffer for its driver. The same is true of a
 * socket pair, because the kernel closes with it the descriptors that are queued in it (unix(7)).
 *
 * Each camera has a closer, so that one camera's descriptors never hold up another one. All
 * functions are for the loop thread, and none of them waits except closer_destroy().
 */
#ifndef DAEMON_WORKER_CLOSER_H
#define DAEMON_WORKER_CLOSER_H

#include <stdbool.h>

#define CLOSER_BATCHES_MAX 4 /* given and not closed yet */
#define CLOSER_FDS_MAX                                                                             \
	253 /* of a batch, without the pair: SCM_MAX_FD, what one message can carry */

struct closer;

/* 0 or -errno. */
int closer_create(struct closer **out);
/* Closes what was given, for at most 100 ms. After that the thread goes on alone, and frees its
 * memory when everything is closed; the end of the process closes the rest. NULL is allowed. */
void closer_destroy(struct closer *closer);

/* Batches that are not closed yet, up to CLOSER_BATCHES_MAX. */
unsigned closer_pending(const struct closer *closer);
/* Takes the socket pair's end and n more descriptors (at most CLOSER_FDS_MAX). The pair is shut
 * down already. There is room: closer_pending() is below the limit. */
void closer_give(struct closer *closer, int pair, const int *fds, unsigned n);

#endif
