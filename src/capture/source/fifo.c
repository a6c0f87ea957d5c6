/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/fifo.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int fifo_open(struct fifo *fifo, const char *path, char *why)
{
	const char *wrong = NULL;
	int r = 0;

	fifo->path = path;
	fifo->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fifo->fd < 0 || fstat(fifo->fd, &fifo->file) < 0) {
		r = -errno;
		wrong = errno == ENOENT ? "No such file or directory; mkfifo(1) makes a named pipe"
			: errno == EACCES ? "Permission denied (the user that camcastd runs as has "
					    "to be able to read it)"
					  : strerror(errno);
	} else if (S_ISREG(fifo->file.st_mode)) {
		wrong = "a regular file; `source = file:` plays it";
		r = -EINVAL;
	} else if (!S_ISFIFO(fifo->file.st_mode)) {
		wrong = "no named pipe; mkfifo(1) makes one";
		r = -EINVAL;
	}
	if (r) {
		snprintf(why, 256, "%.120s: %s", path, wrong);
		fifo_close(fifo);
	}
	return r;
}

void fifo_close(struct fifo *fifo)
{
	if (fifo->fd >= 0)
		close(fifo->fd);
	fifo->fd = -1;
}

int fifo_wait(const struct fifo *fifo, int wait_ms)
{
	struct pollfd pfd = {.fd = fifo->fd, .events = POLLIN};
	struct stat now;

	(void)poll(&pfd, 1, wait_ms);
	if (pfd.revents & POLLIN)
		return 0;
	if (stat(fifo->path, &now) == 0 &&
	    (now.st_dev != fifo->file.st_dev || now.st_ino != fifo->file.st_ino))
		return -ESTALE;
	/* After the first writer has gone, poll() returns at once. */
	if (pfd.revents)
		(void)poll(NULL, 0, wait_ms);
	return -EAGAIN;
}
