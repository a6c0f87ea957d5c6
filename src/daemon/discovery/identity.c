/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/discovery/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/state_folder.h"

#define START_DIGITS 20 /* of a number in IDENTITY_START_FILE, which has one length for ever */
#define LOCK_TRIES 100
#define LOCK_PAUSE_MS 20

static int explain(char why[IDENTITY_WHY_MAX], const char *path, int err)
{
	snprintf(why, IDENTITY_WHY_MAX, "%.400s: %s", path, strerror(-err));
	return err;
}

/* Writes a new file as a whole: another process that makes one at the same time has its own, and
 * the first of them stays. */
static int write_key(const char *path, const char *text)
{
	char temporary[PATH_MAX];
	int fd, err = 0;

	if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = mkostemp(temporary, O_CLOEXEC); /* 0600 */
	if (fd < 0)
		return -errno;
	errno = 0;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fsync(fd) < 0)
		err = errno ? -errno : -EIO;
	close(fd);
	if (err == 0 && link(temporary, path) < 0 && errno != EEXIST)
		err = -errno;
	unlink(temporary);
	return err;
}

static int make_key(const char *path)
{
	char hex[SIGNED_HEX_MAX + 1];
	uint8_t seed[SIGNED_KEY_BYTES];
	int err = -EIO;

	if (RAND_priv_bytes(seed, sizeof seed) == 1) {
		signed_key_text(hex, seed);
		strcat(hex, "\n");
		err = write_key(path, hex);
	}
	OPENSSL_cleanse(seed, sizeof seed);
	OPENSSL_cleanse(hex, sizeof hex);
	return err;
}

static int read_key(struct identity *identity, const char *path, char why[IDENTITY_WHY_MAX])
{
	char hex[SIGNED_HEX_MAX];
	uint8_t seed[SIGNED_KEY_BYTES];
	int err = secret_read(path, hex, sizeof hex, why);

	if (err < 0)
		return err;
	if (strlen(hex) == SIGNED_HEX_MAX - 1 && signed_key_parse(seed, hex, strlen(hex))) {
		err = signer_create(&identity->signer, seed);
		if (err < 0)
			explain(why, "Ed25519", err);
	} else {
		err = -EINVAL;
		snprintf(why, IDENTITY_WHY_MAX,
			 "%.400s: this is no key; without it, a new one "
			 "is made",
			 path);
	}
	OPENSSL_cleanse(seed, sizeof seed);
	OPENSSL_cleanse(hex, sizeof hex);
	return err;
}

/* Another camcastd holds it for as long as the disk takes to write a line. */
static int lock(int fd)
{
	for (unsigned i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK || i == LOCK_TRIES)
			return -errno;
		poll(NULL, 0, LOCK_PAUSE_MS);
	}
	return 0;
}

/* Greater than all before, as far as the file or the clock knows. */
static int count_start(uint64_t *start, int fd)
{
	const int64_t clock_s = (int64_t)time(NULL);
	char text[START_DIGITS + 2] = "";
	struct stat stat;
	int err = lock(fd);
	uint64_t last;

	if (err < 0)
		return err;
	if (fstat(fd, &stat) < 0)
		return -errno;
	if (!S_ISREG(stat.st_mode))
		return -EINVAL;
	if (pread(fd, text, START_DIGITS, 0) < 0)
		return -errno;
	last = strtoull(text, NULL, 10);
	/* What damage has made of it would leave no room for later ones. */
	if (last > SIGNED_NUMBER_MAX / 2)
		last = 0;
	*start = clock_s > 0 && (uint64_t)clock_s > last ? (uint64_t)clock_s : last + 1;
	snprintf(text, sizeof text, "%0*" PRIu64 "\n", START_DIGITS, *start);
	errno = 0;
	if (pwrite(fd, text, START_DIGITS + 1, 0) != START_DIGITS + 1 || fsync(fd) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

static int take_start(uint64_t *start, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600), err;

	if (fd < 0)
		return -errno;
	err = count_start(start, fd);
	close(fd);
	return err;
}

int identity_open(struct identity *out, const char *folder, char why[IDENTITY_WHY_MAX])
{
	char key[PATH_MAX + 32], start[PATH_MAX + 32];
	int err = state_folder_make(folder);

	memset(out, 0, sizeof *out);
	if (err < 0)
		return explain(why, folder, err);
	snprintf(key, sizeof key, "%s/" IDENTITY_KEY_FILE, folder);
	snprintf(start, sizeof start, "%s/" IDENTITY_START_FILE, folder);
	if (access(key, F_OK) < 0 && errno == ENOENT) {
		err = make_key(key);
		if (err < 0)
			return explain(why, key, err);
	}
	err = read_key(out, key, why);
	if (err < 0)
		return err;
	err = take_start(&out->start, start);
	if (err < 0) {
		identity_close(out);
		return explain(why, start, err);
	}
	return 0;
}

void identity_close(struct identity *identity)
{
	signer_destroy(identity->signer);
	memset(identity, 0, sizeof *identity);
}
