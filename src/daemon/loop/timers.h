/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The timers of a loop, by time, and by the order of setting where times are equal. A pairing heap
 * (Fredman, Sedgewick, Sleator, Tarjan, 1986) whose links live in the timers: setting is O(1),
 * removing O(log n) in the mean. Each connection of HTTP has a timer, and sets it several times for
 * each request. Loop thread only.
 */
#ifndef DAEMON_LOOP_TIMERS_H
#define DAEMON_LOOP_TIMERS_H

#include "daemon/loop/loop.h"

struct timers {
	struct loop_timer *first; /* the root; NULL: none is set */
	uint64_t n_set;		  /* how often one was set */
};

/* Sets a timer, or moves it if it is set. */
void timers_set(struct timers *timers, struct loop_timer *timer, int64_t at_us);
/* Removes a timer; nothing happens if it is not set. */
void timers_remove(struct timers *timers, struct loop_timer *timer);

#endif
