/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define MARKER ".camcast"
#define SAFE_MAX 110 /* bytes; with "-", an id and a number it is still a name of at most 255 */
#define TRIES 10     /* names of folders for one server */

/* --- names --- */

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

void folder_safe_name(const char *name, char folder[FOLDER_NAME_MAX])
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

/* The name that is tried as number `attempt`, from 0. */
static void write_name(char folder[FOLDER_NAME_MAX], const char *name, const char *id, int attempt)
{
	char safe[FOLDER_NAME_MAX], safe_id[FOLDER_NAME_MAX];

	folder_safe_name(name, safe);
	folder_safe_name(id, safe_id);
	if (attempt == 0)
		snprintf(folder, FOLDER_NAME_MAX, "%.*s", SAFE_MAX + 1, safe);
	else if (attempt == 1)
		snprintf(folder, FOLDER_NAME_MAX, "%.*s-%.*s", SAFE_MAX, safe, SAFE_MAX, safe_id);
	else
		snprintf(folder, FOLDER_NAME_MAX, "%.*s-%.*s-%d", SAFE_MAX, safe, SAFE_MAX, safe_id,
			 attempt);
}

/* --- markers --- */

/* A FIFO or a device in place of the marker is not waited for, and not taken for one. */
static int open_marker(int fd, int flags)
{
	int file = openat(fd, MARKER, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	struct stat st;

	if (file < 0)
		return -errno;
	if (fstat(file, &st) == 0 && S_ISREG(st.st_mode))
		return file;
	close(file);
	return -EEXIST;
}

/* The id in the marker of a folder: 0; -ENOENT: the folder is nobody's; or -errno. */
static int read_marker(int fd, char id[FOLDER_ID_MAX])
{
	int file = open_marker(fd, O_RDONLY);
	ssize_t n;
	int err;

	if (file < 0)
		return file;
	n = read(file, id, FOLDER_ID_MAX - 1);
	err = errno;
	close(file);
	if (n < 0)
		return -err;
	id[n] = '\0';
	id[strcspn(id, "\n")] = '\0';
	return id[0] ? 0 : -ENOENT; /* a disk was full */
}

static int write_marker(int fd, const char *id)
{
	int file = open_marker(fd, O_WRONLY | O_CREAT);
	int err = 0;

	if (file < 0)
		return file;
	if (ftruncate(file, 0) < 0 || dprintf(file, "%s\n", id) < 0)
		err = -errno;
	close(file);
	return err;
}

/* --- folders --- */

static int open_folder(int dir, const char *folder)
{
	int fd = openat(dir, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Makes and opens a folder for a server. A descriptor; -EEXIST: another server's; or -errno. */
static int take_folder(int dir, const char *folder, const char *id)
{
	char owner[FOLDER_ID_MAX];
	int fd, err;

	if (mkdirat(dir, folder, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open_folder(dir, folder);
	if (fd < 0)
		return fd;
	err = read_marker(fd, owner);
	if (err == -ENOENT)
		err = write_marker(fd, id);
	else if (err == 0 && strcmp(owner, id) != 0)
		err = -EEXIST;
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

/* Whether another name may work: what has this one was put there by somebody else. */
static bool is_taken(int err)
{
	return err == -EEXIST || err == -ENOTDIR || err == -ELOOP || err == -EACCES ||
	       err == -EPERM;
}

int folder_open(int dir, const char *name, const char *id, char folder[FOLDER_NAME_MAX])
{
	int fd = -EEXIST;

	for (int attempt = 0; attempt < TRIES && is_taken(fd); attempt++) {
		write_name(folder, name, id, attempt);
		fd = take_folder(dir, folder, id);
	}
	return fd;
}

int folder_open_owned(int dir, const char *folder, char id[FOLDER_ID_MAX])
{
	int fd = open_folder(dir, folder), err;

	if (fd < 0)
		return fd;
	err = read_marker(fd, id);
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

/* --- owners --- */

static int compare_ids(const void *a, const void *b)
{
	return strcmp(((const struct folder_owner *)a)->id, ((const struct folder_owner *)b)->id);
}

static int add_owner(struct folder_owners *owners, const char *folder, const char *id)
{
	struct folder_owner *grown =
		realloc(owners->owners, (owners->n + 1) * sizeof *owners->owners);

	if (!grown)
		return -ENOMEM;
	owners->owners = grown;
	text_set(grown[owners->n].folder, sizeof grown->folder, folder);
	text_set(grown[owners->n].id, sizeof grown->id, id);
	owners->n++;
	return 0;
}

int folder_owners_read(struct folder_owners *out, const char *dir)
{
	DIR *all = opendir(dir);
	const struct dirent *entry;
	char id[FOLDER_ID_MAX];
	int err = 0;

	*out = (struct folder_owners){0};
	if (!all)
		return -errno;
	while (err == 0 && (entry = readdir(all))) {
		int fd = entry->d_name[0] == '.' ? -ENOENT
						 : folder_open_owned(dirfd(all), entry->d_name, id);

		if (fd < 0)
			continue;
		close(fd);
		err = add_owner(out, entry->d_name, id);
	}
	closedir(all);
	if (out->n > 0)
		qsort(out->owners, out->n, sizeof *out->owners, compare_ids);
	return err;
}

void folder_owners_finish(struct folder_owners *owners)
{
	free(owners->owners);
	*owners = (struct folder_owners){0};
}

bool folder_owners_have(const struct folder_owners *owners, const char *id)
{
	struct folder_owner key = {0};

	text_set(key.id, sizeof key.id, id);
	return owners->n > 0 &&
	       bsearch(&key, owners->owners, owners->n, sizeof key, compare_ids) != NULL;
}

const char *folder_owners_of_name(const struct folder_owners *owners, const char *name)
{
	char folder[FOLDER_NAME_MAX];

	folder_safe_name(name, folder);
	for (size_t i = 0; i < owners->n; i++)
		if (strcmp(owners->owners[i].folder, folder) == 0)
			return owners->owners[i].id;
	return NULL;
}
