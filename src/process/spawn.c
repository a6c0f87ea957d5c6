/* SPDX-License-Identifier: BSD-2-Clause */
#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
#define EXEC_WAIT_MS 50
#define EXIT_NO_EXEC 127 /* as a shell has it */

/* System calls, because glibc's functions would look for the threads that the parent has. A change
 * of user clears the death signal, which is set after it. 0 or -1. */
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

/* stdin is readable only, because a terminal there could be written to. 0 or -1. */
static int set_standard_streams(const struct spawn *spawn)
{
	int null;

	if (spawn->log <= 0)
		return 0;
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || (null != STDIN_FILENO && dup2(null, STDIN_FILENO) < 0))
		return -1;
	if (spawn->log_stdout && dup2(spawn->log, STDOUT_FILENO) < 0)
		return -1;
	return dup2(spawn->log, STDERR_FILENO) < 0 ? -1 : 0;
}

/* In the child until exec, in copies of our memory and our descriptors. Other threads may have held
 * locks when the copy was made: async-signal-safe calls only. Failures are reported through
 * `report`. */
static void __attribute__((noreturn)) run_child(const struct spawn *spawn, pid_t parent, int report)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	int fds[SPAWN_FDS_MAX], fd, error;
	sigset_t none;

	for (int sig = 1; sig < SIGRTMAX; sig++)
		sigaction(sig, &dfl, NULL); /* SIGKILL, SIGSTOP: EINVAL, as it should be */
	if (set_standard_streams(spawn) < 0)
		goto fail;
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
	if (dup3(report, FD_FIRST + (int)spawn->n_fds, O_CLOEXEC) < 0)
		goto fail;
	report = FD_FIRST + (int)spawn->n_fds;
	/* Closed now, as exec may take long, and a peer sees the end of a connection only when
	 * nobody has it any more. Before 5.9: ENOSYS, and exec closes all that are ours. */
	(void)syscall(SYS_close_range, report + 1, ~0u, 0);
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
	signal(SIGPIPE, SIG_IGN); /* the parent may not wait for it any more */
	(void)!write(report, &error, sizeof error);
	_exit(EXIT_NO_EXEC);
}

static void wait_for(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* What the child reports until exec closes its end: 0, also if that takes longer than EXEC_WAIT_MS,
 * or an error. */
static int wait_for_exec(int report)
{
	struct pollfd pfd = {.fd = report, .events = POLLIN};
	int error;

	/* All signals are blocked here. */
	if (poll(&pfd, 1, EXEC_WAIT_MS) <= 0)
		return 0;
	return read(report, &error, sizeof error) == sizeof error ? error : 0;
}

pid_t spawn_start(const struct spawn *spawn, int *pidfd)
{
	pid_t parent = getpid(), pid;
	sigset_t all, old;
	int report[2], error;

	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	/* A handler must not run in the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	/* Not vfork(), which suspends this thread until exec: a program on a file system that does
	 * not answer, or a child that is stopped or frozen, would hold it for as long. */
	pid = fork();
	if (pid == 0)
		run_child(spawn, parent, report[1]);
	if (pid < 0)
		pid = -errno;
	close(report[1]);
	error = pid > 0 ? wait_for_exec(report[0]) : 0;
	close(report[0]);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error) {
		wait_for(pid);
		pid = -error;
	}
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
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_EXEC) {
		snprintf(text, size, "exit status %d, as of a program that cannot be executed",
			 EXIT_NO_EXEC);
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
