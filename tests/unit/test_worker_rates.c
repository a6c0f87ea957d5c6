/* SPDX-License-Identifier: BSD-2-Clause */
/* What a worker may send in a second. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tests/unit/messages_rig.h"

static void too_many_units_are_an_error(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_unit unit = messages_unit_at(messages_begin(f), 0, CAMCAST_UNIT_KEY);
	unsigned taken = 1;

	unit.len = 1;
	unit.offset = 1000;
	while (messages_take(f, &unit, sizeof unit, -1) == 0) {
		unit.offset++;
		assert_true(++taken <= 2 * CAMCAST_UNIT_RATE_MAX);
	}
	messages_assert_refused(f, -EPROTO, "more than 1000 units a second");
	assert_int_equal(taken, 2 * CAMCAST_UNIT_RATE_MAX);
}

static void as_many_units_as_allowed_may_go_on(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_unit unit = messages_unit_at(messages_begin(f), 1000, CAMCAST_UNIT_KEY);

	unit.len = 1;
	for (unsigned i = 0; i < 10 * CAMCAST_UNIT_RATE_MAX; i++) {
		f->now_us += 1000000 / CAMCAST_UNIT_RATE_MAX;
		assert_int_equal(messages_take(f, &unit, sizeof unit, -1), 0);
		unit.offset++;
	}
}

static void too_many_bytes_are_an_error(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_unit unit;
	uint64_t bytes = 0;
	uint32_t id = 1;

	for (;; id++) {
		unit = messages_unit_at(id, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT);
		unit.len = CAMCAST_UNIT_MAX;
		bytes += unit.len;
		if (messages_take(f, &unit, sizeof unit,
				  rig_segment(CAMCAST_UNIT_MAX, MESSAGES_SEALS)) < 0)
			break;
		assert_true(bytes <= UINT64_C(2) * CAMCAST_BYTE_RATE_MAX);
	}
	messages_assert_refused(f, -EPROTO, "bytes a second");
}

static void too_many_segments_are_an_error(void **state)
{
	struct messages_rig *f = *state;
	uint32_t id = 1;

	while (messages_take_unit(f, id, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT,
				  rig_segment(4096, MESSAGES_SEALS)) == 0)
		assert_true(id++ <= 2 * CAMCAST_SEGMENT_RATE_MAX);
	messages_assert_refused(f, -EPROTO, "more than 100 segments a second");
}

static void too_many_reports_are_an_error(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT};
	unsigned taken = 0;

	while (messages_take(f, &heartbeat, sizeof heartbeat, -1) == 0)
		assert_true(++taken <= 2 * CAMCAST_REPORT_RATE_MAX);
	messages_assert_refused(f, -EPROTO, "more than 100 heartbeats a second");
	assert_int_equal(taken, 2 * CAMCAST_REPORT_RATE_MAX);
}

/* How many reports about the first stream are taken, from now on. */
static unsigned count_reports(struct messages_rig *f)
{
	struct camcast_msg_stream stream = {.type = CAMCAST_MSG_STREAM};
	unsigned taken = 0;

	while (messages_take(f, &stream, sizeof stream, -1) == 0)
		assert_true(++taken < 100000);
	messages_assert_refused(f, -EPROTO, "more than 100 reports a second about stream 0");
	return taken;
}

static void reports_are_counted_for_each_stream(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_stream other = {.type = CAMCAST_MSG_STREAM, .stream = 1};

	assert_int_equal(count_reports(f), 2 * CAMCAST_REPORT_RATE_MAX);
	assert_int_equal(messages_take(f, &other, sizeof other, -1), 0);
}

static void what_camcastd_asks_for_may_be_answered(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_want want = {.type = CAMCAST_MSG_WANT};

	for (int i = 0; i < 1000; i++)
		worker_messages_sent(f->messages, &want, sizeof want, f->now_us);
	/* Late by less than two seconds, and in the next period. */
	f->now_us += 2000000;
	assert_int_equal(count_reports(f),
			 2 * CAMCAST_REPORT_RATE_MAX + 1000 * CAMCAST_REPORTS_PER_REQUEST);
	/* Requests of long ago allow for nothing. */
	f->now_us += 4000000;
	assert_int_equal(count_reports(f), 2 * CAMCAST_REPORT_RATE_MAX);
}

static void too_many_preambles_are_an_error(void **state)
{
	struct messages_rig *f = *state;
	uint32_t version = 1;

	while (messages_take_preamble(f, FRONT_H264, version, 10) == 0)
		assert_true(version++ <= 2 * CAMCAST_PREAMBLE_RATE_MAX);
	messages_assert_refused(f, -EPROTO, "more than 10 preambles a second");
	assert_int_equal(version, 2 * CAMCAST_PREAMBLE_RATE_MAX + 1);
	f->now_us += 2000000;
	assert_int_equal(messages_take_preamble(f, FRONT_H264, version, 10), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GREETED(too_many_units_are_an_error),
		GREETED(as_many_units_as_allowed_may_go_on),
		GREETED(too_many_bytes_are_an_error),
		GREETED(too_many_segments_are_an_error),
		GREETED(too_many_reports_are_an_error),
		GREETED(reports_are_counted_for_each_stream),
		GREETED(what_camcastd_asks_for_may_be_answered),
		GREETED(too_many_preambles_are_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
