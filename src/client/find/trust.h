/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Servers that are trusted, in a file that people can read (docs/SECURITY.md): whoever signs with a
 * key an id that the file does not have is entered, and from then on that id belongs to that key.
 * Each line is one server,
 *
 *	ID ed25519 KEY START.COUNT NAME
 *
 * where START.COUNT is the number of the newest announcement that was seen; NAME is for the reader.
 * Lines that begin with # are comments, and are not kept. Several processes may use one file: it is
 * locked while it changes, and replaced as a whole. A line that somebody deletes is forgotten here,
 * too, within seconds.
 *
 * One thread at a time. trust_check() reads and writes memory only.
 */
#ifndef CLIENT_FIND_TRUST_H
#define CLIENT_FIND_TRUST_H

#include "client/find/server.h"

#define TRUST_WHY_MAX 512
#define TRUST_FILE_MAX (1u << 20) /* bytes */
#define TRUST_MAX SERVERS_MAX	  /* servers in a file */

enum trust_verdict {
	TRUST_KNOWN,
	TRUST_NEW, /* entered just now */
	/* From here on it is not to be listened to. */
	TRUST_UNSIGNED,
	TRUST_WRONG,	/* the signature is not that of the text */
	TRUST_CHANGED,	/* the id belongs to another key */
	TRUST_REPLAYED, /* an earlier announcement than one that was seen */
	TRUST_UNKNOWN,	/* not in the file, and no new ones are wanted */
	TRUST_FULL,	/* the file has no room for another server */
	TRUST_VERDICTS
};

struct trust_entry {
	char id[72], name[256]; /* name: text_clean(), perhaps "" */
	uint8_t key[SIGNED_KEY_BYTES];
	struct signed_number number;
	bool saved; /* it stood in the file */
};

struct trust_list {
	struct trust_entry *entries;
	size_t n, room;
};

/* Parses a file's text (hostile: bounds). 0; -ENOMEM; or -EINVAL, with the number of the first line
 * that is none in *line. A zeroed list is empty; after an error, too. */
int trust_list_parse(struct trust_list *out, const char *text, size_t len, unsigned *line);
void trust_list_finish(struct trust_list *list);

struct trust;

/* Reads the file, which is made if it is not there. no_new: who does not stand in it is refused,
 * and it need not be writable. path is copied. 0, or -errno with a phrase in why. */
int trust_open(struct trust **out, const char *path, bool no_new, char why[TRUST_WHY_MAX]);
/* Writes what is new. NULL is fine. */
void trust_close(struct trust *trust);

enum trust_verdict trust_check(struct trust *trust, const struct server *server);
/* The key to which an id belongs; NULL: to none. Borrowed until the next call. */
const uint8_t *trust_key(const struct trust *trust, const char *id);

/* Writes what is new, and reads what others have changed, at most once a second. Waits for the
 * disk. What fails is logged, and tried again. */
void trust_turn(struct trust *trust, int64_t now_us);

#endif
