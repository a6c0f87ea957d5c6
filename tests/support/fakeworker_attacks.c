/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker that an attacker has taken over: it obeys the form of camcast/worker.h, and sends what
 * makes camcastd wait. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

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
