/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker that an attacker has taken over: it obeys the form of camcast/worker.h, and sends what
 * makes camcastd wait. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/fakeworker.h"

#define LINGER_S 20
#define MANY 12
#define UNASKED 250

/* A TCP socket whose close() sleeps: its peer reads nothing, and bytes wait to be sent. */
static int make_lingering_socket(void)
{
	static const char bytes[65536];
	struct sockaddr_in peer = {.sin_family = AF_INET,
				   .sin_port = htons((uint16_t)my.port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct linger linger = {.l_onoff = 1, .l_linger = LINGER_S};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&peer, sizeof peer) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) < 0)
		die("lingering socket");
	while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
		;
	if (errno != EAGAIN)
		die("lingering socket");
	return fd;
}

static void make_lingering_sockets(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fds[i] = make_lingering_socket();
}

/* Sends them as the descriptors of a new segment, and closes them here: the last process to close
 * one is the one that sleeps. */
static void hand_over(const int *fds, size_t n)
{
	struct camcast_msg_unit unit;

	begin_segment(&my.logs[0], 0);
	unit = make_unit(0, true);
	say_fds(&unit, sizeof unit, fds, n);
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/* camcastd is stopped meanwhile, so that it is the last one. */
static void stop_camcastd(void)
{
	kill(getppid(), SIGSTOP);
}
static void continue_camcastd(void)
{
	kill(getppid(), SIGCONT);
}

void attack_lingering_fd(void)
{
	int fd = make_lingering_socket();

	stop_camcastd();
	hand_over(&fd, 1);
	continue_camcastd();
}

/* More than a small buffer for descriptors holds: the kernel closes the rest. */
void attack_lingering_fds(void)
{
	int fds[MANY];

	make_lingering_sockets(fds, MANY);
	stop_camcastd();
	hand_over(fds, MANY);
	continue_camcastd();
}

/* They are still queued in the pair when camcastd gives the worker up. Among them are messages
 * without a byte, which look like the end of the pair. */
void attack_lingering_queue(void)
{
	struct camcast_msg_idr bad = {.type = 4711};
	int fds[MANY];

	make_lingering_sockets(fds, MANY);
	stop_camcastd();
	say(&bad, sizeof bad);
	for (int i = 0; i < MANY; i++) {
		hand_over(&fds[i], 1);
		say_fd("", 0, my.logs[0].fd);
	}
	continue_camcastd();
	for (;;)
		pause();
}

/* Messages full of descriptors that nobody asked for, faster than they can be refused. */
void attack_unasked_fds(void)
{
	struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT};
	int fds[UNASKED];

	for (int i = 0; i < UNASKED; i++)
		fds[i] = make_segment(4096, SEALS);
	stop_camcastd();
	while (say_fds(&heartbeat, sizeof heartbeat, fds, UNASKED))
		;
	continue_camcastd();
	for (;;)
		pause();
}

/* Log lines as fast as it can, for three seconds: short ones, one without an end, emergencies that
 * the journal would show on every terminal, and what a terminal would act on. */
void attack_log_flood(void)
{
	static const char first[] = "<0>an emergency\033[2J\nfalse\0line \xe2\x80\xae"
				    "reversed\n";
	char long_line[65536], lines[4096];
	int64_t end_us;

	memset(long_line, 'x', sizeof long_line);
	memset(lines, '\n', sizeof lines);
	for (size_t i = 0; i < sizeof lines; i += 2)
		lines[i] = 'y';
	(void)!write(STDERR_FILENO, first, sizeof first - 1);
	(void)!write(STDOUT_FILENO, "by stdout\n", 10);
	end_us = clock_now_us() + 3000000;
	for (int64_t beat_us = 0, now_us; (now_us = clock_now_us()) < end_us;) {
		(void)!write(STDERR_FILENO, lines, sizeof lines);
		(void)!write(STDERR_FILENO, long_line, sizeof long_line);
		if (now_us - beat_us < 200000)
			continue;
		say_heartbeat(CAMCAST_CAMERA_RUNNING, "");
		beat_us = now_us;
	}
	abort();
}

/* A crash whose cause stands in the log only, without an end of the line. */
void attack_last_words(void)
{
	for (int i = 0; i < 100; i++)
		dprintf(STDERR_FILENO, "line %d of a report\n", i);
	dprintf(STDERR_FILENO, "<3>the last words");
	abort();
}
