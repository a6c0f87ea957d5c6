/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OOM_SCORE_ADJ "500"
#define FD_FIRST 3
/* Above every number that the child's fixed fds are dupped to. */
#define FD_BASE 10

/* What the child needs; it runs in our memory until exec (vfork). */
struct child {
	const struct spawn *spawn;
	pid_t parent;
	volatile int error; /* errno of what failed */
};

/* Async-signal-safe calls only. The child has its own copy of the descriptor table but our memory:
 * it changes nothing but child->error. */
static void __attribute__((noreturn)) run_child(struct child *child)
{
	const struct spawn *spawn = child->spawn;
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	int fds[SPAWN_FDS_MAX], fd;
	sigset_t none;

	for (int sig = 1; sig < SIGRTMAX; sig++)
		sigaction(sig, &dfl, NULL); /* SIGKILL, SIGSTOP: EINVAL, as it should be */
	/* Out of the way first: the numbers that they have may be those that they get. */
	for (unsigned i = 0; i < spawn->n_fds; i++) {
		fds[i] = fcntl(spawn->fds[i], F_DUPFD_CLOEXEC, FD_BASE);
		if (fds[i] < 0)
			goto fail;
	}
	for (unsigned i = 0; i < spawn->n_fds; i++)
		if (dup2(fds[i], FD_FIRST + (int)i) < 0)
			goto fail;
	/* Ours are CLOEXEC already; this is for what we inherited ourselves. Before 5.11: ENOSYS.
	 */
	(void)syscall(SYS_close_range, FD_FIRST + spawn->n_fds, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		goto fail;
	if (getppid() != child->parent) /* it died before that took effect */
		_exit(0);
	fd = spawn->expendable ? open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC) : -1;
	if (fd >= 0) { /* without /proc, or below a raised floor: no harm */
		(void)!write(fd, OOM_SCORE_ADJ, sizeof OOM_SCORE_ADJ - 1);
		close(fd);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(spawn->program, spawn->argv);
fail:
	child->error = errno;
	_exit(127);
}

/* A function of its own, so that the child's writes to *child are not optimized away: the compiler
 * takes the two returns of vfork() for two ways that do not see each other. */
static pid_t __attribute__((noinline, noclone)) start(struct child *child)
{
	pid_t pid = vfork();

	if (pid == 0)
		run_child(child);
	return pid < 0 ? -errno : pid;
}

pid_t spawn_start(const struct spawn *spawn)
{
	struct child child = {.spawn = spawn, .parent = getpid()};
	sigset_t all, old;
	pid_t pid;

	/* A handler that ran in the child would run in our memory. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = start(&child);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid > 0 && child.error) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return -child.error;
	}
	return pid;
}

bool spawn_reap(int pidfd, int *status)
{
	siginfo_t info = {0};

	if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0) {
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

void spawn_describe(int status, char *text, size_t size)
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
