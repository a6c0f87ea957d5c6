/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "media/nal.h"

static void nal_units_are_found_as_annex_b_says(void **state)
{
	static const uint8_t data[] = {0, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3,
				       0, 0, 0, 0, 1, 0,    0, 1, 0, 0, 1, 0x65, 0,
				       0, 3, 1, 0, 0, 0,    0, 0, 1, 9, 0, 0,	 1};
	static const struct {
		unsigned type, ref_idc;
		size_t len;
	} expected[] = {{7, 3, 3}, {8, 3, 2}, {5, 3, 5}, {9, 0, 1}};
	struct nal nal;
	size_t pos = 0;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		assert_true(nal_next(data, sizeof(data), &pos, &nal));
		assert_int_equal(nal.type, expected[i].type);
		assert_int_equal(nal.ref_idc, expected[i].ref_idc);
		assert_int_equal(nal.len, expected[i].len);
	}
	assert_false(nal_next(data, sizeof(data), &pos, &nal));
	assert_false(nal_next(data, sizeof(data), &pos, &nal));
	pos = 0;
	assert_false(nal_next(data, 0, &pos, &nal));
	pos = 0;
	assert_false(nal_next((const uint8_t *)"\0\0\2\0\0", 5, &pos, &nal));
}

static void start_codes_are_found_at_every_alignment(void **state)
{
	uint8_t data[64];

	(void)state;
	for (size_t at = 0; at < 40; at++) {
		struct nal nal;
		size_t pos = 0;

		memset(data, 0x55, sizeof(data));
		memcpy(data + at, "\0\0\1\x65", 4);
		assert_true(nal_next(data, sizeof(data), &pos, &nal));
		assert_ptr_equal(nal.data, data + at + 3);
		assert_int_equal(nal.len, sizeof(data) - at - 3);
	}
}

/* As clause B.1.1 has it, byte by byte. */
static size_t find_slowly(const uint8_t *data, size_t len, size_t pos)
{
	for (; pos + 3 <= len; pos++) {
		if (data[pos] == 0 && data[pos + 1] == 0 && data[pos + 2] == 1)
			return pos;
	}
	return len;
}

static void start_codes_are_found_among_zeros_and_ones(void **state)
{
	(void)state;
	/* All that seven bytes of 0, 1 and 2 can be, from every position. */
	for (unsigned n = 0; n < 3 * 3 * 3 * 3 * 3 * 3 * 3; n++) {
		uint8_t data[7];

		for (unsigned i = 0, rest = n; i < sizeof(data); i++, rest /= 3)
			data[i] = (uint8_t)(rest % 3);
		for (size_t len = 0; len <= sizeof(data); len++) {
			const size_t first = find_slowly(data, len, 0);

			assert_int_equal(nal_begins(data, len),
					 first < len &&
						 (first == 0 || (first == 1 && data[0] == 0)));
			for (size_t pos = 0; pos <= len; pos++)
				assert_int_equal(nal_find_start_code(data, len, pos),
						 find_slowly(data, len, pos));
		}
	}
}

static void emulation_prevention_comes_out_as_it_went_in(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 1u << 14; n++) {
		uint8_t rbsp[8], escaped[13], back[8];
		size_t len;

		/* Seven bytes of 0, 1, 3 and 4, and one that is no zero. */
		for (unsigned i = 0; i < 7; i++)
			rbsp[i] = (uint8_t[]){0, 1, 3, 4}[n >> 2 * i & 3];
		rbsp[7] = 0x80;
		len = nal_escape(rbsp, sizeof(rbsp), escaped, sizeof(escaped));
		assert_true(len >= sizeof(rbsp));
		for (size_t i = 0; i + 2 < len; i++)
			assert_false(escaped[i] == 0 && escaped[i + 1] == 0 && escaped[i + 2] < 3);
		assert_int_equal(nal_unescape(escaped, len, back, sizeof(back)), sizeof(rbsp));
		assert_memory_equal(back, rbsp, sizeof(rbsp));
		for (size_t room = 0; room < len; room++)
			assert_int_equal(nal_escape(rbsp, sizeof(rbsp), escaped, room), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nal_units_are_found_as_annex_b_says),
		cmocka_unit_test(start_codes_are_found_at_every_alignment),
		cmocka_unit_test(start_codes_are_found_among_zeros_and_ones),
		cmocka_unit_test(emulation_prevention_comes_out_as_it_went_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
