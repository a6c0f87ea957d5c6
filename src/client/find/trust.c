/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/find/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/text.h"

#define ALGORITHM "ed25519"
#define TURN_US 1000000
#define LOCK_ATTEMPTS 8	  /* each is lost only to another process that has replaced the file */
#define CLOSE_ATTEMPTS 50 /* while another process writes */
#define CLOSE_WAIT_MS 20

static const char heading[] =
	"# Servers that camcast trusts, each with its key and its newest announcement. To trust a\n"
	"# server with a new key, delete its line.\n";

struct trust {
	char path[PATH_MAX];
	bool no_new;
	struct trust_list list;
	bool dirty;	  /* something is not in the file yet */
	struct stat seen; /* the file as it was read or written last */
	int64_t next_us;
	char logged[TRUST_WHY_MAX]; /* "": it worked last time */
};

/* --- text --- */

void trust_list_finish(struct trust_list *list)
{
	free(list->entries);
	memset(list, 0, sizeof *list);
}

static struct trust_entry *find(const struct trust_list *list, const char *id)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->entries[i].id, id) == 0)
			return &list->entries[i];
	return NULL;
}

/* 0, or -ENOMEM; the caller looks at TRUST_MAX. */
static int add(struct trust_list *list, const struct trust_entry *entry)
{
	if (list->n == list->room) {
		size_t room = list->room ? 2 * list->room : 16;
		struct trust_entry *grown = reallocarray(list->entries, room, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		list->entries = grown;
		list->room = room;
	}
	list->entries[list->n++] = *entry;
	return 0;
}

/* The next word of a line, and its length; 0 at the end. */
static size_t next_word(const char **at, const char *end, const char **word)
{
	while (*at < end && **at == ' ')
		(*at)++;
	*word = *at;
	while (*at < end && **at != ' ')
		(*at)++;
	return (size_t)(*at - *word);
}

static bool read_digits(const char **at, const char *end, uint64_t *out)
{
	const char *begin = *at;

	*out = 0;
	for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
		*out = *out * 10 + (uint64_t)(**at - '0');
		if (*out > SIGNED_NUMBER_MAX)
			return false;
	}
	return *at > begin;
}

static bool read_number(const char *word, size_t len, struct signed_number *out)
{
	const char *at = word, *end = word + len;

	return read_digits(&at, end, &out->start) && at < end && *at++ == '.' &&
	       read_digits(&at, end, &out->count) && at == end;
}

static bool parse_line(struct trust_entry *entry, const char *line, size_t len)
{
	const char *at = line, *end = line + len, *word;
	char name[sizeof entry->name];
	size_t n;

	memset(entry, 0, sizeof *entry);
	n = next_word(&at, end, &word);
	if (n == 0 || n >= sizeof entry->id)
		return false;
	memcpy(entry->id, word, n);
	if (strlen(entry->id) != n || !server_id_valid(entry->id))
		return false;
	n = next_word(&at, end, &word);
	if (n != strlen(ALGORITHM) || memcmp(word, ALGORITHM, n) != 0)
		return false;
	n = next_word(&at, end, &word);
	if (n != SIGNED_HEX_MAX - 1 || !signed_key_parse(entry->key, word, n))
		return false;
	n = next_word(&at, end, &word);
	if (!read_number(word, n, &entry->number))
		return false;
	at += at < end;
	n = (size_t)(end - at);
	n = n < sizeof name - 1 ? n : sizeof name - 1;
	memcpy(name, at, n);
	name[n] = '\0';
	text_clean(entry->name, sizeof entry->name, name);
	entry->saved = true;
	return true;
}

static int take_line(struct trust_list *list, const char *line, size_t len)
{
	struct trust_entry entry;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len == 0 || line[0] == '#')
		return 0;
	if (!parse_line(&entry, line, len) || list->n == TRUST_MAX || find(list, entry.id))
		return -EINVAL;
	return add(list, &entry);
}

int trust_list_parse(struct trust_list *out, const char *text, size_t len, unsigned *line)
{
	int err = 0;

	memset(out, 0, sizeof *out);
	*line = 0;
	while (len > 0 && err == 0) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;

		++*line;
		err = take_line(out, text, n);
		n += end != NULL;
		text += n;
		len -= n;
	}
	if (err < 0)
		trust_list_finish(out);
	return err;
}

static void print_list(FILE *out, const struct trust_list *list)
{
	char key[SIGNED_HEX_MAX];

	fputs(heading, out);
	for (size_t i = 0; i < list->n; i++) {
		const struct trust_entry *entry = &list->entries[i];

		fprintf(out, "%s " ALGORITHM " %s %" PRIu64 ".%" PRIu64 " %s\n", entry->id,
			signed_key_text(key, entry->key), entry->number.start, entry->number.count,
			entry->name);
	}
}

/* --- the file --- */

static int explain(const struct trust *trust, char why[TRUST_WHY_MAX], int err)
{
	snprintf(why, TRUST_WHY_MAX, "%.400s: %s", trust->path, strerror(-err));
	return err;
}

/* Others could enter keys of their own into a file that they may write. */
static int check_owner(const struct trust *trust, const struct stat *st, char why[TRUST_WHY_MAX])
{
	const char *wrong = NULL;

	if (!S_ISREG(st->st_mode))
		wrong = "this is no file";
	else if (st->st_size > TRUST_FILE_MAX)
		wrong = "it is too long";
	else if ((st->st_mode & (S_IWGRP | S_IWOTH)) ||
		 (st->st_uid != geteuid() && st->st_uid != 0))
		wrong = "others may write it; use chmod go-w";
	if (!wrong)
		return 0;
	snprintf(why, TRUST_WHY_MAX, "%.400s: %s", trust->path, wrong);
	return -EPERM;
}

static ssize_t read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size && (n = read(fd, text + len, size - len)) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		len += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)len;
}

static int read_file(struct trust *trust, int fd, struct trust_list *out, char why[TRUST_WHY_MAX])
{
	char *text = malloc(TRUST_FILE_MAX);
	unsigned line;
	ssize_t len;
	int err;

	if (!text)
		return explain(trust, why, -ENOMEM);
	len = fstat(fd, &trust->seen) < 0 ? -errno : 0;
	err = len < 0 ? explain(trust, why, (int)len) : check_owner(trust, &trust->seen, why);
	if (err < 0)
		goto free_text;
	len = read_all(fd, text, TRUST_FILE_MAX);
	if (len < 0) {
		err = explain(trust, why, (int)len);
		goto free_text;
	}
	err = trust_list_parse(out, text, (size_t)len, &line);
	if (err == -EINVAL)
		snprintf(why, TRUST_WHY_MAX,
			 "%.400s:%u: this is no line of a file of trusted servers, or its server "
			 "stands there twice",
			 trust->path, line);
	else if (err < 0)
		explain(trust, why, err);

free_text:
	free(text);
	return err;
}

/* Opens the file, locked; that which another process has replaced meanwhile does not count. A
 * process that holds the lock for long is not waited for. */
static int open_locked(const struct trust *trust)
{
	const int how = trust->no_new ? O_RDONLY : O_RDWR | O_CREAT;

	for (int i = 0; i < LOCK_ATTEMPTS; i++) {
		int fd = open(trust->path, how | O_CLOEXEC | O_NONBLOCK, 0600);
		struct stat own, there;

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &own) == 0 &&
		    stat(trust->path, &there) == 0 && own.st_dev == there.st_dev &&
		    own.st_ino == there.st_ino)
			return fd;
		close(fd);
	}
	return -EBUSY;
}

/* Makes a rename survive a power cut. */
static void sync_folder(const char *path)
{
	char folder[PATH_MAX];
	char *slash;
	int fd;

	strcpy(folder, path);
	slash = strrchr(folder, '/');
	strcpy(slash ? slash + 1 : folder, ".");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)fsync(fd);
	close(fd);
}

static int fill(int fd, const struct trust_list *list)
{
	FILE *file = fdopen(fd, "w");
	int err = 0;

	if (!file) {
		err = -errno;
		close(fd);
		return err;
	}
	print_list(file, list);
	if (fflush(file) != 0 || fsync(fd) < 0)
		err = -errno;
	if (fclose(file) != 0 && err == 0)
		err = -errno;
	return err;
}

/* A link stays one: what it names is replaced. */
static int replace_file(struct trust *trust)
{
	char *path = realpath(trust->path, NULL), temporary[PATH_MAX];
	int fd, err = 0;

	if (!path)
		return -errno;
	if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= PATH_MAX) {
		err = -ENAMETOOLONG;
		goto free_path;
	}
	fd = mkostemp(temporary, O_CLOEXEC); /* 0600 */
	if (fd < 0) {
		err = -errno;
		goto free_path;
	}
	err = fill(fd, &trust->list);
	if (err == 0 && rename(temporary, path) < 0)
		err = -errno;
	if (err < 0)
		unlink(temporary);
	else
		sync_folder(path);
free_path:
	free(path);
	return err;
}

/* --- memory and file --- */

/* What the file says counts, apart from servers that were entered here since, and newer numbers.
 * Takes the list. */
static int merge(struct trust *trust, struct trust_list *file)
{
	for (size_t i = 0; i < trust->list.n; i++) {
		struct trust_entry *own = &trust->list.entries[i], *theirs = find(file, own->id);
		int err = 0;

		if (!theirs) {
			if (!own->saved && file->n < TRUST_MAX)
				err = add(file, own);
		} else if (memcmp(theirs->key, own->key, sizeof own->key) == 0 &&
			   signed_compare(&theirs->number, &own->number) < 0) {
			theirs->number = own->number;
			memcpy(theirs->name, own->name, sizeof own->name);
		}
		if (err < 0)
			return err;
	}
	trust_list_finish(&trust->list);
	trust->list = *file;
	memset(file, 0, sizeof *file);
	return 0;
}

static int exchange(struct trust *trust, int fd, char why[TRUST_WHY_MAX])
{
	struct trust_list file;
	int err = read_file(trust, fd, &file, why);

	if (err < 0)
		return err;
	err = merge(trust, &file);
	trust_list_finish(&file);
	if (err == 0 && trust->dirty)
		err = replace_file(trust);
	if (err < 0)
		return explain(trust, why, err);
	if (trust->dirty && stat(trust->path, &trust->seen) < 0)
		memset(&trust->seen, 0, sizeof trust->seen);
	for (size_t i = 0; i < trust->list.n; i++)
		trust->list.entries[i].saved = true;
	trust->dirty = false;
	return 0;
}

static int update(struct trust *trust, char why[TRUST_WHY_MAX])
{
	int fd = open_locked(trust), err;

	if (fd < 0)
		return explain(trust, why, fd);
	err = exchange(trust, fd, why);
	close(fd);
	return err;
}

/* Another process, or a person. */
static bool is_changed(const struct trust *trust)
{
	const struct stat *seen = &trust->seen;
	struct stat now;

	return stat(trust->path, &now) < 0 || now.st_ino != seen->st_ino ||
	       now.st_dev != seen->st_dev || now.st_size != seen->st_size ||
	       now.st_mtim.tv_sec != seen->st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != seen->st_mtim.tv_nsec;
}

int trust_open(struct trust **out, const char *path, bool no_new, char why[TRUST_WHY_MAX])
{
	struct trust *trust = calloc(1, sizeof *trust);
	int err;

	snprintf(why, TRUST_WHY_MAX, "%s", strerror(ENOMEM));
	if (!trust)
		return -ENOMEM;
	trust->no_new = no_new;
	if (snprintf(trust->path, sizeof trust->path, "%s", path) >= PATH_MAX - 8)
		err = explain(trust, why, -ENAMETOOLONG);
	else
		err = update(trust, why);
	if (err < 0) {
		trust_list_finish(&trust->list);
		free(trust);
		return err;
	}
	*out = trust;
	return 0;
}

void trust_turn(struct trust *trust, int64_t now_us)
{
	char why[TRUST_WHY_MAX];
	int err;

	if (now_us < trust->next_us || (!trust->dirty && !is_changed(trust)))
		return;
	trust->next_us = now_us + TURN_US;
	err = update(trust, why);
	if (err == -EBUSY) /* somebody writes it just now */
		return;
	if (err < 0 && strcmp(why, trust->logged) != 0)
		diag_error("trusted servers are not kept: %s; tried again", why);
	else if (err == 0 && trust->logged[0])
		diag_info("trusted servers are kept in %s again", trust->path);
	snprintf(trust->logged, sizeof trust->logged, "%s", err < 0 ? why : "");
}

void trust_close(struct trust *trust)
{
	if (!trust)
		return;
	for (int i = 0; i == 0 || (trust->dirty && i < CLOSE_ATTEMPTS); i++) {
		if (i > 0)
			poll(NULL, 0, CLOSE_WAIT_MS);
		trust->next_us = 0;
		trust_turn(trust, 0);
	}
	trust_list_finish(&trust->list);
	free(trust);
}

/* --- verdicts --- */

static enum trust_verdict enter(struct trust *trust, const struct server *server)
{
	struct trust_entry entry = {.number = server->by.number};

	if (trust->no_new)
		return TRUST_UNKNOWN;
	text_set(entry.id, sizeof entry.id, server->id);
	text_set(entry.name, sizeof entry.name, server->name);
	memcpy(entry.key, server->by.key, sizeof entry.key);
	if (trust->list.n == TRUST_MAX || add(&trust->list, &entry) < 0)
		return TRUST_FULL;
	trust->dirty = true;
	return TRUST_NEW;
}

const uint8_t *trust_key(const struct trust *trust, const char *id)
{
	const struct trust_entry *entry = find(&trust->list, id);

	return entry ? entry->key : NULL;
}

enum trust_verdict trust_check(struct trust *trust, const struct server *server)
{
	struct trust_entry *entry = find(&trust->list, server->id);
	int order;

	if (server->by.state != SIGNED_RIGHT)
		return server->by.state == SIGNED_NOT ? TRUST_UNSIGNED : TRUST_WRONG;
	if (!entry)
		return enter(trust, server);
	if (memcmp(entry->key, server->by.key, sizeof entry->key) != 0)
		return TRUST_CHANGED;
	order = signed_compare(&server->by.number, &entry->number);
	if (order < 0)
		return TRUST_REPLAYED;
	if (order > 0) {
		entry->number = server->by.number;
		text_set(entry->name, sizeof entry->name, server->name);
		trust->dirty = true;
	}
	return TRUST_KNOWN;
}
