/* SPDX-License-Identifier: BSD-2-Clause */
/* What receivers report, and bytes that are no report. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "media/rtcp.h"

#define SSRC 0xabcdef01u

/* A receiver report with one block, and a source description. */
static const uint8_t compound[] = {
	0x81, 201,  0,	  7,	1,  2, 3,    4,	   /* its sender */
	0xab, 0xcd, 0xef, 0x01, 64, 0, 1,    2,	   /* a quarter, 258 in all */
	0,    0,    0,	  9,	0,  0, 0x03, 0x84, /* jitter 900 */
	0,    0,    0,	  0,	0,  0, 0,    0,	   /* */
	0x81, 202,  0,	  2,	1,  2, 3,    4,	   1, 1, 'x', 0};

static void a_report_about_the_stream_is_found(void **state)
{
	struct rtcp_report report;
	bool found;

	(void)state;
	assert_true(rtcp_read(compound, sizeof compound, SSRC, &report, &found));
	assert_true(found);
	assert_int_equal(report.fraction, 64);
	assert_int_equal(report.lost, 258);
	assert_int_equal(report.jitter, 900);
}

static void a_report_about_another_stream_is_a_sign_of_life(void **state)
{
	struct rtcp_report report;
	bool found;

	(void)state;
	assert_true(rtcp_is_of_receiver(compound, sizeof compound, SSRC));
	assert_false(rtcp_is_of_receiver(compound, sizeof compound, 0x01020304)); /* its own */
	assert_true(rtcp_read(compound, sizeof compound, SSRC + 1, &report, &found));
	assert_false(found);
	assert_true(rtcp_read((const uint8_t[]){0x80, 201, 0, 1, 0, 0, 0, 1}, 8, SSRC, &report,
			      &found));
	assert_false(found);
}

/* Clause 6.4.1: a 24-bit number with a sign, below zero where packets came twice. */
static void a_loss_may_be_negative(void **state)
{
	uint8_t data[sizeof compound];
	struct rtcp_report report;
	bool found;

	(void)state;
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = compound[i];
	data[13] = data[14] = 0xff;
	data[15] = 0xfe;
	assert_true(rtcp_read(data, sizeof data, SSRC, &report, &found));
	assert_int_equal(report.lost, -2);
}

static void every_part_of_a_datagram_must_be_whole(void **state)
{
	uint8_t data[sizeof compound];
	struct rtcp_report report;
	bool found;

	(void)state;
	for (size_t len = 0; len < sizeof compound; len++)
		assert_int_equal(rtcp_read(compound, len, SSRC, &report, &found), len == 32);
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = compound[i];
	data[0] = 0x9f; /* 31 blocks */
	assert_false(rtcp_read(data, sizeof data, SSRC, &report, &found));
	data[0] = 0x41; /* another version */
	assert_false(rtcp_read(data, sizeof data, SSRC, &report, &found));
	data[0] = 0x81;
	data[1] = 202; /* a description first */
	assert_false(rtcp_read(data, sizeof data, SSRC, &report, &found));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_report_about_the_stream_is_found),
		cmocka_unit_test(a_report_about_another_stream_is_a_sign_of_life),
		cmocka_unit_test(a_loss_may_be_negative),
		cmocka_unit_test(every_part_of_a_datagram_must_be_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
