/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/loop/pagetee.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

/* The largest size that an unprivileged process may request (pipe(7),
 * /proc/sys/fs/pipe-max-size). */
#define PIPE_BYTES (1 << 20)

/* Returns how many pages the pipe holds, or -1. */
static int open_pipe(int ends[2], uint32_t page)
{
	int bytes;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		ends[0] = ends[1] = -1;
		return -1;
	}
	/* The kernel refuses this beyond pipe-user-pages-soft: then the size does not change. */
	(void)fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
	bytes = fcntl(ends[0], F_GETPIPE_SZ);
	return bytes < 0 ? -1 : bytes / (int)page;
}

void pagetee_open(struct pagetee *pages)
{
	int source, copy;

	pages->page = (uint32_t)sysconf(_SC_PAGESIZE);
	pages->len = 0;
	source = open_pipe(pages->source, pages->page);
	copy = open_pipe(pages->copy, pages->page);
	pages->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (source < 0 || copy < 0 || pages->null < 0)
		pages->slots = 0;
	else
		pages->slots = (uint32_t)(source < copy ? source : copy);
}

void pagetee_close(struct pagetee *pages)
{
	const int fds[] = {pages->source[0], pages->source[1], pages->copy[0], pages->copy[1],
			   pages->null};

	for (unsigned i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

/* Releases the pages of the last `left` bytes in a pipe. */
static void discard(struct pagetee *pages, const int ends[2], size_t left)
{
	while (left > 0) {
		ssize_t n = splice(ends[0], NULL, pages->null, NULL, left, SPLICE_F_NONBLOCK);

		if (n <= 0) { /* they would precede the next socket's bytes: stop using pipes */
			pages->slots = 0;
			pages->len = 0;
			return;
		}
		left -= (size_t)n;
	}
}

void pagetee_let_go(struct pagetee *pages)
{
	if (pages->len == 0)
		return;
	discard(pages, pages->source, pages->len);
	pages->len = 0;
}

static bool holds(const struct pagetee *pages, int fd, uint32_t offset, uint32_t len)
{
	return len == pages->len && offset == pages->offset && fd == pages->fd;
}

static bool take(struct pagetee *pages, int fd, uint32_t offset, uint32_t len)
{
	uint64_t needed = ((uint64_t)offset % pages->page + len + pages->page - 1) / pages->page;
	off_t at = offset;
	ssize_t n;

	if (needed > pages->slots)
		return false;
	n = splice(fd, &at, pages->source[1], NULL, len, SPLICE_F_NONBLOCK);
	if (n < (ssize_t)len) { /* no memory to bring a page back from swap, say */
		discard(pages, pages->source, n < 0 ? 0 : (size_t)n);
		return false;
	}
	pages->fd = fd;
	pages->offset = offset;
	pages->len = len;
	return true;
}

/* The pipe from which the next socket's splice() takes its bytes; NULL: none. */
static const int *next_copy(struct pagetee *pages)
{
	ssize_t n = tee(pages->source[0], pages->copy[1], pages->len, SPLICE_F_NONBLOCK);

	if (n == (ssize_t)pages->len)
		return pages->copy;
	discard(pages, pages->copy, n < 0 ? 0 : (size_t)n);
	return NULL;
}

ssize_t pagetee_send(struct pagetee *pages, int socket, int fd, uint32_t offset, uint32_t len,
		     bool again)
{
	const int *from;
	off_t at = offset;
	ssize_t n;
	int error;

	if (!holds(pages, fd, offset, len)) {
		pagetee_let_go(pages);
		if (!again || !take(pages, fd, offset, len))
			return sendfile(socket, fd, &at, len);
	}
	if (again) {
		from = next_copy(pages);
		if (!from)
			return sendfile(socket, fd, &at, len);
	} else {
		from = pages->source;
		pages->len = 0;
	}
	n = splice(from[0], NULL, socket, NULL, len, SPLICE_F_NONBLOCK);
	error = errno;
	discard(pages, from, len - (n < 0 ? 0 : (size_t)n));
	errno = error;
	return n;
}
