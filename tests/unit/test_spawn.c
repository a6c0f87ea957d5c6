/* SPDX-License-Identifier: BSD-2-Clause */
/* The program is this one, executed again: `test_spawn child`. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/spawn.h"

static char *argv_of_child[] = {"test_spawn", "child", NULL};

static bool is_impatient; /* poll() finds nothing */

int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	return is_impatient ? 0 : __real_poll(fds, n, timeout_ms);
}

/* A pipe whose ends are out of the way. */
static void open_high_pipe(int fds[2])
{
	int low[2];

	assert_int_equal(pipe2(low, O_CLOEXEC), 0);
	for (int i = 0; i < 2; i++) {
		fds[i] = fcntl(low[i], F_DUPFD_CLOEXEC, 100);
		assert_true(fds[i] >= 100);
		close(low[i]);
	}
}

static void its_fds_are_those_it_was_given_in_their_order(void **state)
{
	struct spawn spawn = {
		.program = "/proc/self/exe",
		.argv = argv_of_child,
		.fds = {4, 3}, /* each at the number that the other one gets */
		.n_fds = 2,
		.death_signal = SIGKILL,
	};
	int out[2], in[2], leak = fcntl(STDERR_FILENO, F_DUPFD, 5), pidfd; /* without CLOEXEC */
	struct pollfd pfd = {.events = POLLIN};
	char word[8] = "";
	int status;
	pid_t pid;

	(void)state;
	open_high_pipe(out);
	open_high_pipe(in);
	assert_int_equal(dup3(out[1], 4, O_CLOEXEC), 4);
	assert_int_equal(dup3(in[0], 3, O_CLOEXEC), 3);
	assert_int_equal(write(in[1], "ping", 4), 4);
	pid = spawn_start(&spawn, &pidfd);
	assert_true(pid > 0);
	close(out[1]);
	close(4);
	assert_int_equal(read(out[0], word, sizeof word), 4);
	assert_string_equal(word, "ping");
	pfd.fd = pidfd;
	assert_int_equal(poll(&pfd, 1, 30000), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(3);
	close(out[0]);
	close(in[0]);
	close(in[1]);
	close(leak);
	close(pidfd);
}

/* Starts what cannot be executed. On a busy machine the child may say so only after spawn_start()
 * has stopped waiting for it; then it ends by itself, and another one is tried. */
static int start_in_vain(const struct spawn *spawn)
{
	int pidfd, status;
	pid_t pid = spawn_start(spawn, &pidfd);

	for (int tries = 0; pid > 0 && tries < 100; tries++) {
		close(pidfd);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 127);
		pid = spawn_start(spawn, &pidfd);
	}
	return pid;
}

static void what_cannot_be_executed_leaves_nothing(void **state)
{
	struct spawn spawn = {.program = "/nonexistent/program", .argv = argv_of_child};

	(void)state;
	assert_int_equal(start_in_vain(&spawn), -ENOENT);
	spawn.program = "/dev/null";
	assert_int_equal(start_in_vain(&spawn), -EACCES);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void what_nobody_waits_for_ends_as_in_a_shell(void **state)
{
	struct spawn spawn = {.program = "/nonexistent/program", .argv = argv_of_child};
	int pidfd, status;
	pid_t pid;

	(void)state;
	is_impatient = true;
	for (int i = 0; i < 20; i++) {
		pid = spawn_start(&spawn, &pidfd);
		assert_true(pid > 0);
		close(pidfd);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 127);
	}
	is_impatient = false;
}

/* From here on execve() of this process and of its children sleeps, as it does for a program on a
 * file system that does not answer: nobody answers the notices of this filter. */
static int hold_exec(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ, SYS_execve, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = {.len = sizeof code / sizeof code[0], .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &filter);
}

/* The exit status of the case below: 0, or the number of the step that failed. */
static int start_what_hangs(void)
{
	struct spawn spawn = {
		.program = "/proc/self/exe", .argv = argv_of_child, .death_signal = SIGKILL};
	struct pollfd end = {.events = POLLIN}, viewer = {.events = POLLIN};
	int pidfd, pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 || hold_exec() < 0)
		return 1;
	pid = spawn_start(&spawn, &pidfd);
	if (pid <= 0)
		return 2;
	/* It holds no connection open. */
	close(pair[0]);
	viewer.fd = pair[1];
	if (poll(&viewer, 1, 10000) != 1 || !(viewer.revents & POLLHUP))
		return 3;
	end.fd = pidfd;
	if (poll(&end, 1, 0) != 0)
		return 4;
	if (kill(pid, SIGKILL) < 0 || poll(&end, 1, 10000) != 1 || waitpid(pid, NULL, 0) != pid)
		return 5;
	return 0;
}

static void a_child_that_hangs_before_exec_holds_up_nobody(void **state)
{
	pid_t pid = fork();
	struct pollfd end = {.events = POLLIN};
	int status;

	(void)state;
	if (pid == 0)
		_exit(start_what_hangs());
	assert_true(pid > 0);
	end.fd = pidfd_open(pid, 0);
	if (poll(&end, 1, 30000) == 0)
		kill(pid, SIGKILL);
	close(end.fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void an_end_is_described(void **state)
{
	static const struct {
		int status;
		const char *text;
	} ends[] = {
		{0, "exit status 0"},
		{7 << 8, "exit status 7"},
		{127 << 8, "exit status 127, as of a program that cannot be executed"},
		{SIGKILL, "killed by SIGKILL"},
		{SIGSEGV | 0x80, "killed by SIGSEGV (core dumped)"},
		{50, "killed by signal 50"},
		{SPAWN_STATUS_LOST, "it is not known how"},
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		spawn_describe(ends[i].status, text, sizeof text);
		assert_string_equal(text, ends[i].text);
	}
}

/* Answers at fd 3 what it reads at fd 4, and has no other. */
static int run_child(void)
{
	char word[8];
	ssize_t n;

	for (int fd = 5; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return 1;
	n = read(4, word, sizeof word);
	return n > 0 && write(3, word, (size_t)n) == n ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_fds_are_those_it_was_given_in_their_order),
		cmocka_unit_test(what_cannot_be_executed_leaves_nothing),
		cmocka_unit_test(what_nobody_waits_for_ends_as_in_a_shell),
		cmocka_unit_test(a_child_that_hangs_before_exec_holds_up_nobody),
		cmocka_unit_test(an_end_is_described),
	};

	if (argc == 2 && strcmp(argv[1], "child") == 0)
		return run_child();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
