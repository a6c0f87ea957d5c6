/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A rate of pictures as a fraction, so that 30000/1001 can be said exactly.
 */
#ifndef BASE_RATE_H
#define BASE_RATE_H

#include <stdint.h>

struct rate {
	uint32_t num, den; /* num / den pictures a second; den is not 0 */
};

#endif
