/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The list of servers, made from announcements, which the broker keeps and the last will ends, and
 * from answers to requests, which prove only that a server was there a moment ago. Nothing in here
 * sends anything. One thread at a time.
 *
 * Anybody may send a payload: one that is malformed, or that names another id than its topic, is
 * ignored. Anybody may also announce an id that is taken. A server therefore is its id and the
 * addresses of its streams. While the owner reports that it receives data from one of these
 * addresses (directory_confirm()), an info that names other addresses does not change the list.
 * The newest such info is kept, and is accepted once the address has been silent for a time
 * (directory_let_move()), unless the server itself has been heard since.
 *
 * With `trusted`, an info must be one of a server that is trusted (client/find/trust.h). Status
 * messages have no signature, and an empty info has none: then an empty info takes nothing back,
 * and "offline" does not count against an answer.
 */
#ifndef CLIENT_FIND_DIRECTORY_H
#define CLIENT_FIND_DIRECTORY_H

#include "client/find/server.h"

struct directory {
	struct directory_entry **entries;
	size_t n, room;
	/* Called with each info that is not accepted because the listed server answers elsewhere;
	 * NULL: nobody is interested. Both are borrowed for the call. */
	void (*refused)(void *user, const struct server *listed, const struct server *claim);
	/* Whether an info may change the list; NULL: each may. Borrowed for the call. */
	bool (*trusted)(void *user, const struct server *info);
	void *user;
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

/* The owner received data at now_us from a stream with this URL, as target_url() writes it.
 * Every server in the list with that URL answers at its listed address. */
void directory_confirm(struct directory *directory, const char *url, int64_t now_us);
/* Servers that directory_confirm() has not reported since before_us may have other addresses.
 * Returns whether the list has changed. */
bool directory_let_move(struct directory *directory, int64_t before_us);

/* A copy of the list, sorted by name (server_compare_names()) then id; free() it. Servers that have
 * left are in it with `online` false. 0 or -ENOMEM. */
int directory_copy(const struct directory *directory, struct server **list, size_t *n);

#endif
