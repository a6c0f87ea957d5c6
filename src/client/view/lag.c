/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/lag.h"

#define SAME_MACHINE_US 50000
#define FUTURE_MAX_US 20000
#define AGE_MAX_US 10000000

static bool age_valid(int64_t age_us)
{
	return age_us >= -FUTURE_MAX_US && age_us <= AGE_MAX_US;
}

bool view_lag_capture_us(const struct sei_capture *capture, int64_t now_us, int64_t utc_us,
			 int64_t *out)
{
	/* Whatever 64 bits came from the network: differences must not overflow. */
	const int64_t age_us = (int64_t)((uint64_t)now_us - (uint64_t)capture->monotonic_us);
	const int64_t utc_age_us = (int64_t)((uint64_t)utc_us - (uint64_t)capture->utc_us);
	int64_t age;

	if (!age_valid(utc_age_us))
		return false;
	age = utc_age_us;
	if (age_valid(age_us) && age_us - utc_age_us < SAME_MACHINE_US &&
	    utc_age_us - age_us < SAME_MACHINE_US)
		age = age_us;
	*out = now_us - (age > 0 ? age : 0);
	return true;
}
