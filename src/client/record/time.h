/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time in recordings: when a picture was, and which file it belongs to. Pure functions of what they
 * are given; any thread.
 */
#ifndef CLIENT_RECORD_TIME_H
#define CLIENT_RECORD_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The times of a stream's pictures, from their arrival. Byte streams carry none, the announced rate
 * of an encoder is a wish, and arrival jitters with the network. Therefore an alpha-beta filter
 * follows the arrival: the next picture is expected one step after the last; a small part of the
 * error corrects its time, a smaller one the step. Jitter is smoothed, a camera that slows down in
 * the dark is followed within a second, and over any length the times are those of the clock: no
 * drift. A rate that changes at once is seen from a few intervals in a row. Times always grow.
 */
#define RECORD_AHEAD_MAX_US 1000000 /* of a picture's time before its arrival */

struct record_clock {
	double step_us;
	int64_t last_us; /* valid if begun */
	bool begun;
	int64_t arrival_us; /* of the last picture */
	int run;	/* intervals in a row that were much too long (or, negative, too short) */
	int64_t run_us; /* their sum */
};

/* framerate: what the server announces; 0: not known. */
void record_clock_init(struct record_clock *clock, double framerate);

/* Sets the step to one that was measured. */
void record_clock_set_step(struct record_clock *clock, double step_us);

/* The time of a picture that came at arrival_us (any clock that goes on), on the same clock. gap:
 * it does not follow the last one (a new connection), so its arrival counts alone. The same holds
 * for a picture that is later than expected by over a second and three steps. No time is more than
 * RECORD_AHEAD_MAX_US and a tick of MP4 after the arrival or the time before,
 * whichever is later. */
int64_t record_clock_next(struct record_clock *clock, int64_t arrival_us, bool gap);

/* Whether pictures arrive faster than times can grow: the last one has a time too far behind
 * arrival_us for another one to follow it. A picture that is left out is not passed on to
 * record_clock_next(). */
bool record_clock_is_full(const struct record_clock *clock, int64_t arrival_us);

/* UTC in microseconds since 1970 -> the number of its segment. segment_s: 1 to 86400; segments
 * begin at its multiples since 1970, which for divisors of a day are the same times every day. */
int64_t record_segment_of(int64_t utc_us, unsigned segment_s);

/* The name of a file: the UTC second of its first picture, and its number (from 1) among those of
 * the same second: "20261122T204300Z.mp4", "20261122T204300Z-2.mp4". */
#define RECORD_NAME_MAX 32
void record_name_write(char name[RECORD_NAME_MAX], int64_t utc_s, unsigned number);

/* Only names as record_name_write() makes them. */
bool record_name_parse(const char *name, int64_t *utc_s, unsigned *number);

#endif
