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

#include "client/record/folder.h"
#include "client/record/head.h"
#include "client/record/time.h"

#define NUMBERS_MAX 100 /* recordings that may begin in the same second */
#define FUTURE_S 60	/* a name that far ahead is wrong */

struct recording {
	int64_t utc_s;	 /* as its name says */
	int64_t begun_s; /* what its age counts from, and the order of all */
	int64_t bytes;
	unsigned number;
	unsigned folder; /* index */
	int64_t shift_s; /* of the name that it is to get; 0: it has the right one */
};

struct store_list {
	char **folders;
	size_t n_folders;
	struct recording *recordings;
	size_t n, size;
};

/* --- which recordings there are --- */

static int add_recording(struct store_list *listing, const struct recording *recording)
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

/* Whether a time can be that of a recording, by a clock that is trusted. */
static bool is_possible(int64_t utc_s, const struct store_clock *clock)
{
	return utc_s >= STORE_EARLIEST_S && utc_s <= clock->now_s + FUTURE_S;
}

/* What the age of a recording counts from. */
static int64_t begun_s(const struct recording *recording, int fd, const char *name,
		       const struct stat *st, const struct store_clock *clock)
{
	const struct timespec now[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = clock->now_s}};

	if (!clock->trusted) {
		bool fresh = recording->utc_s >= clock->since_s &&
			     recording->utc_s <= clock->now_s + FUTURE_S;

		return fresh ? INT64_MAX : recording->utc_s;
	}
	if (is_possible(recording->utc_s, clock))
		return recording->utc_s;
	if (is_possible(st->st_mtim.tv_sec, clock))
		return st->st_mtim.tv_sec;
	(void)utimensat(fd, name, now, AT_SYMLINK_NOFOLLOW);
	return clock->now_s;
}

static int list_folder(struct store_list *listing, int fd, const struct store_clock *clock)
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
		recording.begun_s = begun_s(&recording, fd, entry->d_name, &st, clock);
		err = add_recording(listing, &recording);
	}
	closedir(dir);
	return err;
}

static int add_folder(struct store_list *listing, const char *name)
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

static int list_all(struct store_list *listing, int dir_fd, const struct store_clock *clock)
{
	int own = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	const struct dirent *entry;
	char owner[FOLDER_ID_MAX];
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
		fd = folder_open_owned(own, entry->d_name, owner);
		if (fd < 0)
			continue;
		err = add_folder(listing, entry->d_name);
		if (err < 0)
			close(fd);
		else
			err = list_folder(listing, fd, clock);
	}
	closedir(dir);
	return err;
}

static int compare(const void *a, const void *b)
{
	const struct recording *x = a, *y = b;

	if (x->begun_s != y->begun_s)
		return x->begun_s < y->begun_s ? -1 : 1;
	if (x->utc_s != y->utc_s)
		return x->utc_s < y->utc_s ? -1 : 1;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return (x->folder > y->folder) - (x->folder < y->folder);
}

static void forget_list(struct store_list *listing)
{
	for (size_t i = 0; i < listing->n_folders; i++)
		free(listing->folders[i]);
	free(listing->folders);
	free(listing->recordings);
}

/* --- limits --- */

/* Opens a recording in a folder, and locks it: a descriptor, -EBUSY while it is written, -ENOENT if
 * it is no file any more, or -errno. */
static int open_recording(int folder_fd, const char *name, int flags)
{
	int fd = openat(folder_fd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ELOOP ? -ENOENT : -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -ENOENT;
	}
	/* A file system without locks has no writers that lock: then the name decides alone. */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		close(fd);
		return -EBUSY;
	}
	return fd;
}

/* 0, -EBUSY while it is written, or -errno. */
static int delete_recording(int dir_fd, const struct store_list *listing,
			    const struct recording *recording)
{
	char name[RECORD_NAME_MAX], owner[FOLDER_ID_MAX];
	int folder = folder_open_owned(dir_fd, listing->folders[recording->folder], owner), fd;
	int err = 0;

	if (folder < 0)
		return folder == -ENOENT ? 0 : folder;
	record_name_write(name, recording->utc_s, recording->number);
	fd = open_recording(folder, name, O_RDONLY);
	if (fd >= 0 && unlinkat(folder, name, 0) < 0 && errno != ENOENT)
		err = -errno;
	if (fd >= 0)
		close(fd);
	else if (fd != -ENOENT)
		err = fd;
	close(folder);
	return err;
}

/* What each folder has, and where the search for its oldest recording goes on. */
struct share {
	int64_t bytes;
	size_t next;
};

/* Adds up the folders. NULL without memory; free() it. */
static struct share *add_up(const struct store_list *listing, struct store_usage *usage)
{
	struct share *shares = calloc(listing->n_folders + 1, sizeof *shares);

	for (size_t i = 0; shares && i < listing->n; i++) {
		shares[listing->recordings[i].folder].bytes += listing->recordings[i].bytes;
		usage->bytes += listing->recordings[i].bytes;
	}
	usage->files = (unsigned)listing->n;
	return shares;
}

/* The folder from which the next recording is deleted: the one that has most, if that is more than
 * its part of max_bytes. -1: none, as those have only recordings that cannot be deleted. */
static int choose_folder(const struct store_list *listing, const struct share *shares,
			 int64_t max_bytes)
{
	int64_t folders = 0;
	int best = -1;

	for (size_t i = 0; i < listing->n_folders; i++)
		folders += shares[i].bytes > 0;
	for (size_t i = 0; i < listing->n_folders; i++)
		if (shares[i].next < listing->n && shares[i].bytes > max_bytes / folders &&
		    (best < 0 || shares[i].bytes > shares[best].bytes))
			best = (int)i;
	return best;
}

/* The deletions of one look. */
struct sweep {
	int dir_fd;
	struct store_list *listing;
	struct share *shares;
	struct store_usage *usage;
	int result;
};

static void sweep_one(struct sweep *sweep, struct recording *recording)
{
	int err = delete_recording(sweep->dir_fd, sweep->listing, recording);

	if (err == 0) {
		sweep->shares[recording->folder].bytes -= recording->bytes;
		sweep->usage->bytes -= recording->bytes;
		sweep->usage->files--;
		sweep->usage->deleted++;
		recording->bytes = -1; /* it is gone */
	} else if (err != -EBUSY && sweep->result == 0) {
		sweep->result = err;
	}
}

static void sweep_old(struct sweep *sweep, int64_t before_s)
{
	struct store_list *listing = sweep->listing;

	for (size_t i = 0; i < listing->n && listing->recordings[i].begun_s < before_s; i++)
		sweep_one(sweep, &listing->recordings[i]);
}

static void sweep_much(struct sweep *sweep, int64_t max_bytes)
{
	struct store_list *listing = sweep->listing;
	int folder;

	while (sweep->usage->bytes > max_bytes &&
	       (folder = choose_folder(listing, sweep->shares, max_bytes)) >= 0) {
		size_t *i = &sweep->shares[folder].next;

		while (*i < listing->n && (listing->recordings[*i].folder != (unsigned)folder ||
					   listing->recordings[*i].bytes < 0))
			(*i)++;
		if (*i < listing->n)
			sweep_one(sweep, &listing->recordings[(*i)++]);
	}
}

int store_keep_limits(const char *dir, const struct store_limits *limits,
		      const struct store_clock *clock, struct store_usage *usage)
{
	struct store_list listing = {0};
	struct sweep sweep = {.listing = &listing, .usage = usage};

	memset(usage, 0, sizeof *usage);
	sweep.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sweep.dir_fd < 0)
		return -errno;
	sweep.result = list_all(&listing, sweep.dir_fd, clock);
	sweep.shares = add_up(&listing, usage);
	if (listing.n > 0)
		qsort(listing.recordings, listing.n, sizeof *listing.recordings, compare);
	if (!sweep.shares)
		sweep.result = -ENOMEM;
	if (sweep.shares && limits->max_age_s && clock->trusted)
		sweep_old(&sweep, clock->now_s - limits->max_age_s);
	if (sweep.shares && limits->max_bytes)
		sweep_much(&sweep, limits->max_bytes);
	free(sweep.shares);
	forget_list(&listing);
	close(sweep.dir_fd);
	return sweep.result;
}

/* --- other names --- */

/* A clock by which only names count. */
static const struct store_clock names_only = {.since_s = INT64_MAX};

struct store_list *store_list_create(void)
{
	return calloc(1, sizeof(struct store_list));
}

int store_list(struct store_list **out, const char *dir, int64_t from_s)
{
	struct store_list *list;
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;
	size_t n = 0;

	if (dir_fd < 0)
		return -errno;
	list = store_list_create();
	err = list ? list_all(list, dir_fd, &names_only) : -ENOMEM;
	close(dir_fd);
	if (err < 0) {
		store_list_destroy(list);
		return err;
	}
	for (size_t i = 0; i < list->n; i++)
		if (list->recordings[i].utc_s >= from_s)
			list->recordings[n++] = list->recordings[i];
	list->n = n;
	*out = list;
	return 0;
}

void store_list_destroy(struct store_list *list)
{
	if (!list)
		return;
	forget_list(list);
	free(list);
}

static bool is_in_list(const struct store_list *list, const char *folder,
		       const struct recording *recording)
{
	for (size_t i = 0; list && i < list->n; i++)
		if (list->recordings[i].utc_s == recording->utc_s &&
		    list->recordings[i].number == recording->number &&
		    strcmp(list->folders[list->recordings[i].folder], folder) == 0)
			return true;
	return false;
}

/* The index of a folder, which is added if it is not there; or -ENOMEM. */
static int find_folder(struct store_list *list, const char *folder)
{
	for (size_t i = 0; i < list->n_folders; i++)
		if (strcmp(list->folders[i], folder) == 0)
			return (int)i;
	return add_folder(list, folder) == 0 ? (int)list->n_folders - 1 : -ENOMEM;
}

int store_list_add(struct store_list *list, const struct store_list *from, int64_t to_s,
		   const struct store_list *except)
{
	for (size_t i = 0; i < from->n; i++) {
		struct recording recording = from->recordings[i];
		const char *folder = from->folders[recording.folder];
		int index;

		if (recording.utc_s > to_s || is_in_list(except, folder, &recording) ||
		    is_in_list(list, folder, &recording))
			continue;
		index = find_folder(list, folder);
		if (index < 0)
			return index;
		recording.folder = (unsigned)index;
		if (add_recording(list, &recording) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* In the order in which no name is taken by a recording that goes on to another one. */
static int compare_shifts(const void *a, const void *b)
{
	const struct recording *x = a, *y = b;
	int later = (x->utc_s > y->utc_s) - (x->utc_s < y->utc_s);

	return x->shift_s > 0 ? -later : later;
}

size_t store_list_shift(struct store_list *list, int64_t shift_s)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++) {
		list->recordings[i].shift_s += shift_s;
		n += list->recordings[i].shift_s != 0;
	}
	if (list->n > 0)
		qsort(list->recordings, list->n, sizeof *list->recordings, compare_shifts);
	return n;
}

void store_list_settle(struct store_list *list)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		if (list->recordings[i].shift_s != 0)
			list->recordings[n++] = list->recordings[i];
	list->n = n;
}

/* 0, -EEXIST, or -errno. */
static int is_free(int folder_fd, const char *name)
{
	struct stat st;

	/* FAT, for one, has no RENAME_NOREPLACE. */
	if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return errno == ENOENT ? 0 : -errno;
}

/* 0, -EBUSY while it is written, or -errno. */
static int rename_recording(int folder_fd, struct recording *recording)
{
	const int64_t utc_s = recording->utc_s + recording->shift_s;
	char name[RECORD_NAME_MAX], other[RECORD_NAME_MAX];
	unsigned number = 0;
	int fd, err = -EEXIST;

	record_name_write(name, recording->utc_s, recording->number);
	fd = open_recording(folder_fd, name, O_RDWR);
	if (fd < 0)
		return fd;
	while (err == -EEXIST && number < NUMBERS_MAX) {
		record_name_write(other, utc_s, ++number);
		err = is_free(folder_fd, other);
	}
	if (err == 0 && renameat(folder_fd, name, folder_fd, other) < 0)
		err = -errno;
	if (err == 0) {
		(void)head_set_created(fd, utc_s * 1000000); /* a help, the name decides */
		recording->utc_s = utc_s;
		recording->number = number;
		recording->shift_s = 0;
	}
	close(fd);
	return err;
}

static int rename_in(int dir_fd, const char *folder, struct recording *recording)
{
	char owner[FOLDER_ID_MAX];
	int fd = folder_open_owned(dir_fd, folder, owner), err;

	if (fd < 0)
		return fd;
	err = rename_recording(fd, recording);
	close(fd);
	return err;
}

int store_rename(const char *dir, struct store_list *list, size_t *waiting)
{
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0, result = 0;

	*waiting = list->n;
	if (dir_fd < 0)
		return -errno;
	*waiting = 0;
	for (size_t i = 0; i < list->n; i++) {
		struct recording *recording = &list->recordings[i];
		int err;

		if (recording->shift_s == 0)
			continue;
		err = rename_in(dir_fd, list->folders[recording->folder], recording);
		n += err == 0;
		if (err == -ENOENT) /* somebody deleted it */
			recording->shift_s = 0;
		else if (err < 0)
			(*waiting)++;
		if (err < 0 && err != -EBUSY && err != -ENOENT && result == 0)
			result = err;
	}
	close(dir_fd);
	return result < 0 ? result : n;
}
