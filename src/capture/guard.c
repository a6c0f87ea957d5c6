/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/guard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"

enum { WAKE_FINISH = 1, WAKE_ARM = 1 << 16 };

/* Waits for an event, at most timeout_ms. True when guard_finish() was called. */
static bool wait_for(struct guard *guard, struct pollfd *fds, nfds_t n, int timeout_ms)
{
	eventfd_t wake = 0;

	while (poll(fds, n, timeout_ms) < 0 && errno == EINTR)
		;
	if (fds[0].revents)
		eventfd_read(guard->wake_fd, &wake);
	return wake % WAKE_ARM == WAKE_FINISH;
}

static void *run(void *arg)
{
	struct guard *guard = arg;
	/* events 0: only the peer's close (POLLHUP); the main loop reads its messages. */
	struct pollfd fds[] = {{.fd = guard->wake_fd, .events = POLLIN},
			       {.fd = guard->signal_fd, .events = POLLIN},
			       {.fd = guard->pair}};
	int64_t deadline_us, now_us;

	pthread_setname_np(pthread_self(), "guard");
	if (wait_for(guard, fds, 3, -1))
		return NULL;
	eventfd_write(guard->stop_fd, 1);
	deadline_us = clock_now_us() + GUARD_DEADLINE_MS * 1000;
	while ((now_us = clock_now_us()) < deadline_us) {
		if (wait_for(guard, fds, 1, (int)((deadline_us - now_us) / 1000 + 1)))
			return NULL;
	}
	diag_warn("stopping takes longer than %d ms: the camera, an encoder or the output blocks; "
		  "exiting without waiting for it",
		  GUARD_DEADLINE_MS);
	_exit(atomic_load_explicit(&guard->exit_code, memory_order_relaxed));
}

int guard_init(struct guard *guard, int pair)
{
	sigset_t signals;
	int r;

	guard->pair = pair;
	atomic_init(&guard->exit_code, 0);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	r = pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (r != 0)
		return -r;
	guard->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (guard->signal_fd < 0)
		return -errno;
	guard->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (guard->stop_fd < 0) {
		r = -errno;
		goto close_signals;
	}
	guard->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (guard->wake_fd < 0) {
		r = -errno;
		goto close_stop;
	}
	r = -pthread_create(&guard->thread, NULL, run, guard);
	if (r == 0)
		return 0;
	close(guard->wake_fd);
close_stop:
	close(guard->stop_fd);
close_signals:
	close(guard->signal_fd);
	return r;
}

void guard_arm(struct guard *guard, int exit_code)
{
	atomic_store_explicit(&guard->exit_code, exit_code, memory_order_relaxed);
	eventfd_write(guard->wake_fd, WAKE_ARM);
}

void guard_finish(struct guard *guard)
{
	eventfd_write(guard->wake_fd, WAKE_FINISH);
	pthread_join(guard->thread, NULL);
	close(guard->wake_fd);
	close(guard->stop_fd);
	close(guard->signal_fd);
}
