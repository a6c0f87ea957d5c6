/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "client/record/time.h"

#define MARKER ".camcast"
#define SAFE_MAX 110 /* bytes; with "-" and an id it is still a name of at most 255 */
#define ID_MAX 140

struct recording {
	int64_t utc_s;
	int64_t bytes;
	unsigned number;
	unsigned folder; /* index */
};

struct listing {
	char **folders;
	size_t n_folders;
	struct recording *recordings;
	size_t n, size;
};

void store_safe_name(const char *name, char folder[STORE_FOLDER_MAX])
{
	size_t len = text_cut(name, SAFE_MAX);

	memcpy(folder, name, len);
	folder[len] = '\0';
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)folder[i] < 0x20 || strchr("\x7f/\\:*?\"<>|", folder[i]))
			folder[i] = '_';
	/* Hidden, or what some file systems drop. */
	if (folder[0] == '.')
		folder[0] = '_';
	while (len > 0 && (folder[len - 1] == '.' || folder[len - 1] == ' '))
		folder[--len] = '\0';
	if (len == 0)
		strcpy(folder, "server");
}

/* Whose folder it is: 0 and the id, or -errno; -ENOENT: nobody's. */
static int read_marker(int fd, char id[ID_MAX])
{
	int file = openat(fd, MARKER, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n;
	int err;

	if (file < 0)
		return -errno;
	n = read(file, id, ID_MAX - 1);
	err = errno;
	close(file);
	if (n < 0)
		return -err;
	id[n] = '\0';
	id[strcspn(id, "\n")] = '\0';
	return 0;
}

static int write_marker(int fd, const char *id)
{
	int file = openat(fd, MARKER, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	int err = 0;

	if (file < 0)
		return -errno;
	if (dprintf(file, "%s\n", id) < 0)
		err = -errno;
	close(file);
	return err;
}

/* 0; -EEXIST: another server's. */
static int take_folder(int dir, const char *folder, const char *id)
{
	char owner[ID_MAX] = "";
	int fd, err;

	if (mkdirat(dir, folder, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dir, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = read_marker(fd, owner);
	if (err == -ENOENT || (err == 0 && !owner[0])) /* new, or a disk was full */
		err = write_marker(fd, id);
	else if (err == 0 && strcmp(owner, id) != 0)
		err = -EEXIST;
	close(fd);
	return err;
}

int store_make_folder(const char *dir, const char *name, const char *id,
		      char folder[STORE_FOLDER_MAX])
{
	char safe[STORE_FOLDER_MAX], safe_id[STORE_FOLDER_MAX];
	int fd, err;

	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	store_safe_name(name, safe);
	snprintf(folder, STORE_FOLDER_MAX, "%s", safe);
	err = take_folder(fd, folder, id);
	if (err == -EEXIST) {
		store_safe_name(id, safe_id);
		snprintf(folder, STORE_FOLDER_MAX, "%.*s-%.*s", SAFE_MAX, safe, SAFE_MAX, safe_id);
		err = take_folder(fd, folder, id);
	}
	close(fd);
	return err;
}

/* --- limits --- */

static int add_recording(struct listing *listing, const struct recording *recording)
{
	if (listing->n == listing->size) {
		size_t size = listing->size ? listing->size * 2 : 256;
		struct recording *grown =
			realloc(listing->recordings, size * sizeof *listing->recordings);

		if (!grown)
			return -ENOMEM;
		listing->recordings = grown;
		listing->size = size;
	}
	listing->recordings[listing->n++] = *recording;
	return 0;
}

static int list_folder(struct listing *listing, int fd)
{
	struct recording recording = {.folder = (unsigned)listing->n_folders - 1};
	const struct dirent *entry;
	struct stat st;
	DIR *dir = fdopendir(fd);
	int err = 0;

	if (!dir) {
		err = -errno;
		close(fd);
		return err;
	}
	while (err == 0 && (entry = readdir(dir))) {
		if (!record_name_parse(entry->d_name, &recording.utc_s, &recording.number) ||
		    fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		recording.bytes = st.st_size;
		err = add_recording(listing, &recording);
	}
	closedir(dir);
	return err;
}

static int add_folder(struct listing *listing, const char *name)
{
	char **grown =
		realloc(listing->folders, (listing->n_folders + 1) * sizeof *listing->folders);

	if (!grown)
		return -ENOMEM;
	listing->folders = grown;
	listing->folders[listing->n_folders] = strdup(name);
	if (!listing->folders[listing->n_folders])
		return -ENOMEM;
	listing->n_folders++;
	return 0;
}

static int list_all(struct listing *listing, int dir_fd)
{
	int own = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	const struct dirent *entry;
	char owner[ID_MAX];
	DIR *dir;

	if (own < 0)
		return -errno;
	dir = fdopendir(own);
	if (!dir) {
		err = -errno;
		close(own);
		return err;
	}
	while (err == 0 && (entry = readdir(dir))) {
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		fd = openat(own, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read_marker(fd, owner) < 0) {
			close(fd);
			continue;
		}
		err = add_folder(listing, entry->d_name);
		if (err < 0)
			close(fd);
		else
			err = list_folder(listing, fd);
	}
	closedir(dir);
	return err;
}

static int compare(const void *a, const void *b)
{
	const struct recording *x = a, *y = b;

	if (x->utc_s != y->utc_s)
		return x->utc_s < y->utc_s ? -1 : 1;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return (x->folder > y->folder) - (x->folder < y->folder);
}

/* 0, -EBUSY while it is written, or -errno. */
static int delete_recording(int dir_fd, const struct listing *listing,
			    const struct recording *recording)
{
	char path[STORE_FOLDER_MAX + RECORD_NAME_MAX + 256], name[RECORD_NAME_MAX];
	int fd, err = 0;

	record_name_write(name, recording->utc_s, recording->number);
	snprintf(path, sizeof path, "%s/%s", listing->folders[recording->folder], name);
	fd = openat(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	/* A file system without locks has no writers that lock: then the name decides alone. */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		err = -EBUSY;
	else if (unlinkat(dir_fd, path, 0) < 0 && errno != ENOENT)
		err = -errno;
	close(fd);
	return err;
}

int store_keep_limits(const char *dir, const struct store_limits *limits, int64_t now_s,
		      struct store_usage *usage)
{
	struct listing listing = {0};
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err, result;

	memset(usage, 0, sizeof *usage);
	if (dir_fd < 0)
		return -errno;
	result = list_all(&listing, dir_fd);
	for (size_t i = 0; i < listing.n; i++)
		usage->bytes += listing.recordings[i].bytes;
	usage->files = (unsigned)listing.n;
	if (listing.n > 0)
		qsort(listing.recordings, listing.n, sizeof *listing.recordings, compare);
	for (size_t i = 0; i < listing.n; i++) {
		const struct recording *recording = &listing.recordings[i];
		bool old = limits->max_age_s && recording->utc_s < now_s - limits->max_age_s;
		bool much = limits->max_bytes && usage->bytes > limits->max_bytes;

		if (!old && !much)
			break;
		err = delete_recording(dir_fd, &listing, recording);
		if (err == 0) {
			usage->bytes -= recording->bytes;
			usage->files--;
			usage->deleted++;
		} else if (err != -EBUSY && result == 0) {
			result = err;
		}
	}
	for (size_t i = 0; i < listing.n_folders; i++)
		free(listing.folders[i]);
	free(listing.folders);
	free(listing.recordings);
	close(dir_fd);
	return result;
}
