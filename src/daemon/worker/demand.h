/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a camera's feeds want of its worker: feeds wanted or not (with the linger of on_demand),
 * IDRs (at most one a second and stream), bitrates. It is remembered here and said again to each
 * new process. Streams and feeds go by number. Loop thread only.
 */
#ifndef DAEMON_WORKER_DEMAND_H
#define DAEMON_WORKER_DEMAND_H

#include "daemon/cameras.h"

struct worker_demand;

struct worker_demand_options {
	const struct camera *camera; /* borrowed */
	/* Sends a message to the process; false: it did not go, there is no process or it does not
	 * read now. */
	bool (*say)(void *user, const void *message, size_t size);
	void *user;
};

int worker_demand_create(struct worker_demand **out, struct loop *loop,
			 const struct worker_demand_options *options);
void worker_demand_destroy(struct worker_demand *demand);

/* For feed_create(). */
struct feed_demand *worker_demand_of_feed(struct worker_demand *demand, unsigned feed);

/* Says everything to a new process. */
void worker_demand_say_all(struct worker_demand *demand);
/* Says again what did not go. */
void worker_demand_say_rest(struct worker_demand *demand);
/* Whether the process is up: IDRs are asked of it only then, as it begins with one. */
void worker_demand_set_up(struct worker_demand *demand, bool up);
/* A key unit has come: if no other feed of its stream waits for one, a request that waits for its
 * second to pass is answered. */
void worker_demand_key_came(struct worker_demand *demand, unsigned feed);

/* At most one a second and stream is passed on. */
void worker_demand_request_idr(struct worker_demand *demand, unsigned feed);
void worker_demand_set_bitrate(struct worker_demand *demand, unsigned stream, uint32_t bitrate_bps);
/* By stream: since when any of its feeds has been wanted; 0: none is. */
const int64_t *worker_demand_wanted_us(const struct worker_demand *demand);

#endif
