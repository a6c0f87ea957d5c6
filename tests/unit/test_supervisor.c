/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs that are kept running, and how they are spawned. They are this one, executed again:
 * `test_supervisor child HOW`, with a pipe at fd 3 to say that they are there. Time is the tests':
 * it only passes where they say so. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "process/supervisor.h"

#define PATIENCE_MS 30000 /* deadlines are for failing */
#define MS INT64_C(1000)

static bool kills_fail; /* SIGKILL does nothing, as to a process in D state */

int __real_pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned flags);
int __wrap_pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned flags);
int __wrap_pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned flags)
{
	return kills_fail ? 0 : __real_pidfd_send_signal(pidfd, sig, info, flags);
}

struct fixture {
	struct supervisor supervisor;
	const char *program;
	const char *how;
	int64_t now_us;
	int report[2]; /* the child writes a byte once it is there */
};

static const struct supervisor_options usual = {
	.backoff_ms = 100,
	.stop_ms = 2000,
	.stop_signal = SIGTERM,
};

static void begin(struct fixture *f, const char *how, const struct supervisor_options *options)
{
	kills_fail = false;
	memset(f, 0, sizeof *f);
	f->program = "/proc/self/exe";
	f->how = how;
	f->now_us = clock_now_us();
	assert_int_equal(pipe2(f->report, O_CLOEXEC), 0);
	supervisor_init(&f->supervisor, options);
}

static void end(struct fixture *f)
{
	kills_fail = false;
	supervisor_finish(&f->supervisor, PATIENCE_MS);
	close(f->report[0]);
	close(f->report[1]);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left */
}

static int start(struct fixture *f)
{
	char *argv[] = {"test_supervisor", "child", (char *)(uintptr_t)f->how, NULL};
	struct spawn spawn = {
		.program = f->program,
		.argv = argv,
		.fds = {f->report[1]},
		.n_fds = 1,
		.death_signal = SIGKILL,
	};

	return supervisor_start(&f->supervisor, &spawn, f->now_us);
}

static void wait_there(struct fixture *f)
{
	struct pollfd pfd = {.fd = f->report[0], .events = POLLIN};
	char byte;

	assert_int_equal(poll(&pfd, 1, PATIENCE_MS), 1);
	assert_int_equal(read(f->report[0], &byte, 1), 1);
}

static enum supervisor_event turn(struct fixture *f)
{
	return supervisor_turn(&f->supervisor, f->now_us);
}

static int wait_ms(const struct fixture *f)
{
	return supervisor_wait_ms(&f->supervisor, f->now_us);
}

/* Its first process, which is there. */
static void begin_running(struct fixture *f, const char *how,
			  const struct supervisor_options *options)
{
	begin(f, how, options);
	assert_int_equal(turn(f), SUPERVISOR_DUE);
	assert_int_equal(start(f), 0);
	wait_there(f);
	assert_int_equal(turn(f), SUPERVISOR_NOTHING);
}

/* Until the process has ended of itself. */
static void wait_end(struct fixture *f)
{
	struct pollfd pfd = {.fd = supervisor_fd(&f->supervisor), .events = POLLIN};

	assert_true(pfd.fd >= 0);
	assert_int_equal(poll(&pfd, 1, PATIENCE_MS), 1);
	assert_int_equal(turn(f), SUPERVISOR_ENDED);
	assert_int_equal(f->supervisor.pid, 0);
	assert_int_equal(supervisor_fd(&f->supervisor), -1);
}

static const char *how_it_ended(const struct fixture *f)
{
	static char text[64];

	spawn_describe(f->supervisor.status, text, sizeof text);
	return text;
}

/* Those that were killed are looked for now and then; the real time passes meanwhile. */
static void wait_nobody_left(struct fixture *f)
{
	int64_t deadline_us = f->now_us + PATIENCE_MS * MS;

	while (f->supervisor.n_left > 0) {
		int ms = wait_ms(f);

		assert_in_range(ms, 0, 500);
		poll(NULL, 0, ms);
		f->now_us += ms * MS;
		assert_true(f->now_us < deadline_us);
		if (turn(f) == SUPERVISOR_DUE)
			supervisor_back_off(&f->supervisor, f->now_us);
	}
}

/* --- starting --- */

static void the_first_start_is_due_at_once(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "well", &usual);
	assert_int_equal(wait_ms(&f), 0);
	assert_int_equal(turn(&f), SUPERVISOR_DUE);
	assert_int_equal(start(&f), 0);
	assert_int_equal(f.supervisor.state, SUPERVISOR_RUNNING);
	assert_int_equal(f.supervisor.restarts, 0);
	assert_int_equal(kill(f.supervisor.pid, 0), 0);
	assert_int_equal(wait_ms(&f), -1); /* the pidfd reports its end */
	end(&f);
}

static void a_program_that_is_not_there_is_tried_again(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "well", &usual);
	f.program = "/nonexistent/program";
	assert_int_equal(turn(&f), SUPERVISOR_DUE);
	assert_int_equal(start(&f), -ENOENT);
	supervisor_back_off(&f.supervisor, f.now_us);
	assert_int_equal(turn(&f), SUPERVISOR_NOTHING);
	assert_int_equal(wait_ms(&f), 100);
	f.now_us += 100 * MS;
	assert_int_equal(turn(&f), SUPERVISOR_DUE);
	f.program = "/proc/self/exe";
	assert_int_equal(start(&f), 0);
	assert_int_equal(f.supervisor.restarts, 1);
	end(&f);
}

static void its_signals_are_as_after_login(void **state)
{
	sigset_t usr1;
	struct fixture f;

	(void)state;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	signal(SIGUSR1, SIG_IGN);
	begin_running(&f, "well", &usual);
	signal(SIGUSR1, SIG_DFL);
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	assert_int_equal(kill(f.supervisor.pid, SIGUSR1), 0);
	wait_end(&f);
	assert_string_equal(how_it_ended(&f), "killed by SIGUSR1");
	end(&f);
}

/* --- ending by itself --- */

static void a_program_that_exits_is_started_ever_later(void **state)
{
	static const int expected_ms[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
	struct fixture f;

	(void)state;
	begin(&f, "fail", &usual);
	for (unsigned i = 0; i < sizeof expected_ms / sizeof *expected_ms; i++) {
		assert_int_equal(turn(&f), SUPERVISOR_DUE);
		assert_int_equal(f.supervisor.restarts, i);
		assert_int_equal(start(&f), 0);
		wait_end(&f);
		assert_string_equal(how_it_ended(&f), "exit status 7");
		assert_int_equal(f.supervisor.state, SUPERVISOR_WAITING);
		assert_int_equal(f.supervisor.failures, i + 1);
		assert_int_equal(wait_ms(&f), expected_ms[i]);
		f.now_us += expected_ms[i] * MS - 1;
		assert_int_equal(turn(&f), SUPERVISOR_NOTHING);
		f.now_us++;
	}
	end(&f); /* while none runs */
}

static void a_program_that_ran_well_is_started_soon(void **state)
{
	struct fixture f;

	(void)state;
	begin_running(&f, "well", &usual);
	for (int i = 0; i < 2; i++) {
		f.now_us += 29999 * MS;
		kill(f.supervisor.pid, SIGTERM);
		wait_end(&f);
		assert_int_equal(wait_ms(&f), i == 0 ? 100 : 200);
		f.now_us = f.supervisor.due_us;
		assert_int_equal(turn(&f), SUPERVISOR_DUE);
		assert_int_equal(start(&f), 0);
	}
	f.now_us += 30000 * MS;
	kill(f.supervisor.pid, SIGTERM);
	wait_end(&f);
	assert_int_equal(f.supervisor.failures, 1);
	assert_int_equal(wait_ms(&f), 100);
	end(&f);
}

static void a_hurried_start_is_due_now(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "fail", &usual);
	for (int i = 0; i < 5; i++)
		supervisor_back_off(&f.supervisor, f.now_us);
	assert_int_equal(wait_ms(&f), 1600);
	supervisor_hurry(&f.supervisor, f.now_us);
	assert_int_equal(turn(&f), SUPERVISOR_DUE);
	assert_int_equal(start(&f), 0);
	wait_end(&f);
	assert_int_equal(wait_ms(&f), 100);
	end(&f);
}

static void a_crash_is_told_by_its_signal(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "crash", &usual);
	assert_int_equal(turn(&f), SUPERVISOR_DUE);
	assert_int_equal(start(&f), 0);
	wait_end(&f);
	assert_memory_equal(how_it_ended(&f), "killed by SIGSEGV", 17);
	end(&f);
}

static void an_end_that_somebody_else_saw_is_an_end_too(void **state)
{
	struct fixture f;

	(void)state;
	begin_running(&f, "well", &usual);
	signal(SIGCHLD, SIG_IGN); /* the kernel reaps */
	kill(f.supervisor.pid, SIGTERM);
	wait_end(&f);
	signal(SIGCHLD, SIG_DFL);
	assert_int_equal(f.supervisor.status, SPAWN_STATUS_LOST);
	assert_string_equal(how_it_ended(&f), "it is not known how");
	assert_int_equal(wait_ms(&f), 100);
	end(&f);
}

/* --- signs of life --- */

static const struct supervisor_options watched = {
	.backoff_ms = 100,
	.start_ms = 2000,
	.stop_ms = 2000,
	.stop_signal = SIGTERM,
};

/* In the steps that the supervisor asks for. */
static enum supervisor_event pass_ms(struct fixture *f, int ms)
{
	enum supervisor_event event = SUPERVISOR_NOTHING;

	while (ms > 0 && event == SUPERVISOR_NOTHING) {
		int step = wait_ms(f);

		if (step < 0 || step > ms)
			step = ms;
		f->now_us += step * MS;
		ms -= step;
		event = turn(f);
	}
	return event;
}

static void a_program_without_a_sign_of_life_is_silent(void **state)
{
	struct fixture f;

	(void)state;
	begin_running(&f, "well", &watched);
	assert_int_equal(pass_ms(&f, 1999), SUPERVISOR_NOTHING);
	supervisor_beat(&f.supervisor, f.now_us, 3000);
	assert_int_equal(pass_ms(&f, 2999), SUPERVISOR_NOTHING);
	supervisor_beat(&f.supervisor, f.now_us - 5000 * MS, 3000); /* long past */
	assert_int_equal(pass_ms(&f, 1), SUPERVISOR_SILENT);
	assert_int_equal(f.supervisor.patience_ms, 3000);
	/* Its owner may know better. */
	supervisor_beat(&f.supervisor, f.now_us, 1000);
	assert_int_equal(pass_ms(&f, 999), SUPERVISOR_NOTHING);
	assert_int_equal(pass_ms(&f, 1), SUPERVISOR_SILENT);
	end(&f);
}

static void our_own_absence_is_nobody_s_silence(void **state)
{
	struct fixture f;

	(void)state;
	begin_running(&f, "well", &watched);
	f.now_us += 3600000 * MS;
	assert_int_equal(turn(&f), SUPERVISOR_NOTHING);
	assert_int_equal(pass_ms(&f, 1999), SUPERVISOR_NOTHING);
	assert_int_equal(pass_ms(&f, 1), SUPERVISOR_SILENT);
	end(&f);
}

/* --- killed --- */

static void the_next_one_does_not_wait_for_one_that_outlives_its_kill(void **state)
{
	struct fixture f;
	pid_t first;

	(void)state;
	begin_running(&f, "well", &watched);
	first = f.supervisor.pid;
	kills_fail = true;
	supervisor_kill(&f.supervisor);
	assert_int_equal(wait_ms(&f), 0);
	assert_int_equal(turn(&f), SUPERVISOR_ENDED);
	assert_true(f.supervisor.killed);
	assert_int_equal(f.supervisor.n_left, 1);
	f.now_us = f.supervisor.due_us;
	assert_int_equal(turn(&f), SUPERVISOR_DUE);
	assert_int_equal(start(&f), 0);
	assert_int_not_equal(f.supervisor.pid, first);
	assert_int_equal(kill(first, 0), 0);
	kill(first, SIGKILL);
	wait_nobody_left(&f);
	assert_int_equal(kill(first, 0), -1);
	end(&f);
}

static void the_next_one_waits_where_they_share_something(void **state)
{
	struct supervisor_options options = watched;
	struct fixture f;

	(void)state;
	options.exclusive = true;
	begin_running(&f, "well", &options);
	kills_fail = true;
	supervisor_kill(&f.supervisor);
	assert_int_equal(pass_ms(&f, 60000), SUPERVISOR_NOTHING);
	assert_int_equal(f.supervisor.state, SUPERVISOR_RUNNING);
	kill(f.supervisor.pid, SIGKILL);
	wait_end(&f);
	assert_int_equal(f.supervisor.n_left, 0);
	end(&f);
}

static void too_many_that_outlive_their_kill_are_not_joined_by_more(void **state)
{
	pid_t pids[SUPERVISOR_KILLED_MAX];
	struct fixture f;

	(void)state;
	begin(&f, "well", &usual);
	kills_fail = true;
	for (int i = 0; i < SUPERVISOR_KILLED_MAX; i++) {
		assert_int_equal(turn(&f), SUPERVISOR_DUE);
		assert_int_equal(start(&f), 0);
		pids[i] = f.supervisor.pid;
		supervisor_kill(&f.supervisor);
		assert_int_equal(turn(&f), SUPERVISOR_ENDED);
		f.now_us = f.supervisor.due_us;
	}
	assert_int_equal(f.supervisor.n_left, SUPERVISOR_KILLED_MAX);
	assert_int_equal(turn(&f), SUPERVISOR_DUE);
	assert_int_equal(start(&f), -EBUSY);
	supervisor_back_off(&f.supervisor, f.now_us);
	for (int i = 0; i < SUPERVISOR_KILLED_MAX; i++)
		kill(pids[i], SIGKILL);
	wait_nobody_left(&f);
	assert_int_equal(start(&f), 0);
	end(&f);
}

/* A process that traces pid until it is sent a byte; -1: that is not allowed here. */
static pid_t start_tracer(pid_t pid, int go[2])
{
	char word = 0;
	int said[2];
	pid_t tracer;

	assert_int_equal(pipe2(said, O_CLOEXEC), 0);
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	tracer = fork();
	assert_true(tracer >= 0);
	if (tracer == 0) {
		word = ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0 ? 'y' : 'n';
		if (write(said[1], &word, 1) == 1)
			(void)!read(go[0], &word, 1);
		_exit(0);
	}
	assert_int_equal(read(said[0], &word, 1), 1);
	close(said[0]);
	close(said[1]);
	if (word == 'y')
		return tracer;
	close(go[0]);
	close(go[1]);
	waitpid(tracer, NULL, 0);
	return -1;
}

static void one_that_a_tracer_holds_makes_nobody_spin(void **state)
{
	struct fixture f;
	struct pollfd pfd;
	pid_t tracer, pid;
	int go[2];

	(void)state;
	begin_running(&f, "well", &usual);
	pid = f.supervisor.pid;
	tracer = start_tracer(pid, go);
	if (tracer < 0) {
		end(&f);
		skip();
	}
	kill(pid, SIGKILL);
	pfd = (struct pollfd){.fd = supervisor_fd(&f.supervisor), .events = POLLIN};
	assert_int_equal(poll(&pfd, 1, PATIENCE_MS), 1);
	assert_int_equal(turn(&f), SUPERVISOR_NOTHING); /* dead, but the tracer has not seen it */
	assert_int_equal(supervisor_fd(&f.supervisor), -1);
	assert_int_equal(wait_ms(&f), 500);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(tracer, NULL, 0), tracer);
	f.now_us += 500 * MS;
	assert_int_equal(turn(&f), SUPERVISOR_ENDED);
	assert_string_equal(how_it_ended(&f), "killed by SIGKILL");
	close(go[0]);
	close(go[1]);
	end(&f);
}

/* --- stopped --- */

static void a_program_that_is_stopped_is_not_started_again(void **state)
{
	struct fixture f;

	(void)state;
	begin_running(&f, "well", &watched);
	supervisor_stop(&f.supervisor, f.now_us);
	assert_int_equal(f.supervisor.state, SUPERVISOR_STOPPING);
	assert_int_equal(wait_ms(&f), 2000);
	wait_end(&f);
	assert_int_equal(f.supervisor.state, SUPERVISOR_STOPPED);
	assert_int_equal(f.supervisor.restarts, 0);
	assert_int_equal(wait_ms(&f), -1);
	assert_int_equal(pass_ms(&f, 60000), SUPERVISOR_NOTHING);
	assert_int_equal(supervisor_finish(&f.supervisor, 0), 0);
	end(&f);
}

static void one_that_is_waited_for_is_not_started_either(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "well", &usual);
	supervisor_back_off(&f.supervisor, f.now_us);
	supervisor_stop(&f.supervisor, f.now_us);
	assert_int_equal(f.supervisor.state, SUPERVISOR_STOPPED);
	assert_int_equal(pass_ms(&f, 60000), SUPERVISOR_NOTHING);
	end(&f);
}

static void a_program_that_ignores_sigterm_is_killed(void **state)
{
	struct fixture f;

	(void)state;
	begin_running(&f, "stubborn", &usual);
	supervisor_stop(&f.supervisor, f.now_us);
	assert_int_equal(pass_ms(&f, 1999), SUPERVISOR_NOTHING);
	assert_false(f.supervisor.killed);
	assert_int_equal(pass_ms(&f, 1), SUPERVISOR_NOTHING);
	assert_true(f.supervisor.killed);
	wait_end(&f);
	assert_string_equal(how_it_ended(&f), "killed by SIGKILL");
	assert_int_equal(supervisor_finish(&f.supervisor, 0), 1);
	end(&f);
}

static void finishing_waits_for_the_end_and_kills_in_the_end(void **state)
{
	struct supervisor_options options = usual;
	struct fixture f;
	pid_t pid;

	(void)state;
	begin_running(&f, "well", &options);
	assert_int_equal(supervisor_finish(&f.supervisor, PATIENCE_MS), 0);
	end(&f);
	options.stop_ms = 10;
	begin_running(&f, "stubborn", &options);
	assert_int_equal(supervisor_finish(&f.supervisor, PATIENCE_MS), 1);
	end(&f);
	begin_running(&f, "stubborn", &options);
	pid = f.supervisor.pid;
	kills_fail = true;
	assert_int_equal(supervisor_finish(&f.supervisor, 10), -ETIMEDOUT);
	assert_int_equal(f.supervisor.pid, pid);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	f.supervisor.pid = 0;
	end(&f);
}

/* --- its lines --- */

/* Our stderr becomes a pipe, whose reading end is returned. */
static int take_stderr(int *saved)
{
	int ends[2];

	*saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
	return ends[0];
}

static size_t give_stderr_back(int fd, int saved, char *text, size_t size)
{
	ssize_t n = read(fd, text, size - 1);

	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

static const struct supervisor_options listened = {
	.backoff_ms = 100,
	.stop_ms = 2000,
	.stop_signal = SIGTERM,
	.lines = {.program = "it", .owner = "a test"},
	.lines_stdout = true,
};

static void its_last_lines_come_before_its_end(void **state)
{
	char text[4096];
	struct fixture f;
	int saved, fd;

	(void)state;
	begin(&f, "talk", &listened);
	fd = take_stderr(&saved);
	assert_int_equal(turn(&f), SUPERVISOR_DUE);
	assert_int_equal(start(&f), 0);
	/* What it wrote does not end the wait for its end. */
	while (turn(&f) != SUPERVISOR_ENDED) {
		struct pollfd pfd = {.fd = supervisor_fd(&f.supervisor), .events = POLLIN};
		int ms = wait_ms(&f);

		assert_int_equal(poll(&pfd, 1, ms < 0 ? PATIENCE_MS : ms) < 0, 0);
		f.now_us += 10 * MS;
	}
	give_stderr_back(fd, saved, text, sizeof text);
	assert_non_null(strstr(text, " it: error: from stderr\n"));
	assert_non_null(strstr(text, " it: error: from stdout, without an end\n"));
	assert_string_equal(how_it_ended(&f), "exit status 7");
	end(&f);
}

static void one_that_closes_its_stderr_makes_nobody_spin(void **state)
{
	struct pollfd pfd;
	struct fixture f;

	(void)state;
	begin_running(&f, "mute", &listened);
	for (int i = 0; i < 3; i++) { /* until its end is seen */
		f.now_us += 10 * MS;
		assert_int_equal(turn(&f), SUPERVISOR_NOTHING);
	}
	pfd = (struct pollfd){.fd = supervisor_fd(&f.supervisor), .events = POLLIN};
	assert_int_equal(poll(&pfd, 1, 0), 0);
	assert_int_equal(wait_ms(&f), -1);
	kill(f.supervisor.pid, SIGTERM);
	wait_end(&f);
	end(&f);
}

static void one_that_writes_without_end_is_read_now_and_then(void **state)
{
	struct fixture f;
	int reports = 0, pauses = 0;

	(void)state;
	begin_running(&f, "flood", &listened); /* its lines have level info, and we show errors */
	for (int i = 0; i < 100; i++) {
		struct pollfd pfd = {.fd = supervisor_fd(&f.supervisor), .events = POLLIN};
		int ms = wait_ms(&f);

		if (poll(&pfd, 1, ms < 0 ? PATIENCE_MS : ms) > 0)
			reports++;
		else
			pauses++;
		f.now_us += (ms > 0 ? ms : 0) * MS;
		assert_int_equal(turn(&f), SUPERVISOR_NOTHING);
	}
	/* Each time that lines are reported, a pause follows. */
	assert_true(reports <= pauses + 1);
	kill(f.supervisor.pid, SIGKILL);
	while (turn(&f) != SUPERVISOR_ENDED)
		poll(NULL, 0, 1);
	end(&f);
}

/* --- the programs --- */

static int run_child(const char *how)
{
	if (strcmp(how, "fail") == 0)
		return 7;
	if (strcmp(how, "crash") == 0) {
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
	}
	if (strcmp(how, "talk") == 0) {
		dprintf(STDERR_FILENO, "<3>from stderr\n");
		dprintf(STDOUT_FILENO, "<0>from stdout, without an end");
		return 7;
	}
	if (strcmp(how, "mute") == 0) {
		close(STDOUT_FILENO);
		close(STDERR_FILENO);
	}
	if (strcmp(how, "stubborn") == 0)
		signal(SIGTERM, SIG_IGN);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	if (write(3, "x", 1) != 1)
		return 1;
	while (strcmp(how, "flood") == 0)
		(void)!write(STDERR_FILENO, "y\ny\ny\ny\n", 8);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_start_is_due_at_once),
		cmocka_unit_test(a_program_that_is_not_there_is_tried_again),
		cmocka_unit_test(its_signals_are_as_after_login),
		cmocka_unit_test(a_program_that_exits_is_started_ever_later),
		cmocka_unit_test(a_program_that_ran_well_is_started_soon),
		cmocka_unit_test(a_hurried_start_is_due_now),
		cmocka_unit_test(a_crash_is_told_by_its_signal),
		cmocka_unit_test(an_end_that_somebody_else_saw_is_an_end_too),
		cmocka_unit_test(a_program_without_a_sign_of_life_is_silent),
		cmocka_unit_test(our_own_absence_is_nobody_s_silence),
		cmocka_unit_test(the_next_one_does_not_wait_for_one_that_outlives_its_kill),
		cmocka_unit_test(the_next_one_waits_where_they_share_something),
		cmocka_unit_test(too_many_that_outlive_their_kill_are_not_joined_by_more),
		cmocka_unit_test(one_that_a_tracer_holds_makes_nobody_spin),
		cmocka_unit_test(a_program_that_is_stopped_is_not_started_again),
		cmocka_unit_test(one_that_is_waited_for_is_not_started_either),
		cmocka_unit_test(a_program_that_ignores_sigterm_is_killed),
		cmocka_unit_test(finishing_waits_for_the_end_and_kills_in_the_end),
		cmocka_unit_test(its_last_lines_come_before_its_end),
		cmocka_unit_test(one_that_closes_its_stderr_makes_nobody_spin),
		cmocka_unit_test(one_that_writes_without_end_is_read_now_and_then),
	};

	diag_init("test", DIAG_ERROR);
	if (argc == 3 && strcmp(argv[1], "child") == 0)
		return run_child(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
