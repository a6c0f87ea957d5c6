/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/quantity.h"

#define N(array) (sizeof(array) / sizeof(array)[0])
#define SECOND 1000000LL

struct amount {
	const char *text;
	int64_t value; /* or a negative error */
};

static int parse_seconds(const char *text, int64_t *out)
{
	return quantity_parse_time(text, SECOND, out);
}

static void check(const struct amount *cases, size_t n, int (*parse)(const char *, int64_t *))
{
	for (size_t i = 0; i < n; i++) {
		int64_t value = -77;
		int err = parse(cases[i].text, &value);

		if (cases[i].value < 0 ? err != cases[i].value || value != -77
				       : err != 0 || value != cases[i].value)
			fail_msg("\"%s\": %d, %lld", cases[i].text, err, (long long)value);
	}
}

static void bytes_are_in_powers_of_1024(void **state)
{
	static const struct amount cases[] = {
		{"0", 0},
		{"500", 500},
		{"500 B", 500},
		{"4K", 4096},
		{"20G", 20LL << 30},
		{"20GB", 20LL << 30},
		{"20 gib", 20LL << 30},
		{"1.5 MB", 3 << 19},
		{"2T", 2LL << 40},
		{"1.0", 1},
		{"0.0000001G", -EINVAL},
		{"1.5", -EINVAL},
		{"", -EINVAL},
		{"G", -EINVAL},
		{"-1", -EINVAL},
		{"+1", -EINVAL},
		{"0x10", -EINVAL},
		{"1e3", -EINVAL},
		{"1.", -EINVAL},
		{".5G", -EINVAL},
		{"1GG", -EINVAL},
		{"1 G B", -EINVAL},
		{"1,5G", -EINVAL},
		{"1234567890123456789", -EINVAL},
		{"123456789012T", -ERANGE},
	};

	(void)state;
	check(cases, N(cases), quantity_parse_bytes);
}

static void bitrates_are_in_powers_of_1000(void **state)
{
	static const struct amount cases[] = {
		{"2000000", 2000000},	  {"2M", 2000000},	 {"2m", 2000000},
		{"2000k", 2000000},	  {"2 Mbit/s", 2000000}, {"2 MBIT/S", 2000000},
		{"2Mbps", 2000000},	  {"2.5 Mb/s", 2500000}, {"800 kbit", 800000},
		{"300000 bit/s", 300000}, {"1G", 1000000000},	 {"2 MB/s", -EINVAL},
		{"2MBps", -EINVAL},	  {"2 bytes", -EINVAL},	 {"2 Mbit/h", -EINVAL},
	};

	(void)state;
	check(cases, N(cases), quantity_parse_bitrate);
}

static void times_have_units_or_that_of_the_caller(void **state)
{
	static const struct amount cases[] = {
		{"90", 90 * SECOND},
		{"0.5", SECOND / 2},
		{"90s", 90 * SECOND},
		{"500ms", SECOND / 2},
		{"1m", 60 * SECOND},
		{"1 min", 60 * SECOND},
		{"1.5 h", 5400 * SECOND},
		{"7d", 7 * 86400 * SECOND},
		{"7 Days", 7 * 86400 * SECOND},
		{"20 us", 20},
		{"5 fortnights", -EINVAL},
		{"m", -EINVAL},
		{"99999999999d", -ERANGE},
	};

	(void)state;
	check(cases, N(cases), parse_seconds);
}

static void sizes_are_two_numbers_or_a_name(void **state)
{
	static const struct {
		const char *text;
		uint32_t width, height;
	} cases[] = {
		{"1280x720", 1280, 720},
		{"1280X720", 1280, 720},
		{"1280 x 720", 1280, 720},
		{"1280\xc3\x97"
		 "720",
		 1280, 720},
		{"640*480", 640, 480},
		{"720p", 1280, 720},
		{"1080P", 1920, 1080},
		{"3x1", 3, 1},
	};
	static const char *const bad[] = {"",	   "1280",  "1280x",   "x720", "1280 720",
					  "480p",  "720i",  "1x2x3",   "1x2 ", "-1x2",
					  "1.0x2", "1 xx2", "100000x1"};
	uint32_t width, height;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(quantity_parse_size(cases[i].text, &width, &height), 0);
		assert_int_equal(width, cases[i].width);
		assert_int_equal(height, cases[i].height);
	}
	for (size_t i = 0; i < N(bad); i++)
		assert_int_equal(quantity_parse_size(bad[i], &width, &height), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_in_powers_of_1024),
		cmocka_unit_test(bitrates_are_in_powers_of_1000),
		cmocka_unit_test(times_have_units_or_that_of_the_caller),
		cmocka_unit_test(sizes_are_two_numbers_or_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
