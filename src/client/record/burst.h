/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first pictures of a connection, or after a pause. A server sends its history at once, so
 * these pictures are older than their arrival, and the rate is not known yet: no announced rate is
 * as good as the pictures' own times. They are kept until enough pictures have come at their own
 * pace, and then get the times that they must have had. One thread.
 */
#ifndef CLIENT_RECORD_BURST_H
#define CLIENT_RECORD_BURST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/stream/reader.h"

#define BURST_MAX 600 /* units */

struct burst {
	struct reader_unit units[BURST_MAX]; /* in the order of arrival; their data is owned */
	size_t n, bytes;
	bool open; /* units are kept */
};

/* Begins to keep units. A burst that is open already goes on. */
void burst_open(struct burst *burst);

/* Keeps a copy of the unit. The burst is open and not complete. 0 or -ENOMEM. */
int burst_add(struct burst *burst, const struct reader_unit *unit);

/* Whether the units tell enough, or no more can be kept. now_us: CLOCK_MONOTONIC. */
bool burst_is_complete(const struct burst *burst, int64_t now_us);

#define BURST_AGE_MAX_US 600000000 /* of a picture; the longest history that a server keeps */

/* Puts the times at which the units were taken into received_us, on the clock of their arrival:
 * from their SEI (media/sei.h) if all have one and none is older than BURST_AGE_MAX_US by it, else
 * at least one step before the next one, and at most BURST_AGE_MAX_US before its arrival. step_us
 * is what to expect; returns the step that was measured, or step_us if none was. */
double burst_settle(struct burst *burst, double step_us);

/* Frees all units, and ends the burst. */
void burst_close(struct burst *burst);

#endif
