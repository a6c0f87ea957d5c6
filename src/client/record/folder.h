/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The folders of servers in the folder of all recordings: DIR/SERVER. A server is its id, which
 * stands in a file `.camcast` in its folder; the name of the folder is for people. Everything in
 * DIR may have been put there by somebody else: folders are opened without following links, and
 * files only if they are regular. Any thread.
 */
#ifndef CLIENT_RECORD_FOLDER_H
#define CLIENT_RECORD_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#define FOLDER_NAME_MAX 256 /* bytes, terminator included */
#define FOLDER_ID_MAX 140   /* the same, of "ID" or "ID/STREAM" */

/* A server's name as the name of a folder on any file system: no separators, no control characters,
 * not hidden, none of Windows' devices (CON, NUL.x), at most 110 bytes of
 * whole UTF-8 characters. */
void folder_safe_name(const char *name, char folder[FOLDER_NAME_MAX]);

/*
 * Opens the folder of a server in dir, and makes it if it is not there: its name made safe or, if
 * another server has that or it is no folder, the same with "-" and its id, and then with a number.
 * Returns a descriptor, and in folder the name; or -errno.
 */
int folder_open(int dir, const char *name, const char *id, char folder[FOLDER_NAME_MAX]);

/* Opens the folder of that name in dir if it belongs to a server, whose id it then gives. Returns a
 * descriptor; -ENOENT: it is not there, or nobody's; or -errno. */
int folder_open_owned(int dir, const char *folder, char id[FOLDER_ID_MAX]);

/* Which servers had a folder when this was read. */
struct folder_owners {
	struct folder_owner {
		char folder[FOLDER_NAME_MAX], id[FOLDER_ID_MAX];
	} * owners; /* in the order of their ids */
	size_t n;
};

/* Reads all folders in dir, a path. 0 or -errno; *out is valid either way. */
int folder_owners_read(struct folder_owners *out, const char *dir);
void folder_owners_finish(struct folder_owners *owners);
bool folder_owners_have(const struct folder_owners *owners, const char *id);
/* The id that has the folder that a server with this name gets first; NULL: nobody. */
const char *folder_owners_of_name(const struct folder_owners *owners, const char *name);

#endif
