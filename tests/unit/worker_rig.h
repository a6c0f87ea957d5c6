/* SPDX-License-Identifier: BSD-2-Clause */
/* A loop, a configuration of two cameras, and its feeds: what the tests of workers, status and
 * listeners begin with. */
#ifndef TESTS_UNIT_WORKER_RIG_H
#define TESTS_UNIT_WORKER_RIG_H

#include "daemon/cameras.h"
#include "daemon/fdreserve.h"

/* Streams and outputs have one order. Within their cameras, the first two have these numbers too,
 * and the third is number 0. */
/* Numbers of the streams of the camera "front", and how many streams there are. */
enum { STREAM_FH, STREAM_FJ, RIG_STREAMS = 3 };
/* Indices in struct cameras of the feeds that have addresses; the first two are also their numbers
 * in the camera "front". */
enum { FRONT_H264 = 0, FRONT_JPEG = 7, BACK_H264 = 12, RIG_FEEDS = 19 };
enum { FRONT, BACK, RIG_CAMERAS };

struct rig {
	struct config *config;
	struct loop *loop;
	struct fdreserve *reserve;
	struct cameras *cameras; /* without workers */
	struct admission *admission;
	struct server *server;
	struct feed_demand demand; /* of all feeds, unless the test gives another */
	unsigned idrs;		   /* that the feeds asked for */
};

/* daemon: more lines for [daemon]. demands: by output, or NULL for the rig's own. */
void rig_open(struct rig *rig, const char *daemon);
void rig_create_feeds(struct rig *rig, struct feed_demand *const *demands);
void rig_destroy_feeds(struct rig *rig);
/* Listens for all feeds. */
void rig_listen(struct rig *rig);
/* Destroys the feeds too. */
void rig_close(struct rig *rig);
struct feed *rig_feed(const struct rig *rig, unsigned output);
/* Runs the loop until done(user); fails the test after ten seconds. */
void rig_run_until(struct rig *rig, bool (*done)(void *user), void *user);

/* A sealed memfd of that size. */
int rig_segment(int64_t size, int seals);

#endif
