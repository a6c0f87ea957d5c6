/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/samples.h"

#include <math.h>
#include <stdlib.h>

void samples_add(struct samples *samples, int64_t us)
{
	if (samples->n == samples->room) {
		samples->room = samples->room ? 2 * samples->room : 4096;
		samples->us = realloc(samples->us, samples->room * sizeof(*samples->us));
		if (!samples->us) {
			perror("samples");
			exit(1);
		}
	}
	samples->us[samples->n++] = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

uint32_t samples_percentile(struct samples *samples, double p)
{
	size_t rank;

	if (samples->n == 0)
		return 0;
	qsort(samples->us, samples->n, sizeof(*samples->us), compare);
	rank = (size_t)ceil(p * (double)samples->n); /* nearest rank */
	return samples->us[rank > 0 ? rank - 1 : 0];
}

void samples_print(struct samples *samples, FILE *out)
{
	static const double bounds_ms[] = {0.2, 0.5,  1,  2,   3,   5,	 7,    10,   15,   20,
					   25,	33.3, 50, 100, 200, 500, 1000, 2000, 5000, 1e9};
	size_t at = 0;

	fprintf(out, "{\"n\": %zu, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"p99.9\": %.3f, ",
		samples->n, samples_percentile(samples, 0.5) / 1e3,
		samples_percentile(samples, 0.9) / 1e3, samples_percentile(samples, 0.99) / 1e3,
		samples_percentile(samples, 0.999) / 1e3);
	fprintf(out, "\"max\": %.3f, \"histogram\": [", samples_percentile(samples, 1) / 1e3);
	for (size_t i = 0; i < sizeof(bounds_ms) / sizeof(*bounds_ms); i++) {
		size_t from = at;

		while (at < samples->n && samples->us[at] <= bounds_ms[i] * 1e3)
			at++;
		if (at > from)
			fprintf(out, "%s[%g, %zu]", from ? ", " : "", bounds_ms[i], at - from);
	}
	fprintf(out, "]}");
}

void samples_finish(struct samples *samples)
{
	free(samples->us);
	samples->us = NULL;
	samples->n = samples->room = 0;
}
