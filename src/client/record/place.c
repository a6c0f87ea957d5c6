/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME ".camcast-lock"
#define COMMAND_NAME ".camcast-command"
#define COMMAND_NEW ".camcast-command.new"
#define OWNER_MAX 128

/* --- file systems --- */

/* The device of the folder above path. 0 or -errno. */
static int stat_parent(const char *path, struct stat *st)
{
	char parent[RECORD_PATH_MAX + 4];

	snprintf(parent, sizeof parent, "%s/..", path);
	return stat(parent, st) < 0 ? -errno : 0;
}

/* Cuts path, an absolute one, to where its file system is mounted; "" for that of the root. */
static void cut_to_mount(char *path)
{
	struct stat st, above;

	while (path[0]) {
		char *slash = strrchr(path, '/');

		if (stat(path, &st) < 0 || stat_parent(path, &above) < 0 ||
		    st.st_dev != above.st_dev)
			return;
		*slash = '\0';
	}
}

static bool is_mounted(const char *mount)
{
	struct stat st, above;

	return stat(mount, &st) == 0 && stat_parent(mount, &above) == 0 &&
	       st.st_dev != above.st_dev;
}

int place_check(const struct place *place)
{
	struct stat st;

	if (place->mount[0] && !is_mounted(place->mount))
		return -ENODEV;
	if (stat(place->dir, &st) < 0)
		return -errno;
	return st.st_dev != place->device || st.st_ino != place->inode;
}

/* --- taking it --- */

/* Opens a file of ours in dir. Somebody else may have put something in its place: a link is not
 * followed, a FIFO is not waited for, and only a regular file is opened; -EEXIST: it is none. */
static int open_in(const char *dir, const char *name, int flags)
{
	char path[RECORD_PATH_MAX + 32];
	struct stat st;
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EEXIST;
}

/* The process that holds the lock, from what it wrote into the file. */
static void read_owner(int fd, char owner[OWNER_MAX])
{
	ssize_t n = pread(fd, owner, OWNER_MAX - 1, 0);

	owner[n > 0 ? n : 0] = '\0';
	owner[strcspn(owner, "\n")] = '\0';
	if (!owner[0])
		strcpy(owner, "another process");
}

static int write_owner(int fd)
{
	char host[64] = "", text[OWNER_MAX];
	int len;

	(void)gethostname(host, sizeof host - 1);
	len = snprintf(text, sizeof text, "process %d on %s\n", (int)getpid(), host);
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) < 0)
		return -errno;
	return 0;
}

/* A full disk, or a file system without locks, is no reason not to record. */
static int take_lock(struct place *place, char why[PLACE_WHY_MAX])
{
	char owner[OWNER_MAX];
	int fd = open_in(place->dir, LOCK_NAME, O_RDWR | O_CREAT);

	if (fd < 0) {
		if (fd == -ENOSPC || fd == -EDQUOT)
			return 0;
		snprintf(why, PLACE_WHY_MAX, "%.700s: cannot be written to: %s", place->dir,
			 strerror(-fd));
		return fd;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		read_owner(fd, owner);
		close(fd);
		snprintf(why, PLACE_WHY_MAX,
			 "%.700s: %.100s records there; give this one another --dir", place->dir,
			 owner);
		return -EBUSY;
	}
	(void)write_owner(fd);
	place->lock = fd;
	return 0;
}

static int explain(const char *dir, int err, char why[PLACE_WHY_MAX])
{
	snprintf(why, PLACE_WHY_MAX, "--dir %.700s: the folder cannot be made: %s", dir,
		 err == -ENOENT ? "the folder above it does not exist" : strerror(-err));
	return err;
}

int place_open(struct place *place, const char *dir, char why[PLACE_WHY_MAX])
{
	char *real;
	struct stat st;

	*place = (struct place){.dir = dir, .lock = -1};
	if (mkdir(dir, 0755) < 0 && errno != EEXIST && access(dir, F_OK) < 0)
		return explain(dir, -errno, why);
	if (stat(dir, &st) < 0)
		return explain(dir, -errno, why);
	if (!S_ISDIR(st.st_mode))
		return explain(dir, -ENOTDIR, why);
	place->device = st.st_dev;
	place->inode = st.st_ino;
	real = realpath(dir, NULL);
	if (!real)
		return explain(dir, -errno, why);
	if (strlen(real) < sizeof place->mount)
		strcpy(place->mount, real);
	free(real);
	cut_to_mount(place->mount);
	return take_lock(place, why);
}

void place_close(struct place *place)
{
	if (place->lock >= 0)
		close(place->lock);
	place->lock = -1;
}

/* --- recording commands --- */

int place_read_command(const struct place *place)
{
	char text[8] = "";
	int fd = open_in(place->dir, COMMAND_NAME, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n == 6 && memcmp(text, "start\n", 6) == 0)
		return 1;
	return n == 5 && memcmp(text, "stop\n", 5) == 0 ? -1 : 0;
}

int place_write_command(const struct place *place, bool start)
{
	char path[RECORD_PATH_MAX + 32], other[RECORD_PATH_MAX + 32];
	int fd = open_in(place->dir, COMMAND_NEW, O_WRONLY | O_CREAT | O_TRUNC), err = 0;

	if (fd < 0)
		return fd;
	if (dprintf(fd, "%s\n", start ? "start" : "stop") < 0 || fdatasync(fd) < 0)
		err = -errno;
	close(fd);
	snprintf(path, sizeof path, "%s/" COMMAND_NEW, place->dir);
	snprintf(other, sizeof other, "%s/" COMMAND_NAME, place->dir);
	if (err == 0 && rename(path, other) < 0)
		err = -errno;
	return err;
}
