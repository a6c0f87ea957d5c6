/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/flow.h"

#define FRESH_US 3000000

int64_t flow_fresh_us(int64_t interval_us)
{
	return FRESH_US + interval_us;
}

void flow_look(struct flow *flow, uint64_t count, int64_t now_us)
{
	if (count == flow->count)
		return;
	flow->interval_us = 0;
	if (flow->last_us && count > flow->count)
		flow->interval_us =
			(int64_t)((uint64_t)(now_us - flow->last_us) / (count - flow->count));
	flow->count = count;
	flow->last_us = now_us;
}

bool flow_runs(const struct flow *flow, int64_t now_us)
{
	return flow->last_us && now_us - flow->last_us <= flow_fresh_us(flow->interval_us);
}
