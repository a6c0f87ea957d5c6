/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The demands of a camera's feeds on its worker: wanted feeds (with the linger of those that are
 * not kept), IDRs (at most one a second and stream), bitrates. They are stored here and sent again
 * to each new process. Streams and feeds are identified by number. Loop thread only.
 */
#ifndef DAEMON_WORKER_DEMAND_H
#define DAEMON_WORKER_DEMAND_H

#include "daemon/cameras.h"

struct worker_demand;

struct worker_demand_options {
	const struct camera *camera; /* borrowed */
	/* Sends a message to the process; false: it was not sent, because there is no process or
	 * its pair is full. */
	bool (*say)(void *user, const void *message, size_t size);
	void *user;
};

int worker_demand_create(struct worker_demand **out, struct loop *loop,
			 const struct worker_demand_options *options);
void worker_demand_destroy(struct worker_demand *demand);

/* For feed_create(). */
struct feed_demand *worker_demand_of_feed(struct worker_demand *demand, unsigned feed);

/* No feed tells it anything any more, and no timer of it runs. */
void worker_demand_stop(struct worker_demand *demand);
/* Reads from the configuration again which feeds are written all the time. */
void worker_demand_renew(struct worker_demand *demand);

/* Sends all demands to a new process. */
void worker_demand_say_all(struct worker_demand *demand);
/* Sends the demands that could not be sent before. */
void worker_demand_say_rest(struct worker_demand *demand);
/* Sets whether the process is up. IDRs are requested only from a process that is up, because a new
 * one begins with an IDR. */
void worker_demand_set_up(struct worker_demand *demand, bool up);
/* A key unit arrived. If no other feed of its stream waits for one, this cancels a request that was
 * delayed by the limit of one a second. */
void worker_demand_key_came(struct worker_demand *demand, unsigned feed);

/* At most one a second and stream is passed on. */
void worker_demand_request_idr(struct worker_demand *demand, unsigned feed);
void worker_demand_set_bitrate(struct worker_demand *demand, unsigned stream, uint32_t bitrate_bps);
/* By stream: since when any of its feeds has been wanted; 0: none is. */
const int64_t *worker_demand_wanted_us(const struct worker_demand *demand);

#endif
