/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One recording on disk: made under its name with its first bytes, grown by whole pieces only,
 * locked while it is written. A separate thread brings written pieces to the disk, so that a slow
 * disk holds up nothing else. All other work is of one thread.
 */
#ifndef CLIENT_RECORD_FILE_H
#define CLIENT_RECORD_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RECORD_PATH_MAX 4096

struct record_sync;

int record_sync_create(struct record_sync **out);
/* After all that was handed to it is on disk. */
void record_sync_destroy(struct record_sync *sync);

/* Where one server's recordings go. */
struct record_folder {
	const char *dir;	      /* of all recordings; borrowed */
	int maker;		      /* the child's end (maker.h) */
	int64_t file_max;	      /* bytes of a file; 0: no limit of ours */
	void (*progress)(void *user); /* called for each MiB that was written */
	void *user;
};

struct record_file {
	char path[RECORD_PATH_MAX];
	int64_t bytes;
	int64_t limit; /* bytes that a file can have here, as far as it is known in advance */
	int fd;
	const struct record_folder *folder; /* borrowed, as the next one is */
	struct record_sync *sync;
};

/* Has YYYYMMDDTHHMMSSZ.mp4 made in the server's folder, and writes these first bytes. 0, or -errno,
 * and then there is no such file: those of maker_request() and of write(). */
int record_file_open(struct record_file *file, struct record_sync *sync,
		     const struct record_folder *folder, int64_t utc_s, const void *data,
		     size_t len);

/* Adds all of it, or nothing and -errno; -EFBIG: the file is as long as a file can be here
 * (SIGXFSZ has to be ignored). */
int record_file_append(struct record_file *file, const void *data, size_t len);

/* Cuts it to its first bytes, with which a fragment ends. 0 or -errno. */
int record_file_cut(struct record_file *file, int64_t bytes);

/* Whether so many bytes more may be too many for a file: -EFBIG is to be expected. */
bool record_file_is_near_limit(const struct record_file *file, int64_t bytes);

/* Writes the duration into the file's header, and closes it. */
void record_file_close(struct record_file *file, int64_t duration_us);

#endif
