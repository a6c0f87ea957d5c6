/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading a configuration again, with the files that it names, on a thread of its own: files and
 * names may be slow, and a password that is there in clear is hashed. Loop thread only.
 */
#ifndef DAEMON_PREPARE_H
#define DAEMON_PREPARE_H

#include "daemon/auth/access.h"
#include "daemon/loop/loop.h"

#define PREPARE_WHY_MAX 640 /* bytes of a text, terminator included */

struct listen_hosts;
struct tls_context;
struct preparation;

/* What was read. Whoever takes a member sets it to NULL. */
struct prepared {
	struct config *config; /* NULL: it cannot be used, and `why` has the first reason */
	char *text;	       /* its len bytes of text */
	size_t len;
	struct access_next *access;
	struct tls_context *tls;    /* NULL: nothing in it speaks TLS */
	struct listen_hosts *hosts; /* of all addresses to listen on */
	char why[PREPARE_WHY_MAX];
};

/* Begins. done() is called from the loop, once, with what it may take things of; mistakes are in
 * the log then. After done() the preparation is to be ended. path and access are borrowed. 0 or
 * -errno. */
int preparation_begin(struct preparation **out, struct loop *loop, const char *path,
		      const struct access *access,
		      void (*done)(void *user, struct prepared *prepared), void *user);
/* done() is not called any more, and the thread ends as soon as it can. Does not wait for it. */
void preparation_cancel(struct preparation *preparation);
/* Waits for the thread; done() is not called any more. Frees what was not taken. NULL is allowed.
 */
void preparation_end(struct preparation *preparation);

#endif
