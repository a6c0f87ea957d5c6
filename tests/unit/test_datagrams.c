/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames of a unit as messages: each packet is in one of them, in order, and none is too large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "camcast/rtp.h"
#include "daemon/rtsp/datagrams.h"
#include "media/rtp.h"

static struct datagrams datagrams;
static uint8_t unit[1 << 20];
static size_t unit_len;
static uint64_t turn;

static void add(unsigned channel, size_t len)
{
	uint8_t *at = rtp_put_frame(unit + unit_len, channel, len);

	memset(at, (int)len, len);
	unit_len = (size_t)(at + len - unit);
}

static void make_of(const uint8_t *data, size_t len, unsigned max, bool segmented)
{
	const struct datagrams_options options = {
		.data = data, .len = len, .max = max, .segmented = segmented, .turn = turn};

	datagrams_make(&datagrams, &options);
	turn++;
}

static void make(unsigned max)
{
	make_of(unit, unit_len, max, true);
}

static size_t packets_in(unsigned i)
{
	return datagrams.messages[i].msg_hdr.msg_iovlen;
}

/* The length of the datagrams of a message; 0: it is one. */
static unsigned segment_of(unsigned i)
{
	struct msghdr *message = &datagrams.messages[i].msg_hdr;
	uint16_t len;

	if (!message->msg_control)
		return 0;
	assert_int_equal(CMSG_FIRSTHDR(message)->cmsg_level, IPPROTO_UDP);
	assert_int_equal(CMSG_FIRSTHDR(message)->cmsg_type, UDP_SEGMENT);
	memcpy(&len, CMSG_DATA(CMSG_FIRSTHDR(message)), sizeof len);
	return len;
}

static void a_key_unit_is_a_report_and_a_few_messages(void **state)
{
	(void)state;
	unit_len = 0;
	add(CAMCAST_RTCP_CHANNEL, 56);
	add(CAMCAST_RTP_CHANNEL, 14); /* delimiter */
	add(CAMCAST_RTP_CHANNEL, 30); /* parameter sets */
	add(CAMCAST_RTP_CHANNEL, 16);
	for (int i = 0; i < 20; i++)
		add(CAMCAST_RTP_CHANNEL, 1400);
	add(CAMCAST_RTP_CHANNEL, 500);
	make(DATAGRAMS_MAX);
	assert_int_equal(datagrams.report.iov_len, 56);
	assert_ptr_equal(datagrams.report.iov_base, unit + RTP_FRAME_HEAD);
	assert_int_equal(datagrams.n, 3);
	assert_int_equal(datagrams.packets, 24);
	assert_int_equal(datagrams.taken, unit_len);
	assert_int_equal(packets_in(0), 1);
	assert_int_equal(segment_of(0), 0);
	assert_int_equal(packets_in(1), 2);
	assert_int_equal(segment_of(1), 30);
	assert_int_equal(packets_in(2), 21);
	assert_int_equal(segment_of(2), 1400);
	assert_int_equal(datagrams.ends[2], unit_len);
	make_of(unit, unit_len, DATAGRAMS_MAX, false);
	assert_int_equal(datagrams.n, 24);
	for (unsigned i = 0; i < 24; i++)
		assert_int_equal(packets_in(i) + segment_of(i), 1);
}

static void a_message_has_a_limit_of_packets_and_bytes(void **state)
{
	size_t frame = RTP_FRAME_HEAD + 1400;

	(void)state;
	unit_len = 0;
	for (int i = 0; i < 200; i++)
		add(CAMCAST_RTP_CHANNEL, 1400);
	make(DATAGRAMS_MAX);
	assert_int_equal(datagrams.packets, DATAGRAMS_MAX);
	assert_int_equal(datagrams.n, 2);
	assert_int_equal(packets_in(0), 46);
	assert_int_equal(packets_in(1), 44);
	assert_int_equal(datagrams.ends[0], 46 * frame);
	assert_int_equal(datagrams.taken, 90 * frame);
	make(46);
	assert_int_equal(datagrams.taken, 46 * frame);
	unit_len = 0;
	add(CAMCAST_RTP_CHANNEL, 60000);
	add(CAMCAST_RTP_CHANNEL, 60000);
	make(DATAGRAMS_MAX);
	assert_int_equal(datagrams.n, 2);
}

static void a_report_that_is_not_the_first_frame_ends_the_unit(void **state)
{
	static const unsigned channels[] = {CAMCAST_RTCP_CHANNEL, 2, 255};

	(void)state;
	for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
		unit_len = 0;
		add(CAMCAST_RTP_CHANNEL, 100);
		add(channels[i], 1);
		add(CAMCAST_RTP_CHANNEL, 100);
		make(DATAGRAMS_MAX);
		assert_int_equal(datagrams.packets, 1);
		assert_int_equal(datagrams.taken, unit_len);
		assert_int_equal(datagrams.report.iov_len, 0);
	}
}

static void a_unit_of_reports_is_taken_at_once(void **state)
{
	(void)state;
	unit_len = 0;
	for (int i = 0; i < 1000; i++)
		add(CAMCAST_RTCP_CHANNEL, 1);
	make(DATAGRAMS_MAX);
	assert_int_equal(datagrams.n, 0);
	assert_int_equal(datagrams.report.iov_len, 1);
	assert_int_equal(datagrams.taken, unit_len);
}

static void what_is_no_frame_is_left_out(void **state)
{
	(void)state;
	unit_len = 0;
	add(CAMCAST_RTP_CHANNEL, 100);
	add(CAMCAST_RTP_CHANNEL, 100);
	for (size_t len = 1; len < unit_len; len++) {
		make_of(unit, len, DATAGRAMS_MAX, true);
		assert_int_equal(datagrams.taken, len);
		assert_int_equal(datagrams.packets, len / (RTP_FRAME_HEAD + 100));
	}
	unit[0] = 'x';
	make(DATAGRAMS_MAX);
	assert_int_equal(datagrams.taken, unit_len);
	assert_int_equal(datagrams.n, 0);
}

static void the_same_bytes_in_one_turn_are_walked_once(void **state)
{
	struct datagrams_options options = {
		.data = unit, .max = DATAGRAMS_MAX, .segmented = true, .turn = 1u << 20};

	(void)state;
	unit_len = 0;
	add(CAMCAST_RTP_CHANNEL, 100);
	options.len = unit_len;
	datagrams_make(&datagrams, &options);
	unit[0] = 'x';
	datagrams_make(&datagrams, &options);
	assert_int_equal(datagrams.n, 1);
	options.turn++;
	datagrams_make(&datagrams, &options);
	assert_int_equal(datagrams.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_unit_is_a_report_and_a_few_messages),
		cmocka_unit_test(a_message_has_a_limit_of_packets_and_bytes),
		cmocka_unit_test(a_report_that_is_not_the_first_frame_ends_the_unit),
		cmocka_unit_test(a_unit_of_reports_is_taken_at_once),
		cmocka_unit_test(what_is_no_frame_is_left_out),
		cmocka_unit_test(the_same_bytes_in_one_turn_are_walked_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
