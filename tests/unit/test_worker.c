/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker's life, with the test double as its process: backoff, demand, processes that do not end.
 * What it may say is in test_worker_messages.c, what viewers see in
 * tests/e2e/test_worker_faults.py.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/worker/worker.h"
#include "tests/unit/worker_rig.h"

static int64_t clock_ahead_us;	 /* of the real one: tests let hours pass */
static int64_t clock_stopped_us; /* instead of the real one, unless it is 0 */
static bool kills_fail;		 /* SIGKILL does nothing, as to a process in D state */

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t us;
	int ret = __real_clock_gettime(id, ts);

	if (id != CLOCK_MONOTONIC)
		return ret;
	us = clock_stopped_us ? clock_stopped_us
			      : (int64_t)ts->tv_sec * 1000000 + ts->tv_nsec / 1000;
	us += clock_ahead_us;
	ts->tv_sec = us / 1000000;
	ts->tv_nsec = us % 1000000 * 1000;
	return ret;
}

int __real_pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned flags);
int __wrap_pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned flags);
int __wrap_pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned flags)
{
	return kills_fail ? 0 : __real_pidfd_send_signal(pidfd, sig, info, flags);
}

struct fixture {
	struct rig rig;
	struct worker *worker; /* of camera front */
	char program[PATH_MAX];
	uint64_t goal; /* of the conditions below */
};

/* The test double is built beside the tests. */
static void find_program(char *path)
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 32);

	assert_true(n > 0);
	path[n] = '\0';
	strcpy(strrchr(path, '/'), "/../support/fakeworker");
	if (access(path, X_OK) < 0)
		fail_msg("%s is not built (make unit-programs)", path);
}

static const char config_text[] = "[daemon]\n[camera front]\nsource = pattern\n"
				  "[camera back]\nsource = pattern\n"
				  "[stream fh]\ncamera = front\nannexb = 127.0.0.1:0\n"
				  "[stream fj]\ncamera = front\ncodec = mjpeg\non_demand = yes\n"
				  "length_prefixed = 127.0.0.1:0\n"
				  "[stream bh]\ncamera = back\nannexb = 127.0.0.1:0\n";

static void create_worker(struct fixture *f, const char *program, const char *words)
{
	struct feed_demand *demands[RIG_FEEDS];
	struct worker_options options;

	memset(f, 0, sizeof *f);
	clock_ahead_us = 0;
	clock_stopped_us = 0;
	kills_fail = false;
	setenv("FAKEWORKER", words, 1);
	rig_open(&f->rig, "");
	if (program)
		strcpy(f->program, program);
	else
		find_program(f->program);
	options = (struct worker_options){
		.camera = f->rig.cameras->cameras[FRONT],
		.program = f->program,
		.config_text = config_text,
		.config_len = sizeof config_text - 1,
		.reserve = f->rig.reserve,
	};
	assert_int_equal(worker_create(&f->worker, f->rig.loop, &options), 0);
	demands[FRONT_H264] = worker_feed_demand(f->worker, FRONT_H264);
	demands[FRONT_JPEG] = worker_feed_demand(f->worker, FRONT_JPEG);
	demands[BACK_H264] = &f->rig.demand;
	rig_create_feeds(&f->rig, demands);
}

static void open_worker(struct fixture *f, const char *program, const char *words)
{
	create_worker(f, program, words);
	worker_start(f->worker);
}

static void close_worker(struct fixture *f)
{
	clock_stopped_us = 0;
	worker_destroy(f->worker);
	rig_close(&f->rig);
}

/* --- conditions --- */

static bool is_running(void *user)
{
	return worker_status(((struct fixture *)user)->worker)->state == WORKER_RUNNING;
}

static bool is_in_backoff(void *user)
{
	return worker_status(((struct fixture *)user)->worker)->state == WORKER_BACKOFF;
}

static bool has_restarted(void *user)
{
	struct fixture *f = user;

	return is_running(f) && worker_status(f->worker)->restarts >= f->goal;
}

static bool has_units(void *user)
{
	struct fixture *f = user;

	return feed_stats(rig_feed(&f->rig, FRONT_H264))->units >= f->goal;
}

static bool has_jpegs(void *user)
{
	struct fixture *f = user;

	return feed_stats(rig_feed(&f->rig, FRONT_JPEG))->units >= f->goal;
}

static bool has_frames(void *user)
{
	struct fixture *f = user;

	return worker_status(f->worker)->heartbeat.frames >= f->goal;
}

static bool has_bitrate(void *user)
{
	struct fixture *f = user;

	return worker_status(f->worker)->streams[STREAM_FH].target_bps == f->goal;
}

static bool has_idrs(void *user)
{
	struct fixture *f = user;

	return worker_status(f->worker)->streams[STREAM_FH].idr_requests >= f->goal;
}

static bool has_control(void *user)
{
	struct fixture *f = user;

	return strcmp(worker_status(f->worker)->heartbeat.reason, "0.5") == 0;
}

/* A later heartbeat does not name the value any more. */
static bool has_no_control(void *user)
{
	return !has_control(user);
}

static bool jpeg_is_inactive(void *user)
{
	return !worker_status(((struct fixture *)user)->worker)->streams[STREAM_FJ].active;
}

static bool nobody_is_undead(void *user)
{
	return worker_status(((struct fixture *)user)->worker)->undead == 0;
}

static void run_until(struct fixture *f, bool (*done)(void *user), uint64_t goal)
{
	f->goal = goal;
	rig_run_until(&f->rig, done, f);
}

static uint64_t units(const struct fixture *f)
{
	return feed_stats(rig_feed(&f->rig, FRONT_H264))->units;
}

static int64_t delay_ms(struct fixture *f)
{
	return (worker_status(f->worker)->retry_at_us - loop_now_us(f->rig.loop) + 500) / 1000;
}

static void let_pass(struct fixture *f, int64_t us)
{
	clock_ahead_us += us;
	assert_int_equal(loop_turn(f->rig.loop, 0), 0);
}

/* From here on time passes in let_pass() alone: a test of delays that has to wait for a processor
 * would see some of them go by. */
static void stop_clock(void)
{
	clock_stopped_us = clock_now_us();
}

/* For one worker after the other: the thread that closes their descriptors knows nothing of the
 * test's clock, and four that ended within milliseconds would keep the next one from starting. */
static void let_backoff_pass(struct fixture *f, int64_t us)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	int left = 10000;

	while (worker_status(f->worker)->state == WORKER_BACKOFF && !worker_has_ended(f->worker)) {
		assert_true(left-- > 0);
		nanosleep(&nap, NULL);
		assert_int_equal(loop_turn(f->rig.loop, 0), 0);
	}
	let_pass(f, us);
}

/* A program that does not exist: camcastd does not wait for ever for the news of that. */
static void assert_cannot_start(struct fixture *f)
{
	const char *reason;

	run_until(f, is_in_backoff, 0);
	reason = worker_status(f->worker)->reason;
	if (!strstr(reason, "exit status 127"))
		assert_string_equal(reason, "cannot start /nonexistent/program: "
					    "No such file or directory");
}

/* --- life and death --- */

static void it_starts_and_its_units_arrive(void **state)
{
	struct fixture f;

	(void)state;
	open_worker(&f, NULL, "");
	assert_int_equal(worker_status(f.worker)->state, WORKER_STARTING);
	run_until(&f, has_units, 5);
	assert_int_equal(worker_status(f.worker)->state, WORKER_RUNNING);
	assert_true(worker_status(f.worker)->pid > 0);
	assert_int_equal(worker_status(f.worker)->restarts, 0);
	/* The feed is on_demand and has no viewer; the other camera's feed is
	 * not touched either. */
	assert_int_equal(feed_stats(rig_feed(&f.rig, FRONT_JPEG))->units, 0);
	assert_int_equal(feed_stats(rig_feed(&f.rig, BACK_H264))->units, 0);
	close_worker(&f);
}

static void backoff_doubles_up_to_ten_seconds(void **state)
{
	static const int64_t expected_ms[] = {100,  200,  400,	 800,	1600,
					      3200, 6400, 10000, 10000, 10000};
	struct fixture f;

	(void)state;
	open_worker(&f, "/nonexistent/program", "");
	stop_clock();
	for (size_t i = 0; i < sizeof expected_ms / sizeof expected_ms[0]; i++) {
		assert_cannot_start(&f);
		assert_int_equal(worker_status(f.worker)->restarts, i);
		assert_int_equal(delay_ms(&f), expected_ms[i]);
		let_backoff_pass(&f, expected_ms[i] * 1000);
	}
	close_worker(&f);
}

static void half_a_minute_of_health_ends_the_backoff(void **state)
{
	struct fixture f;

	(void)state;
	open_worker(&f, NULL, "fault=exit-at-once");
	stop_clock();
	for (int i = 0; i < 5; i++) {
		run_until(&f, is_in_backoff, 0);
		if (i == 4)
			setenv("FAKEWORKER", "", 1);
		let_backoff_pass(&f, 2000000);
	}
	run_until(&f, is_running, 0);
	worker_restart(f.worker, "a test");
	assert_int_equal(delay_ms(&f), 3200); /* young */
	let_pass(&f, 4000000);
	run_until(&f, is_running, 0);
	for (int i = 0; i < 32; i++) {
		let_pass(&f, 1000000);
		run_until(&f, has_units, units(&f) + 1);
	}
	worker_restart(f.worker, "a test");
	assert_string_equal(worker_status(f.worker)->reason, "a test");
	assert_int_equal(delay_ms(&f), 100);
	close_worker(&f);
}

static void a_hurried_worker_is_started_now_and_then_soon(void **state)
{
	struct fixture f;

	(void)state;
	open_worker(&f, "/nonexistent/program", "");
	stop_clock();
	for (int i = 0; i < 8; i++) {
		assert_cannot_start(&f);
		let_backoff_pass(&f, 10000000);
	}
	assert_cannot_start(&f);
	assert_int_equal(delay_ms(&f), 10000);
	worker_hurry(f.worker);
	assert_int_equal(worker_status(f.worker)->restarts, 8);
	let_pass(&f, 1000);
	assert_cannot_start(&f);
	assert_int_equal(worker_status(f.worker)->restarts, 9);
	assert_int_equal(delay_ms(&f), 100);
	close_worker(&f);
}

/* It waits until the worker that it replaces has ended. */
static void a_worker_that_is_not_started_is_not_hurried(void **state)
{
	struct fixture f;

	(void)state;
	create_worker(&f, NULL, "");
	stop_clock();
	worker_hurry(f.worker);
	assert_int_equal(worker_restart_asked(f.worker, "a test"), 0);
	let_pass(&f, 1000);
	assert_int_equal(worker_status(f.worker)->pid, 0);
	worker_start(f.worker);
	run_until(&f, is_running, 0);
	close_worker(&f);
}

static void a_restart_that_is_asked_for_has_no_backoff_and_comes_once_a_minute(void **state)
{
	struct fixture f;

	(void)state;
	open_worker(&f, NULL, "fault=exit-at-once");
	stop_clock();
	for (int i = 0; i < 8; i++) {
		run_until(&f, is_in_backoff, 0);
		let_backoff_pass(&f, 11000000);
	}
	run_until(&f, is_in_backoff, 0);
	assert_int_equal(delay_ms(&f), 10000);
	setenv("FAKEWORKER", "", 1);
	assert_int_equal(worker_restart_asked(f.worker, "a test"), 0);
	let_pass(&f, 1000);
	assert_int_equal(worker_status(f.worker)->state, WORKER_STARTING);
	run_until(&f, is_running, 0);
	assert_int_equal(worker_restart_asked(f.worker, "a test"), -EBUSY);
	for (int i = 0; i < 60; i++) {
		let_pass(&f, 1000000);
		run_until(&f, has_units, units(&f) + 1);
	}
	assert_int_equal(worker_restart_asked(f.worker, "a test"), 0);
	assert_string_equal(worker_status(f.worker)->reason, "a test");
	let_pass(&f, 1000);
	assert_int_equal(worker_status(f.worker)->state, WORKER_STARTING);
	close_worker(&f);
}

static void a_worker_hurried_while_it_starts_is_soon_started_again(void **state)
{
	struct fixture f;

	(void)state;
	open_worker(&f, NULL, "fault=exit-at-once");
	stop_clock();
	for (int i = 0; i < 4; i++) {
		run_until(&f, is_in_backoff, 0);
		if (i == 3) /* this one does not end before it is hurried */
			setenv("FAKEWORKER", "fault=silent", 1);
		let_backoff_pass(&f, 2000000);
	}
	assert_int_equal(worker_status(f.worker)->state, WORKER_STARTING);
	worker_hurry(f.worker);
	assert_int_equal(kill(worker_status(f.worker)->pid, SIGKILL), 0);
	run_until(&f, is_in_backoff, 0);
	assert_in_range(delay_ms(&f), 50, 100);
	close_worker(&f);
}

static void our_own_sleep_is_not_the_worker_s_hang(void **state)
{
	struct fixture f;
	pid_t pid;

	(void)state;
	open_worker(&f, NULL, "");
	run_until(&f, has_units, 1);
	pid = worker_status(f.worker)->pid;
	let_pass(&f, 60000000); /* we were stopped, or the machine was */
	run_until(&f, has_frames, worker_status(f.worker)->heartbeat.frames + 1);
	assert_int_equal(worker_status(f.worker)->pid, pid);
	close_worker(&f);
}

static bool is_starting_its_camera(void *user)
{
	struct fixture *f = user;

	return is_running(f) && worker_status(f->worker)->heartbeat.source[0];
}

static void a_camera_may_take_its_time_to_start_and_not_for_ever(void **state)
{
	struct fixture f;

	(void)state;
	open_worker(&f, NULL, "fault=starting");
	run_until(&f, is_starting_its_camera, 0);
	for (int i = 0; i < 18; i++) /* more at once would be our own sleep */
		let_pass(&f, 500000);
	assert_true(is_running(&f));
	let_pass(&f, 500000);
	let_pass(&f, 500000);
	run_until(&f, is_in_backoff, 0);
	assert_non_null(
		strstr(worker_status(f.worker)->reason,
		       "hang: no sign of life from the worker for 10 s, which is starting"));
	close_worker(&f);
}

static void a_worker_that_survives_sigkill_is_left_behind(void **state)
{
	struct fixture f;
	pid_t first;

	(void)state;
	open_worker(&f, NULL, "fault=deathless");
	run_until(&f, has_units, 1);
	first = worker_status(f.worker)->pid;
	kills_fail = true;
	worker_restart(f.worker, "a test");
	assert_int_equal(worker_status(f.worker)->undead, 1);
	run_until(&f, has_restarted, 1);
	run_until(&f, has_units, units(&f) + 5);
	assert_int_not_equal(worker_status(f.worker)->pid, first);
	assert_int_equal(kill(first, 0), 0);
	assert_int_equal(worker_status(f.worker)->undead, 1);
	/* Whenever the kernel lets it go it is reaped. */
	kills_fail = false;
	assert_int_equal(kill(first, SIGKILL), 0);
	run_until(&f, nobody_is_undead, 0);
	assert_int_equal(kill(first, 0), -1);
	close_worker(&f);
}

static void too_many_undead_are_not_joined_by_more(void **state)
{
	struct fixture f;
	pid_t pids[8];

	(void)state;
	open_worker(&f, NULL, "fault=deathless");
	kills_fail = true;
	for (int i = 0; i < 8; i++) {
		run_until(&f, is_running, 0);
		pids[i] = worker_status(f.worker)->pid;
		worker_restart(f.worker, "a test");
		let_backoff_pass(&f, 10000000);
	}
	assert_int_equal(worker_status(f.worker)->undead, 8);
	assert_int_equal(worker_status(f.worker)->state, WORKER_BACKOFF);
	assert_non_null(strstr(worker_status(f.worker)->reason, "8 killed workers do not end"));
	kills_fail = false;
	for (int i = 0; i < 8; i++)
		kill(pids[i], SIGKILL);
	run_until(&f, nobody_is_undead, 0);
	let_pass(&f, 10000000);
	run_until(&f, is_running, 0);
	close_worker(&f);
}

static void the_end_does_not_wait_for_the_undead(void **state)
{
	struct fixture f;
	struct timespec begun, ended;
	pid_t pid;

	(void)state;
	open_worker(&f, NULL, "fault=deathless");
	run_until(&f, has_units, 1);
	pid = worker_status(f.worker)->pid;
	kills_fail = true;
	clock_gettime(CLOCK_MONOTONIC_RAW, &begun);
	close_worker(&f);
	clock_gettime(CLOCK_MONOTONIC_RAW, &ended);
	assert_true(ended.tv_sec - begun.tv_sec <= 3);
	assert_int_equal(kill(pid, SIGKILL), 0);
}

static void a_stopped_worker_is_not_started_again(void **state)
{
	struct fixture f;

	(void)state;
	open_worker(&f, NULL, "fault=exit-at-once");
	run_until(&f, is_in_backoff, 0);
	worker_stop(f.worker);
	let_pass(&f, 60000000);
	assert_int_equal(worker_status(f.worker)->state, WORKER_STOPPED);
	assert_int_equal(worker_status(f.worker)->pid, 0);
	close_worker(&f);
}

/* --- what is wanted of it --- */

static void ask_idr(struct fixture *f)
{
	struct feed_demand *demand = worker_feed_demand(f->worker, FRONT_H264);

	demand->idr(demand);
}

static void each_new_process_is_told_the_bitrate(void **state)
{
	struct fixture f;

	(void)state;
	open_worker(&f, NULL, "");
	worker_set_bitrate(f.worker, FRONT_H264, 123456);
	run_until(&f, has_bitrate, 123456);
	worker_restart(f.worker, "a test");
	run_until(&f, has_restarted, 1);
	run_until(&f, has_bitrate, 123456);
	close_worker(&f);
}

static void a_control_is_passed_on(void **state)
{
	struct fixture f;
	char text[125];

	(void)state;
	open_worker(&f, NULL, "");
	run_until(&f, is_running, 0);
	assert_int_equal(worker_set_control(f.worker, "brightness", "0.5"), 0);
	run_until(&f, has_control, 0);
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_int_equal(worker_set_control(f.worker, "brightness", text), -EMSGSIZE);
	assert_int_equal(worker_set_control(f.worker, text, "0.5"), -EMSGSIZE);
	close_worker(&f);
}

static void a_control_outlives_the_process(void **state)
{
	struct fixture f;

	(void)state;
	open_worker(&f, NULL, "");
	run_until(&f, is_running, 0);
	assert_null(worker_control(f.worker, "brightness"));
	assert_int_equal(worker_set_control(f.worker, "brightness", "0.1"), 0);
	assert_int_equal(worker_set_control(f.worker, "contrast", "2"), 0);
	assert_int_equal(worker_set_control(f.worker, "brightness", "0.5"), 0);
	assert_string_equal(worker_control(f.worker, "brightness"), "0.5");
	run_until(&f, has_control, 0);
	run_until(&f, has_no_control, 0);
	worker_restart(f.worker, "test");
	run_until(&f, has_restarted, 1);
	run_until(&f, has_control, 0);
	assert_string_equal(worker_control(f.worker, "contrast"), "2");
	close_worker(&f);
}

static void a_full_pair_blocks_nobody_and_loses_no_state(void **state)
{
	struct fixture f;
	char value[16];
	pid_t pid;

	(void)state;
	open_worker(&f, NULL, "");
	run_until(&f, has_units, 1);
	pid = worker_status(f.worker)->pid;
	assert_int_equal(kill(pid, SIGSTOP), 0);
	/* Many more than a pair has room for. */
	for (int i = 0; i < 3000; i++) {
		snprintf(value, sizeof value, "%d", i);
		assert_int_equal(worker_set_control(f.worker, "brightness", value), 0);
	}
	assert_int_equal(worker_set_control(f.worker, "brightness", "0.5"), 0);
	worker_set_bitrate(f.worker, FRONT_H264, 654321);
	assert_int_equal(kill(pid, SIGCONT), 0);
	run_until(&f, has_bitrate, 654321);
	run_until(&f, has_control, 0);
	assert_int_equal(worker_status(f.worker)->pid, pid);
	close_worker(&f);
}

static void on_demand_follows_the_feed_with_a_linger(void **state)
{
	struct feed_demand *demand;
	struct fixture f;
	int64_t since;

	(void)state;
	open_worker(&f, NULL, "");
	demand = worker_feed_demand(f.worker, FRONT_JPEG);
	assert_true(worker_status(f.worker)->wanted_us[STREAM_FH] > 0);
	assert_int_equal(worker_status(f.worker)->wanted_us[STREAM_FJ], 0);
	demand->watched(demand);
	since = worker_status(f.worker)->wanted_us[STREAM_FJ];
	assert_true(since > 0);
	run_until(&f, has_jpegs, 3);
	/* Back within the linger of 100 ms: nothing changes. */
	demand->unwatched(demand, true);
	let_pass(&f, 50000);
	demand->watched(demand);
	let_pass(&f, 60000000);
	assert_int_equal(worker_status(f.worker)->wanted_us[STREAM_FJ], since);
	demand->unwatched(demand, true);
	assert_int_equal(worker_status(f.worker)->wanted_us[STREAM_FJ], since);
	let_pass(&f, 100000);
	assert_int_equal(worker_status(f.worker)->wanted_us[STREAM_FJ], 0);
	run_until(&f, jpeg_is_inactive, 0);
	close_worker(&f);
}

static void idr_requests_within_a_second_become_one(void **state)
{
	struct fixture f;

	(void)state;
	open_worker(&f, NULL, "gop=1000000");
	run_until(&f, has_units, 1);
	for (int i = 0; i < 10; i++)
		ask_idr(&f);
	run_until(&f, has_idrs, 1);
	run_until(&f, has_units, units(&f) + 10);
	/* The key unit that answered the first cancelled the others. */
	let_pass(&f, 1100000);
	run_until(&f, has_units, units(&f) + 10);
	assert_int_equal(worker_status(f.worker)->streams[STREAM_FH].idr_requests, 1);
	ask_idr(&f);
	run_until(&f, has_idrs, 2);
	close_worker(&f);
}

static void a_deferred_idr_request_is_made_when_no_key_unit_comes(void **state)
{
	struct fixture f;

	(void)state;
	/* `copy` does not answer requests. */
	open_worker(&f, NULL, "gop=1000000,copy");
	run_until(&f, has_units, 1);
	ask_idr(&f);
	ask_idr(&f);
	run_until(&f, has_units, units(&f) + 5);
	assert_int_equal(worker_status(f.worker)->streams[STREAM_FH].idr_requests, 1);
	let_pass(&f, 1100000);
	run_until(&f, has_idrs, 2);
	close_worker(&f);
}

/* --- shortage --- */

static void a_full_fd_table_does_not_keep_it_from_starting(void **state)
{
	struct fixture f;
	struct rlimit limit, before;
	int fds[256], n = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	before = limit;
	limit.rlim_cur = 256;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	open_worker(&f, NULL, "");
	run_until(&f, has_units, 1);
	worker_restart(f.worker, "a test");
	while (n < 256 && (fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	assert_true(n < 256);
	run_until(&f, has_restarted, 1);
	run_until(&f, has_units, units(&f) + 5);
	assert_true(fdreserve_short(f.rig.reserve));
	assert_int_equal(worker_status(f.worker)->restarts, 1); /* at the first attempt */
	while (n > 0)
		close(fds[--n]);
	let_pass(&f, 1100000);
	assert_false(fdreserve_short(f.rig.reserve));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	close_worker(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_starts_and_its_units_arrive),
		cmocka_unit_test(backoff_doubles_up_to_ten_seconds),
		cmocka_unit_test(half_a_minute_of_health_ends_the_backoff),
		cmocka_unit_test(a_hurried_worker_is_started_now_and_then_soon),
		cmocka_unit_test(a_worker_that_is_not_started_is_not_hurried),
		cmocka_unit_test(
			a_restart_that_is_asked_for_has_no_backoff_and_comes_once_a_minute),
		cmocka_unit_test(a_worker_hurried_while_it_starts_is_soon_started_again),
		cmocka_unit_test(our_own_sleep_is_not_the_worker_s_hang),
		cmocka_unit_test(a_camera_may_take_its_time_to_start_and_not_for_ever),
		cmocka_unit_test(a_worker_that_survives_sigkill_is_left_behind),
		cmocka_unit_test(too_many_undead_are_not_joined_by_more),
		cmocka_unit_test(the_end_does_not_wait_for_the_undead),
		cmocka_unit_test(a_stopped_worker_is_not_started_again),
		cmocka_unit_test(each_new_process_is_told_the_bitrate),
		cmocka_unit_test(a_control_is_passed_on),
		cmocka_unit_test(a_control_outlives_the_process),
		cmocka_unit_test(a_full_pair_blocks_nobody_and_loses_no_state),
		cmocka_unit_test(on_demand_follows_the_feed_with_a_linger),
		cmocka_unit_test(idr_requests_within_a_second_become_one),
		cmocka_unit_test(a_deferred_idr_request_is_made_when_no_key_unit_comes),
		cmocka_unit_test(a_full_fd_table_does_not_keep_it_from_starting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
