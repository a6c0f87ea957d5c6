/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/pacer.h"

#define SECOND_US 1000000

void pacer_init(struct pacer *pacer, struct rate rate)
{
	*pacer = (struct pacer){
		.period_us = (int64_t)SECOND_US * rate.den / rate.num,
		.due_us = INT64_MIN,
		.window_start_us = INT64_MIN,
		.flood = 2 + rate.num * 5 / (rate.den * 4),
	};
}

bool pacer_take(struct pacer *pacer, int64_t t_us)
{
	const int64_t step_us = pacer->period_us * 20 / 21;
	/* Less than half, so that of twice the rate nothing slips in between. */
	const int64_t slack_us = step_us * 2 / 5;

	if (t_us - SECOND_US >= pacer->window_start_us) {
		pacer->throttle |= pacer->seen > pacer->flood;
		pacer->window_start_us = t_us;
		pacer->seen = 0;
	}
	pacer->seen++;
	if (pacer->due_us != INT64_MIN && t_us + slack_us < pacer->due_us)
		return false;
	/* A late picture earns no credit: no burst after a pause. */
	if (pacer->due_us < t_us)
		pacer->due_us = t_us;
	pacer->due_us += step_us;
	return true;
}
