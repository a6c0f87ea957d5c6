/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/worker/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/diag.h"
#include "process/spawn.h"

#define RETRY_PERIOD_US 1000000

static void try_reap(struct worker_process *process)
{
	int status;

	if (spawn_reap(process->pidfd, &status)) {
		process->ended(process, status);
		return;
	}
	/* The pidfd says dead, but a tracer (strace, gdb) must see it first: it stays readable, so
	 * look again later instead of spinning. */
	loop_watch_change(process->loop, &process->watch, 0);
	loop_timer_set(process->loop, &process->retry,
		       loop_now_us(process->loop) + RETRY_PERIOD_US);
}

static void handle_ready(struct loop_watch *watch, uint32_t events)
{
	(void)events;
	try_reap(container_of(watch, struct worker_process, watch));
}

static void handle_retry(struct loop_timer *timer)
{
	try_reap(container_of(timer, struct worker_process, retry));
}

int worker_process_start(struct worker_process **out, struct loop *loop, const char *program,
			 char *const argv[], int pair_fd, int config_fd,
			 void (*ended)(struct worker_process *process, int status), void *user)
{
	struct spawn child = {
		.program = program,
		.argv = argv,
		.fds = {pair_fd, config_fd}, /* CAMCAST_WORKER_FD, and /dev/fd/4 */
		.n_fds = 2,
		.expendable = true,
		.death_signal = SIGTERM,
	};
	struct worker_process *process = calloc(1, sizeof *process);
	int err;

	if (!process)
		return -ENOMEM;
	list_init(&process->link);
	process->loop = loop;
	process->ended = ended;
	process->user = user;
	loop_timer_init(&process->retry, handle_retry);
	process->pid = spawn_start(&child, &process->pidfd);
	if (process->pid < 0) {
		err = process->pid;
		goto free_process;
	}
	process->watch.fd = process->pidfd;
	process->watch.events = EPOLLIN;
	process->watch.ready = handle_ready;
	err = loop_watch_add(loop, &process->watch);
	if (err < 0)
		goto kill_child;
	*out = process;
	return 0;

kill_child:
	close(process->pidfd);
	kill(process->pid, SIGKILL);
	while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
		;
free_process:
	free(process);
	return err;
}

void worker_process_kill(struct worker_process *process)
{
	if (pidfd_send_signal(process->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		diag_warn("cannot kill process %d: %m", (int)process->pid);
}

bool worker_process_wait(struct worker_process *process, int timeout_ms)
{
	struct pollfd pfd = {.fd = process->pidfd, .events = POLLIN};
	int status;

	return poll(&pfd, 1, timeout_ms) > 0 && spawn_reap(process->pidfd, &status);
}

void worker_process_free(struct worker_process *process)
{
	list_remove(&process->link);
	loop_timer_cancel(process->loop, &process->retry);
	loop_watch_remove(process->loop, &process->watch);
	close(process->pidfd);
	free(process);
}
