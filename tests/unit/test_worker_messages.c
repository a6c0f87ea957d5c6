/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules of camcast/worker.h, kept and broken, against real feeds. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/messages_rig.h"
#include "tests/unit/open_fds.h"

/* --- the ways of all messages --- */

static void hello_comes_first(void **state)
{
	struct messages_rig *f = *state;

	messages_assert_refused(
		f,
		messages_take_unit(f, 1, 0, CAMCAST_UNIT_SEGMENT,
				   rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS)),
		"UNIT before HELLO");
	messages_assert_refused(f, messages_hello(f, CAMCAST_WORKER_VERSION + 1),
				"protocol version 6 instead of 5");
	assert_int_equal(messages_hello(f, CAMCAST_WORKER_VERSION), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_HELLO);
	messages_assert_refused(f, messages_hello(f, CAMCAST_WORKER_VERSION), "a second HELLO");
	worker_messages_reset(f->messages);
	assert_int_equal(messages_hello(f, CAMCAST_WORKER_VERSION), 0);
}

static void sizes_are_exact(void **state)
{
	static const struct {
		uint32_t type;
		size_t size;
	} kinds[] = {{CAMCAST_MSG_HELLO, sizeof(struct camcast_msg_hello)},
		     {CAMCAST_MSG_HEARTBEAT, sizeof(struct camcast_msg_heartbeat)},
		     {CAMCAST_MSG_STREAM, sizeof(struct camcast_msg_stream)},
		     {CAMCAST_MSG_UNIT, sizeof(struct camcast_msg_unit)},
		     {CAMCAST_MSG_SEGMENT, sizeof(struct camcast_msg_segment)},
		     {CAMCAST_MSG_PREAMBLE, sizeof(struct camcast_msg_preamble)}};
	struct messages_rig *f = *state;
	char data[sizeof(struct camcast_msg_preamble) + 64] = {0};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		memcpy(data, &kinds[i].type, sizeof kinds[i].type);
		for (size_t size = 4; size < sizeof data; size++) {
			if (size != kinds[i].size)
				messages_assert_refused(f, messages_take(f, data, size, -1),
							"bytes instead of");
		}
	}
	for (size_t size = 0; size < 4; size++)
		messages_assert_refused(f, messages_take(f, data, size, -1), "a message of");
	messages_assert_refused(f,
				messages_take_packet(f, &(struct worker_packet){.data = data,
										.len = sizeof data,
										.oversize = true}),
				"longer than any");
}

static void types_for_the_other_direction_are_unknown(void **state)
{
	struct messages_rig *f = *state;
	char data[512] = {0};

	for (uint32_t type = 0; type < 100; type++) {
		memcpy(data, &type, sizeof type);
		if (type < CAMCAST_MSG_HELLO || type > CAMCAST_MSG_PREAMBLE)
			messages_assert_refused(f, messages_take(f, data, 16, -1), "unknown type");
	}
}

static void an_fd_comes_only_where_it_should(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT};
	struct camcast_msg_unit unit =
		messages_unit_at(9, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT);
	struct worker_packet packet = {.data = &heartbeat, .len = sizeof heartbeat};
	int fds[2];

	messages_assert_refused(
		f,
		messages_take(f, &heartbeat, sizeof heartbeat, rig_segment(4096, MESSAGES_SEALS)),
		"HEARTBEAT with an fd");
	packet.truncated = true;
	messages_assert_refused(f, messages_take_packet(f, &packet), "HEARTBEAT with an fd");
	fds[0] = rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS);
	fds[1] = rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS);
	packet = (struct worker_packet){.data = &unit, .len = sizeof unit, .fds = fds, .n_fds = 2};
	messages_assert_refused(f, messages_take_packet(f, &packet), "more than one fd");
	packet.n_fds = 1;
	packet.truncated = true;
	fds[0] = rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS);
	messages_assert_refused(f, messages_take_packet(f, &packet), "more than one fd");
	messages_begin(f);
	messages_assert_refused(
		f,
		messages_take_unit(f, 1, 1000, 0,
				   rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS)),
		"UNIT with an fd but without the SEGMENT flag");
	messages_assert_refused(f, messages_take_unit(f, 2, 0, CAMCAST_UNIT_SEGMENT, -1),
				"SEGMENT flag but without an fd");
}

/* --- reports --- */

static void reports_are_kept(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT,
						  .state = CAMCAST_CAMERA_SILENT,
						  .frames = 77,
						  .reason = "dark"};
	struct camcast_msg_stream stream = {.type = CAMCAST_MSG_STREAM,
					    .stream = STREAM_FJ,
					    .encoder = "mjpeg",
					    .can_force_idr = 1};

	assert_int_equal(messages_take(f, &heartbeat, sizeof heartbeat, -1), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_HEARTBEAT);
	assert_int_equal(worker_messages_heartbeat(f->messages)->frames, 77);
	assert_string_equal(worker_messages_heartbeat(f->messages)->reason, "dark");
	assert_int_equal(messages_take(f, &stream, sizeof stream, -1), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_STREAM);
	assert_int_equal(f->news.number, STREAM_FJ);
	assert_string_equal(worker_messages_streams(f->messages)[STREAM_FJ].encoder, "mjpeg");
	worker_messages_reset(f->messages);
	assert_int_equal(worker_messages_heartbeat(f->messages)->frames, 0);
	assert_string_equal(worker_messages_streams(f->messages)[STREAM_FJ].encoder, "");
}

static void hello_tells_what_restricts_the_worker(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_hello message = {.type = CAMCAST_MSG_HELLO,
					    .version = CAMCAST_WORKER_VERSION,
					    .sandbox = "seccomp,\nlandlock 6"};

	assert_string_equal(worker_messages_sandbox(f->messages), "");
	assert_int_equal(messages_take(f, &message, sizeof message, -1), 0);
	assert_string_equal(worker_messages_sandbox(f->messages), "seccomp,?landlock 6");
	worker_messages_reset(f->messages);
	assert_string_equal(worker_messages_sandbox(f->messages), "");
	memset(message.sandbox, 'x', sizeof message.sandbox);
	messages_assert_refused(f, messages_take(f, &message, sizeof message, -1),
				"HELLO with unterminated text");
}

static void reports_with_nonsense_are_errors(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT, .state = 4};
	struct camcast_msg_stream stream = {.type = CAMCAST_MSG_STREAM, .stream = RIG_STREAMS - 1};

	messages_assert_refused(f, messages_take(f, &heartbeat, sizeof heartbeat, -1),
				"HEARTBEAT with state 4");
	heartbeat.state = CAMCAST_CAMERA_RUNNING;
	memset(heartbeat.path, 'x', sizeof heartbeat.path);
	messages_assert_refused(f, messages_take(f, &heartbeat, sizeof heartbeat, -1),
				"unterminated text");
	messages_assert_refused(f, messages_take(f, &stream, sizeof stream, -1),
				"not of this camera");
	stream.stream = RIG_FEEDS;
	messages_assert_refused(f, messages_take(f, &stream, sizeof stream, -1),
				"not of this camera");
	stream.stream = FRONT_H264;
	memset(stream.detail, 'x', sizeof stream.detail);
	messages_assert_refused(f, messages_take(f, &stream, sizeof stream, -1),
				"unterminated text");
}

static void text_is_made_fit_to_print(void **state)
{
	static const char *const cases[][2] = {
		{"plain, \"quoted\" \\", "plain, \"quoted\" \\"},
		{"a\nb\tc\x7f", "a?b?c?"},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"\xff\xfe", "??"},
		{"\xc3", "?"},		      /* cut */
		{"\xe2\x82", "??"},	      /* cut */
		{"\xc0\xaf", "??"},	      /* overlong */
		{"\xe0\x80\xaf", "???"},      /* overlong */
		{"\xed\xa0\x80", "???"},      /* surrogate */
		{"\xf4\x90\x80\x80", "????"}, /* beyond U+10FFFF */
		{"\xf5\x80\x80\x80x", "????x"},
	};
	struct messages_rig *f = *state;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT};

		strcpy(heartbeat.reason, cases[i][0]);
		assert_int_equal(messages_take(f, &heartbeat, sizeof heartbeat, -1), 0);
		assert_string_equal(worker_messages_heartbeat(f->messages)->reason, cases[i][1]);
	}
}

/* --- units --- */

static void units_are_published(void **state)
{
	struct messages_rig *f = *state;
	uint32_t id = messages_begin(f);

	assert_int_equal(messages_take_unit(f, id, 1000, 0, -1), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_NONE);
	assert_int_equal(messages_take_unit(f, id, 2000, CAMCAST_UNIT_DROPPABLE, -1), 0);
	assert_int_equal(
		messages_take_unit(f, id, MESSAGES_SEGMENT_SIZE - 1000, CAMCAST_UNIT_KEY, -1), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_KEY);
	messages_begin(f);
	assert_int_equal(messages_stats(f)->units, 5);
	assert_int_equal(messages_stats(f)->keys, 3);
	assert_int_equal(messages_stats(f)->bytes, 5000);
	assert_int_equal(messages_stats(f)->log.segments, 2);
}

static void a_unit_that_is_not_key_after_a_gap_is_dropped_and_no_error(void **state)
{
	struct messages_rig *f = *state;

	assert_int_equal(messages_take_unit(f, 1, 0, CAMCAST_UNIT_SEGMENT,
					    rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS)),
			 0);
	assert_int_equal(messages_stats(f)->units, 0);
	assert_int_equal(messages_stats(f)->units_refused, 1);
	assert_int_equal(messages_take_unit(f, 1, 1000, CAMCAST_UNIT_KEY, -1), 0);
	assert_int_equal(messages_stats(f)->units, 1);
}

static void units_outside_are_errors(void **state)
{
	static const struct {
		uint32_t offset, len;
		const char *why;
	} cases[] = {
		{MESSAGES_SEGMENT_SIZE - 999, 1000, "outside"},
		{MESSAGES_SEGMENT_SIZE, 1, "outside"},
		{0, MESSAGES_SEGMENT_SIZE + 1, "outside"},
		{999, 1000, "before the end of the previous unit"},
		{0, 1, "before the end of the previous unit"},
		{2000, 0, "UNIT of 0 bytes"},
		{2000, CAMCAST_UNIT_MAX + 1, "UNIT of"},
		{2000, UINT32_MAX, "UNIT of"},
		{UINT32_MAX, 1, "at offset"},
		{UINT32_MAX - 999, 1000, "at offset"}, /* wraps to 0 */
		{CAMCAST_SEGMENT_MAX, 1, "at offset"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct messages_rig *f = *state;
		struct camcast_msg_unit unit =
			messages_unit_at(messages_begin(f), cases[i].offset, 0);

		unit.len = cases[i].len;
		messages_assert_refused(f, messages_take(f, &unit, sizeof unit, -1), cases[i].why);
		messages_teardown(state);
		messages_setup_greeted(state);
	}
}

static void unit_fields_are_checked(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_unit unit = messages_unit_at(messages_begin(f), 1000, 1u << 3);

	messages_assert_refused(f, messages_take(f, &unit, sizeof unit, -1), "unknown flags 0x8");
	unit.flags = UINT32_MAX;
	messages_assert_refused(f, messages_take(f, &unit, sizeof unit, -1), "unknown flags");
	unit.flags = 0;
	unit.feed = BACK_H264;
	messages_assert_refused(f, messages_take(f, &unit, sizeof unit, -1),
				"feed 12, which is not of this camera");
	unit.feed = UINT32_MAX;
	messages_assert_refused(f, messages_take(f, &unit, sizeof unit, -1), "not of this camera");
	unit.feed = FRONT_H264;
	unit.track = CAMCAST_TRACKS_MAX;
	messages_assert_refused(f, messages_take(f, &unit, sizeof unit, -1), "UNIT of track 8");
	unit.track = 0;
	unit.pts_us = CAMCAST_PTS_MAX + 1;
	messages_assert_refused(f, messages_take(f, &unit, sizeof unit, -1),
				"UNIT at 9007199254740993 us");
	unit.pts_us = -CAMCAST_PTS_MAX - 1;
	messages_assert_refused(f, messages_take(f, &unit, sizeof unit, -1),
				"UNIT at -9007199254740993 us");
	unit.pts_us = INT64_MIN;
	messages_assert_refused(f, messages_take(f, &unit, sizeof unit, -1), "UNIT at");
	assert_int_equal(messages_stats(f)->units, 1);
}

static void a_feed_may_have_several_tracks_and_times_that_go_back(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_unit unit = messages_unit_at(messages_begin(f), 1000, 0);

	for (uint32_t i = 0; i < CAMCAST_TRACKS_MAX; i++) {
		unit.track = i;
		unit.pts_us = i % 2 ? CAMCAST_PTS_MAX : -CAMCAST_PTS_MAX;
		unit.duration_us = i % 2 ? UINT32_MAX : 0;
		assert_int_equal(messages_take(f, &unit, sizeof unit, -1), 0);
		unit.offset += unit.len;
	}
	assert_int_equal(messages_stats(f)->units, 1 + CAMCAST_TRACKS_MAX);
}

/* --- segments --- */

static void segments_must_be_sealed_memfds_of_a_sane_size(void **state)
{
	struct messages_rig *f = *state;
	int pipe_fds[2];
	uint32_t flags = CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT;

	messages_assert_refused(
		f, messages_take_unit(f, 1, 0, flags, rig_segment(MESSAGES_SEGMENT_SIZE, 0)),
		"not sealed");
	messages_assert_refused(
		f,
		messages_take_unit(f, 1, 0, flags,
				   rig_segment(MESSAGES_SEGMENT_SIZE, F_SEAL_SHRINK)),
		"not sealed");
	messages_assert_refused(
		f,
		messages_take_unit(f, 1, 0, flags, rig_segment(MESSAGES_SEGMENT_SIZE, F_SEAL_GROW)),
		"not sealed");
	messages_assert_refused(f,
				messages_take_unit(f, 1, 0, flags, rig_segment(0, MESSAGES_SEALS)),
				"segment of 0 bytes");
	messages_assert_refused(
		f,
		messages_take_unit(f, 1, 0, flags,
				   rig_segment((int64_t)CAMCAST_SEGMENT_MAX + 1, MESSAGES_SEALS)),
		"segment of 67108865 bytes");
	messages_assert_refused(
		f,
		messages_take_unit(f, 1, 0, flags, rig_segment(INT64_C(1) << 32, MESSAGES_SEALS)),
		"segment of 4294967296 bytes");
	messages_assert_refused(
		f, messages_take_unit(f, 1, 0, flags, open("/dev/null", O_RDONLY | O_CLOEXEC)),
		"not a memfd");
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	close(pipe_fds[1]);
	messages_assert_refused(f, messages_take_unit(f, 1, 0, flags, pipe_fds[0]), "not a memfd");
	assert_int_equal(messages_take_unit(f, 1, 0, flags,
					    rig_segment(CAMCAST_SEGMENT_MAX, MESSAGES_SEALS)),
			 0);
}

static void segment_ids_grow(void **state)
{
	struct messages_rig *f = *state;
	uint32_t flags = CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT;

	f->next_segment = 10;
	messages_begin(f);
	messages_assert_refused(
		f,
		messages_take_unit(f, 10, 1000, flags,
				   rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS)),
		"segment 10 of feed 0 after segment 10");
	messages_assert_refused(
		f,
		messages_take_unit(f, 9, 0, flags,
				   rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS)),
		"segment 9 of feed 0 after segment 10");
	messages_assert_refused(f, messages_take_unit(f, 9, 0, 0, -1), "not the newest");
	messages_assert_refused(f, messages_take_unit(f, 11, 0, 0, -1), "not the newest");
	f->next_segment = UINT32_MAX;
	messages_begin(f);
}

/* --- our own shortage --- */

static void ask_for_segment(struct messages_rig *f, uint32_t segment)
{
	struct camcast_msg_get_segment get = {
		.type = CAMCAST_MSG_GET_SEGMENT, .feed = FRONT_H264, .segment = segment};

	worker_messages_sent(f->messages, &get, sizeof get, f->now_us);
}

static int take_truncated(struct messages_rig *f, const void *data, size_t len)
{
	return messages_take_packet(
		f, &(struct worker_packet){.data = data, .len = len, .truncated = true});
}

static int take_segment_again(struct messages_rig *f, uint32_t id)
{
	struct camcast_msg_segment segment = {
		.type = CAMCAST_MSG_SEGMENT, .feed = FRONT_H264, .segment = id};

	ask_for_segment(f, id);
	return messages_take(f, &segment, sizeof segment,
			     rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS));
}

static int lose_segment(struct messages_rig *f, uint32_t id)
{
	struct camcast_msg_unit unit =
		messages_unit_at(id, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT);

	return take_truncated(f, &unit, sizeof unit);
}

static void units_of_a_lost_segment_wait_until_it_comes_again(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_segment segment = {
		.type = CAMCAST_MSG_SEGMENT, .feed = FRONT_H264, .segment = 2};

	messages_begin(f);
	assert_int_equal(lose_segment(f, 2), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_LOST_SEGMENT);
	assert_int_equal(f->news.segment, 2);
	/* Each of its units says again that it is missing. */
	assert_int_equal(messages_take_unit(f, 2, 1000, 0, -1), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_LOST_SEGMENT);
	assert_int_equal(messages_stats(f)->units, 1);
	/* The answer may be lost as well. */
	ask_for_segment(f, 2);
	assert_int_equal(take_truncated(f, &segment, sizeof segment), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_LOST_SEGMENT);
	assert_int_equal(take_segment_again(f, 2), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_KEY);
	assert_int_equal(messages_stats(f)->units, 3);
	/* Nothing is missing, so the next unit need be no key unit. */
	assert_int_equal(messages_take_unit(f, 2, 2000, 0, -1), 0);
	assert_int_equal(messages_stats(f)->units, 4);
	assert_int_equal(messages_stats(f)->units_refused, 0);
}

static void a_lost_segment_with_too_many_units_is_a_gap(void **state)
{
	struct messages_rig *f = *state;
	uint32_t offset = 1;

	messages_begin(f);
	assert_int_equal(lose_segment(f, 2), 0);
	/* More than two seconds of them: the key unit is gone, and the others are of no use. */
	for (; offset < 62; offset++)
		assert_int_equal(messages_take_unit(f, 2, 1000 * offset, 0, -1), 0);
	assert_int_equal(take_segment_again(f, 2), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_GOT_SEGMENT);
	assert_int_equal(messages_stats(f)->units, 1);
	assert_int_equal(messages_take_unit(f, 2, 1000 * offset, CAMCAST_UNIT_KEY, -1), 0);
	assert_int_equal(messages_stats(f)->units, 2);
}

static void a_lost_segment_with_another_after_it_is_a_gap(void **state)
{
	struct messages_rig *f = *state;

	messages_begin(f);
	assert_int_equal(lose_segment(f, 2), 0);
	assert_int_equal(messages_take_unit(f, 3, 0, CAMCAST_UNIT_SEGMENT,
					    rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS)),
			 0);
	/* This unit refers to one in segment 2, which comes too late now. */
	assert_int_equal(messages_stats(f)->units, 1);
	assert_int_equal(messages_stats(f)->units_refused, 1);
	assert_int_equal(take_segment_again(f, 2), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_NONE);
	assert_int_equal(messages_stats(f)->units, 1);
	assert_int_equal(messages_take_unit(f, 3, 1000, CAMCAST_UNIT_KEY, -1), 0);
	assert_int_equal(messages_stats(f)->units, 2);
}

static void units_that_wait_are_checked_like_any(void **state)
{
	struct messages_rig *f = *state;

	messages_begin(f);
	assert_int_equal(lose_segment(f, 2), 0);
	assert_int_equal(messages_take_unit(f, 2, 500, 0, -1), 0);
	messages_assert_refused(f, take_segment_again(f, 2), "before the end of the previous");
}

static void answers_may_be_late_or_double(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_unit unit =
		messages_unit_at(1, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT);
	struct camcast_msg_segment segment = {
		.type = CAMCAST_MSG_SEGMENT, .feed = FRONT_H264, .segment = 1};

	messages_assert_refused(f,
				messages_take(f, &segment, sizeof segment,
					      rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS)),
				"did not ask");
	assert_int_equal(take_truncated(f, &unit, sizeof unit), 0);
	f->next_segment = 2;
	messages_begin(f);
	for (int i = 0; i < 2; i++)
		ask_for_segment(f, 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(messages_take(f, &segment, sizeof segment,
					       rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS)),
				 0);
		assert_int_equal(f->news.event, WORKER_EVENT_NONE);
		assert_int_equal(open_fds(), f->fds + 1);
	}
	messages_assert_refused(f,
				messages_take(f, &segment, sizeof segment,
					      rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS)),
				"did not ask");
	messages_assert_refused(f, messages_take(f, &segment, sizeof segment, -1),
				"a SEGMENT without an fd");
	ask_for_segment(f, 3);
	segment.segment = 3;
	messages_assert_refused(f,
				messages_take(f, &segment, sizeof segment,
					      rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS)),
				"did not ask");
	segment.feed = BACK_H264;
	messages_assert_refused(f,
				messages_take(f, &segment, sizeof segment,
					      rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS)),
				"not of this camera");
}

static void an_answer_is_checked_like_any_segment(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_unit unit =
		messages_unit_at(1, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT);
	struct camcast_msg_segment segment = {
		.type = CAMCAST_MSG_SEGMENT, .feed = FRONT_H264, .segment = 1};

	assert_int_equal(take_truncated(f, &unit, sizeof unit), 0);
	ask_for_segment(f, 1);
	messages_assert_refused(
		f,
		messages_take(f, &segment, sizeof segment, rig_segment(MESSAGES_SEGMENT_SIZE, 0)),
		"not sealed");
}

/* --- a new worker --- */

static void a_reset_forgets_ids(void **state)
{
	struct messages_rig *f = *state;

	f->next_segment = 1000;
	messages_begin(f);
	worker_messages_reset(f->messages);
	feed_reset(rig_feed(&f->rig, FRONT_H264));
	assert_int_equal(messages_hello(f, CAMCAST_WORKER_VERSION), 0);
	f->next_segment = 1;
	messages_begin(f);
	assert_int_equal(messages_stats(f)->units, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(hello_comes_first, messages_setup,
						messages_teardown),
		cmocka_unit_test_setup_teardown(hello_tells_what_restricts_the_worker,
						messages_setup, messages_teardown),
		GREETED(sizes_are_exact),
		GREETED(types_for_the_other_direction_are_unknown),
		GREETED(an_fd_comes_only_where_it_should),
		GREETED(reports_are_kept),
		GREETED(reports_with_nonsense_are_errors),
		GREETED(text_is_made_fit_to_print),
		GREETED(units_are_published),
		GREETED(a_unit_that_is_not_key_after_a_gap_is_dropped_and_no_error),
		GREETED(units_outside_are_errors),
		GREETED(unit_fields_are_checked),
		GREETED(a_feed_may_have_several_tracks_and_times_that_go_back),
		GREETED(segments_must_be_sealed_memfds_of_a_sane_size),
		GREETED(segment_ids_grow),
		GREETED(units_of_a_lost_segment_wait_until_it_comes_again),
		GREETED(a_lost_segment_with_too_many_units_is_a_gap),
		GREETED(a_lost_segment_with_another_after_it_is_a_gap),
		GREETED(units_that_wait_are_checked_like_any),
		GREETED(answers_may_be_late_or_double),
		GREETED(an_answer_is_checked_like_any_segment),
		GREETED(a_reset_forgets_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
