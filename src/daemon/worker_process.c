/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/worker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "camcast/worker.h"
#include "common/diag.h"

#define OOM_SCORE_ADJ "500"
#define RETRY_PERIOD_US 1000000
#define CONFIG_FD 4
/* Above every number that the child's fixed fds are dupped to. */
#define FD_BASE 10

/* What the child needs; it runs in our memory until exec (vfork). */
struct child {
	const char *program;
	char *const *argv;
	int pair_fd, config_fd;
	pid_t parent;
	volatile int error; /* errno of what failed */
};

/* Async-signal-safe calls only. The child has its own copy of the descriptor table but our memory:
 * it changes nothing but child->error. */
static void __attribute__((noreturn)) run_child(struct child *child)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;
	int pair, config, fd;

	for (int sig = 1; sig < SIGRTMAX; sig++)
		sigaction(sig, &dfl, NULL); /* SIGKILL, SIGSTOP: EINVAL, as it should be */
	/* Out of the way first: the numbers that they have may be those that they get. */
	pair = fcntl(child->pair_fd, F_DUPFD_CLOEXEC, FD_BASE);
	config = fcntl(child->config_fd, F_DUPFD_CLOEXEC, FD_BASE);
	if (pair < 0 || config < 0 || dup2(pair, CAMCAST_WORKER_FD) < 0 ||
	    dup2(config, CONFIG_FD) < 0)
		goto fail;
	/* Ours are CLOEXEC already; this is for what we inherited ourselves. Before 5.11: ENOSYS.
	 */
	(void)syscall(SYS_close_range, CONFIG_FD + 1, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		goto fail;
	if (getppid() != child->parent) /* it died before that took effect */
		_exit(0);
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) { /* without /proc, or below a raised floor: no harm */
		(void)!write(fd, OOM_SCORE_ADJ, sizeof OOM_SCORE_ADJ - 1);
		close(fd);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(child->program, child->argv);
fail:
	child->error = errno;
	_exit(127);
}

/* Returns the pid or -errno. */
static pid_t spawn(struct child *child)
{
	sigset_t all, old;
	pid_t pid;

	/* A handler that ran in the child would run in our memory. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = vfork();
	if (pid == 0)
		run_child(child);
	if (pid < 0)
		pid = -errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid > 0 && child->error) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return -child->error;
	}
	return pid;
}

static bool reap(struct worker_process *process, int *status)
{
	siginfo_t info = {0};

	if (waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED | WNOHANG) < 0) {
		*status = 0; /* ECHILD: somebody ignores SIGCHLD for us; it is gone all the same */
		return true;
	}
	if (info.si_pid == 0)
		return false;
	*status = info.si_code == CLD_EXITED
			  ? (info.si_status & 0xff) << 8
			  : info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
	return true;
}

static void try_reap(struct worker_process *process)
{
	int status;

	if (reap(process, &status)) {
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
	struct child child = {
		.program = program,
		.argv = argv,
		.pair_fd = pair_fd,
		.config_fd = config_fd,
		.parent = getpid(),
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
	process->pid = spawn(&child);
	if (process->pid < 0) {
		err = process->pid;
		goto free_process;
	}
	/* The child is ours and not reaped: the pid cannot be another's. */
	process->pidfd = pidfd_open(process->pid, 0);
	if (process->pidfd < 0) {
		err = -errno;
		goto kill_child;
	}
	process->watch.fd = process->pidfd;
	process->watch.events = EPOLLIN;
	process->watch.ready = handle_ready;
	err = loop_watch_add(loop, &process->watch);
	if (err < 0)
		goto close_pidfd;
	*out = process;
	return 0;

close_pidfd:
	close(process->pidfd);
kill_child:
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

	return poll(&pfd, 1, timeout_ms) > 0 && reap(process, &status);
}

void worker_process_free(struct worker_process *process)
{
	list_remove(&process->link);
	loop_timer_cancel(process->loop, &process->retry);
	loop_watch_remove(process->loop, &process->watch);
	close(process->pidfd);
	free(process);
}

void worker_process_describe(int status, char *text, size_t size)
{
	const char *name;

	if (WIFEXITED(status)) {
		snprintf(text, size, "exit status %d", WEXITSTATUS(status));
		return;
	}
	name = sigabbrev_np(WTERMSIG(status));
	if (name)
		snprintf(text, size, "killed by SIG%s%s", name,
			 WCOREDUMP(status) ? " (core dumped)" : "");
	else
		snprintf(text, size, "killed by signal %d", WTERMSIG(status));
}
