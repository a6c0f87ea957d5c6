/* SPDX-License-Identifier: BSD-2-Clause */
/* Every rule of camcast/worker.h, broken; and the ways in which a process can end or not end. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/fakeworker.h"

#define FEED 0 /* that lies are told about: the first of this camera */

/* A unit in a new segment, as it should be; the lies spoil it. */
static struct camcast_msg_unit fresh_unit(void)
{
	begin_segment(&my.logs[FEED], 0);
	return make_unit(FEED, true);
}

static void lie_fd(int fd)
{
	struct camcast_msg_unit unit = fresh_unit();

	say_fd(&unit, sizeof unit, fd);
}

static void lie_unit(struct camcast_msg_unit unit)
{
	if (unit.flags & CAMCAST_UNIT_SEGMENT)
		say_fd(&unit, sizeof unit, my.logs[FEED].fd);
	else
		say(&unit, sizeof unit);
}

static void tell_exit(void)
{
	exit(7);
}
static void tell_failed(void)
{
	say_heartbeat(CAMCAST_CAMERA_FAILED, "the lens fell off");
	exit(3);
}
static void tell_crash(void)
{
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
}
static void tell_hang(void)
{
	for (;;)
		pause();
}

static void tell_starting(void)
{
	say_hello(CAMCAST_WORKER_VERSION);
	say_heartbeat(CAMCAST_CAMERA_STARTING, "");
	tell_hang();
}

static void tell_close_pair(void)
{
	close(CAMCAST_WORKER_FD);
	for (;;)
		pause();
}
static void tell_version(void)
{
	say_hello(CAMCAST_WORKER_VERSION + 1);
}
static void tell_second_hello(void)
{
	say_hello(CAMCAST_WORKER_VERSION);
}
static void tell_no_hello(void)
{
	say_all();
}
static void tell_short(void)
{
	say("abc", 3);
}
static void tell_empty(void)
{
	say("", 0);
}
static void tell_oversize(void)
{
	char message[4096] = {CAMCAST_MSG_HEARTBEAT};

	say(message, sizeof message);
}
static void tell_wrong_size(void)
{
	struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT};

	say(&heartbeat, sizeof heartbeat - 4);
}
static void tell_unknown_type(void)
{
	struct camcast_msg_idr message = {.type = 4711};

	say(&message, sizeof message);
}
static void tell_bad_state(void)
{
	say_heartbeat((enum camcast_camera_state)9, "");
}
static void tell_endless_text(void)
{
	struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT};

	memset(heartbeat.reason, 'x', sizeof heartbeat.reason);
	say(&heartbeat, sizeof heartbeat);
}
static void tell_strange_text(void)
{
	/* Nothing that is forbidden, and it stays: no further heartbeat. */
	say_heartbeat(CAMCAST_CAMERA_RUNNING, "a \"b\" \\c\nd \xff"
					      "e \xc3\xa9\xc3");
	my.quiet = true;
}
static void tell_heartbeat_fd(void)
{
	struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT};

	say_fd(&heartbeat, sizeof heartbeat, STDERR_FILENO);
}
static void tell_foreign_stream(void)
{
	struct camcast_msg_stream stream = {.type = CAMCAST_MSG_STREAM, .stream = UINT32_MAX};

	say(&stream, sizeof stream);
}
static void tell_foreign_feed(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	unit.feed = my.camera->n_feeds;
	lie_unit(unit);
}
static void tell_unsealed(void)
{
	lie_fd(make_segment(65536, 0));
}
static void tell_half_sealed(void)
{
	lie_fd(make_segment(65536, F_SEAL_GROW));
}
static void tell_pipe(void)
{
	int fds[2];

	if (pipe(fds) < 0)
		die("pipe");
	lie_fd(fds[0]);
}
static void tell_file(void)
{
	lie_fd(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
}
static void tell_empty_segment(void)
{
	lie_fd(make_segment(0, SEALS));
}
static void tell_huge_segment(void)
{
	lie_fd(make_segment((off_t)CAMCAST_SEGMENT_MAX + 4096, SEALS));
}
static void tell_no_fd(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	say(&unit, sizeof unit);
}
static void tell_secret_fd(void)
{
	struct camcast_msg_unit unit = make_unit(FEED, false);

	unit.flags = 0;
	say_fd(&unit, sizeof unit, my.logs[FEED].fd);
}
static void tell_fds(size_t n)
{
	struct camcast_msg_unit unit = fresh_unit();
	int fds[253];

	for (size_t i = 0; i < n; i++)
		fds[i] = my.logs[FEED].fd;
	say_fds(&unit, sizeof unit, fds, n);
}
static void tell_two_fds(void)
{
	tell_fds(2);
}
static void tell_many_fds(void)
{
	tell_fds(253);
}
static void tell_outside(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	unit.offset = my.segment - unit.len + 1;
	lie_unit(unit);
}
static void tell_far_outside(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	unit.offset = UINT32_MAX - 8;
	lie_unit(unit);
}
static void tell_no_length(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	unit.len = 0;
	lie_unit(unit);
}
static void tell_great_length(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	unit.len = UINT32_MAX;
	lie_unit(unit);
}
static void tell_unknown_flags(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	unit.flags |= 0x80;
	lie_unit(unit);
}
static void tell_overlap(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	lie_unit(unit);
	unit.flags = 0;
	unit.offset = unit.len - 1;
	lie_unit(unit);
}
static void tell_unknown_segment(void)
{
	struct camcast_msg_unit unit = make_unit(FEED, true);

	unit.flags = CAMCAST_UNIT_KEY;
	unit.segment += 100;
	lie_unit(unit);
}
static void tell_old_segment(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	lie_unit(unit);
	unit.segment--;
	unit.flags = 0;
	lie_unit(unit);
}
static void tell_segment_twice(void)
{
	struct camcast_msg_unit unit = fresh_unit();

	lie_unit(unit);
	lie_unit(unit);
}
static void tell_unasked_segment(void)
{
	struct camcast_msg_segment segment = {
		.type = CAMCAST_MSG_SEGMENT, .feed = FEED, .segment = 4711};

	say_fd(&segment, sizeof segment, make_segment(65536, SEALS));
}
/* The floods go on until camcastd has had enough and send() says so. */
static void tell_unit_flood(void)
{
	for (;;)
		send_unit(FEED, true);
}
static void tell_segment_flood(void)
{
	for (;;) {
		begin_segment(&my.logs[FEED], 0);
		send_unit(FEED, true);
	}
}
static void tell_report_flood(void)
{
	for (;;)
		say_heartbeat(CAMCAST_CAMERA_RUNNING, "");
}

static const struct lie lies[] = {
	{"exit", tell_exit, false},
	{"exit-at-once", tell_exit, true},
	{"failed", tell_failed, false},
	{"crash", tell_crash, false},
	{"hang", tell_hang, false},
	{"close-pair", tell_close_pair, false},
	{"silent", tell_hang, true},
	{"starting", tell_starting, true},
	{"version", tell_version, true},
	{"no-hello", tell_no_hello, true},
	{"second-hello", tell_second_hello, false},
	{"short", tell_short, false},
	{"empty", tell_empty, false},
	{"oversize", tell_oversize, false},
	{"wrong-size", tell_wrong_size, false},
	{"unknown-type", tell_unknown_type, false},
	{"bad-state", tell_bad_state, false},
	{"endless-text", tell_endless_text, false},
	{"strange-text", tell_strange_text, false},
	{"heartbeat-fd", tell_heartbeat_fd, false},
	{"foreign-stream", tell_foreign_stream, false},
	{"foreign-feed", tell_foreign_feed, false},
	{"unsealed", tell_unsealed, false},
	{"half-sealed", tell_half_sealed, false},
	{"pipe", tell_pipe, false},
	{"file", tell_file, false},
	{"empty-segment", tell_empty_segment, false},
	{"huge-segment", tell_huge_segment, false},
	{"no-fd", tell_no_fd, false},
	{"secret-fd", tell_secret_fd, false},
	{"two-fds", tell_two_fds, false},
	{"many-fds", tell_many_fds, false},
	{"outside", tell_outside, false},
	{"far-outside", tell_far_outside, false},
	{"no-length", tell_no_length, false},
	{"great-length", tell_great_length, false},
	{"unknown-flags", tell_unknown_flags, false},
	{"overlap", tell_overlap, false},
	{"unknown-segment", tell_unknown_segment, false},
	{"old-segment", tell_old_segment, false},
	{"segment-twice", tell_segment_twice, false},
	{"unasked-segment", tell_unasked_segment, false},
	{"unit-flood", tell_unit_flood, false},
	{"segment-flood", tell_segment_flood, false},
	{"report-flood", tell_report_flood, false},
	{"deaf", NULL, false},	    /* never reads the pair */
	{"deathless", NULL, false}, /* neither the pair's end nor SIGTERM ends it */
};

const struct lie *lie_find(const char *name)
{
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
		if (strcmp(lies[i].name, name) == 0)
			return &lies[i];
	return NULL;
}
