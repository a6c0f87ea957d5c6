/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of hosts to addresses, for a thread that polls. getaddrinfo(3) blocks for as long as name
 * servers take, so a thread of its own calls it. That thread is left behind when the answer is no
 * longer wanted.
 */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include <stdbool.h>

#define RESOLVE_MAX 16	    /* addresses of a name; further ones are left out */
#define RESOLVE_TEXT_MAX 64 /* "fe80::1234:5678:9abc:def0%eth0", terminator included */

struct resolve;

struct resolve_list {
	unsigned n;				  /* at least 1 */
	char text[RESOLVE_MAX][RESOLVE_TEXT_MAX]; /* as inet_ntop(3) writes them; in the order in
						     which they are to be tried (RFC 6724) */
};

/* True if host is an address; *list is then that one. Does not block. Any thread. */
bool resolve_address(struct resolve_list *list, const char *host);

/* Begins to look up host, which is copied. 0; -ENOMEM, or -errno of a descriptor or thread that
 * cannot be had. The functions below are for the thread that called this. */
int resolve_start(struct resolve **out, const char *host);
/* Readable once there is an answer. Owned by resolve. */
int resolve_fd(const struct resolve *resolve);
/* 0 and *list; -EAGAIN: no answer yet; or -EADDRNOTAVAIL, and *why is the reason (a static text).
 */
int resolve_take(struct resolve *resolve, struct resolve_list *list, const char **why);
/* Also without an answer; does not wait. NULL is fine. */
void resolve_destroy(struct resolve *resolve);

/* Whether a thread still waits for name servers. A process that ends then must not run what
 * libraries do at exit(): the thread may be within them. Any thread. */
bool resolve_is_running(void);

#endif
