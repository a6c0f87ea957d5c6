/* SPDX-License-Identifier: BSD-2-Clause */
/* A program that libcamera 0.7 would isolate by namespaces starts in the sandbox of a worker, and
 * has that sandbox. The call is made as libcamera makes it: through the dynamic linker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/isolate.h"
#include "process/sandbox.h"

#define WAIT_MS 20000
#define SKIPPED 77
/* Exit statuses of the program, this one executed again. */
#define IT_IS_CONFINED 42
#define IT_IS_NOT 43

static long (*libcameras_syscall)(long, ...);

/* libcamera::Process::start() */
static long start_isolated(int *pidfd, char **argv)
{
	struct clone_args arguments = {
		.flags = CLONE_PIDFD | CLONE_NEWUSER | CLONE_NEWNET,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
	};
	long pid = libcameras_syscall(SYS_clone3, &arguments, sizeof arguments);

	if (pid == 0) {
		execv("/proc/self/exe", argv);
		_exit(1);
	}
	return pid;
}

static int run_worker(void)
{
	char *argv[] = {"test_isolate", "program", NULL};
	struct sandbox sandbox = {.programs = true};
	char state[SANDBOX_STATE_MAX];
	struct pollfd end = {.events = POLLIN};
	siginfo_t info = {0};
	long pid;

	sandbox_allow_base(&sandbox);
	sandbox_allow(&sandbox, "/proc/self/exe", SANDBOX_EXECUTE);
	sandbox_allow_matches(&sandbox, "/lib*/ld-*.so*", SANDBOX_EXECUTE);
	sandbox_allow_matches(&sandbox, "/lib/*/ld-*.so*", SANDBOX_EXECUTE);
	if (!sandbox_enter(&sandbox, state))
		return SKIPPED;
	isolate_in_sandbox();
	pid = start_isolated(&end.fd, argv);
	if (pid <= 0)
		return errno;
	if (poll(&end, 1, WAIT_MS) != 1 || waitid(P_PIDFD, (id_t)end.fd, &info, WEXITED) < 0)
		return 1;
	return info.si_pid == pid && info.si_code == CLD_EXITED ? info.si_status : 1;
}

static int run_program(void)
{
	int fd = open("/etc/passwd", O_RDONLY);

	return fd < 0 && errno == EACCES ? IT_IS_CONFINED : IT_IS_NOT;
}

static int run_in_child(int (*run)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(run());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void a_program_that_would_be_isolated_has_the_sandbox(void **state)
{
	int status;

	(void)state;
	status = run_in_child(run_worker);
	if (status == SKIPPED)
		skip();
	assert_int_equal(status, IT_IS_CONFINED);
}

static int run_outside(void)
{
	struct clone_args arguments = {.flags = CLONE_VM | CLONE_THREAD}; /* without SIGHAND */

	if (libcameras_syscall(SYS_gettid) != getpid())
		return 1;
	return libcameras_syscall(SYS_clone3, &arguments, sizeof arguments) < 0 ? errno : 1;
}

static void other_calls_are_glibc_s(void **state)
{
	(void)state;
	assert_int_equal(run_in_child(run_outside), EINVAL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_that_would_be_isolated_has_the_sandbox),
		cmocka_unit_test(other_calls_are_glibc_s),
	};

	if (argc == 2 && strcmp(argv[1], "program") == 0)
		_exit(run_program()); /* a search for leaks needs what the sandbox refuses */
	*(void **)&libcameras_syscall = dlsym(RTLD_DEFAULT, "syscall");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
