/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether pictures flow: one rule for the server's health and for what a viewer shows. Pictures
 * flow while the newest is not older than three seconds and the time from one picture to the next.
 * All times are microseconds of one monotonic clock. Any thread, one at a time for each structure.
 */
#ifndef BASE_FLOW_H
#define BASE_FLOW_H

#include <stdbool.h>
#include <stdint.h>

/* How old the newest picture may be. interval_us: from one picture to the next, 0: not known. */
int64_t flow_fresh_us(int64_t interval_us);

/* A flow of pictures that is looked at now and then. Zeroed: none has come. */
struct flow {
	uint64_t count;	     /* pictures up to the last look */
	int64_t last_us;     /* when the newest was first seen; 0: none yet */
	int64_t interval_us; /* from one to the next, most lately; 0: not known */
};

/* Takes a look: `count` pictures have come until now_us (not 0). A count that went back is a new
 * picture of another flow. */
void flow_look(struct flow *flow, uint64_t count, int64_t now_us);
/* Whether pictures flow at now_us. */
bool flow_runs(const struct flow *flow, int64_t now_us);

#endif
