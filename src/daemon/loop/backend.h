/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interface between loop.c, which contains the parts common to both backends (timers, sending,
 * reading input, work lists), and the backends, which wait for events. Loop thread only.
 */
#ifndef DAEMON_LOOP_BACKEND_H
#define DAEMON_LOOP_BACKEND_H

#include <errno.h>

#include "daemon/loop/loop.h"
#include "daemon/loop/timers.h"
#include "daemon/loop/pagetee.h"

/* The work between two checks for events. Further work waits for the next turn, so that
 * neither a large fan-out nor a crowd of peers that come, talk or leave at the same time holds up
 * the timers, the workers and the other connections. */
enum {
	LOOP_SENDS_PER_TURN = 256,  /* about a millisecond */
	LOOP_ACCEPTS_PER_TURN = 16, /* of each listener; a new viewer also begins a send */
	LOOP_INPUTS_PER_TURN = 128, /* connections that are read */
	LOOP_CLOSES_PER_TURN = 64,  /* a reset frees all that waits in the socket */
};

struct loop_backend {
	const char *name;
	int (*create)(struct loop *loop); /* sets loop->impl */
	void (*destroy)(struct loop *loop);
	/* Waits up to timeout_us (-1: without limit) and handles the events. 0 or -errno. */
	int (*wait)(struct loop *loop, int64_t timeout_us);

	int (*watch_add)(struct loop *loop, struct loop_watch *watch);
	void (*watch_remove)(struct loop *loop, struct loop_watch *watch);

	/* Calls loop_accept() whenever a peer waits. start and stop also serve the pauses; stop is
	 * only called when started. */
	int (*listener_start)(struct loop *loop, struct loop_listener *listener);
	void (*listener_stop)(struct loop *loop, struct loop_listener *listener);

	int (*conn_open)(struct loop *loop, struct loop_conn *conn);
	/* Gives the fd up, now or later, and then calls loop_conn_finished(). Until this call, the
	 * kernel may still report events of a connection that is closing. */
	void (*conn_close)(struct loop *loop, struct loop_conn *conn);
	/* Arranges that loop_conn_writable() is called when the socket takes bytes again. NULL: the
	 * backend always calls it. */
	void (*want_writable)(struct loop *loop, struct loop_conn *conn);
	/* Queues a send by copy, which flush_sends() submits at the latest. False: the queue is
	 * full, send directly. Both NULL: always send directly. */
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
	int64_t asleep_us; /* when this turn began to wait; 0: it does not wait */
	bool slept;
	bool stopping;

	struct timers timers;
	bool in_timers;	      /* callbacks of timers are running */
	struct list sends;    /* connections with a send begun */
	struct list ready;    /* connections whose writable() is due */
	struct list shortage; /* connections that wait for memory */
	struct list input;    /* connections with input left (loop_conn.input) */
	struct list closing;  /* connections that the backend has still to close */
	struct list closed;   /* connections whose closed() is due */
	struct loop_timer shortage_over;
	struct loop_listener *accepting; /* whose peers are accepted now; NULL: none, or removed */
	struct pagetee tee;		 /* lets go of what it holds at the end of each turn */
	struct loop_stats stats;
};

/* --- for the backends --- */

/* The wait is over: reads the clock for this turn. Called before the first event is handled. */
void loop_woke(struct loop *loop);

/* A send ended: result as of the syscall, but -errno. */
void loop_conn_sent(struct loop *loop, struct loop_conn *conn, int result);
void loop_conn_writable(struct loop_conn *conn);
/* Memory is short, and no event will follow: writable() is called in 10 ms. */
void loop_conn_wait_for_memory(struct loop *loop, struct loop_conn *conn);
/* The connection has input, the end of its input, or an error. */
void loop_conn_input(struct loop *loop, struct loop_conn *conn);
/* The kernel is done with the connection and its fd is closed. */
void loop_conn_finished(struct loop *loop, struct loop_conn *conn);
/* Accepts the peers that wait at a listener, at most LOOP_ACCEPTS_PER_TURN. May stop or remove the
 * listener. */
void loop_accept(struct loop *loop, struct loop_listener *listener);

#endif
