/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/lib/hist.h"

static struct hist hist, other;

static int clear(void **state)
{
	(void)state;
	hist_reset(&hist);
	hist_reset(&other);
	return 0;
}

static void an_empty_one_says_zero(void **state)
{
	(void)state;
	assert_int_equal(hist_percentile_us(&hist, 0.5), 0);
	assert_int_equal(hist_percentile_us(&hist, 1), 0);
	assert_true(hist_mean_us(&hist) == 0);
}

static void small_values_are_exact(void **state)
{
	(void)state;
	for (int us = 1; us <= 100; us++)
		hist_add(&hist, us);
	assert_int_equal(hist_percentile_us(&hist, 0), 1);
	assert_int_equal(hist_percentile_us(&hist, 0.5), 50);
	assert_int_equal(hist_percentile_us(&hist, 0.9), 90);
	assert_int_equal(hist_percentile_us(&hist, 0.99), 99);
	assert_int_equal(hist_percentile_us(&hist, 1), 100);
	assert_true(hist_mean_us(&hist) == 50.5);
}

/* Against sorting, over seven orders of magnitude. */
static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void percentiles_are_within_a_64th_above(void **state)
{
	static const double ranks[] = {0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999};
	enum { N = 20000 };
	static int64_t samples[N];
	uint64_t random = 1;

	(void)state;
	for (int i = 0; i < N; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		samples[i] = (int64_t)((random >> 40) >> (random >> 33 & 15));
		hist_add(&hist, samples[i]);
	}
	qsort(samples, N, sizeof(*samples), compare);
	for (size_t i = 0; i < sizeof(ranks) / sizeof(*ranks); i++) {
		size_t rank = (size_t)(ranks[i] * N + 0.999999);
		int64_t exact = samples[rank - 1], found = hist_percentile_us(&hist, ranks[i]);

		assert_true(found >= exact);
		assert_true(found <= exact + exact / 64 + 1);
	}
	assert_int_equal(hist_percentile_us(&hist, 1), samples[N - 1]);
}

static void each_power_of_two_falls_between_its_neighbours(void **state)
{
	(void)state;
	for (int bits = 0; bits < HIST_MAX_BITS; bits++) {
		for (int64_t us = (INT64_C(1) << bits) - 1; us <= (INT64_C(1) << bits) + 1; us++) {
			int64_t found;

			hist_reset(&hist);
			hist_add(&hist, us);
			hist_add(&hist, HIST_MAX_US); /* so that the highest is no help */
			found = hist_percentile_us(&hist, 0.5);
			assert_in_range(found, us, us + us / 64);
		}
	}
}

static void what_is_out_of_range_counts_at_its_end(void **state)
{
	(void)state;
	hist_add(&hist, -5);
	assert_int_equal(hist_percentile_us(&hist, 1), 0);
	hist_add(&hist, INT64_MAX);
	assert_int_equal(hist_percentile_us(&hist, 1), HIST_MAX_US);
	assert_int_equal(hist.n, 2);
}

static void merging_is_as_adding_all_to_one(void **state)
{
	struct hist both = {0};

	(void)state;
	for (int i = 0; i < 1000; i++) {
		int64_t us = (int64_t)i * i * 7;

		hist_add(i % 3 ? &hist : &other, us);
		hist_add(&both, us);
	}
	hist_merge(&hist, &other);
	assert_memory_equal(&hist, &both, sizeof(both));
}

static void json_has_milliseconds_and_every_sample(void **state)
{
	double counted = 0, last = -1;
	cJSON *json;
	const cJSON *step;

	(void)state;
	for (int i = 1; i <= 1000; i++)
		hist_add(&hist, i * 1000);
	json = hist_json(&hist);
	assert_true(cJSON_GetObjectItem(json, "max")->valuedouble == 1000);
	assert_true(cJSON_GetObjectItem(json, "p50")->valuedouble >= 500);
	assert_true(cJSON_GetObjectItem(json, "p50")->valuedouble <= 508);
	cJSON_ArrayForEach(step, cJSON_GetObjectItem(json, "histogram"))
	{
		double bound = cJSON_GetArrayItem(step, 0)->valuedouble;

		assert_true(bound > last);
		last = bound;
		counted += cJSON_GetArrayItem(step, 1)->valuedouble;
	}
	assert_true(counted == 1000);
	cJSON_Delete(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_empty_one_says_zero, clear),
		cmocka_unit_test_setup(small_values_are_exact, clear),
		cmocka_unit_test_setup(percentiles_are_within_a_64th_above, clear),
		cmocka_unit_test_setup(each_power_of_two_falls_between_its_neighbours, clear),
		cmocka_unit_test_setup(what_is_out_of_range_counts_at_its_end, clear),
		cmocka_unit_test_setup(merging_is_as_adding_all_to_one, clear),
		cmocka_unit_test_setup(json_has_milliseconds_and_every_sample, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
