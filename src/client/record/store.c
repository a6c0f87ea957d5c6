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
#include "client/record/head.h"
#include "client/record/time.h"

#define MARKER ".camcast"
#define SAFE_MAX 110 /* bytes; with "-" and an id it is still a name of at most 255 */
#define ID_MAX 140
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

/* Names of devices in Windows, with any extension and in any case. */
static bool is_device(const char *name)
{
	static const char *const devices[] = {"CON", "PRN", "AUX", "NUL"};
	const size_t len = strcspn(name, ".");

	for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
		if (len == 3 && strncasecmp(name, devices[i], 3) == 0)
			return true;
	return len == 4 && name[3] >= '0' && name[3] <= '9' &&
	       (strncasecmp(name, "COM", 3) == 0 || strncasecmp(name, "LPT", 3) == 0);
}

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
	if (is_device(folder)) {
		memmove(folder + 1, folder, len + 1);
		folder[0] = '_';
	}
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

#define PATH_SIZE (STORE_FOLDER_MAX + RECORD_NAME_MAX + 256)

static void write_path(char path[PATH_SIZE], const char *folder, int64_t utc_s, unsigned number)
{
	char name[RECORD_NAME_MAX];

	record_name_write(name, utc_s, number);
	snprintf(path, PATH_SIZE, "%s/%s", folder, name);
}

/* Opens a recording, and locks it: a descriptor, -EBUSY while it is written, or -errno. */
static int open_recording(int dir_fd, const char *path, int flags)
{
	int fd = openat(dir_fd, path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
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
	char path[PATH_SIZE];
	int fd, err = 0;

	write_path(path, listing->folders[recording->folder], recording->utc_s, recording->number);
	fd = open_recording(dir_fd, path, O_RDONLY);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (unlinkat(dir_fd, path, 0) < 0 && errno != ENOENT)
		err = -errno;
	close(fd);
	return err;
}

int store_keep_limits(const char *dir, const struct store_limits *limits,
		      const struct store_clock *clock, struct store_usage *usage)
{
	struct store_list listing = {0};
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err, result;
	bool by_age = limits->max_age_s && clock->trusted;

	memset(usage, 0, sizeof *usage);
	if (dir_fd < 0)
		return -errno;
	result = list_all(&listing, dir_fd, clock);
	for (size_t i = 0; i < listing.n; i++)
		usage->bytes += listing.recordings[i].bytes;
	usage->files = (unsigned)listing.n;
	if (listing.n > 0)
		qsort(listing.recordings, listing.n, sizeof *listing.recordings, compare);
	for (size_t i = 0; i < listing.n; i++) {
		const struct recording *recording = &listing.recordings[i];
		bool old = by_age && recording->begun_s < clock->now_s - limits->max_age_s;
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
	forget_list(&listing);
	close(dir_fd);
	return result;
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
static int is_free(int dir_fd, const char *path)
{
	struct stat st;

	/* FAT, for one, has no RENAME_NOREPLACE. */
	if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return errno == ENOENT ? 0 : -errno;
}

/* 0, -EBUSY while it is written, or -errno. */
static int rename_recording(int dir_fd, const char *folder, struct recording *recording)
{
	const int64_t utc_s = recording->utc_s + recording->shift_s;
	char path[PATH_SIZE], other[PATH_SIZE];
	unsigned number = 0;
	int fd, err = -EEXIST;

	write_path(path, folder, recording->utc_s, recording->number);
	fd = open_recording(dir_fd, path, O_RDWR);
	if (fd < 0)
		return fd;
	while (err == -EEXIST && number < NUMBERS_MAX) {
		write_path(other, folder, utc_s, ++number);
		err = is_free(dir_fd, other);
	}
	if (err == 0 && renameat(dir_fd, path, dir_fd, other) < 0)
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
		err = rename_recording(dir_fd, list->folders[recording->folder], recording);
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
