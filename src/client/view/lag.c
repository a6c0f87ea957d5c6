/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/lag.h"

#include <inttypes.h>
#include <stdio.h>

#define SAME_MACHINE_US 50000
#define FUTURE_MAX_US 20000
#define AGE_MAX_US 10000000

static bool age_valid(int64_t age_us)
{
	return age_us >= -FUTURE_MAX_US && age_us <= AGE_MAX_US;
}

bool view_lag_capture_us(const struct sei_capture *capture, int64_t now_us, int64_t utc_us,
			 int64_t *out, int64_t *offset_us)
{
	/* The times are arbitrary 64-bit values from the network: differences must not overflow. */
	const int64_t age_us = (int64_t)((uint64_t)now_us - (uint64_t)capture->monotonic_us);
	const int64_t utc_age_us = (int64_t)((uint64_t)utc_us - (uint64_t)capture->utc_us);
	int64_t age;

	if (!age_valid(utc_age_us)) {
		*offset_us = utc_age_us > VIEW_LAG_OFFSET_MAX_US    ? -VIEW_LAG_OFFSET_MAX_US
			     : utc_age_us < -VIEW_LAG_OFFSET_MAX_US ? VIEW_LAG_OFFSET_MAX_US
								    : -utc_age_us;
		return false;
	}
	age = utc_age_us;
	if (age_valid(age_us) && age_us - utc_age_us < SAME_MACHINE_US &&
	    utc_age_us - age_us < SAME_MACHINE_US)
		age = age_us;
	*out = now_us - (age > 0 ? age : 0);
	return true;
}

void view_lag_describe_offset(int64_t offset_us, char *out, size_t size)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{31557600, "years"}, {86400, "days"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	/* Divided first: INT64_MIN has no positive counterpart. */
	const int64_t ms = offset_us / 1000 < 0 ? -(offset_us / 1000) : offset_us / 1000;
	const char *direction = offset_us < 0 ? "behind" : "ahead";

	/* In the largest unit of which there are two. */
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (ms >= 2000 * units[i].seconds) {
			snprintf(out, size, "%" PRId64 " %s %s", ms / 1000 / units[i].seconds,
				 units[i].name, direction);
			return;
		}
	snprintf(out, size, "%" PRId64 " ms %s", ms, direction);
}
