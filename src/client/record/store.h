/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recordings on disk, DIR/SERVER/20261122T204300Z.mp4, and which of them are deleted. A folder is
 * ours by its marker (folder.h), and a file by its name, in a folder of ours. Nothing else is ever
 * touched, and no link is followed. A file being written is locked (flock) by its writer.
 */
#ifndef CLIENT_RECORD_STORE_H
#define CLIENT_RECORD_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_limits {
	int64_t max_bytes; /* of all servers' recordings together; 0: no limit */
	int64_t max_age_s; /* counted from the start of a recording; 0: no limit */
};

#define STORE_EARLIEST_S 1735689600 /* 2025: no clock before it is right */

/* UTC, seconds since 1970, and how far it can be relied on. */
struct store_clock {
	int64_t now_s;
	/* Ages count. A name in the future, or before STORE_EARLIEST_S, is wrong then, and the
	 * recording ages from when it was seen: that moment becomes its time of modification. */
	bool trusted;
	/* While now_s is not trusted: recordings with names from here to now_s are newer than all
	 * others. */
	int64_t since_s;
};

struct store_usage {
	int64_t bytes; /* that are left */
	unsigned files;
	unsigned deleted;
};

/* Deletes recordings in dir until the limits are kept, but none that is being written, and none by
 * its age while the clock is not trusted. Each folder has an equal share of max_bytes: the oldest
 * recording of the folder that has most goes first, and no folder within its share loses one, so
 * that one server cannot take the space of the others. 0, or -errno if dir could not be read or
 * what should go could not be deleted; usage is as far as it got. Takes time with the number of
 * files: about 1 us each. */
int store_keep_limits(const char *dir, const struct store_limits *limits,
		      const struct store_clock *clock, struct store_usage *usage);

/* Recordings, by their names. One thread. */
struct store_list;

/* An empty list, or NULL without memory. */
struct store_list *store_list_create(void);
/* Those that are in dir now, with names from from_s on. 0 or -errno. */
int store_list(struct store_list **out, const char *dir, int64_t from_s);
void store_list_destroy(struct store_list *list);

/* Adds those of `from` with names up to to_s that are not in `except` (NULL: none). 0 or -ENOMEM,
 * and then some are added. */
int store_list_add(struct store_list *list, const struct store_list *from, int64_t to_s,
		   const struct store_list *except);
/* All of the list are to get names later by shift_s. Returns how many are to get another name. */
size_t store_list_shift(struct store_list *list, int64_t shift_s);
/* Forgets those that have the name that they are to have. */
void store_list_settle(struct store_list *list);

/* Gives recordings in dir the names that they are to get, and says so in their headers (head.h).
 * *waiting: how many still wait, because they are being written or of an error. Returns how many
 * have other names now, or -errno. */
int store_rename(const char *dir, struct store_list *list, size_t *waiting);

#endif
