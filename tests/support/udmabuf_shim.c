/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LD_PRELOAD shim: a /dev/udmabuf for machines that have none, so that what needs a dmabuf provider
 * (libcamera's virtual camera, our own allocator) can be tested there. UDMABUF_CREATE checks what
 * the kernel checks (page-aligned offset and size, F_SEAL_SHRINK, no F_SEAL_WRITE, 64 MB) and
 * answers with a duplicate of the memfd; DMA_BUF_IOCTL_SYNC on it succeeds.
 *
 *   cc -D_GNU_SOURCE -shared -fPIC udmabuf_shim.c -o udmabuf_shim.so -ldl
 *   LD_PRELOAD=./udmabuf_shim.so ...
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE_LIMIT (64u << 20) /* drivers/dma-buf/udmabuf.c, size_limit_mb */

static bool is_udmabuf(const char *path)
{
	return path && strcmp(path, "/dev/udmabuf") == 0;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define FORWARD_OPEN(name)                                                                         \
	int name(const char *path, int flags, ...)                                                 \
	{                                                                                          \
		int (*next)(const char *, int, ...);                                               \
		va_list ap;                                                                        \
		mode_t mode;                                                                       \
                                                                                                   \
		va_start(ap, flags);                                                               \
		mode = mode_of(flags, ap);                                                         \
		va_end(ap);                                                                        \
		if (is_udmabuf(path))                                                              \
			return memfd_create("udmabuf-shim", MFD_CLOEXEC);                          \
		*(void **)&next = dlsym(RTLD_NEXT, #name);                                         \
		return next(path, flags, mode);                                                    \
	}
#define FORWARD_OPENAT(name)                                                                       \
	int name(int dir, const char *path, int flags, ...)                                        \
	{                                                                                          \
		int (*next)(int, const char *, int, ...);                                          \
		va_list ap;                                                                        \
		mode_t mode;                                                                       \
                                                                                                   \
		va_start(ap, flags);                                                               \
		mode = mode_of(flags, ap);                                                         \
		va_end(ap);                                                                        \
		if (is_udmabuf(path))                                                              \
			return memfd_create("udmabuf-shim", MFD_CLOEXEC);                          \
		*(void **)&next = dlsym(RTLD_NEXT, #name);                                         \
		return next(dir, path, flags, mode);                                               \
	}
FORWARD_OPEN(open)
FORWARD_OPEN(open64)
FORWARD_OPEN(__open_2)
FORWARD_OPEN(__open64_2)
FORWARD_OPENAT(openat)
FORWARD_OPENAT(openat64)

static int create(const struct udmabuf_create *arg)
{
	unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE);
	int seals = fcntl((int)arg->memfd, F_GET_SEALS);

	if (seals < 0)
		return -1;
	if (arg->offset % page || arg->size % page || arg->size == 0 || arg->size > SIZE_LIMIT ||
	    !(seals & F_SEAL_SHRINK) || (seals & F_SEAL_WRITE)) {
		errno = EINVAL;
		return -1;
	}
	return fcntl((int)arg->memfd,
		     arg->flags & UDMABUF_FLAGS_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int, unsigned long, ...);
	va_list ap;
	void *arg;
	int r;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == UDMABUF_CREATE)
		return create(arg);
	*(void **)&next = dlsym(RTLD_NEXT, "ioctl");
	r = next(fd, request, arg);
	/* A memfd has no such ioctl; a real dmabuf's answer stands. */
	if (r < 0 && errno == ENOTTY && request == DMA_BUF_IOCTL_SYNC)
		return 0;
	return r;
}
