/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sends the same pages to many sockets. sendfile(2) looks up every page in the page cache for every
 * socket. A pagetee looks them up once: a pipe takes references to the pages, and tee(2) and
 * splice(2) give each socket its own. Loop thread only.
 */
#ifndef DAEMON_LOOP_PAGETEE_H
#define DAEMON_LOOP_PAGETEE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pagetee {
	int source[2];	      /* holds the range, for the next socket */
	int copy[2];	      /* empty between calls */
	int null;	      /* /dev/null, for bytes that a socket did not take */
	uint32_t page, slots; /* bytes; pages that a pipe holds, 0: sendfile() only */
	int fd;		      /* the range that is held; len 0: none */
	uint32_t offset, len;
};

/* Without pipes, every send uses sendfile(). */
void pagetee_open(struct pagetee *pages);
void pagetee_close(struct pagetee *pages);

/* As sendfile() of the len bytes at offset of the memfd fd to a non-blocking socket, errno
 * included; again: the next call is for the same range. */
ssize_t pagetee_send(struct pagetee *pages, int socket, int fd, uint32_t offset, uint32_t len,
		     bool again);

/* Call it when no send of the same range follows: releases the pages. */
void pagetee_let_go(struct pagetee *pages);

#endif
