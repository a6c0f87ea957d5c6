/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs that are stopped, and that are killed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/diag.h"
#include "supervisor_rig.h"

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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_next_one_does_not_wait_for_one_that_outlives_its_kill),
		cmocka_unit_test(the_next_one_waits_where_they_share_something),
		cmocka_unit_test(too_many_that_outlive_their_kill_are_not_joined_by_more),
		cmocka_unit_test(one_that_a_tracer_holds_makes_nobody_spin),
		cmocka_unit_test(a_program_that_is_stopped_is_not_started_again),
		cmocka_unit_test(one_that_is_waited_for_is_not_started_either),
		cmocka_unit_test(a_program_that_ignores_sigterm_is_killed),
		cmocka_unit_test(finishing_waits_for_the_end_and_kills_in_the_end),
	};

	diag_init("test", DIAG_ERROR);
	if (argc == 3 && strcmp(argv[1], "child") == 0)
		return run_child(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
