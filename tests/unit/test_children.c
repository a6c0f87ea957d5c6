/* SPDX-License-Identifier: BSD-2-Clause */
/* The children are this program, executed again: `test_children child HOW`. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/diag.h"
#include "client/children.h"

#define PATIENCE_US 30000000 /* deadlines are for failing */
#define NAME "child"
#define LATE_RUNS 99 /* of a child that had the time to end */

/* The memory that the children of these tests share with them. */
struct shared {
	struct child_header header;
	atomic_int runs, open_fds, deep; /* deep: fds over the ones that a child should have */
	_Alignas(4096) unsigned char rest[100000];
};

static struct child *begin(const char *how, unsigned hang_ms)
{
	const char *argv[] = {"test_children", "child", how, NULL};
	struct child_job job = {
		.name = NAME,
		.argv = argv,
		.shared_size = sizeof(struct shared),
		.hang_ms = hang_ms,
		.stop_ms = strcmp(how, "late") == 0 ? 500 : 0,
		.stop_max_ms = strcmp(how, "late") == 0 ? 4000 : 0,
	};
	struct child *child;

	assert_int_equal(child_create(&child, &job), 0);
	return child;
}

static struct shared *shared_of(struct child *child)
{
	return child_shared(child);
}

static int64_t polled_us; /* what child_poll() was told last */

/* Polls as a parent does until done() says so. */
static void poll_until(struct child *child, bool (*done)(struct child *child, int wanted),
		       int wanted)
{
	int64_t deadline_us = clock_now_us() + PATIENCE_US;

	while (!done(child, wanted)) {
		struct pollfd pfd = {.fd = child_fd(child), .events = POLLIN};
		int wait_ms;

		polled_us = clock_now_us();
		wait_ms = child_poll(child, polled_us);
		assert_true(wait_ms <= 500);
		if (done(child, wanted))
			return;
		assert_true(clock_now_us() < deadline_us);
		poll(&pfd, 1, wait_ms >= 0 && wait_ms < 10 ? wait_ms : 10);
	}
}

static bool has_run(struct child *child, int wanted)
{
	return atomic_load(&shared_of(child)->runs) >= wanted;
}

static bool is_in(struct child *child, int wanted)
{
	return (int)child_info(child)->state == wanted;
}

static bool has_restarted(struct child *child, int wanted)
{
	return (int)child_info(child)->restarts >= wanted;
}

static bool is_gone(pid_t pid)
{
	return kill(pid, 0) < 0 && errno == ESRCH;
}

static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void a_child_shares_memory_and_says_what_it_does(void **state)
{
	struct child *child = begin("well", 0);
	char text[CHILD_STATUS_MAX], path[64];
	FILE *comm;

	(void)state;
	poll_until(child, has_run, 1);
	assert_int_equal(child_info(child)->state, CHILD_RUNNING);
	assert_int_equal(shared_of(child)->rest[sizeof shared_of(child)->rest - 1], 'x');
	assert_string_equal(child_read_status(child, text), "run 1");
	assert_string_equal(child_info(child)->reason, "");
	snprintf(path, sizeof path, "/proc/%d/comm", (int)child_info(child)->pid);
	comm = fopen(path, "re");
	assert_non_null(comm);
	assert_non_null(fgets(text, sizeof text, comm));
	fclose(comm);
	assert_string_equal(text, "camcast\n"); /* what top shows */
	child_destroy(child);
}

static void a_child_inherits_no_fd_but_the_standard_ones(void **state)
{
	int leak = open("/dev/null", O_RDONLY); /* without CLOEXEC, as libraries have it */
	struct child *child = begin("well", 0);

	(void)state;
	assert_true(leak >= 0);
	poll_until(child, has_run, 1);
	assert_int_equal(atomic_load(&shared_of(child)->deep), 0);
	child_destroy(child);
	close(leak);
}

static void a_parent_whose_fd_3_is_free_shares_memory_too(void **state)
{
	int saved = fcntl(3, F_DUPFD_CLOEXEC, 100);
	struct child *child;

	(void)state;
	close(3); /* the memfd gets that number */
	child = begin("well", 0);
	poll_until(child, has_run, 1);
	child_destroy(child);
	if (saved >= 0) {
		dup3(saved, 3, O_CLOEXEC);
		close(saved);
	}
}

static void ending_waits_for_the_child_and_leaves_nothing(void **state)
{
	unsigned before = open_fds();
	struct child *child = begin("well", 0);
	int64_t begun_us;
	pid_t pid;

	(void)state;
	poll_until(child, has_run, 1);
	pid = child_info(child)->pid;
	begun_us = clock_now_us();
	child_destroy(child);
	assert_true(is_gone(pid));
	assert_true(clock_now_us() - begun_us < PATIENCE_US);
	assert_int_equal(open_fds(), before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void a_child_told_to_end_is_not_started_again(void **state)
{
	struct child *child = begin("well", 0);

	(void)state;
	poll_until(child, has_run, 1);
	child_end(child);
	poll_until(child, is_in, CHILD_ENDED);
	assert_int_equal(child_fd(child), -1);
	assert_int_equal(child_poll(child, clock_now_us()), -1);
	assert_int_equal(child_info(child)->restarts, 0);
	child_destroy(child);
}

static void a_child_that_ignores_sigterm_is_killed(void **state)
{
	struct child *child = begin("stubborn", 0);

	(void)state;
	poll_until(child, has_run, 1);
	child_end(child);
	poll_until(child, is_in, CHILD_ENDED);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	child_destroy(child);
}

/* The end of a recording on a slow disk. */
static void a_child_that_makes_progress_may_take_longer_to_end(void **state)
{
	struct child *child = begin("late", 0);

	(void)state;
	poll_until(child, has_run, 1);
	child_end(child);
	poll_until(child, is_in, CHILD_ENDED);
	assert_int_equal(atomic_load(&shared_of(child)->runs), LATE_RUNS);
	child_destroy(child);
}

/* With heartbeats for ever. */
static void the_time_to_end_has_a_bound(void **state)
{
	struct child *child = begin("late", 0);
	int64_t begun_us;

	(void)state;
	poll_until(child, has_run, 1);
	shared_of(child)->rest[1] = 1;
	begun_us = clock_now_us();
	child_destroy(child);
	assert_true(clock_now_us() - begun_us >= 3900000);
}

static void a_killed_child_is_started_again_with_its_memory(void **state)
{
	struct child *child = begin("well", 0);
	pid_t first;

	(void)state;
	poll_until(child, has_run, 1);
	first = child_info(child)->pid;
	kill(first, SIGKILL);
	poll_until(child, has_restarted, 1);
	assert_int_equal(child_info(child)->state, CHILD_BACKOFF);
	assert_string_equal(child_info(child)->reason, "killed by SIGKILL");
	assert_int_equal(child_info(child)->pid, 0);
	poll_until(child, has_run, 2);
	assert_int_not_equal(child_info(child)->pid, first);
	child_destroy(child);
}

static void a_crash_is_told_by_its_signal(void **state)
{
	struct child *child = begin("crash", 0);

	(void)state;
	poll_until(child, has_restarted, 1);
	assert_string_equal(child_info(child)->reason, "killed by SIGBUS");
	child_destroy(child);
}

static void a_child_that_exits_at_once_is_started_ever_more_seldom(void **state)
{
	struct child *child = begin("fail", 0);
	int64_t us[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		poll_until(child, has_restarted, i + 1);
		assert_string_equal(child_info(child)->reason, "exit status 7");
		assert_int_equal(child_info(child)->state, CHILD_BACKOFF);
		us[i] = polled_us;
	}
	assert_true(us[1] - us[0] >= 500000);
	assert_true(us[2] - us[1] >= 1000000);
	child_destroy(child); /* while none runs */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void a_child_that_is_done_is_not_started_again(void **state)
{
	struct child *child = begin("done", 0);

	(void)state;
	poll_until(child, is_in, CHILD_ENDED);
	assert_int_equal(child_info(child)->restarts, 0);
	child_destroy(child);
}

static void a_stopped_child_is_a_hang_and_killed(void **state)
{
	struct child *child = begin("well", 1000);

	(void)state;
	poll_until(child, has_run, 1);
	kill(child_info(child)->pid, SIGSTOP);
	poll_until(child, has_restarted, 1);
	assert_string_equal(child_info(child)->reason, "hung: no heartbeat for 1000 ms");
	poll_until(child, has_run, 2);
	child_destroy(child);
}

static void a_child_without_heartbeat_is_a_hang(void **state)
{
	struct child *child = begin("silent", 500);

	(void)state;
	poll_until(child, has_restarted, 1);
	assert_string_equal(child_info(child)->reason, "hung: no heartbeat for 500 ms");
	child_destroy(child);
}

static void a_stopped_child_can_be_ended(void **state)
{
	struct child *child = begin("well", 0);
	pid_t pid;

	(void)state;
	poll_until(child, has_run, 1);
	pid = child_info(child)->pid;
	kill(pid, SIGSTOP);
	child_destroy(child);
	assert_true(is_gone(pid));
}

static void silence_while_the_parent_was_away_is_no_hang(void **state)
{
	struct child *child = begin("silent", 5000);
	int64_t now_us;

	(void)state;
	poll_until(child, has_run, 1);
	now_us = clock_now_us();
	/* As if we had been stopped for an hour. */
	assert_true(child_poll(child, now_us + 3600000000) >= 0);
	assert_int_equal(child_info(child)->state, CHILD_RUNNING);
	assert_true(child_poll(child, now_us + 3601000000) >= 0);
	assert_true(child_poll(child, now_us + 3602000000) >= 0);
	assert_int_equal(kill(child_info(child)->pid, 0), 0);
	assert_string_equal(child_info(child)->reason, "");
	child_poll(child, now_us + 3603500000);
	child_poll(child, now_us + 3605000000);
	assert_string_equal(child_info(child)->reason, "hung: no heartbeat for 5000 ms");
	child_destroy(child);
}

static void children_end_side_by_side(void **state)
{
	struct child *children[8];
	int64_t begun_us;

	(void)state;
	for (size_t i = 0; i < 8; i++)
		children[i] = begin("stubborn", 0);
	for (size_t i = 0; i < 8; i++)
		poll_until(children[i], has_run, 1);
	begun_us = clock_now_us();
	for (size_t i = 0; i < 8; i++)
		child_end(children[i]);
	for (size_t i = 0; i < 8; i++)
		child_destroy(children[i]);
	/* One after the other would take 16 s. */
	assert_true(clock_now_us() - begun_us < 12000000);
}

static void terminal_signals_are_the_parents_business(void **state)
{
	struct child *child = begin("well", 0);

	(void)state;
	poll_until(child, has_run, 1);
	kill(child_info(child)->pid, SIGINT);
	kill(child_info(child)->pid, SIGHUP);
	shared_of(child)->rest[0] = 1; /* which makes it count once more */
	poll_until(child, has_run, 2);
	assert_int_equal(child_info(child)->restarts, 0);
	child_destroy(child);
}

static void too_little_memory_is_refused(void **state)
{
	const char *argv[] = {"test_children", NULL};
	struct child_job job = {.name = NAME, .argv = argv, .shared_size = 8};
	struct child *child;

	(void)state;
	assert_int_equal(child_create(&child, &job), -EINVAL);
	child_destroy(NULL);
}

static void whom_nobody_started_is_no_child(void **state)
{
	struct child_header *shared;
	size_t size;
	int saved = fcntl(CHILD_SHARED_FD, F_DUPFD_CLOEXEC, 100), memfd;

	(void)state;
	close(CHILD_SHARED_FD);
	assert_int_equal(child_attach(&shared, &size), -EBADF);
	/* Of the right size, and not sealed. */
	memfd = memfd_create("not-ours", MFD_CLOEXEC);
	assert_int_equal(ftruncate(memfd, 4096), 0);
	if (memfd != CHILD_SHARED_FD) {
		assert_int_equal(dup2(memfd, CHILD_SHARED_FD), CHILD_SHARED_FD);
		close(memfd);
	}
	assert_int_equal(child_attach(&shared, &size), -EINVAL);
	close(CHILD_SHARED_FD);
	if (saved >= 0) {
		dup3(saved, CHILD_SHARED_FD, O_CLOEXEC);
		close(saved);
	}
}

/* Whether any process maps the memory of inode. */
static bool is_mapped_anywhere(unsigned long inode)
{
	char command[128];

	/* Fields of a line of maps: range, permissions, offset, device, inode, path. */
	snprintf(command, sizeof command,
		 "cat /proc/[0-9]*/maps 2>/dev/null | grep memfd:camcast-child | grep -qw %lu",
		 inode);
	return system(command) == 0; /* NOLINT(cert-env33-c): a fixed command */
}

static void kill_parent_with_children(const char *how)
{
	int fds[2], children[2];
	struct pollfd pfd[2] = {{.events = POLLIN}, {.events = POLLIN}};
	struct {
		pid_t pids[2];
		unsigned long inodes[2];
	} told;
	pid_t parent;

	assert_int_equal(pipe(fds), 0);
	parent = fork();
	assert_true(parent >= 0);
	if (parent == 0) {
		char number[16];

		snprintf(number, sizeof number, "%d", fds[1]);
		execl("/proc/self/exe", "test_children", "parent", how, number, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &told, sizeof told), sizeof told);
	close(fds[0]);
	for (int i = 0; i < 2; i++) {
		children[i] = pidfd_open(told.pids[i], 0);
		assert_true(children[i] >= 0);
		pfd[i].fd = children[i];
		assert_true(is_mapped_anywhere(told.inodes[i]));
	}
	kill(parent, SIGKILL);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(poll(&pfd[i], 1, PATIENCE_US / 1000), 1);
		close(children[i]);
		assert_false(is_mapped_anywhere(told.inodes[i]));
	}
}

static void a_killed_parent_leaves_no_child_and_no_memory(void **state)
{
	(void)state;
	kill_parent_with_children("well");
}

static void even_children_that_listen_to_nobody_die_with_their_parent(void **state)
{
	(void)state;
	kill_parent_with_children("stopped");
}

/* --- the children --- */

static int run_child(const char *how)
{
	struct child_header *header;
	struct shared *shared;
	size_t size;
	int runs, err;

	if (strcmp(how, "fail") == 0)
		return 7;
	if (strcmp(how, "done") == 0)
		return 0;
	err = child_attach(&header, &size);
	if (err < 0 || size < sizeof *shared) {
		diag_error("no child: %s", strerror(-err));
		return 126;
	}
	shared = (struct shared *)(void *)header;
	for (int fd = 3; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			atomic_fetch_add(&shared->deep, 1);
	if (strcmp(how, "crash") == 0) {
		signal(SIGBUS, SIG_DFL);
		raise(SIGBUS);
	}
	if (strcmp(how, "stubborn") == 0)
		signal(SIGTERM, SIG_IGN);
	shared->rest[sizeof shared->rest - 1] = 'x';
	runs = atomic_load(&shared->runs) + 1;
	child_write_status(header, "run %d", runs);
	atomic_store(&shared->runs, runs);
	if (strcmp(how, "stopped") == 0)
		raise(SIGSTOP);
	for (int i = 0; strcmp(how, "late") == 0 && (i < 100 || shared->rest[1]); i++) {
		while (!child_ending())
			poll(NULL, 0, 10);
		poll(NULL, 0, 10);
		child_beat(header);
	}
	if (strcmp(how, "late") == 0)
		atomic_store(&shared->runs, LATE_RUNS);
	while (!child_ending()) {
		poll(NULL, 0, 20);
		if (strcmp(how, "silent") != 0)
			child_beat(header);
		if (shared->rest[0]) {
			shared->rest[0] = 0;
			atomic_fetch_add(&shared->runs, 1);
		}
	}
	return 0;
}

/* A parent of two children, which tells of them and then waits to be killed. */
static int run_parent(const char *how, int fd)
{
	struct {
		pid_t pids[2];
		unsigned long inodes[2];
	} told = {0};
	struct child *children[2];
	char line[512];

	for (int i = 0; i < 2; i++) {
		children[i] = begin(how, 0);
		while (!has_run(children[i], 1))
			poll(NULL, 0, 5);
		told.pids[i] = child_info(children[i])->pid;
	}
	for (int i = 0; i < 2; i++) {
		char path[64];
		FILE *maps;

		snprintf(path, sizeof path, "/proc/%d/maps", (int)told.pids[i]);
		maps = fopen(path, "re");
		while (maps && fgets(line, sizeof line, maps))
			if (strstr(line, "memfd:camcast-child"))
				sscanf(line, "%*s %*s %*s %*s %lu", &told.inodes[i]);
		if (maps)
			fclose(maps);
	}
	if (write(fd, &told, sizeof told) != sizeof told)
		return 1;
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_shares_memory_and_says_what_it_does),
		cmocka_unit_test(a_child_inherits_no_fd_but_the_standard_ones),
		cmocka_unit_test(a_parent_whose_fd_3_is_free_shares_memory_too),
		cmocka_unit_test(ending_waits_for_the_child_and_leaves_nothing),
		cmocka_unit_test(a_child_told_to_end_is_not_started_again),
		cmocka_unit_test(a_child_that_ignores_sigterm_is_killed),
		cmocka_unit_test(a_killed_child_is_started_again_with_its_memory),
		cmocka_unit_test(a_crash_is_told_by_its_signal),
		cmocka_unit_test(a_child_that_exits_at_once_is_started_ever_more_seldom),
		cmocka_unit_test(a_child_that_is_done_is_not_started_again),
		cmocka_unit_test(a_stopped_child_is_a_hang_and_killed),
		cmocka_unit_test(a_child_without_heartbeat_is_a_hang),
		cmocka_unit_test(a_stopped_child_can_be_ended),
		cmocka_unit_test(silence_while_the_parent_was_away_is_no_hang),
		cmocka_unit_test(a_child_that_makes_progress_may_take_longer_to_end),
		cmocka_unit_test(the_time_to_end_has_a_bound),
		cmocka_unit_test(children_end_side_by_side),
		cmocka_unit_test(terminal_signals_are_the_parents_business),
		cmocka_unit_test(too_little_memory_is_refused),
		cmocka_unit_test(whom_nobody_started_is_no_child),
		cmocka_unit_test(a_killed_parent_leaves_no_child_and_no_memory),
		cmocka_unit_test(even_children_that_listen_to_nobody_die_with_their_parent),
	};

	diag_init("test", DIAG_ERROR);
	if (argc == 3 && strcmp(argv[1], "child") == 0)
		return run_child(argv[2]);
	if (argc == 4 && strcmp(argv[1], "parent") == 0)
		return run_parent(argv[2], atoi(argv[3])); /* NOLINT(cert-err34-c): our own */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
