/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int secret_open(const char *path)
{
	const char *folder = strchr(path, '/') ? NULL : getenv("CREDENTIALS_DIRECTORY");
	int dir, fd;

	if (!folder)
		return open(path, O_RDONLY | O_CLOEXEC);
	dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -1;
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	close(dir);
	return fd;
}

static int check_private(const char *path, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!strchr(path, '/') && getenv("CREDENTIALS_DIRECTORY"))
		return 0;
	return (st.st_mode & (S_IRWXG | S_IRWXO)) || (st.st_uid != geteuid() && st.st_uid != 0)
		       ? -EPERM
		       : 0;
}

static int read_line(int fd, char *out, size_t size)
{
	ssize_t n = read(fd, out, size);
	size_t len;

	if (n < 0)
		return -errno;
	for (len = 0; len < (size_t)n && !strchr("\r\n", out[len]); len++)
		;
	if (len == size)
		return -EMSGSIZE;
	explicit_bzero(out + len, size - len);
	return len > 0 ? 0 : -ENODATA;
}

static const char *describe(const char *path, int err)
{
	switch (err) {
	case -ENOENT:
		return strchr(path, '/') || getenv("CREDENTIALS_DIRECTORY")
			       ? strerror(-err)
			       : "there is no such file in this folder, and systemd has given no "
				 "credentials (LoadCredential=)";
	case -EPERM:
		return "others may read it; use chmod 600";
	case -ENODATA:
		return "its first line is empty";
	case -EMSGSIZE:
		return "its first line is too long";
	default:
		return strerror(-err);
	}
}

int secret_read(const char *path, char *out, size_t size, char why[SECRET_WHY_MAX])
{
	int fd = secret_open(path);
	int err = fd < 0 ? -errno : check_private(path, fd);

	if (err == 0)
		err = read_line(fd, out, size);
	if (fd >= 0)
		close(fd);
	if (err < 0) {
		out[0] = '\0';
		snprintf(why, SECRET_WHY_MAX, "%s cannot be used: %s", path, describe(path, err));
	}
	return err;
}
