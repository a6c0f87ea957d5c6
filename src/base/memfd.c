/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u /* Linux 6.3 */
#endif

static int create(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? -errno : fd;
}

/* Closes fd; returns -errno. */
static int fail(int fd)
{
	int err = -errno;

	close(fd);
	return err;
}

int memfd_create_fixed(const char *name, uint32_t size)
{
	int fd = create(name);

	if (fd < 0)
		return fd;
	if (ftruncate(fd, size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return fail(fd);
	return fd;
}

int memfd_create_text(const char *name, const char *text, size_t len)
{
	int fd = create(name);
	ssize_t n;

	if (fd < 0)
		return fd;
	for (size_t done = 0; done < len; done += (size_t)n) {
		n = write(fd, text + done, len - done);
		if (n < 0)
			return fail(fd);
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return fail(fd);
	return fd;
}

uint32_t memfd_round_size(uint32_t size)
{
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}
