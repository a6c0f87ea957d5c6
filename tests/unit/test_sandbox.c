/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/sandbox.h"

#define FAR_USER 65534 /* of nobody: root's capabilities would open every memory */

#define WORKING_PROCESS "working-process" /* the argument that makes this program one */

#define MISSING 250 /* the exit status where this kernel has no whole sandbox */

struct fixture {
	char folder[64], inside[96], outside[96];
};

/* The exit status of what a process of its own does. */
static int in_child(int (*run)(struct fixture *), struct fixture *f)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(run(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		fail_msg("killed by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == MISSING)
		skip();
	return WEXITSTATUS(status);
}

/* In the child: the line of the first claim that does not hold. */
#define CLAIM(holds)                                                                               \
	do {                                                                                       \
		if (!(holds))                                                                      \
			return __LINE__ % 200 + 1;                                                 \
	} while (0)

static int enter(struct sandbox *sandbox)
{
	char state[SANDBOX_STATE_MAX];

	sandbox_allow_base(sandbox);
	return sandbox_enter(sandbox, state) ? 0 : -1;
}

static bool refused(long result)
{
	return result < 0 && (errno == EPERM || errno == EACCES);
}

static long landlock_abi(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
}

static long call(long number, long a, long b, long c, long d)
{
	return syscall(number, a, b, c, d, 0L);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	strcpy(f->folder, "/tmp/camcast-sandbox-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->inside, sizeof f->inside, "%s/inside", f->folder);
	snprintf(f->outside, sizeof f->outside, "%s/outside", f->folder);
	assert_int_equal(mkdir(f->inside, 0700), 0);
	write_file(f->outside, "secret");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char path[128];

	snprintf(path, sizeof path, "%s/new", f->inside);
	unlink(path);
	rmdir(f->inside);
	unlink(f->outside);
	rmdir(f->folder);
	free(f);
	return 0;
}

/* --- files --- */

static int read_only_process(struct fixture *f)
{
	struct sandbox sandbox = {0};
	char path[128], byte;
	int fd;

	sandbox_allow(&sandbox, f->outside, SANDBOX_READ);
	if (enter(&sandbox) < 0)
		return MISSING;
	fd = open(f->outside, O_RDONLY);
	CLAIM(fd >= 0 && read(fd, &byte, 1) == 1);
	CLAIM(refused(open(f->outside, O_WRONLY)));
	CLAIM(refused(open(f->inside, O_RDONLY)));
	snprintf(path, sizeof path, "%s/new", f->inside);
	CLAIM(refused(open(path, O_WRONLY | O_CREAT, 0600)));
	CLAIM(open("/dev/null", O_WRONLY) >= 0);
	CLAIM(open("/proc/self/status", O_RDONLY) >= 0);
	snprintf(path, sizeof path, "/proc/%d/status", getppid());
	CLAIM(refused(open(path, O_RDONLY)));
	return 0;
}

static void a_file_that_may_be_read_is_the_only_one(void **state)
{
	assert_int_equal(in_child(read_only_process, *state), 0);
}

/* As a recording, which the parent has opened (client/record/maker.h). */
static int process_with_an_open_file(struct fixture *f)
{
	struct sandbox sandbox = {0};
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/new", f->inside);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	CLAIM(fd >= 0);
	if (enter(&sandbox) < 0)
		return MISSING;
	CLAIM(write(fd, "xy", 2) == 2 && pwrite(fd, "z", 1, 0) == 1 && ftruncate(fd, 1) == 0);
	CLAIM(lseek(fd, 1, SEEK_SET) == 1 && fdatasync(fd) == 0 && flock(fd, LOCK_EX) == 0);
	CLAIM(refused(open(path, O_WRONLY)));
	CLAIM(refused(unlink(path)));
	CLAIM(refused(rename(path, f->outside)));
	CLAIM(refused(mkdir(path, 0700)));
	return 0;
}

static void a_file_that_is_open_can_be_written_and_no_other_one(void **state)
{
	assert_int_equal(in_child(process_with_an_open_file, *state), 0);
}

static int process_with_nameless_files(struct fixture *f)
{
	struct sandbox sandbox = {0};
	char path[64], byte;
	int pipe_fds[2], memfd = memfd_create("x", MFD_CLOEXEC);
	const bool landlock = landlock_abi() > 0;

	CLAIM(memfd >= 0 && write(memfd, "x", 1) == 1);
	CLAIM(pipe(pipe_fds) == 0 && write(pipe_fds[1], "x", 1) == 1);
	snprintf(path, sizeof path, "/proc/self/fd/%d", pipe_fds[0]);
	sandbox_allow(&sandbox, path, SANDBOX_READ);
	snprintf(path, sizeof path, "/proc/self/fd/%d", memfd);
	sandbox_allow(&sandbox, path, SANDBOX_READ);
	CLAIM(sandbox.n_paths == 2);
	if (enter(&sandbox) < 0)
		return landlock ? 1 : MISSING;
	memfd = open(path, O_RDONLY);
	CLAIM(memfd >= 0 && read(memfd, &byte, 1) == 1);
	CLAIM(refused(open(f->outside, O_RDONLY)));
	return 0;
}

/* A recording may be /dev/stdin. */
static void a_pipe_or_a_memfd_needs_no_rule(void **state)
{
	assert_int_equal(in_child(process_with_nameless_files, *state), 0);
}

/* --- system calls --- */

static void *run_thread(void *arg)
{
	*(int *)arg = 1;
	return NULL;
}

static int working_process(void)
{
	struct sandbox sandbox = {0};
	pthread_t thread;
	int ran = 0;
	void *map;

	if (enter(&sandbox) < 0)
		return MISSING;
	CLAIM(pthread_create(&thread, NULL, run_thread, &ran) == 0);
	CLAIM(pthread_join(thread, NULL) == 0 && ran);
	map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CLAIM(map != MAP_FAILED && munmap(map, 1 << 20) == 0);
	CLAIM(memfd_create("x", MFD_CLOEXEC) >= 0);
	CLAIM(raise(SIGCONT) == 0);
	return 0;
}

/* A new program, as workers are: libraries may have started threads in this one, and
 * ThreadSanitizer allows no thread in the child of a process with several. */
static int start_working_process(struct fixture *f)
{
	(void)f;
	execl("/proc/self/exe", "test_sandbox", WORKING_PROCESS, (char *)NULL);
	return 1;
}

static void threads_memory_and_own_signals_work(void **state)
{
	assert_int_equal(in_child(start_working_process, *state), 0);
}

static int refused_process(struct fixture *f)
{
	struct sandbox sandbox = {0};
	const long parent = getppid();

	(void)f;
	if (enter(&sandbox) < 0)
		return MISSING;
	CLAIM(refused(kill((pid_t)parent, 0)));
	CLAIM(refused(call(SYS_pidfd_open, parent, 0, 0, 0)));
	CLAIM(refused(call(SYS_process_vm_readv, parent, 0, 0, 0)));
	CLAIM(refused(socket(AF_INET, SOCK_STREAM, 0)));
	CLAIM(refused(socket(AF_UNIX, SOCK_STREAM, 0)));
	CLAIM(refused(unshare(CLONE_NEWUSER)));
	CLAIM(refused(call(SYS_setns, 0, 0, 0, 0)));
	CLAIM(refused(call(SYS_io_uring_setup, 1, 0, 0, 0)));
	CLAIM(refused(call(SYS_bpf, 0, 0, 0, 0)));
	CLAIM(refused(call(SYS_execve, 1, 0, 0, 0)));
	CLAIM(refused(fcntl(0, F_SETOWN, (int)parent)));
	CLAIM(refused(call(SYS_prlimit64, parent, 0, 0, 0)));
	CLAIM(refused(call(SYS_open_by_handle_at, 0, 0, 0, 0)));
	CLAIM(call(1000, 0, 0, 0, 0) < 0 && errno == EPERM); /* a call of the future */
	CLAIM(call(SYS_clone3, 0, 0, 0, 0) < 0 && errno == ENOSYS);
	return 0;
}

static void what_a_worker_does_not_need_is_refused_and_kills_nothing(void **state)
{
	assert_int_equal(in_child(refused_process, *state), 0);
}

/* --- programs --- */

static int exit_code_of(const char *program)
{
	char *argv[] = {(char *)(uintptr_t)program, NULL}, *envp[] = {NULL};
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		/* As libcamera does, and ends the process if it fails. */
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
			_exit(98);
		execve(program, argv, envp);
		_exit(errno == EACCES ? 99 : 97);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 96;
	return WEXITSTATUS(status);
}

static int starting_process(struct fixture *f)
{
	struct sandbox sandbox = {.programs = true};

	(void)f;
	sandbox_allow(&sandbox, "/usr/bin/true", SANDBOX_EXECUTE);
	sandbox_allow_matches(&sandbox, "/lib*/ld-*.so*", SANDBOX_EXECUTE);
	sandbox_allow_matches(&sandbox, "/lib/*/ld-*.so*", SANDBOX_EXECUTE);
	if (enter(&sandbox) < 0)
		return MISSING;
	CLAIM(exit_code_of("/usr/bin/true") == 0);
	CLAIM(exit_code_of("/usr/bin/env") == 99);
	CLAIM(refused(unshare(CLONE_NEWUSER)));
	return 0;
}

static void a_program_that_may_be_executed_is_the_only_one(void **state)
{
	assert_int_equal(in_child(starting_process, *state), 0);
}

/* --- connections --- */

static int listen_somewhere(uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? fd : connect(fd, (struct sockaddr *)&address, sizeof address);
}

static uint16_t good_port, other_port;

static int connecting_process(struct fixture *f)
{
	struct sandbox sandbox = {.tcp_port = good_port};
	const long abi = landlock_abi();

	(void)f;
	if (enter(&sandbox) < 0)
		return MISSING;
	CLAIM(connect_to(good_port) == 0);
	CLAIM(abi < 4 || refused(connect_to(other_port)));
	CLAIM(refused(socket(AF_INET, SOCK_DGRAM, 0)));
	CLAIM(refused(socket(AF_UNIX, SOCK_STREAM, 0)));
	CLAIM(refused(socket(AF_NETLINK, SOCK_RAW, 0)));
	return 0;
}

static void a_port_that_may_be_connected_to_is_the_only_one(void **state)
{
	int good = listen_somewhere(&good_port), other = listen_somewhere(&other_port);

	assert_int_equal(in_child(connecting_process, *state), 0);
	close(good);
	close(other);
}

/* --- memory --- */

static bool can_read(pid_t pid, void *address)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {address, 1};

	return process_vm_readv(pid, &here, 1, &there, 1, 0) == 1;
}

static char secret = 's';

/* Whether the memory of a child of the same user can be read. */
static bool can_read_child(void)
{
	pid_t pid = fork();
	bool can;

	if (pid == 0) {
		pause();
		_exit(0);
	}
	can = can_read(pid, &secret);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return can;
}

static int memory_process(struct fixture *f)
{
	(void)f;
	CLAIM(geteuid() != 0 || (setgid(FAR_USER) == 0 && setuid(FAR_USER) == 0));
	/* A change of user hides it, too. */
	CLAIM(prctl(PR_SET_DUMPABLE, 1) == 0);
	CLAIM(can_read_child());
	sandbox_hide_memory();
	CLAIM(!can_read_child());
	return 0;
}

static void hidden_memory_is_read_by_nobody_of_the_same_user(void **state)
{
	assert_int_equal(in_child(memory_process, *state), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(a_file_that_may_be_read_is_the_only_one),
		CASE(a_file_that_is_open_can_be_written_and_no_other_one),
		CASE(a_pipe_or_a_memfd_needs_no_rule),
		CASE(threads_memory_and_own_signals_work),
		CASE(what_a_worker_does_not_need_is_refused_and_kills_nothing),
		CASE(a_program_that_may_be_executed_is_the_only_one),
		CASE(a_port_that_may_be_connected_to_is_the_only_one),
		CASE(hidden_memory_is_read_by_nobody_of_the_same_user),
	};

	if (argc == 2 && strcmp(argv[1], WORKING_PROCESS) == 0)
		return working_process();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
