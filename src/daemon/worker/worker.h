/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The supervisor of one camera's capture worker: starts, reads, kills and restarts it. messages.c
 * checks its messages and passes them to the camera's feeds; demand.c stores the demands of the
 * feeds (wanted feeds, IDRs). Loop thread only.
 */
#ifndef DAEMON_WORKER_WORKER_H
#define DAEMON_WORKER_WORKER_H

#include <sys/types.h>

#include "camcast/worker.h"
#include "daemon/cameras.h"
#include "daemon/fdreserve.h"

struct worker;

struct worker_options {
	const struct camera *camera; /* borrowed; its feeds may be made after worker_create() */
	const char *program;	     /* path of camcast-capture, borrowed */
	/* Of the whole configuration, borrowed during worker_create(). The process gets the part
	 * that concerns its camera (config_excerpt()) as /dev/fd/4, and no other file. */
	const char *config_text;
	size_t config_len;
	struct fdreserve *reserve; /* borrowed */
	bool verbose;		   /* the process gets -v */
	bool no_sandbox;	   /* and --no-sandbox */
};

enum worker_state {
	WORKER_STARTING, /* no HELLO yet */
	WORKER_RUNNING,
	WORKER_BACKOFF, /* will be started again at retry_at_us */
	WORKER_STOPPED,
	WORKER_STATES
};

struct worker_status {
	enum worker_state state;
	pid_t pid; /* 0: none */
	uint64_t restarts;
	int64_t retry_at_us;  /* in WORKER_BACKOFF */
	int64_t frames_at_us; /* when `frames` in a heartbeat last grew; 0: never */
	int64_t due_us;	      /* a recording has no picture up to then, on purpose; 0: not known */
	unsigned undead;      /* processes that were killed and have not ended yet */
	char reason[256];     /* why it is not running, or why it last ended; "" */
	char sandbox[128];    /* as its HELLO says; "" before */
	struct camcast_msg_heartbeat heartbeat; /* the last one; zeroed before */
	/* By stream: its last STREAM message, zeroed before the first. */
	const struct camcast_msg_stream *streams;
	/* By stream: since when any of its feeds has been wanted, on the loop's clock;
	 * 0: none is. */
	const int64_t *wanted_us;
};

/* All functions below identify streams and feeds by their number within the camera. */

/* Creates a worker without starting it. 0 or -errno. */
int worker_create(struct worker **out, struct loop *loop, const struct worker_options *options);
/* Starts the process. If it cannot be started, the start is retried. */
void worker_start(struct worker *worker);
/* Asks the process to stop, by closing the pair. It is not started again. */
void worker_stop(struct worker *worker);
/* After worker_stop(): whether another one may have its device. The process has ended, or was
 * killed, which it may outlive for as long as a driver holds it. */
bool worker_is_over(const struct worker *worker);
/* After worker_stop(): whether the process has ended, so that worker_destroy() does not wait. */
bool worker_has_ended(struct worker *worker);
/* The configuration of its camera is another one, though not for the process: other feeds may be
 * written all the time. */
void worker_renew(struct worker *worker);
/* Stops the process, and waits at most until it is killed, one second after worker_stop(). */
void worker_destroy(struct worker *worker);

/* The demand to give to feed_create(); lives as long as the worker. */
struct feed_demand *worker_feed_demand(struct worker *worker, unsigned feed);

/* Lives as long as the worker, and is kept up to date. */
const struct worker_status *worker_status(const struct worker *worker);
const char *worker_state_name(enum worker_state state); /* "starting"... */
/* Of an enum camcast_camera_state as the worker sent it. */
const char *worker_camera_state_name(uint32_t state);

void worker_set_bitrate(struct worker *worker, unsigned stream, uint32_t bitrate_bps);
/* Sets a control of the camera, now and after each restart. 0, -EMSGSIZE (too long for a message),
 * -ENOSPC (too many were set) or -ENOMEM. Whether the camera takes the value is in the log. */
int worker_set_control(struct worker *worker, const char *name, const char *value);
/* The value that was set last; NULL: none was. */
const char *worker_control(const struct worker *worker, const char *name);
void worker_restart(struct worker *worker, const char *why);
/* Restarts it because somebody outside asks for that: now and without a backoff, which is for
 * crashes. -EBUSY: the last such restart was less than a minute ago. */
int worker_restart_asked(struct worker *worker, const char *why);
/* Call it when the cause of a failure may be gone: a worker in WORKER_BACKOFF is started now, and
 * the next backoff is the shortest. */
void worker_hurry(struct worker *worker);

#endif
