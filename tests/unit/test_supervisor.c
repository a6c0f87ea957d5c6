/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs that are kept running, and how they are spawned. Their end by the supervisor:
 * test_supervisor_stop.c. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/diag.h"
#include "supervisor_rig.h"

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

static void the_backoff_ends_where_its_owner_says(void **state)
{
	static const struct supervisor_options patient = {
		.backoff_ms = 1000, .backoff_max_ms = 30000, .healthy_ms = 60000};
	static const int delays_ms[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
	struct fixture f;

	(void)state;
	begin(&f, "well", &patient);
	for (size_t i = 0; i < sizeof delays_ms / sizeof *delays_ms; i++) {
		assert_int_equal(turn(&f), SUPERVISOR_DUE);
		supervisor_back_off(&f.supervisor, f.now_us);
		assert_int_equal(wait_ms(&f), delays_ms[i]);
		f.now_us += delays_ms[i] * MS;
	}
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
		cmocka_unit_test(the_backoff_ends_where_its_owner_says),
		cmocka_unit_test(our_own_absence_is_nobody_s_silence),
		cmocka_unit_test(its_last_lines_come_before_its_end),
		cmocka_unit_test(one_that_closes_its_stderr_makes_nobody_spin),
		cmocka_unit_test(one_that_writes_without_end_is_read_now_and_then),
	};

	diag_init("test", DIAG_ERROR);
	if (argc == 3 && strcmp(argv[1], "child") == 0)
		return run_child(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
