/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Manages one child process per server: starts, watches (pidfd and heartbeat), restarts with
 * backoff, and ends it. The child is this program, executed again from /proc/self/exe with its own
 * subcommand (a fork without exec is unsafe, because the parent has threads). Both share one memfd
 * without a name, so that nothing is left behind if either dies, and the kernel kills a child whose
 * parent has ended (PR_SET_PDEATHSIG).
 */
#ifndef CLIENT_CHILDREN_H
#define CLIENT_CHILDREN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_SHARED_FD 3    /* of the memfd in the child; it is closed once mapped */
#define CHILD_OWN_FD 4	     /* of child_job.fd in the child */
#define CHILD_STATUS_MAX 192 /* bytes of a status, terminator included */

/* At the start of the shared memory. Child and parent use the functions below. */
struct child_header {
	atomic_llong heartbeat_us; /* CLOCK_MONOTONIC, written by the child; 0: none yet */
	atomic_uint status_turn;   /* odd while the child writes its status */
	_Alignas(64) char status[CHILD_STATUS_MAX];
};

/* --- in the parent: one thread, which must live as long as the process --- */

struct child;

struct child_job {
	const char *name;	 /* for log lines; copied */
	const char *const *argv; /* {"camcast", "x-child", ..., NULL}; copied */
	size_t shared_size;	 /* bytes, header included, under 4 GiB */
	int fd;			 /* given to the child; borrowed until child_destroy(); 0: none */
	unsigned hang_ms;	 /* older heartbeats are a hang: killed and restarted; 0: 3000 */
	/* After child_end(): how long it may go without a heartbeat, 0: 2000; and, if it has
	 * heartbeats, how long it may take altogether, 0: as long as without one. */
	unsigned stop_ms, stop_max_ms;
};

enum child_state {
	CHILD_RUNNING,
	CHILD_BACKOFF, /* it ended, or could not be started, and will be started again */
	CHILD_ENDED    /* after child_end(), or by itself with exit status 0 */
};

struct child_info {
	enum child_state state;
	pid_t pid; /* of the running one, else 0 */
	unsigned restarts;
	char reason[128]; /* why it last ended; "": it never ended */
};

/* Starts the child. The shared memory is zeroed first; a restart resets only its header. Failures
 * of the child, and failures to start it, are logged. -errno: the shared memory could not be
 * created. */
int child_create(struct child **out, const struct child_job *job);

/* Ends the child if it runs, with SIGTERM, and after stop_ms without a heartbeat or after
 * stop_max_ms with SIGKILL, and waits for its end (at most 1 s more, because the kernel may hold
 * it). NULL is allowed. To end several children, call child_end() for all of them first. */
void child_destroy(struct child *child);

/* Asks the child to end, without a restart; child_poll() completes this. */
void child_end(struct child *child);

void *child_shared(struct child *child); /* begins with struct child_header */
const struct child_info *child_info(const struct child *child);

/* An fd that is readable when the running child has ended or has written lines; -1: none runs. It
 * changes with each start. */
int child_fd(const struct child *child);

/* Logs the lines of the child's stderr (process/lines.h), reaps the child, kills it if it hangs,
 * and starts it when due. Call it when child_fd() is readable, and after the returned time. now_us:
 * CLOCK_MONOTONIC. Returns the ms until the next call, at most 500; -1 when the child has ended. If
 * the parent itself was stopped for a while, silence in that time is not a hang. */
int child_poll(struct child *child, int64_t now_us);

/* Copies the child's last status; returns text. */
const char *child_read_status(const struct child *child, char text[CHILD_STATUS_MAX]);

/* --- in the child --- */

/* Must be the first call in a child: maps the shared memory, ignores SIGINT and SIGHUP (which a
 * terminal sends to all processes), and notes SIGTERM for child_ending() without restarting the
 * system call that it interrupts. Beats once. -errno: this process was not started as a child. Main
 * thread. */
int child_attach(struct child_header **shared, size_t *size);

/* Gives up for good what the child does not need, before it reads a byte from the server: files,
 * system calls, connections to other ports, core dumps, and memory beyond CHILD_DATA_MAX. It may
 * connect to host (a name or an address) and port, and use the devices of video decoders if
 * `devices`; it may write to no file that it opens. Logs what this kernel lacks. Call it before the
 * first thread starts. */
void child_confine(const char *host, uint16_t port, bool devices);
#define CHILD_DATA_MAX                                                                             \
	(INT64_C(2) << 30) /* bytes: all pictures of an 8K decoder, and its threads */

/* Whether the parent has asked the child to end. Any thread. */
bool child_ending(void);

/* Sends a heartbeat; call it more often than hang_ms. Any thread. */
void child_beat(struct child_header *shared);

/* Sets the status text that the parent shows, cut to CHILD_STATUS_MAX. One thread. */
void child_write_status(struct child_header *shared, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
