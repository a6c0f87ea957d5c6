/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The folder that all recordings go to: which file system it is on, which other process records
 * there, and whether recording was commanded. A folder on a stick or a share whose mount has gone
 * shows what is below it; nothing is written there. One thread.
 */
#ifndef CLIENT_RECORD_PLACE_H
#define CLIENT_RECORD_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

#include "client/record/file.h"

struct place {
	const char *dir;	     /* borrowed */
	char mount[RECORD_PATH_MAX]; /* where the file system of dir is mounted; "": the root's */
	dev_t device;
	ino_t inode; /* of dir */
	int lock;    /* held while recordings are made; -1: none */
};

#define PLACE_WHY_MAX 1024

/* Makes dir if it is not there and its parent is, and takes it for this process. 0; -errno, and
 * then why says what is wrong and what to do; -EBUSY: another process records there. */
int place_open(struct place *place, const char *dir, char why[PLACE_WHY_MAX]);
void place_close(struct place *place);

/* Whether dir is what it was when it was opened. 0; 1: it is another folder or file system, which
 * can be opened; -ENODEV: its file system is not mounted; -errno: it cannot be looked at. */
int place_check(const struct place *place);

/* The last recording command that was kept in dir: 1 start, -1 stop, 0 none. */
int place_read_command(const struct place *place);
/* Keeps it for the next start. 0 or -errno. */
int place_write_command(const struct place *place, bool start);

#endif
