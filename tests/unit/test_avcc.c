/* SPDX-License-Identifier: BSD-2-Clause */
/* The decoder configuration record and samples of files (ISO/IEC 14496-15). */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "media/avcc.h"

static const uint8_t record[] = {1, 100, 0, 31, 0xff, 0xe1, 0, 4, 0x67, 1, 2,
				 3, 2,	 0, 2,	0x68, 4,    0, 3, 0x68, 5, 6};

static void a_record_gives_its_parameter_sets_in_order(void **state)
{
	static const unsigned types[] = {NAL_SPS, NAL_PPS, NAL_PPS};
	static const size_t lens[] = {4, 2, 3};
	struct avcc avcc;
	struct nal nal;

	(void)state;
	assert_int_equal(avcc_open(&avcc, record, sizeof(record)), 0);
	assert_int_equal(avcc.length_size, 4);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(avcc_next(&avcc, &nal));
		assert_int_equal(nal.type, types[i]);
		assert_int_equal(nal.len, lens[i]);
	}
	assert_false(avcc_next(&avcc, &nal));
	assert_false(avcc_next(&avcc, &nal));
}

static void a_record_that_is_cut_short_gives_the_sets_before_the_cut(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(record); len++) {
		struct avcc avcc;
		struct nal nal;
		size_t sets = 0;

		if (avcc_open(&avcc, record, len) < 0) {
			assert_true(len <= 6);
			continue;
		}
		while (avcc_next(&avcc, &nal))
			sets++;
		assert_int_equal(sets, (size_t)(len >= 12) + (len >= 17));
	}
}

static void a_byte_stream_is_no_record(void **state)
{
	static const uint8_t stream[] = {0, 0, 0, 1, 0x67, 1, 2, 3};
	static const uint8_t length_of_3[] = {1, 100, 0, 31, 0xfe, 0xe0, 0};
	struct avcc avcc;

	(void)state;
	assert_false(avcc_begins(stream, sizeof(stream)));
	assert_int_equal(avcc_open(&avcc, stream, sizeof(stream)), -EINVAL);
	assert_int_equal(avcc_open(&avcc, length_of_3, sizeof(length_of_3)), -EINVAL);
}

static void a_sample_gives_its_nal_units(void **state)
{
	static const uint8_t sample[] = {0, 2, 0x65, 1, 0, 0, 0, 1, 0x41};
	struct nal nal;
	size_t pos = 0;

	(void)state;
	assert_int_equal(avcc_next_nal(2, sample, sizeof(sample), &pos, &nal), 1);
	assert_int_equal(nal.type, NAL_IDR);
	assert_int_equal(nal.ref_idc, 3);
	assert_int_equal(nal.len, 2);
	assert_int_equal(avcc_next_nal(2, sample, sizeof(sample), &pos, &nal), 1);
	assert_int_equal(nal.type, NAL_SLICE);
	assert_int_equal(avcc_next_nal(2, sample, sizeof(sample), &pos, &nal), 0);
}

static void a_length_that_leaves_the_sample_is_damage(void **state)
{
	static const uint8_t beyond[] = {0, 0, 0, 3, 0x65, 1}, half[] = {0, 0, 0},
			     huge[] = {0xff, 0xff, 0xff, 0xff, 0x65};
	struct nal nal;
	size_t pos = 0;

	(void)state;
	assert_int_equal(avcc_next_nal(4, beyond, sizeof(beyond), &pos, &nal), -EBADMSG);
	pos = 0;
	assert_int_equal(avcc_next_nal(4, half, sizeof(half), &pos, &nal), -EBADMSG);
	pos = 0;
	assert_int_equal(avcc_next_nal(4, huge, sizeof(huge), &pos, &nal), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_gives_its_parameter_sets_in_order),
		cmocka_unit_test(a_record_that_is_cut_short_gives_the_sets_before_the_cut),
		cmocka_unit_test(a_byte_stream_is_no_record),
		cmocka_unit_test(a_sample_gives_its_nal_units),
		cmocka_unit_test(a_length_that_leaves_the_sample_is_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
