/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop: operations on sockets, not readiness masks. Two implementations, epoll and io_uring,
 * behave alike and pass the same tests. Everything here is loop thread only.
 *
 * No callback ever runs inside the call that asked for it: `sent`, `writable`, `closed` are
 * delivered from loop_run().
 */
#ifndef DAEMON_LOOP_LOOP_H
#define DAEMON_LOOP_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/pages.h"
#include "config/config.h"

struct loop;
struct loop_conn;

struct loop_options {
	enum config_backend backend;
	uint32_t send_threshold; /* bytes: runs shorter than this are copied by send(), others sent
				    by reference */
	unsigned max_conns;
};

/* Returns 0 and *out or -errno. `auto` takes the faster backend (docs/ARCHITECTURE.md). If the
 * kernel refuses io_uring, the loop uses epoll and logs the reason. One thread creates, runs and
 * destroys it. Ignores SIGPIPE in the process: sendfile() and splice() have no MSG_NOSIGNAL. */
int loop_create(struct loop **out, const struct loop_options *options);
/* The caller has removed watches and listeners and closed connections before; closed() of
 * connections that are still closing is called from here. */
void loop_destroy(struct loop *loop);
const char *loop_backend_name(const struct loop *loop); /* "epoll", "io_uring" */

/* Runs until loop_stop(). Returns 0 or -errno. */
int loop_run(struct loop *loop);
/* One turn, which loop_run() repeats: waits at most max_wait_us (0: not at all) for events and
 * handles them. Returns 0 or -errno. For tests and benchmarks. */
int loop_turn(struct loop *loop, int64_t max_wait_us);
void loop_stop(struct loop *loop);
/* CLOCK_MONOTONIC in us, read once per turn: the time of everything decided in this turn. */
int64_t loop_now_us(const struct loop *loop);
/* Whether this turn's wait slept, so that events are new, and a second one of the same source is
 * unlikely. False while the loop is behind. */
bool loop_slept(const struct loop *loop);

/* --- timers: coarse (1 ms), one shot --- */
struct loop_timer {
	void (*expired)(struct loop_timer *timer);
	/* --- below: of timers.c --- */
	struct loop_timer *child, *next, *prev; /* prev NULL: not set */
	int64_t at_us;
	uint64_t order;
};
void loop_timer_init(struct loop_timer *timer, void (*expired)(struct loop_timer *timer));
void loop_timer_set(struct loop *loop, struct loop_timer *timer,
		    int64_t at_us); /* moves it if set */
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);
static inline bool loop_timer_is_set(const struct loop_timer *timer)
{
	return timer->prev != NULL;
}

/* --- watches: level-triggered readiness for what is few and slow (workers, signals, devices) ---
 */
struct loop_watch {
	int fd;		 /* borrowed */
	uint32_t events; /* EPOLLIN | EPOLLOUT wanted */
	void (*ready)(struct loop_watch *watch, uint32_t events);
	void *impl; /* the backend's */
};
/* Returns 0 or -errno. */
int loop_watch_add(struct loop *loop, struct loop_watch *watch);
/* ready() is not called after this, and the fd may be closed. May be called from ready(). */
void loop_watch_remove(struct loop *loop, struct loop_watch *watch);

/* --- listeners --- */
struct loop_listener {
	int fd; /* listening, non-blocking; owned by the loop from add to remove */
	/* takes fd (non-blocking, CLOEXEC); peer may be asked with getpeername */
	void (*accepted)(struct loop_listener *listener, int fd);
	/* the table of descriptors is full; may be NULL */
	void (*no_fds)(struct loop_listener *listener);
	/* --- below: the loop's --- */
	struct loop *loop;
	struct loop_timer resume; /* set while accepting pauses */
	void *impl;
};
/* Accepts until the listener is removed. If accept() fails because a resource is short (EMFILE,
 * ENFILE, ENOBUFS, ENOMEM), accepting pauses for 100 ms, which is counted. Returns 0 or -errno
 * (then the caller still owns the fd). */
int loop_listener_add(struct loop *loop, struct loop_listener *listener);
void loop_listener_remove(struct loop *loop, struct loop_listener *listener); /* closes the fd */

/* --- connections --- */

struct loop_conn_ops {
	/* How bytes get from and to the socket of a connection whose bytes are not the socket's own
	 * (TLS). NULL: the kernel's send(), sendfile() and recv(). As send() and recv() of a
	 * non-blocking socket, but errors are returned as -errno; -EAGAIN comes from the socket
	 * itself, so that its edge follows.
	 * read(): -EINTR if input was read that is not for the user, and more may follow. What
	 * write() took is the connection's to deliver. */
	ssize_t (*write)(struct loop_conn *conn, const void *data, size_t len);
	ssize_t (*read)(struct loop_conn *conn, void *data, size_t max);
	/* Its socket sends datagrams. The kernel goes through those who wait at the socket behind
	 * each of them, and so nobody waits there: no input is heard, and what a peer refuses is
	 * the error of a later send. */
	bool datagrams;
	/* A send ended: result is the bytes taken by the kernel (1..len; fewer than asked means the
	 * socket is full or nearly so), -EAGAIN (none taken; ask for writable), or -errno (the
	 * connection is dead: close it). */
	void (*sent)(struct loop_conn *conn, int result);
	/* The socket can take bytes again; answers loop_conn_want_writable(). */
	void (*writable)(struct loop_conn *conn);
	/* The peer sent len bytes; data is valid during the call. At most 64 KiB of one connection
	 * are read in a turn, and a bounded number of connections. NULL: input is read, counted and
	 * discarded. */
	void (*input)(struct loop_conn *conn, const uint8_t *data, size_t len);
	/* len bytes were discarded, because input is NULL. May be NULL too. */
	void (*discarded)(struct loop_conn *conn, size_t len);
	/* The peer has shut down its sending side: no more input follows, but sends are still
	 * possible. A peer that has closed the whole connection looks the same until it answers a
	 * send, or a keepalive probe, with a reset. NULL: ignored. */
	void (*input_ended)(struct loop_conn *conn);
	/* The connection is dead: -errno. Not called after loop_conn_close(), nor with datagrams.
	 * The callee closes. */
	void (*failed)(struct loop_conn *conn, int error);
	/* Follows loop_conn_close(): the kernel and the loop do not use conn any more; its memory
	 * may be freed. */
	void (*closed)(struct loop_conn *conn);
};

/* Flags of a connection. They belong to the loop; users call the functions below. */
enum loop_conn_flags {
	LOOP_CONN_BLOCKED = 1 << 0,  /* a send gave -EAGAIN and the edge has not come yet */
	LOOP_CONN_SHORTAGE = 1 << 1, /* a send gave -ENOBUFS or -ENOMEM: there will be no edge */
	LOOP_CONN_WANTED = 1 << 2,   /* writable() is owed */
	LOOP_CONN_CLOSING =
		1 << 3, /* loop_conn_close() was called: no more callbacks but closed() */
	LOOP_CONN_POLLED_OUT = 1 << 4, /* io_uring: a poll for POLLOUT is outstanding */
	LOOP_CONN_ENDED = 1 << 5,      /* the peer sends nothing any more */
	LOOP_CONN_IN_EPOLL = 1 << 6,   /* io_uring: waits for EPOLLOUT in an epoll set */
	LOOP_CONN_RESET = 1 << 7,      /* it is to be closed with a reset */
	LOOP_CONN_CANCELLED = 1 << 8,  /* io_uring: closes when nothing is pending */
};

struct loop_conn {
	const struct loop_conn_ops *ops;
	int fd;
	uint8_t tag; /* the owner's, for whatever it likes */
	/* --- below: the loop's; all of it is one cache line --- */
	uint8_t pending; /* kernel operations outstanding (io_uring): a few */
	uint16_t flags;
	struct list link;	   /* in one of the loop's work lists */
	const struct pages *pages; /* of the send under way */
	uint32_t offset, len;
	struct list input; /* in the list of connections with input */
};

/* Takes fd (connected, non-blocking) on success. Returns 0 or -errno. */
int loop_conn_open(struct loop *loop, struct loop_conn *conn, int fd,
		   const struct loop_conn_ops *ops);
/* Begins a send of len bytes (1..INT_MAX) at offset. One at a time. pages and its memory must stay
 * until sent() or, if the connection is closed before that, closed(). Costs no syscall: the loop
 * does the sends in the order in which they were begun, and calls sent() right behind each. */
void loop_conn_send(struct loop *loop, struct loop_conn *conn, const struct pages *pages,
		    uint32_t offset, uint32_t len);
/* Whether the send under way, or the one that sent() is called for, goes by reference; else its
 * bytes are copied. */
bool loop_conn_by_reference(const struct loop *loop, const struct loop_conn *conn);
/* writable() is called once, when the socket can take bytes. Only after a send gave -EAGAIN, and
 * no send may begin before it. */
void loop_conn_want_writable(struct loop *loop, struct loop_conn *conn);
/* Whether writable() is still to come. */
static inline bool loop_conn_waits(const struct loop_conn *conn)
{
	return conn->flags & LOOP_CONN_WANTED;
}
/* Closes; with reset, as RST (SO_LINGER 0) so that queued pages are let go. No callback but
 * closed() follows; it comes from loop_run(), after the socket was closed. Costs no syscall: each
 * turn of the loop closes a bounded number of sockets. */
void loop_conn_close(struct loop *loop, struct loop_conn *conn, bool reset);
static inline bool loop_conn_closing(const struct loop_conn *conn)
{
	return conn->flags & LOOP_CONN_CLOSING;
}

struct loop_stats {
	uint64_t turns;		   /* returns from waiting */
	uint64_t sends, sendfiles; /* that took bytes: copied or encrypted, and by reference */
	uint64_t send_again;	   /* calls that took none */
	uint64_t accept_paused;
	uint64_t bytes_discarded; /* input that was discarded */
};
const struct loop_stats *loop_stats(const struct loop *loop);

#endif
