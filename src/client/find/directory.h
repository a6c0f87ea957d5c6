/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is there, by what was heard: announcements, which the broker keeps and takes back by the last
 * will, and answers to requests, which prove only that somebody was there a moment ago. Nothing in
 * here talks to anybody. One thread at a time.
 *
 * Payloads are anybody's: what is malformed, or speaks for another id than its topic, is ignored.
 */
#ifndef CLIENT_FIND_DIRECTORY_H
#define CLIENT_FIND_DIRECTORY_H

#include "client/find/server.h"

struct directory {
	struct directory_entry **entries;
	size_t n, room;
};

void directory_finish(struct directory *directory); /* a zeroed one is empty */

/* A message on camcast/ID/info or camcast/ID/status. Returns whether the list has changed. */
bool directory_announcement(struct directory *directory, const char *topic, const char *payload,
			    size_t len, int64_t now_us);
/* An answer to our request: a server's info. Proof of life, also against an earlier "offline". */
bool directory_answer(struct directory *directory, const char *payload, size_t len, int64_t now_us);

/* At a new connection to the broker: what is not heard again until directory_drop_unconfirmed()
 * was taken back in the meantime. */
void directory_unconfirm(struct directory *directory);
bool directory_drop_unconfirmed(struct directory *directory);

/* Servers that have announced no status, and have not answered since before_us, are offline. */
bool directory_expire(struct directory *directory, int64_t before_us);

/* A copy of the list, sorted by name (server_compare_names()) then id; free() it. Those that have left are in it with
 * `online` false. 0 or -ENOMEM. */
int directory_copy(const struct directory *directory, struct server **list, size_t *n);

#endif
