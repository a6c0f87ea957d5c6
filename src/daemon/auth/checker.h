/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks passwords against their hashes (crypt(5)) on a thread of its own, since a check takes
 * milliseconds by design. The queue has CHECKER_JOBS places; neither thread waits for the other.
 * Loop thread only, except for that thread itself.
 */
#ifndef DAEMON_AUTH_CHECKER_H
#define DAEMON_AUTH_CHECKER_H

#include "daemon/loop/loop.h"

#define CHECKER_JOBS 16
#define CHECKER_HASH_MAX 384 /* bytes of a hash, terminator included (crypt(3)) */

struct checker;

/* done() is called on the loop thread, for each job once, in the order in which they were put in;
 * right: the password fits the hash. 0 or -errno. */
int checker_create(struct checker **out, struct loop *loop, void (*done)(void *user, bool right),
		   void *user);
/* Waits for a check that is running. done() is not called any more. NULL is allowed. */
void checker_destroy(struct checker *checker);

/* Both are copied. False: the queue is full. */
bool checker_put(struct checker *checker, const char *password, const char *hash);

#endif
