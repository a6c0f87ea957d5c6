/* SPDX-License-Identifier: BSD-2-Clause */
#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FD_FIRST 3
/* Above every number that the child's fixed fds are dupped to. */
#define FD_BASE 10

/* In the child until exec, in a copy of our descriptor table but in our memory (vfork), where it
 * changes nothing. Async-signal-safe calls only. Failures are reported through `report`. */
/* System calls, since glibc's functions would change all threads of the parent, whose memory this
 * child has. A change of user clears the death signal: that comes after. 0 or -1. */
static int lower_rights(const struct spawn *spawn)
{
	const struct rlimit data = {spawn->data_max, spawn->data_max};

	if (spawn->data_max && setrlimit(RLIMIT_DATA, &data) < 0)
		return -1;
	if (spawn->uid == 0)
		return 0;
	return syscall(SYS_setgroups, 0, NULL) < 0 ||
			       syscall(SYS_setresgid, spawn->gid, spawn->gid, spawn->gid) < 0 ||
			       syscall(SYS_setresuid, spawn->uid, spawn->uid, spawn->uid) < 0
		       ? -1
		       : 0;
}

static void __attribute__((noreturn)) run_child(const struct spawn *spawn, pid_t parent, int report)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	int fds[SPAWN_FDS_MAX], fd, error;
	sigset_t none;

	for (int sig = 1; sig < SIGRTMAX; sig++)
		sigaction(sig, &dfl, NULL); /* SIGKILL, SIGSTOP: EINVAL, as it should be */
	/* Out of the way first: the numbers that they have may be those that they get. */
	fd = fcntl(report, F_DUPFD_CLOEXEC, FD_BASE);
	if (fd < 0)
		goto fail;
	report = fd;
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
	if (lower_rights(spawn) < 0)
		goto fail;
	if (prctl(PR_SET_PDEATHSIG, spawn->death_signal) < 0)
		goto fail;
	if (getppid() != parent) /* it died before that took effect */
		_exit(0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(spawn->program, spawn->argv);
fail:
	error = errno;
	(void)!write(report, &error, sizeof error);
	_exit(127);
}

static void wait_for(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

pid_t spawn_start(const struct spawn *spawn, int *pidfd)
{
	pid_t parent = getpid(), pid;
	sigset_t all, old;
	int report[2], error;

	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	/* A handler that ran in the child would run in our memory. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = vfork();
	if (pid == 0)
		run_child(spawn, parent, report[1]);
	if (pid < 0)
		pid = -errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(report[1]);
	/* exec closes the child's end. */
	if (pid > 0 && read(report[0], &error, sizeof error) == sizeof error) {
		wait_for(pid);
		pid = -error;
	}
	close(report[0]);
	if (pid < 0)
		return pid;
	/* The child is ours and not reaped: the pid cannot be another's. */
	*pidfd = pidfd_open(pid, 0);
	if (*pidfd >= 0)
		return pid;
	error = errno;
	kill(pid, SIGKILL);
	wait_for(pid);
	return -error;
}

void spawn_describe(int status, char *text, size_t size)
{
	const char *name;

	if (status == SPAWN_STATUS_LOST) {
		snprintf(text, size, "it is not known how");
		return;
	}
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
