/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A named pipe as a source (source = pipe:). Programs that write into it come and go; the reading
 * end stays open, so that none of them is refused or killed by SIGPIPE. One thread at a time.
 */
#ifndef CAPTURE_SOURCE_FIFO_H
#define CAPTURE_SOURCE_FIFO_H

#include <sys/stat.h>

struct fifo {
	const char *path; /* borrowed */
	int fd;		  /* non-blocking */
	struct stat file; /* as it was when it was opened */
};

/* 0, or -errno with a text in why[256]. */
int fifo_open(struct fifo *fifo, const char *path, char *why);
void fifo_close(struct fifo *fifo);
/* Waits up to wait_ms for bytes. 0: there are some; -EAGAIN; -ESTALE: another pipe has taken its
 * place, which the sandbox of this process does not allow. */
int fifo_wait(const struct fifo *fifo, int wait_ms);

#endif
