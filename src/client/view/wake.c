/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/wake.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <SDL.h>

#include "base/diag.h"

struct view_wake {
	pthread_t thread;
	int epoll, signals, stop;
	int watched; /* borrowed; -1: none */
	Uint32 event;
	atomic_bool rung;     /* an event is under way; all seq_cst */
	atomic_bool readable; /* the watched descriptor became so */
};

static sigset_t ending_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	return set;
}

int view_wake_block_signals(void)
{
	const sigset_t set = ending_signals();

	return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void view_wake_ring(struct view_wake *wake)
{
	SDL_Event event = {.type = wake->event};

	if (!atomic_exchange(&wake->rung, true) && SDL_PushEvent(&event) < 0)
		atomic_store(&wake->rung, false); /* the queue is full: it wakes up anyway */
}

void view_wake_answer(struct view_wake *wake)
{
	atomic_store(&wake->rung, false);
}

bool view_wake_fd_readable(struct view_wake *wake)
{
	return atomic_exchange(&wake->readable, false);
}

static void push_quit(void)
{
	SDL_Event event = {.type = SDL_QUIT};

	SDL_PushEvent(&event);
}

static void *wait_for_descriptors(void *argument)
{
	struct view_wake *wake = argument;

	for (;;) {
		struct signalfd_siginfo info;
		struct epoll_event event;
		const int n = epoll_wait(wake->epoll, &event, 1, -1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			diag_error("epoll_wait: %m");
			return NULL;
		}
		if (event.data.fd == wake->stop)
			return NULL;
		if (event.data.fd == wake->signals) {
			if (read(wake->signals, &info, sizeof(info)) > 0)
				push_quit();
			continue;
		}
		atomic_store(&wake->readable, true);
		view_wake_ring(wake);
	}
}

/* Edge-triggered, because the owner of the descriptor may read it later. */
static int watch(struct view_wake *wake, int fd)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};

	return epoll_ctl(wake->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int view_wake_create(struct view_wake **out, int fd)
{
	const sigset_t set = ending_signals();
	struct view_wake *wake = calloc(1, sizeof(*wake));
	int r;

	if (!wake)
		return -ENOMEM;
	wake->watched = fd;
	wake->event = SDL_RegisterEvents(1);
	wake->epoll = epoll_create1(EPOLL_CLOEXEC);
	wake->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	wake->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake->epoll < 0 || wake->signals < 0 || wake->stop < 0) {
		r = -errno;
		goto close;
	}
	r = watch(wake, wake->signals);
	if (!r)
		r = watch(wake, wake->stop);
	if (!r && fd >= 0)
		r = watch(wake, fd);
	if (!r)
		r = -pthread_create(&wake->thread, NULL, wait_for_descriptors, wake);
	if (r)
		goto close;
	*out = wake;
	return 0;

close:
	if (wake->stop >= 0)
		close(wake->stop);
	if (wake->signals >= 0)
		close(wake->signals);
	if (wake->epoll >= 0)
		close(wake->epoll);
	free(wake);
	return r;
}

void view_wake_destroy(struct view_wake *wake)
{
	const uint64_t one = 1;

	if (!wake)
		return;
	if (write(wake->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(wake->thread, NULL);
	close(wake->stop);
	close(wake->signals);
	close(wake->epoll);
	free(wake);
}
