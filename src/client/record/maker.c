/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/maker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "process/pair.h"

#define FDS 2		/* of an answer: the file, its folder */
#define NAMES_MAX 100	/* recordings that may begin in the same second */
#define SERVED_MAX 4	/* requests in a turn */
#define WAIT_US 5000000 /* for an answer */
#define WAIT_TURN_MS 100
/* A recording has at least a second; a few may follow each other, as when a disk is full. */
#define FILES_BURST 60
#define FILES_PERIOD_US 1000000

struct request {
	uint64_t number; /* of the answer, too; 0: remove the last file, there is no answer */
	int64_t utc_s;
	int64_t until_us; /* CLOCK_MONOTONIC: nobody waits for the answer any more */
};

struct answer {
	uint64_t number;
	int32_t error; /* errno; 0: two descriptors come with it */
	char name[MAKER_NAME_MAX];
};

/* --- in the manager --- */

int maker_init(struct maker *maker)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*maker = (struct maker){.ours = pair[0], .childs = pair[1]};
	return 0;
}

void maker_finish(struct maker *maker)
{
	close(maker->ours);
	close(maker->childs);
}

/* A descriptor of the folder of all recordings, or -errno; -ESTALE: it is another one. */
static int open_dir(const struct maker_place *place)
{
	struct stat st;
	int fd = open(place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ESTALE : -errno;
	if (fstat(fd, &st) == 0 && st.st_dev == place->device && st.st_ino == place->inode)
		return fd;
	close(fd);
	return -ESTALE;
}

/* A descriptor of the server's folder, with its name; or as open_dir(). */
static int open_folder(const struct maker_place *place, char name[FOLDER_NAME_MAX])
{
	int dir = open_dir(place), fd;

	if (dir < 0)
		return dir;
	fd = folder_open(dir, place->name, place->id, name);
	close(dir);
	return fd;
}

/* The new file's name is left in name. A descriptor or -errno. */
static int create(int folder, int64_t utc_s, char name[RECORD_NAME_MAX])
{
	for (unsigned number = 1; number <= NAMES_MAX; number++) {
		int fd;

		record_name_write(name, utc_s, number);
		fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
		if (fd >= 0 || errno != EEXIST)
			return fd < 0 ? -errno : fd;
	}
	return -EEXIST;
}

static bool pay(struct maker *maker, int64_t now_us)
{
	if (maker->paid_us < now_us)
		maker->paid_us = now_us;
	if (maker->paid_us + FILES_PERIOD_US > now_us + (int64_t)FILES_BURST * FILES_PERIOD_US)
		return false;
	maker->paid_us += FILES_PERIOD_US;
	return true;
}

/* Makes a file: fds[FDS], and its name in maker->made. 0 or -errno. */
static int make(struct maker *maker, const struct maker_place *place, int64_t utc_s, int *fds)
{
	char folder[FOLDER_NAME_MAX], name[RECORD_NAME_MAX];

	fds[1] = open_folder(place, folder);
	if (fds[1] < 0)
		return fds[1];
	fds[0] = create(fds[1], utc_s, name);
	if (fds[0] < 0) {
		close(fds[1]);
		return fds[0];
	}
	(void)flock(fds[0], LOCK_EX | LOCK_NB); /* nobody deletes it now (store.h) */
	snprintf(maker->made, sizeof maker->made, "%s/%s", folder, name);
	return 0;
}

static void remove_last(struct maker *maker, const struct maker_place *place)
{
	const char *slash = strchr(maker->made, '/');
	char folder[FOLDER_NAME_MAX];
	int fd = slash ? open_folder(place, folder) : -ENOENT;

	if (fd < 0)
		return;
	*strchr(maker->made, '/') = '\0';
	if (strcmp(folder, maker->made) == 0)
		(void)unlinkat(fd, slash + 1, 0);
	close(fd);
	maker->made[0] = '\0';
}

/* The child that gets it may have ended, or may read nothing: nothing is lost but its file. */
static void send_answer(const struct maker *maker, struct answer *answer, const int *fds)
{
	(void)pair_send(maker->ours, answer, sizeof *answer, fds, answer->error == 0 ? FDS : 0);
}

static void serve(struct maker *maker, const struct maker_place *place,
		  const struct request *request, int64_t now_us)
{
	struct answer answer = {.number = request->number};
	int fds[FDS], err;

	if (request->number == 0) {
		remove_last(maker, place);
		return;
	}
	if (now_us > request->until_us)
		return;
	err = pay(maker, now_us) ? make(maker, place, request->utc_s, fds) : -EBUSY;
	if (err == 0)
		memcpy(answer.name, maker->made, sizeof answer.name);
	answer.error = -err;
	send_answer(maker, &answer, fds);
	for (int i = 0; i < FDS && err == 0; i++)
		close(fds[i]);
}

void maker_serve(struct maker *maker, const struct maker_place *place, int64_t now_us)
{
	struct request request;

	/* Descriptors that come with a message are dropped: there is no room for them. */
	for (int i = 0; i < SERVED_MAX; i++) {
		ssize_t n = recv(maker->ours, &request, sizeof request, MSG_DONTWAIT);

		if (n < 0)
			return;
		if (n == sizeof request)
			serve(maker, place, &request, now_us);
	}
}

/* --- in the child --- */

/* The answer with this number; others are of requests that were given up. */
static int take_answer(int pair, uint64_t number, struct maker_file *file)
{
	struct answer answer = {0};
	int fds[FDS];
	ssize_t n;

	while ((n = pair_receive(pair, &answer, sizeof answer, fds, FDS, MSG_DONTWAIT)) >= 0) {
		if (n == sizeof answer && answer.number == number) {
			if (answer.error)
				return -answer.error;
			file->fd = fds[0];
			file->folder = fds[1];
			memcpy(file->name, answer.name, sizeof file->name);
			return fds[0] < 0 ? -EMFILE : 0; /* our table is full */
		}
		for (int i = 0; i < FDS; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		if (n == 0)
			return -EPIPE;
	}
	return (int)n;
}

int maker_request(int pair, int64_t utc_s, struct maker_file *file, void (*wait)(void *user),
		  void *user)
{
	static uint64_t count;
	const uint64_t number = (uint64_t)getpid() << 32 | (++count & UINT32_MAX);
	const int64_t until_us = clock_now_us() + WAIT_US;
	const struct request request = {number, utc_s, until_us};
	struct pollfd pfd = {.fd = pair, .events = POLLIN};
	int err;

	if (send(pair, &request, sizeof request, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	do {
		wait(user);
		(void)poll(&pfd, 1, WAIT_TURN_MS);
		err = take_answer(pair, number, file);
	} while (err == -EAGAIN && clock_now_us() < until_us);
	return err == -EAGAIN ? -ETIMEDOUT : err;
}

void maker_remove(int pair)
{
	const struct request request = {0};

	(void)send(pair, &request, sizeof request, MSG_DONTWAIT | MSG_NOSIGNAL);
}
