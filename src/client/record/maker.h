/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files for a child that may open none: the manager makes each recording, in the folder of the
 * child's server (folder.h), and passes the open file. The child, which reads what strangers send,
 * can therefore reach no other server's recordings, and no older one of its own.
 *
 * Requests and answers are messages on a SOCK_SEQPACKET pair. The manager is one thread and never
 * waits for a child; a child waits for the manager.
 */
#ifndef CLIENT_RECORD_MAKER_H
#define CLIENT_RECORD_MAKER_H

#include <stdint.h>
#include <sys/types.h>

#include "client/record/folder.h"
#include "client/record/time.h"

#define MAKER_NAME_MAX (FOLDER_NAME_MAX + RECORD_NAME_MAX) /* of "FOLDER/FILE" */

/* --- in the manager --- */

struct maker {
	int ours, childs;	   /* the pair; the child's end is kept for its restarts */
	char made[MAKER_NAME_MAX]; /* the last file; "": none */
	int64_t paid_us;	   /* files are made up to a burst ahead of now */
};

/* Where files are made; borrowed. */
struct maker_place {
	const char *dir; /* of all recordings */
	dev_t device;	 /* of dir, and its inode: what a path means may change */
	ino_t inode;
	const char *name, *id; /* of the server */
};

/* 0 or -errno. */
int maker_init(struct maker *maker);
void maker_finish(struct maker *maker);
/* Answers the requests that there are, a few at most. Call it when maker->ours is readable.
 * now_us: CLOCK_MONOTONIC. */
void maker_serve(struct maker *maker, const struct maker_place *place, int64_t now_us);

/* --- in the child --- */

struct maker_file {
	int fd, folder; /* the file, for reading and writing; its folder, for fdatasync() */
	char name[MAKER_NAME_MAX]; /* "FOLDER/FILE", below the folder of all recordings */
};

/* Asks for a new file with the name of this second (UTC), which is empty and locked (flock). pair:
 * the child's end. `wait` is called while it waits, every 100 ms. 0; -ENOSPC, -EDQUOT: no room;
 * -ESTALE: the folder of all recordings is gone, or is another one by now, as when its file system
 * is not mounted any more; -ETIMEDOUT: the manager does not answer; or -errno. */
int maker_request(int pair, int64_t utc_s, struct maker_file *file, void (*wait)(void *user),
		  void *user);
/* Removes the file that was made last, as nothing could be written to it. */
void maker_remove(int pair);

#endif
