/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long to wait before something that failed is tried again: twice as long from failure to
 * failure, up to a limit; after it worked for some time, the next failure counts as the first.
 */
#ifndef BASE_BACKOFF_H
#define BASE_BACKOFF_H

#include <stdint.h>

struct backoff {
	uint32_t first_ms, most_ms; /* of a wait */
	uint32_t healthy_ms;	    /* it worked for so long: the next failure is the first */
	uint32_t next_ms;	    /* 0: first_ms */
};

/* It failed after it had worked for worked_ms (0: it never did). Returns how long to wait, in ms.
 */
static inline uint32_t backoff_after(struct backoff *backoff, int64_t worked_ms)
{
	uint32_t wait_ms = backoff->next_ms;

	if (wait_ms == 0 || worked_ms >= backoff->healthy_ms)
		wait_ms = backoff->first_ms;
	backoff->next_ms = wait_ms > backoff->most_ms / 2 ? backoff->most_ms : 2 * wait_ms;
	return wait_ms;
}

#endif
