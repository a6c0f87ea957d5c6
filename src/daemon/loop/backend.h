/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between loop.c, which holds what both backends share (timers, sending, reading input, lists
 * of what is to be done), and the backends, which hold what differs: how to wait, and how to be
 * told. Loop thread only.
 */
#ifndef DAEMON_LOOP_BACKEND_H
#define DAEMON_LOOP_BACKEND_H

#include <errno.h>

#include "daemon/loop/loop.h"
#include "daemon/loop/pagetee.h"

enum {
	/* Sends done between two looks at what has happened, so that timers, workers and accepts
	 * are served in the middle of a large fan-out: 256 sends are about a millisecond. */
	LOOP_SENDS_PER_TURN = 256,
	LOOP_ACCEPTS_PER_TURN = 64,
};

struct loop_backend {
	const char *name;
	int (*create)(struct loop *loop); /* sets loop->impl */
	void (*destroy)(struct loop *loop);
	/* Waits up to timeout_us (-1: without end) and handles what happened. 0 or -errno. */
	int (*wait)(struct loop *loop, int64_t timeout_us);

	int (*watch_add)(struct loop *loop, struct loop_watch *watch);
	int (*watch_change)(struct loop *loop, struct loop_watch *watch);
	void (*watch_remove)(struct loop *loop, struct loop_watch *watch);

	/* start and stop also serve the pauses; stop is only called when started. */
	int (*listener_start)(struct loop *loop, struct loop_listener *listener);
	void (*listener_stop)(struct loop *loop, struct loop_listener *listener);

	int (*conn_open)(struct loop *loop, struct loop_conn *conn);
	/* Gives the fd up, now or later, and then calls loop_conn_finished(). */
	void (*conn_close)(struct loop *loop, struct loop_conn *conn);
	/* Makes sure that loop_conn_writable() is called when the socket takes bytes again. NULL:
	 * it always is. */
	void (*want_writable)(struct loop *loop, struct loop_conn *conn);
	/* A send by copy, done by flush_sends() at the latest. False: not now, send it
	 * directly. Both NULL: always directly. */
	bool (*queue_send)(struct loop *loop, struct loop_conn *conn);
	void (*flush_sends)(struct loop *loop);
};

extern const struct loop_backend loop_backend_epoll, loop_backend_uring;

struct loop {
	const struct loop_backend *backend;
	void *impl;
	unsigned max_conns;
	uint32_t send_threshold;
	int64_t now_us;
	int64_t asleep_us; /* since when this turn has waited, or 0: it does not */
	bool slept;
	bool stopping;

	struct list timers;   /* by time */
	struct list sends;    /* connections with a send begun */
	struct list ready;    /* connections whose writable() is due */
	struct list shortage; /* connections that wait for memory */
	struct list input;    /* connections with input left (loop_conn.input) */
	struct list closed;   /* connections whose closed() is due */
	struct loop_timer shortage_over;
	struct pagetee tee; /* lets go of what it holds at the end of each turn */
	struct loop_stats stats;
};

/* --- for the backends --- */

/* Waiting is over: takes the time for this turn. Called before the first event is handled. */
void loop_woke(struct loop *loop);

/* A send ended: result as of the syscall, but -errno. */
void loop_conn_sent(struct loop *loop, struct loop_conn *conn, int result);
void loop_conn_writable(struct loop_conn *conn);
/* Memory is short, so that nothing will tell when to go on: writable() is called in 10 ms. */
void loop_conn_wait_for_memory(struct loop *loop, struct loop_conn *conn);
/* There is input, its end, or an error. */
void loop_conn_input(struct loop *loop, struct loop_conn *conn);
/* The kernel is done with the connection and its fd is closed. */
void loop_conn_finished(struct loop *loop, struct loop_conn *conn);
/* accept() failed. True: accepting pauses now (listener_stop() is not called for it, the backend
 * stops by itself); false: go on. */
bool loop_accept_failed(struct loop *loop, struct loop_listener *listener, int error);

#endif
