/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The times of pictures that arrive from a live source, or from a camera over RTSP. A picture goes
 * on when it arrives, whatever its timestamp says; but viewers get the rhythm of the source's
 * own clock where it has one, because arrival on a network or a pipe is uneven. That clock may
 * begin anywhere, jump, stand still, or run a little faster or slower than ours. One thread at a
 * time.
 */
#ifndef BASE_ARRIVAL_H
#define BASE_ARRIVAL_H

#include <stdbool.h>
#include <stdint.h>

#define ARRIVAL_NONE INT64_MIN	     /* no timestamp; libav's AV_NOPTS_VALUE */
#define ARRIVAL_BEHIND_MAX_US 500000 /* no time that is given lies further back than this */

struct arrival {
	bool anchored;
	int64_t offset_us; /* our clock less that of the source; of the picture that came soonest */
	int64_t last_us;   /* what was given last */
	int64_t seen_us;   /* when the last picture came */
};

/* The source's clock begins again, after a reconnection. Zeroed memory is a valid beginning. */
void arrival_restart(struct arrival *arrival);
/* The time, CLOCK_MONOTONIC in us, of a picture that arrives at now_us and has this timestamp in
 * us, or ARRIVAL_NONE. It lies at most ARRIVAL_BEHIND_MAX_US before now_us and, except for the
 * microseconds that keep the pictures of a burst apart, not after it. Times always grow. */
int64_t arrival_place(struct arrival *arrival, int64_t now_us, int64_t timestamp_us);

#endif
