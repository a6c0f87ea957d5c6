/* SPDX-License-Identifier: BSD-2-Clause */
#include "supervisor_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

bool kills_fail;

int __real_pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned flags);
int __wrap_pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned flags);
int __wrap_pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned flags)
{
	return kills_fail ? 0 : __real_pidfd_send_signal(pidfd, sig, info, flags);
}

const struct supervisor_options usual = {
	.backoff_ms = 100,
	.stop_ms = 2000,
	.stop_signal = SIGTERM,
};

const struct supervisor_options watched = {
	.backoff_ms = 100,
	.start_ms = 2000,
	.stop_ms = 2000,
	.stop_signal = SIGTERM,
};

void begin(struct fixture *f, const char *how, const struct supervisor_options *options)
{
	kills_fail = false;
	memset(f, 0, sizeof *f);
	f->program = "/proc/self/exe";
	f->how = how;
	f->now_us = clock_now_us();
	assert_int_equal(pipe2(f->report, O_CLOEXEC), 0);
	supervisor_init(&f->supervisor, options);
}

void end(struct fixture *f)
{
	kills_fail = false;
	supervisor_finish(&f->supervisor, PATIENCE_MS);
	close(f->report[0]);
	close(f->report[1]);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left */
}

int start(struct fixture *f)
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

enum supervisor_event turn(struct fixture *f)
{
	return supervisor_turn(&f->supervisor, f->now_us);
}

int wait_ms(const struct fixture *f)
{
	return supervisor_wait_ms(&f->supervisor, f->now_us);
}

void begin_running(struct fixture *f, const char *how, const struct supervisor_options *options)
{
	begin(f, how, options);
	assert_int_equal(turn(f), SUPERVISOR_DUE);
	assert_int_equal(start(f), 0);
	wait_there(f);
	assert_int_equal(turn(f), SUPERVISOR_NOTHING);
}

void wait_end(struct fixture *f)
{
	struct pollfd pfd = {.fd = supervisor_fd(&f->supervisor), .events = POLLIN};

	assert_true(pfd.fd >= 0);
	assert_int_equal(poll(&pfd, 1, PATIENCE_MS), 1);
	assert_int_equal(turn(f), SUPERVISOR_ENDED);
	assert_int_equal(f->supervisor.pid, 0);
	assert_int_equal(supervisor_fd(&f->supervisor), -1);
}

const char *how_it_ended(const struct fixture *f)
{
	static char text[64];

	spawn_describe(f->supervisor.status, text, sizeof text);
	return text;
}

void wait_nobody_left(struct fixture *f)
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

enum supervisor_event pass_ms(struct fixture *f, int ms)
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

int run_child(const char *how)
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
