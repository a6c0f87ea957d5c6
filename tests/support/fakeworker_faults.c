/* SPDX-License-Identifier: BSD-2-Clause */
/* Every rule of camcast/worker.h, broken; and the ways in which a process can end or not end. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/fakeworker.h"

#define FEED 0 /* of the faults: the first of this camera */

/* A unit in a new segment, as it should be; the faults spoil it. */
static struct camcast_msg_unit fresh_unit(void)
{
	begin_segment(&my.logs[FEED], 0);
	return make_unit(FEED, true);
}

static void send_unit_with(int fd)
{
	struct camcast_msg_unit unit = fresh_unit();

	say_fd(&unit, sizeof unit, fd);
}

static void send_spoiled(struct camcast_msg_unit unit)
{
	if (unit.flags & CAMCAST_UNIT_SEGMENT)
		say_fd(&unit, sizeof unit, my.logs[FEED].fd);
	else
		say(&unit, sizeof unit);
}

static void fault_exit(void)
{
	exit(7);
}
static void fault_failed(void)
{
	say_heartbeat(CAMCAST_CAMERA_FAILED, "the lens fell off");
	exit(3);
}
static void fault_crash(void)
{
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
}
static void fault_hang(void)
{
	for (;;)
		pause();
}

static void fault_starting(void)
{
	say_hello(CAMCAST_WORKER_VERSION);
	say_heartbeat(CAMCAST_CAMERA_STARTING, "");
	fault_hang();
}

static void fault_close_pair(void)
{
	close(CAMCAST_WORKER_FD);
	for (;;)
		pause();
}
static void fault_version(void)
{
	say_hello(CAMCAST_WORKER_VERSION + 1);
}
static void fault_second_hello(void)
{
	say_hello(CAMCAST_WORKER_VERSION);
}
static void fault_no_hello(void)
{
	say_all();
}
static void fault_short(void)
{
	say("abc", 3);
}
static void fault_empty(void)
{
	say("", 0);
}
static void fault_oversize(void)
{
	char message[8192] = {CAMCAST_MSG_HEARTBEAT};

	say(message, sizeof message);
}
static void fault_wrong_size(void)
{
	struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT};

	say(&heartbeat, sizeof heartbeat - 4);
}
static void fault_unknown_type(void)
{
	struct camcast_msg_idr message = {.type = 4711};

	say(&message, sizeof message);
}
static void fault_bad_state(void)
{
	say_heartbeat((enum camcast_camera_state)9, "");
}
static void fault_endless_text(void)
{
	struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT};

	memset(heartbeat.reason, 'x', sizeof heartbeat.reason);
	say(&heartbeat, sizeof heartbeat);
}
static void fault_strange_text(void)
{
	/* Nothing that is forbidden, and it stays: no further heartbeat. */
	say_heartbeat(CAMCAST_CAMERA_RUNNING, "a \"b\" \\c\nd \xff"
					      "e \xc3\xa9\xc3");
	my.quiet = true;
}
static void fault_heartbeat_fd(void)
{
	struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT};

	say_fd(&heartbeat, sizeof heartbeat, STDERR_FILENO);
}
static void fault_foreign_stream(void)
{
	struct camcast_msg_stream stream = {.type = CAMCAST_MSG_STREAM, .stream = UINT32_MAX};

	say(&stream, sizeof stream);
}
static void fault_foreign_feed(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	unit.feed = my.camera->n_feeds;
	send_spoiled(unit);
}
static void fault_unsealed(void)
{
	send_unit_with(make_segment(65536, 0));
}
static void fault_half_sealed(void)
{
	send_unit_with(make_segment(65536, F_SEAL_GROW));
}
static void fault_pipe(void)
{
	int fds[2];

	if (pipe(fds) < 0)
		die("pipe");
	send_unit_with(fds[0]);
}
static void fault_file(void)
{
	send_unit_with(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
}
static void fault_empty_segment(void)
{
	send_unit_with(make_segment(0, SEALS));
}
static void fault_huge_segment(void)
{
	send_unit_with(make_segment((off_t)CAMCAST_SEGMENT_MAX + 4096, SEALS));
}
static void fault_no_fd(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	say(&unit, sizeof unit);
}
static void fault_secret_fd(void)
{
	struct camcast_msg_unit unit = make_unit(FEED, false);

	unit.flags = 0;
	say_fd(&unit, sizeof unit, my.logs[FEED].fd);
}
static void fault_fds(size_t n)
{
	struct camcast_msg_unit unit = fresh_unit();
	int fds[253];

	for (size_t i = 0; i < n; i++)
		fds[i] = my.logs[FEED].fd;
	say_fds(&unit, sizeof unit, fds, n);
}
static void fault_two_fds(void)
{
	fault_fds(2);
}
static void fault_many_fds(void)
{
	fault_fds(253);
}
static void fault_outside(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	unit.offset = my.segment - unit.len + 1;
	send_spoiled(unit);
}
static void fault_far_outside(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	unit.offset = UINT32_MAX - 8;
	send_spoiled(unit);
}
static void fault_no_length(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	unit.len = 0;
	send_spoiled(unit);
}
static void fault_great_length(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	unit.len = UINT32_MAX;
	send_spoiled(unit);
}
static void fault_unknown_flags(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	unit.flags |= 0x80;
	send_spoiled(unit);
}
static void fault_overlap(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	send_spoiled(unit);
	unit.flags = 0;
	unit.offset = unit.len - 1;
	send_spoiled(unit);
}
static void fault_unknown_segment(void)
{
	struct camcast_msg_unit unit = make_unit(FEED, true);

	unit.flags = CAMCAST_UNIT_KEY;
	unit.segment += 100;
	send_spoiled(unit);
}
static void fault_old_segment(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	send_spoiled(unit);
	unit.segment--;
	unit.flags = 0;
	send_spoiled(unit);
}
static void fault_segment_twice(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	send_spoiled(unit);
	send_spoiled(unit);
}
static void fault_unasked_segment(void)
{
	struct camcast_msg_segment segment = {
		.type = CAMCAST_MSG_SEGMENT, .feed = FEED, .segment = 4711};

	say_fd(&segment, sizeof segment, make_segment(65536, SEALS));
}
static void fault_track(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	unit.track = CAMCAST_TRACKS_MAX;
	send_spoiled(unit);
}
static void fault_far_pts(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	unit.pts_us = INT64_MIN;
	send_spoiled(unit);
}
static void fault_unknown_preamble(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	unit.preamble++;
	send_spoiled(unit);
}
static void fault_old_preamble(void)
{
	struct camcast_msg_unit unit;

	say_preamble(FEED, 20);
	unit = fresh_unit();
	send_spoiled(unit);
	begin_segment(&my.logs[FEED], 0);
	unit = fresh_unit();
	unit.preamble--;
	send_spoiled(unit);
}
static void fault_preamble_inside(void)
{
	struct camcast_msg_unit unit;

	say_preamble(FEED, 20);
	unit = fresh_unit();
	unit.flags &= ~(uint32_t)CAMCAST_UNIT_KEY;
	send_spoiled(unit);
}
static void fault_empty_preamble(void)
{
	say_preamble(FEED, 0);
}
static void fault_long_preamble(void)
{
	say_preamble(FEED, CAMCAST_PREAMBLE_MAX + 1);
}
static void fault_preamble_twice(void)
{
	say_preamble(FEED, CAMCAST_PREAMBLE_MAX);
	my.logs[FEED].preamble--;
	say_preamble(FEED, CAMCAST_PREAMBLE_MAX);
}
static void fault_skipped_preamble(void)
{
	my.logs[FEED].preamble++;
	say_preamble(FEED, 20);
}
static void fault_foreign_preamble(void)
{
	struct camcast_msg_preamble preamble = {
		.type = CAMCAST_MSG_PREAMBLE, .feed = my.camera->n_feeds, .version = 1, .len = 1};

	say(&preamble, sizeof preamble);
}
/* The floods go on until camcastd has had enough and send() says so. */
static void fault_unit_flood(void)
{
	for (;;)
		send_unit(FEED, true);
}
static void fault_segment_flood(void)
{
	for (;;) {
		begin_segment(&my.logs[FEED], 0);
		send_unit(FEED, true);
	}
}
static void fault_preamble_flood(void)
{
	for (;;)
		say_preamble(FEED, 20);
}
static void fault_report_flood(void)
{
	for (;;)
		say_heartbeat(CAMCAST_CAMERA_RUNNING, "");
}

static const struct fault faults[] = {
	{"exit", fault_exit, false},
	{"exit-at-once", fault_exit, true},
	{"failed", fault_failed, false},
	{"crash", fault_crash, false},
	{"hang", fault_hang, false},
	{"close-pair", fault_close_pair, false},
	{"silent", fault_hang, true},
	{"starting", fault_starting, true},
	{"version", fault_version, true},
	{"no-hello", fault_no_hello, true},
	{"second-hello", fault_second_hello, false},
	{"short", fault_short, false},
	{"empty", fault_empty, false},
	{"oversize", fault_oversize, false},
	{"wrong-size", fault_wrong_size, false},
	{"unknown-type", fault_unknown_type, false},
	{"bad-state", fault_bad_state, false},
	{"endless-text", fault_endless_text, false},
	{"strange-text", fault_strange_text, false},
	{"heartbeat-fd", fault_heartbeat_fd, false},
	{"foreign-stream", fault_foreign_stream, false},
	{"foreign-feed", fault_foreign_feed, false},
	{"unsealed", fault_unsealed, false},
	{"half-sealed", fault_half_sealed, false},
	{"pipe", fault_pipe, false},
	{"file", fault_file, false},
	{"empty-segment", fault_empty_segment, false},
	{"huge-segment", fault_huge_segment, false},
	{"no-fd", fault_no_fd, false},
	{"secret-fd", fault_secret_fd, false},
	{"two-fds", fault_two_fds, false},
	{"many-fds", fault_many_fds, false},
	{"outside", fault_outside, false},
	{"far-outside", fault_far_outside, false},
	{"no-length", fault_no_length, false},
	{"great-length", fault_great_length, false},
	{"unknown-flags", fault_unknown_flags, false},
	{"overlap", fault_overlap, false},
	{"unknown-segment", fault_unknown_segment, false},
	{"old-segment", fault_old_segment, false},
	{"segment-twice", fault_segment_twice, false},
	{"unasked-segment", fault_unasked_segment, false},
	{"track", fault_track, false},
	{"far-pts", fault_far_pts, false},
	{"unknown-preamble", fault_unknown_preamble, false},
	{"old-preamble", fault_old_preamble, false},
	{"preamble-inside", fault_preamble_inside, false},
	{"empty-preamble", fault_empty_preamble, false},
	{"long-preamble", fault_long_preamble, false},
	{"preamble-twice", fault_preamble_twice, false},
	{"skipped-preamble", fault_skipped_preamble, false},
	{"foreign-preamble", fault_foreign_preamble, false},
	{"unit-flood", fault_unit_flood, false},
	{"segment-flood", fault_segment_flood, false},
	{"preamble-flood", fault_preamble_flood, false},
	{"report-flood", fault_report_flood, false},
	{"log-flood", attack_log_flood, false},
	{"last-words", attack_last_words, false},
	{"lingering-fd", attack_lingering_fd, false},
	{"lingering-fds", attack_lingering_fds, false},
	{"lingering-queue", attack_lingering_queue, false},
	{"unasked-fds", attack_unasked_fds, false},
	{"deaf", NULL, false},	    /* never reads the pair */
	{"deathless", NULL, false}, /* neither the pair's end nor SIGTERM ends it */
};

const struct fault *fault_find(const char *name)
{
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		if (strcmp(faults[i].name, name) == 0)
			return &faults[i];
	return NULL;
}
