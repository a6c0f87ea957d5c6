/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/arrival.h"

/* A picture that comes later than the soonest one was held up on the way, or the clock of the
 * source is slow. The offset follows such a clock by this part of the time that passes: quartz
 * differs by less than 0.1 ms in a second. */
#define DRIFT 2000

void arrival_restart(struct arrival *arrival)
{
	arrival->anchored = false;
}

int64_t arrival_place(struct arrival *arrival, int64_t now_us, int64_t timestamp_us)
{
	int64_t us = now_us;

	if (timestamp_us != ARRIVAL_NONE) {
		/* Times may be anything: differences wrap, and are checked below. */
		const int64_t here = (int64_t)((uint64_t)now_us - (uint64_t)timestamp_us);

		if (arrival->anchored)
			arrival->offset_us =
				(int64_t)((uint64_t)arrival->offset_us +
					  (uint64_t)((now_us - arrival->seen_us) / DRIFT));
		us = (int64_t)((uint64_t)timestamp_us + (uint64_t)arrival->offset_us);
		/* Sooner than any before, or a jump. */
		if (!arrival->anchored || us > now_us || us < now_us - ARRIVAL_BEHIND_MAX_US) {
			arrival->offset_us = here;
			us = now_us;
		}
		arrival->anchored = true;
	}
	if (us <= arrival->last_us)
		us = arrival->last_us + 1;
	arrival->last_us = us;
	arrival->seen_us = now_us;
	return us;
}
