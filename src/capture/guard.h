/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes the process stop on request even if a call blocks: its own thread waits for SIGTERM,
 * SIGINT, or the pair's end, notifies the main thread, and ends the process if it still runs
 * GUARD_DEADLINE_MS later (a camera that does not open, a STREAMOFF in a hung driver).
 */
#ifndef CAPTURE_GUARD_H
#define CAPTURE_GUARD_H

#include <pthread.h>
#include <stdatomic.h>

#define GUARD_DEADLINE_MS 1500

struct guard {
	int stop_fd; /* eventfd: readable when the process should stop; for the main loop's poll */
	int pair;
	int signal_fd, wake_fd;
	atomic_int exit_code; /* relaxed: only a number */
	pthread_t thread;
};

/* Blocks the signals for this thread and those that it starts, so call it before any other thread
 * exists. pair is borrowed, -1: none. 0 or -errno. */
int guard_init(struct guard *guard, int pair);
/* The main thread stops by itself with this exit code: the deadline starts now. */
void guard_arm(struct guard *guard, int exit_code);
/* Ends the thread. Main thread, last of all. */
void guard_finish(struct guard *guard);

#endif
