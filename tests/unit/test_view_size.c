/* SPDX-License-Identifier: BSD-2-Clause */
/* Which pictures are too large to be decoded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "client/view/size.h"

/* SPSs of the baseline profile with frames only, of x264: 16 pixels are a macroblock. */
#define SPS_1080P "\0\0\0\1\x67\x42\xc0\x28\xda\x01\xe0\x08\x9f\x96\x10\x00\x00\x03\x00\x10"

static int check_h264(const char *data, size_t len, char why[VIEW_SIZE_WHY])
{
	return view_size_check(STREAM_H264, (const uint8_t *)data, len, why);
}

static void an_ordinary_picture_may_be_decoded(void **state)
{
	char why[VIEW_SIZE_WHY];

	(void)state;
	assert_int_equal(check_h264(SPS_1080P, sizeof SPS_1080P - 1, why), 0);
	/* A unit without an SPS goes with one that was checked. */
	assert_int_equal(check_h264("\0\0\0\1\x41\x9a\x00", 7, why), 0);
}

static void a_damaged_sps_is_refused(void **state)
{
	char why[VIEW_SIZE_WHY] = "";

	(void)state;
	assert_int_equal(check_h264("\0\0\0\1\x67\x42\xc0\x28\x80", 9, why), -EINVAL);
	assert_non_null(strstr(why, "SPS"));
}

static void a_jpeg_is_measured_by_its_header(void **state)
{
	uint8_t jpeg[] = {0xff, 0xd8, 0xff, 0xc0, 0,	11,   8, 0, 0, 0, 0,  1, 1,
			  0x11, 0,    0xff, 0xda, 0x00, 0x08, 1, 1, 0, 0, 63, 0};
	static const struct {
		unsigned width, height;
		int result;
	} cases[] = {
		{1920, 1080, 0},    {8192, 3580, 0},	 {8192, 8192, -E2BIG},
		{8193, 16, -E2BIG}, {16, 65535, -E2BIG}, {65535, 65535, -E2BIG},
	};
	char why[VIEW_SIZE_WHY];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		jpeg[7] = (uint8_t)(cases[i].height >> 8);
		jpeg[8] = (uint8_t)cases[i].height;
		jpeg[9] = (uint8_t)(cases[i].width >> 8);
		jpeg[10] = (uint8_t)cases[i].width;
		assert_int_equal(view_size_check(STREAM_MJPEG, jpeg, sizeof jpeg, why),
				 cases[i].result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ordinary_picture_may_be_decoded),
		cmocka_unit_test(a_damaged_sps_is_refused),
		cmocka_unit_test(a_jpeg_is_measured_by_its_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
