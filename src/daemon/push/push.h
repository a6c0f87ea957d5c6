/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Streams that are pushed to servers elsewhere (the key `push`). For each destination one process,
 * camcast-push, is kept running. It is a viewer of the stream's feed `mp4` like any other: a
 * connection over a socket pair, with a cursor, to which the rules for slow viewers apply. What it
 * says comes back over the same pair (include/camcast/push.h), and is not trusted. Loop thread
 * only.
 */
#ifndef DAEMON_PUSH_PUSH_H
#define DAEMON_PUSH_PUSH_H

#include <sys/types.h>

#include "camcast/push.h"
#include "daemon/cameras.h"
#include "net/push_url.h"

struct pushes;

struct pushes_options {
	struct loop *loop;
	const struct cameras *cameras; /* with feeds; borrowed, as everything here */
	struct server *server;
	struct fdreserve *reserve;
	const char *program; /* path of camcast-push */
	bool verbose;	     /* the processes get -v */
	bool no_sandbox;     /* and --no-sandbox */
};

enum push_state {
	PUSH_WAITING,	 /* for the next attempt, at retry_at_us */
	PUSH_CONNECTING, /* or for a first picture */
	PUSH_LIVE,
	PUSH_STATES
};

#define PUSH_NAME_MAX (CONFIG_STREAM_NAME_MAX + 4) /* "front/1" */

struct push_status {
	const struct stream *stream;
	char name[PUSH_NAME_MAX];     /* of the stream, and the number of the URL, from 1 */
	char url[PUSH_URL_SHOWN_MAX]; /* redacted */
	enum push_state state;
	int64_t since_us;    /* of the state, on the loop's clock */
	int64_t retry_at_us; /* in PUSH_WAITING */
	pid_t pid;	     /* 0: none */
	uint64_t restarts;
	uint64_t units, bytes; /* sent since camcastd started */
	char error[256];       /* why the last attempt ended; "" */
};

/* One for each URL of each stream; nothing is started. 0 or -errno. */
int pushes_create(struct pushes **out, const struct pushes_options *options);
/* From now on the streams are wanted, and their processes run. */
void pushes_start(struct pushes *pushes);
/* The cameras have another configuration: starts what is new in it, and stops what is gone. */
void pushes_renew(struct pushes *pushes);
/* Starts none any more; a process ends when its connection does. Before feeds are destroyed. NULL
 * is allowed, as below. */
void pushes_stop(struct pushes *pushes);
/* Waits for the end of all processes, at most until they are killed, three seconds after
 * pushes_stop(). Their connections have been closed. */
void pushes_finish(struct pushes *pushes);
/* Frees the memory; after loop_destroy(). */
void pushes_destroy(struct pushes *pushes);

size_t pushes_count(const struct pushes *pushes);
/* Of the i-th in the order of the configuration; kept up to date. */
const struct push_status *pushes_status(const struct pushes *pushes, size_t i);
const char *push_state_name(enum push_state state); /* "waiting"... */
/* Of pushes_status(): units that were left out because the server took them too slowly. */
uint64_t push_dropped(const struct push_status *status);

/* "STREAM/1" for the first URL of a stream. Any thread, as the next one. */
void push_name(char name[PUSH_NAME_MAX], const struct config_stream *stream, unsigned number);
/* URLs of the whole configuration. */
size_t pushes_configured(const struct config *config);

#endif
