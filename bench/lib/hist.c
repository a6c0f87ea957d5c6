/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/hist.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* Slot numbers: the value itself below 2 * 64, then 64 for each further bit. */
static size_t slot_of(int64_t us)
{
	uint64_t value = (uint64_t)us;
	int shift;

	if (value < 2u << HIST_SUB_BITS)
		return (size_t)value;
	shift = 63 - __builtin_clzll(value) - HIST_SUB_BITS;
	return ((size_t)shift << HIST_SUB_BITS) + (size_t)(value >> shift);
}

static int64_t highest_in(size_t slot)
{
	size_t shift = slot >> HIST_SUB_BITS;

	if (shift < 2)
		return (int64_t)slot;
	shift--;
	return (int64_t)(((slot - (shift << HIST_SUB_BITS) + 1) << shift) - 1);
}

void hist_add(struct hist *hist, int64_t us)
{
	if (us < 0)
		us = 0;
	if (us > HIST_MAX_US)
		us = HIST_MAX_US;
	hist->n++;
	hist->sum_us += us;
	if (us > hist->max_us)
		hist->max_us = us;
	hist->slots[slot_of(us)]++;
}

void hist_reset(struct hist *hist)
{
	memset(hist, 0, sizeof(*hist));
}

void hist_merge(struct hist *to, const struct hist *from)
{
	to->n += from->n;
	to->sum_us += from->sum_us;
	if (from->max_us > to->max_us)
		to->max_us = from->max_us;
	for (size_t i = 0; i < HIST_SLOTS; i++)
		to->slots[i] += from->slots[i];
}

int64_t hist_percentile_us(const struct hist *hist, double p)
{
	uint64_t rank = (uint64_t)ceil(p * (double)hist->n), seen = 0;

	if (rank == 0)
		rank = 1;
	for (size_t i = 0; i < HIST_SLOTS; i++) {
		seen += hist->slots[i];
		if (seen >= rank) {
			int64_t highest = highest_in(i);

			return highest < hist->max_us ? highest : hist->max_us;
		}
	}
	return 0;
}

double hist_mean_us(const struct hist *hist)
{
	return hist->n ? (double)hist->sum_us / (double)hist->n : 0;
}

static void add_ms(cJSON *object, const char *name, double us)
{
	cJSON_AddNumberToObject(object, name, us / 1e3);
}

cJSON *hist_json(const struct hist *hist)
{
	const size_t step = (1u << HIST_SUB_BITS) / 8;
	cJSON *object = cJSON_CreateObject(), *steps;

	cJSON_AddNumberToObject(object, "n", (double)hist->n);
	add_ms(object, "mean", hist_mean_us(hist));
	add_ms(object, "p50", (double)hist_percentile_us(hist, 0.5));
	add_ms(object, "p90", (double)hist_percentile_us(hist, 0.9));
	add_ms(object, "p99", (double)hist_percentile_us(hist, 0.99));
	add_ms(object, "p99.9", (double)hist_percentile_us(hist, 0.999));
	add_ms(object, "max", (double)hist->max_us);
	steps = cJSON_AddArrayToObject(object, "histogram");
	for (size_t i = 0; i < HIST_SLOTS; i += step) {
		uint64_t count = 0;

		for (size_t j = i; j < i + step; j++)
			count += hist->slots[j];
		if (count > 0) {
			double pair[2] = {(double)highest_in(i + step - 1) / 1e3, (double)count};

			cJSON_AddItemToArray(steps, cJSON_CreateDoubleArray(pair, 2));
		}
	}
	return object;
}
