/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The same pages to many sockets. sendfile(2) looks every page up in the page cache for every
 * socket; here that is done once: a pipe takes references to the pages, and tee(2) and splice(2)
 * give each socket its own. Loop thread only.
 */
#ifndef DAEMON_LOOP_PAGETEE_H
#define DAEMON_LOOP_PAGETEE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pagetee {
	int source[2];	      /* holds the range, for the next socket */
	int copy[2];	      /* empty between calls */
	int null;	      /* where what a socket did not take ends */
	uint32_t page, slots; /* bytes; pages that a pipe holds, 0: sendfile() only */
	int fd;		      /* the range that is held; len 0: none */
	uint32_t offset, len;
};

/* Where pipes cannot be had, everything goes by sendfile(). */
void pagetee_open(struct pagetee *pages);
void pagetee_close(struct pagetee *pages);

/* As sendfile() of the len bytes at offset of the memfd fd to a non-blocking socket, errno
 * included; again: the next call is for the same range. */
ssize_t pagetee_send(struct pagetee *pages, int socket, int fd, uint32_t offset, uint32_t len,
		     bool again);

/* The next call did not come: lets the pages go. */
void pagetee_let_go(struct pagetee *pages);

#endif
