/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "client/record/head.h"
#include "client/record/maker.h"

#define SYNCS 8
#define PIECE (1u << 20) /* of a write */
#define LOSS_PERIOD_US 60000000
#define FAT_FILE_MAX UINT32_MAX
#define INDEX_PART 1000 /* the index at the end of a file takes less than this part of it */

/* --- to the disk --- */

struct record_sync {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	int fds[SYNCS];				/* our own; the oldest first */
	const struct record_file *files[SYNCS]; /* only compared */
	size_t n;
	bool ending;
	struct diag_limit losses; /* the thread's */
};

/* The kernel tells of this once, and only here: the next write succeeds. */
static void sync_now(struct record_sync *sync, int fd)
{
	uint64_t suppressed;
	int err = fdatasync(fd) < 0 ? errno : 0;

	/* EINVAL: some file systems cannot do this, as with folders. */
	if (err && err != EINVAL &&
	    diag_allowed(&sync->losses, clock_now_us(), LOSS_PERIOD_US, &suppressed))
		diag_error("what was recorded is not on the disk: %s", strerror(err));
	close(fd);
}

static void *run_sync(void *user)
{
	struct record_sync *sync = user;
	int fd;

	pthread_mutex_lock(&sync->lock);
	for (;;) {
		while (sync->n == 0 && !sync->ending)
			pthread_cond_wait(&sync->wake, &sync->lock);
		if (sync->n == 0)
			break;
		fd = sync->fds[0];
		sync->n--;
		memmove(sync->fds, sync->fds + 1, sync->n * sizeof sync->fds[0]);
		memmove(sync->files, sync->files + 1, sync->n * sizeof sync->files[0]);
		pthread_mutex_unlock(&sync->lock);
		sync_now(sync, fd);
		pthread_mutex_lock(&sync->lock);
	}
	pthread_mutex_unlock(&sync->lock);
	return NULL;
}

int record_sync_create(struct record_sync **out)
{
	struct record_sync *sync = calloc(1, sizeof *sync);
	int err;

	if (!sync)
		return -ENOMEM;
	pthread_mutex_init(&sync->lock, NULL);
	pthread_cond_init(&sync->wake, NULL);
	err = pthread_create(&sync->thread, NULL, run_sync, sync);
	if (err) {
		pthread_cond_destroy(&sync->wake);
		pthread_mutex_destroy(&sync->lock);
		free(sync);
		return -err;
	}
	*out = sync;
	return 0;
}

void record_sync_destroy(struct record_sync *sync)
{
	if (!sync)
		return;
	pthread_mutex_lock(&sync->lock);
	sync->ending = true;
	pthread_cond_signal(&sync->wake);
	pthread_mutex_unlock(&sync->lock);
	pthread_join(sync->thread, NULL);
	pthread_cond_destroy(&sync->wake);
	pthread_mutex_destroy(&sync->lock);
	free(sync);
}

/* Soon, on disk: what fd, of file, has now. One that waits already serves this call as well; and if
 * the disk is so slow that the queue is full, what follows will. */
static void sync_soon(struct record_sync *sync, const struct record_file *file, int fd)
{
	bool waits = false;

	pthread_mutex_lock(&sync->lock);
	for (size_t i = 0; i < sync->n; i++)
		waits |= file && sync->files[i] == file;
	if (!waits && sync->n < SYNCS) {
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (fd >= 0) {
			sync->files[sync->n] = file;
			sync->fds[sync->n++] = fd;
			pthread_cond_signal(&sync->wake);
		}
	}
	pthread_mutex_unlock(&sync->lock);
}

/* The file is closed: another one may have its address. */
static void sync_forget(struct record_sync *sync, const struct record_file *file)
{
	pthread_mutex_lock(&sync->lock);
	for (size_t i = 0; i < sync->n; i++)
		if (sync->files[i] == file)
			sync->files[i] = NULL;
	pthread_mutex_unlock(&sync->lock);
}

/* --- the file --- */

/* Other limits show only when they are met. */
static int64_t find_limit(int fd)
{
	int64_t limit = INT64_MAX;
	struct rlimit rlimit;
	struct statfs fs;

	if (getrlimit(RLIMIT_FSIZE, &rlimit) == 0 && rlimit.rlim_cur < (rlim_t)limit)
		limit = (int64_t)rlimit.rlim_cur;
	if (fstatfs(fd, &fs) == 0 && fs.f_type == MSDOS_SUPER_MAGIC && limit > FAT_FILE_MAX)
		limit = FAT_FILE_MAX;
	return limit;
}

int record_file_open(struct record_file *file, struct record_sync *sync,
		     const struct record_folder *folder, int64_t utc_s, const void *data,
		     size_t len)
{
	struct maker_file made;
	int err = maker_request(folder->maker, utc_s, &made, folder->progress, folder->user);

	if (err < 0)
		return err;
	file->sync = sync;
	file->folder = folder;
	file->bytes = 0;
	file->fd = made.fd;
	snprintf(file->path, sizeof file->path, "%.*s/%s", RECORD_PATH_MAX - MAKER_NAME_MAX - 1,
		 folder->dir, made.name);
	file->limit = find_limit(file->fd);
	if (folder->file_max > 0 && folder->file_max < file->limit)
		file->limit = folder->file_max;
	err = record_file_append(file, data, len);
	if (err < 0) {
		maker_remove(folder->maker);
		close(file->fd);
	} else {
		sync_soon(sync, NULL, made.folder); /* its name has to last as well */
	}
	close(made.folder);
	return err;
}

int record_file_cut(struct record_file *file, int64_t bytes)
{
	/* The file's offset has to follow. */
	if (ftruncate(file->fd, bytes) < 0 || lseek(file->fd, bytes, SEEK_SET) < 0)
		return -errno;
	file->bytes = bytes;
	return 0;
}

int record_file_append(struct record_file *file, const void *data, size_t len)
{
	const char *bytes = data;
	size_t done = 0;
	ssize_t n;
	int err;

	if (file->bytes > 0 && (int64_t)len > file->limit - file->bytes) {
		err = -EFBIG;
		goto cut;
	}
	while (done < len) {
		n = write(file->fd, bytes + done, len - done < PIECE ? len - done : PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err = n < 0 ? -errno : -EIO;
			goto cut;
		}
		done += (size_t)n;
		file->folder->progress(file->folder->user);
	}
	file->bytes += (int64_t)len;
	sync_soon(file->sync, file, file->fd);
	return 0;

cut:
	(void)record_file_cut(file, file->bytes); /* back to the last whole piece */
	return err;
}

bool record_file_is_near_limit(const struct record_file *file, int64_t bytes)
{
	return bytes > file->limit - file->limit / INDEX_PART - file->bytes;
}

void record_file_close(struct record_file *file, int64_t duration_us)
{
	int err = head_set_duration(file->fd, duration_us);

	if (err < 0)
		diag_warn("%s: cannot write its duration: %s", file->path, strerror(-err));
	sync_soon(file->sync, file, file->fd);
	sync_forget(file->sync, file);
	close(file->fd);
	file->fd = -1;
}
