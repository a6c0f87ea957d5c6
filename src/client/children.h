/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One child process per server: started, watched (pidfd and heartbeat), restarted with backoff,
 * ended. The child is this program, executed again from /proc/self/exe with a subcommand of its own
 * (the parent has threads, so a forked copy could do nothing safely). Both share one memfd, which
 * has no name, so that nothing is left behind whatever dies; and the kernel kills a child whose
 * parent is gone (PR_SET_PDEATHSIG).
 */
#ifndef CLIENT_CHILDREN_H
#define CLIENT_CHILDREN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_SHARED_FD 3    /* of the memfd in the child; it is closed once mapped */
#define CHILD_STATUS_MAX 192 /* bytes of a status, terminator included */

/* At the start of the shared memory. Child and parent use the functions below. */
struct child_header {
	atomic_llong heartbeat_us; /* CLOCK_MONOTONIC, written by the child; 0: none yet */
	atomic_uint status_turn;   /* odd while the child writes its status */
	_Alignas(64) char status[CHILD_STATUS_MAX];
};

/* --- in the parent: one thread, the one that lives as long as the process --- */

struct child;

struct child_job {
	const char *name;	 /* for log lines; copied */
	const char *const *argv; /* {"camcast", "x-child", ..., NULL}; copied */
	size_t shared_size;	 /* bytes, header included, under 4 GiB */
	unsigned hang_ms;	 /* older heartbeats are a hang: killed and restarted; 0: 3000 */
};

enum child_state {
	CHILD_RUNNING,
	CHILD_BACKOFF, /* it ended, or could not be started, and will be started again */
	CHILD_ENDED    /* as child_end() asked, or by itself with exit status 0 */
};

struct child_info {
	enum child_state state;
	pid_t pid; /* of the running one, else 0 */
	unsigned restarts;
	char reason[128]; /* why it last ended; "" : it never did */
};

/* Starts the child. The shared memory is zeroed, and kept over restarts but for its header, which
 * begins anew. Failures of the child, also to start it, are logged. -errno: no memory to share. */
int child_create(struct child **out, const struct child_job *job);

/* Ends the child if need be: SIGTERM, after 2 s SIGKILL; waits for its end (but not for one that
 * the kernel holds: at most 1 s more). NULL is fine. To end many, child_end() them all first. */
void child_destroy(struct child *child);

/* Asks the child to end, and not to be started again; child_poll() sees it through. */
void child_end(struct child *child);

void *child_shared(struct child *child); /* begins with struct child_header */
const struct child_info *child_info(const struct child *child);

/* Readable when the running child has ended; -1: none runs. Changes with each start. */
int child_pidfd(const struct child *child);

/* To be called often (when child_pidfd() is readable, and in time): reaps, kills what hangs, starts
 * what is due. now_us: CLOCK_MONOTONIC. Returns the ms after which it wants to be called again, at
 * most 500; -1 when it has ended. A parent that was stopped for a while itself takes nobody's
 * silence in that time for a hang. */
int child_poll(struct child *child, int64_t now_us);

/* A copy of what the child last said; returns text. */
const char *child_read_status(const struct child *child, char text[CHILD_STATUS_MAX]);

/* --- in the child --- */

/* First thing in a child: maps the shared memory, leaves SIGINT and SIGHUP (which a terminal sends
 * to all) to the parent, and notes SIGTERM for child_ending() without restarting the system call
 * that it interrupts. Beats once. -errno: nobody started us as a child. Main thread. */
int child_attach(struct child_header **shared, size_t *size);

/* Whether the parent wants us to end. Any thread. */
bool child_ending(void);

/* Says that we are alive: more often than hang_ms. Any thread. */
void child_beat(struct child_header *shared);

/* Says what we do, for the parent to show; cut to CHILD_STATUS_MAX. One thread. */
void child_write_status(struct child_header *shared, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
