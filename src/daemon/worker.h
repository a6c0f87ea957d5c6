/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One camera's capture worker: started, listened to, checked, killed and started again. It owns the
 * camera's feeds' way in (feed_add_segment, feed_add_unit) and their demand (IDR, wanted or not).
 * Loop thread only.
 */
#ifndef WORKER_H
#define WORKER_H

#include <sys/types.h>

#include "camcast/worker.h"
#include "daemon/feed.h"

struct worker;

struct worker_options {
	const struct config *config; /* borrowed */
	unsigned camera;	     /* index */
	const char *program;	     /* path of camcast-capture, borrowed */
	int config_fd;	     /* memfd with the configuration's text; borrowed; the child gets it as
				/dev/fd/4 */
	struct feed **feeds; /* by feed index of the configuration; those of other cameras are not
				touched */
};

enum worker_state { WORKER_STARTING, WORKER_RUNNING, WORKER_BACKOFF, WORKER_STOPPED };

struct worker_status {
	enum worker_state state;
	pid_t pid; /* 0: none */
	uint64_t restarts;
	int64_t retry_at_us; /* in WORKER_BACKOFF */
	char reason[256];    /* why it is not running, or why it last ended; "" */
	struct camcast_msg_heartbeat heartbeat; /* the last one; zeroed before */
};

/* Starts the worker. Returns 0 or -errno; that the program cannot be started is no error here: it
 * is retried. */
int worker_create(struct worker **out, struct loop *loop, const struct worker_options *options);
/* Asks it to stop by closing the pair, kills it after a second; never waits for it longer. */
void worker_destroy(struct worker *worker);
struct feed_demand *worker_feed_demand(struct worker *worker, unsigned feed);

const struct worker_status *worker_status(const struct worker *worker);
/* The last STREAM message of a stream of this camera; zeroed before the first. */
const struct camcast_msg_stream *worker_stream_status(const struct worker *worker, unsigned stream);

void worker_request_idr(struct worker *worker,
			unsigned stream); /* at most one a second and stream is passed on */
void worker_set_bitrate(struct worker *worker, unsigned stream, uint32_t bitrate_bps);
void worker_set_control(struct worker *worker, const char *name, const char *value);
void worker_restart(struct worker *worker, const char *why);

#endif
