/* SPDX-License-Identifier: BSD-2-Clause */
/* A loop, a configuration of two cameras, and its feeds: what the tests of workers, status and
 * listeners begin with. */
#ifndef TESTS_UNIT_WORKER_RIG_H
#define TESTS_UNIT_WORKER_RIG_H

#include "daemon/log/feed.h"
#include "daemon/worker/fdreserve.h"

enum { FRONT_H264, FRONT_JPEG, BACK_H264, RIG_FEEDS }; /* streams and feeds have one order */

struct rig {
	struct config *config;
	struct loop *loop;
	struct fdreserve *reserve;
	struct feed *feeds[RIG_FEEDS];
	char *names[RIG_FEEDS];
	struct feed_demand demand; /* of all feeds, unless the test gives another */
	unsigned idrs;		   /* that the feeds asked for */
};

/* daemon: more lines for [daemon]. demands: by feed, or NULL for the rig's own. */
void rig_open(struct rig *rig, const char *daemon);
void rig_create_feeds(struct rig *rig, struct feed_demand *const *demands);
void rig_close(struct rig *rig);
/* Runs the loop until done(user); fails the test after ten seconds. */
void rig_run_until(struct rig *rig, bool (*done)(void *user), void *user);

/* A sealed memfd of that size. */
int rig_segment(int64_t size, int seals);
/* How many fds this process has open. */
unsigned rig_open_fds(void);

#endif
