/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/burst.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "media/sei.h"

#define BYTES_MAX (16u << 20)
#define TOGETHER_US 5000 /* pictures that come closer than this were waiting for each other */
#define PACED_MIN 6	 /* intervals that are longer, of which the median is the step */
#define LEAST_US 1000000 /* a history may take a while on a slow link */
#define MOST_US 3000000
#define CAPTURE_MAX_US (INT64_MAX / 4) /* of a clock */

void burst_open(struct burst *burst)
{
	burst->open = true;
}

int burst_add(struct burst *burst, const struct reader_unit *unit)
{
	uint8_t *data = malloc(unit->len);

	if (!data)
		return -ENOMEM;
	memcpy(data, unit->data, unit->len);
	burst->units[burst->n] = *unit;
	burst->units[burst->n].data = data;
	burst->bytes += unit->len;
	burst->n++;
	return 0;
}

static int64_t interval_before(const struct burst *burst, size_t i)
{
	return burst->units[i].received_us - burst->units[i - 1].received_us;
}

bool burst_is_complete(const struct burst *burst, int64_t now_us)
{
	size_t paced = 0;
	int64_t age_us;

	if (burst->n == 0)
		return false;
	if (burst->n == BURST_MAX || burst->bytes >= BYTES_MAX)
		return true;
	age_us = now_us - burst->units[0].received_us;
	if (age_us < LEAST_US)
		return false;
	for (size_t i = 1; i < burst->n; i++)
		paced += interval_before(burst, i) > TOGETHER_US;
	return paced >= PACED_MIN || age_us >= MOST_US;
}

static int compare(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The median of the last intervals between pictures that came at their own pace; 0: there is none.
 */
static int64_t measure_step(const struct burst *burst)
{
	int64_t paced[PACED_MIN];
	size_t n = 0;

	for (size_t i = burst->n; i-- > 1 && n < PACED_MIN;)
		if (interval_before(burst, i) > TOGETHER_US)
			paced[n++] = interval_before(burst, i);
	if (n == 0)
		return 0;
	qsort(paced, n, sizeof paced[0], compare);
	return paced[n / 2];
}

/* The times of the camera, moved to the clock of the arrival: the picture that came soonest after
 * its capture took no time. false: not all pictures have one, or the times cannot be right. They
 * are any 64-bit numbers: the first one, and how far the others follow it, are checked before they
 * are added. */
static bool settle_by_capture(struct burst *burst)
{
	int64_t captured_us[BURST_MAX], offset_us = INT64_MAX;
	struct sei_capture capture;

	for (size_t i = 0; i < burst->n; i++) {
		const struct reader_unit *unit = &burst->units[i];

		if (unit->codec != STREAM_H264 ||
		    !sei_find_capture(unit->data, unit->len, &capture))
			return false;
		captured_us[i] = capture.monotonic_us;
		if (captured_us[i] < -CAPTURE_MAX_US || captured_us[i] > CAPTURE_MAX_US ||
		    (i > 0 && captured_us[i] <= captured_us[i - 1]))
			return false;
		if (unit->received_us - captured_us[i] < offset_us)
			offset_us = unit->received_us - captured_us[i];
	}
	if (burst->n > 0 &&
	    burst->units[0].received_us - captured_us[0] - offset_us > BURST_AGE_MAX_US)
		return false;
	for (size_t i = 0; i < burst->n; i++)
		burst->units[i].received_us = captured_us[i] + offset_us;
	return true;
}

double burst_settle(struct burst *burst, double step_us)
{
	bool by_capture = settle_by_capture(burst);
	int64_t measured_us = measure_step(burst);

	if (measured_us > 0)
		step_us = (double)measured_us;
	for (size_t i = burst->n; !by_capture && i-- > 1;) {
		struct reader_unit *unit = &burst->units[i - 1];
		int64_t latest_us = burst->units[i].received_us - (int64_t)step_us;

		if (latest_us < unit->received_us - BURST_AGE_MAX_US)
			latest_us = unit->received_us - BURST_AGE_MAX_US;
		if (unit->received_us > latest_us)
			unit->received_us = latest_us;
	}
	return step_us;
}

void burst_close(struct burst *burst)
{
	for (size_t i = 0; i < burst->n; i++)
		free((void *)(uintptr_t)burst->units[i].data);
	burst->n = burst->bytes = 0;
	burst->open = false;
}
