/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The processes behind a worker: started with their end of the pair, killed, and reaped whenever
 * the kernel lets go of them, which nobody waits for (a process in D state survives SIGKILL, and a
 * traced one is not reaped). Loop thread only.
 */
#ifndef DAEMON_WORKER_PROCESS_H
#define DAEMON_WORKER_PROCESS_H

#include <sys/types.h>

#include "daemon/loop/loop.h"

struct worker_process {
	struct list link; /* in the owner's list of those that are killed but not gone */
	struct loop *loop;
	struct loop_watch watch; /* of the pidfd */
	struct loop_timer retry; /* when it is dead but cannot be reaped yet */
	pid_t pid;
	int pidfd;
	/* Ended and reaped; status is waitpid's. The callee frees with worker_process_free(). */
	void (*ended)(struct worker_process *process, int status);
	void *user;
};

/*
 * Starts program with argv (argv[0] included). fds 3 and 4 of the child are dups of pair_fd and
 * config_fd, 0 to 2 are ours, all others are closed; signals are as after login, SIGTERM comes when
 * this process dies, and the OOM killer prefers it to us. 0 or -errno (of exec too: then the path
 * is at fault).
 */
int worker_process_start(struct worker_process **out, struct loop *loop, const char *program,
			 char *const argv[], int pair_fd, int config_fd,
			 void (*ended)(struct worker_process *process, int status), void *user);
/* SIGKILL. It ends when it ends. */
void worker_process_kill(struct worker_process *process);
/* True if it ended within timeout_ms (blocks that long: at the daemon's end only). It is reaped
 * then; ended() is not called. */
bool worker_process_wait(struct worker_process *process, int timeout_ms);
void worker_process_free(struct worker_process *process);

#endif
