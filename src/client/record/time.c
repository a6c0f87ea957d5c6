/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/time.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Settles within some 16 pictures, and is well damped: beta < alpha^2 / (2 - alpha). */
#define ALPHA (1.0 / 16)
#define BETA (1.0 / 600)
#define STEP_US 40000 /* 25 pictures a second, until the arrivals tell */
#define STEP_MIN_US 1000
#define STEP_MAX_US 60000000
#define GAP_US 1000000
#define GAP_STEPS 3
#define NUMBER_MAX 9999
#define TICK_US 12 /* more than one of 90 kHz, the time base of files */
#define RUN 4	   /* intervals that show a new rate */
#define RUN_RATIO 1.5
#define TOGETHER_US 5000 /* pictures that come closer than this were waiting for each other */

void record_clock_init(struct record_clock *clock, double framerate)
{
	*clock = (struct record_clock){0};
	record_clock_set_step(clock, framerate > 0 ? 1e6 / framerate : STEP_US);
}

void record_clock_set_step(struct record_clock *clock, double step_us)
{
	clock->step_us = step_us < STEP_MIN_US	 ? STEP_MIN_US
			 : step_us > STEP_MAX_US ? STEP_MAX_US
						 : step_us;
}

/* Notes whether the interval is of another rate. A picture that is held up is followed by short
 * intervals, and jitter changes from one to the next: neither makes a run. */
static void note_interval(struct record_clock *clock, int64_t interval_us)
{
	int way = (double)interval_us > clock->step_us * RUN_RATIO   ? 1
		  : (double)interval_us < clock->step_us / RUN_RATIO ? -1
								     : 0;

	if (interval_us < TOGETHER_US)
		way = 0;
	if (way == 0 || way * clock->run < 0) {
		clock->run = 0;
		clock->run_us = 0;
	}
	clock->run += way;
	clock->run_us += way ? interval_us : 0;
}

/* Whether the last intervals show that the rate has changed. Pictures that come too fast must be
 * ahead of their times, too: after a stall they are behind. */
static bool is_rate_new(const struct record_clock *clock, double error_us)
{
	return clock->run >= RUN || (clock->run <= -RUN && error_us < -clock->step_us);
}

int64_t record_clock_next(struct record_clock *clock, int64_t arrival_us, bool gap)
{
	double expected_us, error_us, step_us = clock->step_us;
	int64_t at_us = arrival_us, least_us;

	if (!clock->begun) {
		clock->begun = true;
		clock->last_us = clock->arrival_us = at_us;
		return at_us;
	}
	expected_us = (double)clock->last_us + step_us;
	error_us = (double)arrival_us - expected_us;
	note_interval(clock, gap ? (int64_t)step_us : arrival_us - clock->arrival_us);
	clock->arrival_us = arrival_us;
	if (is_rate_new(clock, error_us)) {
		record_clock_set_step(clock, (double)clock->run_us / abs(clock->run));
		clock->run = 0;
		clock->run_us = 0;
	} else if (!gap && error_us < GAP_US + GAP_STEPS * step_us) {
		at_us = (int64_t)(expected_us + ALPHA * error_us);
		/* No picture comes before it was taken; jitter is no more than a step. */
		if (at_us > arrival_us + (int64_t)step_us)
			at_us = arrival_us + (int64_t)step_us;
		step_us += BETA * error_us;
		if (step_us >= STEP_MIN_US && step_us <= STEP_MAX_US)
			clock->step_us = step_us;
	}
	if (at_us > arrival_us + RECORD_AHEAD_MAX_US)
		at_us = arrival_us + RECORD_AHEAD_MAX_US;
	/* However far behind the clock, pictures follow each other visibly, unless a flood of them
	 * would lead into the future. */
	least_us = clock->last_us + (int64_t)(clock->step_us / 4);
	if (least_us > arrival_us + RECORD_AHEAD_MAX_US)
		least_us = clock->last_us + TICK_US > arrival_us + RECORD_AHEAD_MAX_US
				   ? clock->last_us + TICK_US
				   : arrival_us + RECORD_AHEAD_MAX_US;
	if (at_us < least_us)
		at_us = least_us;
	clock->last_us = at_us;
	return at_us;
}

bool record_clock_is_full(const struct record_clock *clock, int64_t arrival_us)
{
	return clock->begun && clock->last_us > arrival_us + RECORD_AHEAD_MAX_US + GAP_US;
}

int64_t record_segment_of(int64_t utc_us, unsigned segment_s)
{
	int64_t length_us = (int64_t)segment_s * 1000000;

	return utc_us / length_us - (utc_us % length_us < 0);
}

void record_name_write(char name[RECORD_NAME_MAX], int64_t utc_s, unsigned number)
{
	time_t time = (time_t)utc_s;
	struct tm tm;
	size_t len;

	gmtime_r(&time, &tm);
	len = strftime(name, RECORD_NAME_MAX, "%Y%m%dT%H%M%SZ", &tm);
	if (number > 1)
		snprintf(name + len, RECORD_NAME_MAX - len, "-%u.mp4", number);
	else
		snprintf(name + len, RECORD_NAME_MAX - len, ".mp4");
}

bool record_name_parse(const char *name, int64_t *utc_s, unsigned *number)
{
	static const char shape[] = "dddddddd"
				    "Tdddddd"
				    "Z";
	char again[RECORD_NAME_MAX];
	struct tm tm = {0};
	const char *rest;

	for (size_t i = 0; i < sizeof shape - 1; i++)
		if (shape[i] == 'd' ? name[i] < '0' || name[i] > '9' : name[i] != shape[i])
			return false;
	rest = strptime(name, "%Y%m%dT%H%M%SZ", &tm);
	if (!rest)
		return false;
	*number = 1;
	if (rest[0] == '-' && rest[1] >= '1' && rest[1] <= '9')
		*number = (unsigned)strtoul(rest + 1, NULL, 10);
	if (*number < 1 || *number > NUMBER_MAX)
		return false;
	*utc_s = timegm(&tm);
	record_name_write(again, *utc_s, *number);
	return strcmp(name, again) == 0;
}
