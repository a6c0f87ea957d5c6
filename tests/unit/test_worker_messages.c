/* SPDX-License-Identifier: BSD-2-Clause */
/* Every rule of camcast/worker.h, kept and broken, against real feeds. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/worker/messages.h"
#include "tests/unit/worker_rig.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define SEGMENT_SIZE 65536

/* A viewer of FRONT_H264 that takes all that it is sent. */
struct viewer {
	struct cursor cursor;
	uint32_t pending;   /* bytes of the send under way */
	unsigned preambles; /* that it was sent */
	uint32_t len;	    /* of the last one */
	uint8_t first;	    /* its first byte */
};

struct fixture {
	struct rig rig;
	struct viewer viewer; /* of the tests that let it join */
	struct worker_messages *messages;
	struct worker_news news;
	char why[WORKER_WHY_MAX];
	int64_t now_us;
	uint32_t next_segment;
	unsigned fds; /* open before anything was said */
};

static bool no_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return no_memory ? NULL : __real_malloc(size);
}

/* The caller of worker_messages_take() closes what it leaves. */
static int take_packet(struct fixture *f, const struct worker_packet *packet)
{
	int ret = worker_messages_take(f->messages, packet, f->now_us, &f->news, f->why);

	for (unsigned i = 0; i < packet->n_fds; i++) {
		if (packet->fds[i] < 0)
			continue;
		assert_true(ret < 0); /* or it was taken */
		close(packet->fds[i]);
	}
	return ret;
}

static int take(struct fixture *f, const void *data, size_t len, int fd)
{
	struct worker_packet packet = {
		.data = data, .len = len, .fds = &fd, .n_fds = fd >= 0 ? 1 : 0};

	return take_packet(f, &packet);
}

static int hello(struct fixture *f, uint32_t version)
{
	struct camcast_msg_hello message = {.type = CAMCAST_MSG_HELLO, .version = version};

	return take(f, &message, sizeof message, -1);
}

static int setup(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof *f);
	no_memory = false;
	rig_open(&f->rig, "");
	rig_create_feeds(&f->rig, NULL);
	assert_int_equal(worker_messages_create(&f->messages, &f->rig.cameras->cameras[FRONT]), 0);
	f->now_us = loop_now_us(f->rig.loop);
	f->next_segment = 1;
	f->fds = rig_open_fds();
	*state = f;
	return 0;
}

static int setup_greeted(void **state)
{
	setup(state);
	return hello(*state, CAMCAST_WORKER_VERSION);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	worker_messages_destroy(f->messages);
	rig_close(&f->rig);
	return 0;
}

static const struct feed_stats *stats(struct fixture *f)
{
	return feed_stats(rig_feed(&f->rig, FRONT_H264));
}

static struct camcast_msg_unit unit_at(uint32_t segment, uint32_t offset, uint32_t flags)
{
	return (struct camcast_msg_unit){.type = CAMCAST_MSG_UNIT,
					 .feed = FRONT_H264,
					 .segment = segment,
					 .offset = offset,
					 .len = 1000,
					 .flags = flags};
}

static int take_unit(struct fixture *f, uint32_t segment, uint32_t offset, uint32_t flags, int fd)
{
	struct camcast_msg_unit unit = unit_at(segment, offset, flags);

	return take(f, &unit, sizeof unit, fd);
}

/* A key unit in a new segment, as it should be; returns the segment's id. */
static uint32_t begin(struct fixture *f)
{
	uint32_t id = f->next_segment++;

	assert_int_equal(take_unit(f, id, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT,
				   rig_segment(SEGMENT_SIZE, SEALS)),
			 0);
	assert_int_equal(f->news.event, WORKER_EVENT_KEY);
	return id;
}

/* The message broke the rule that `why` is part of; nothing of it is left. */
static void assert_refused(struct fixture *f, int result, const char *why)
{
	if (result != -EPROTO || !strstr(f->why, why))
		fail_msg("%d \"%s\" instead of \"%s\"", result, f->why, why);
	assert_int_equal(rig_open_fds(), f->fds + stats(f)->log.segments);
}

/* --- the ways of all messages --- */

static void hello_comes_first(void **state)
{
	struct fixture *f = *state;

	assert_refused(f,
		       take_unit(f, 1, 0, CAMCAST_UNIT_SEGMENT, rig_segment(SEGMENT_SIZE, SEALS)),
		       "UNIT before HELLO");
	assert_refused(f, hello(f, CAMCAST_WORKER_VERSION + 1), "protocol version 4 instead of 3");
	assert_int_equal(hello(f, CAMCAST_WORKER_VERSION), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_HELLO);
	assert_refused(f, hello(f, CAMCAST_WORKER_VERSION), "a second HELLO");
	worker_messages_reset(f->messages);
	assert_int_equal(hello(f, CAMCAST_WORKER_VERSION), 0);
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
	struct fixture *f = *state;
	char data[sizeof(struct camcast_msg_preamble) + 64] = {0};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		memcpy(data, &kinds[i].type, sizeof kinds[i].type);
		for (size_t size = 4; size < sizeof data; size++) {
			if (size != kinds[i].size)
				assert_refused(f, take(f, data, size, -1), "bytes instead of");
		}
	}
	for (size_t size = 0; size < 4; size++)
		assert_refused(f, take(f, data, size, -1), "a message of");
	assert_refused(f,
		       take_packet(f, &(struct worker_packet){.data = data,
							      .len = sizeof data,
							      .oversize = true}),
		       "longer than any");
}

static void types_for_the_other_direction_are_unknown(void **state)
{
	struct fixture *f = *state;
	char data[512] = {0};

	for (uint32_t type = 0; type < 100; type++) {
		memcpy(data, &type, sizeof type);
		if (type < CAMCAST_MSG_HELLO || type > CAMCAST_MSG_PREAMBLE)
			assert_refused(f, take(f, data, 16, -1), "unknown type");
	}
}

static void an_fd_comes_only_where_it_should(void **state)
{
	struct fixture *f = *state;
	struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT};
	struct camcast_msg_unit unit = unit_at(9, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT);
	struct worker_packet packet = {.data = &heartbeat, .len = sizeof heartbeat};
	int fds[2];

	assert_refused(f, take(f, &heartbeat, sizeof heartbeat, rig_segment(4096, SEALS)),
		       "HEARTBEAT with an fd");
	packet.truncated = true;
	assert_refused(f, take_packet(f, &packet), "HEARTBEAT with an fd");
	fds[0] = rig_segment(SEGMENT_SIZE, SEALS);
	fds[1] = rig_segment(SEGMENT_SIZE, SEALS);
	packet = (struct worker_packet){.data = &unit, .len = sizeof unit, .fds = fds, .n_fds = 2};
	assert_refused(f, take_packet(f, &packet), "more than one fd");
	packet.n_fds = 1;
	packet.truncated = true;
	fds[0] = rig_segment(SEGMENT_SIZE, SEALS);
	assert_refused(f, take_packet(f, &packet), "more than one fd");
	begin(f);
	assert_refused(f, take_unit(f, 1, 1000, 0, rig_segment(SEGMENT_SIZE, SEALS)),
		       "UNIT with an fd but without the SEGMENT flag");
	assert_refused(f, take_unit(f, 2, 0, CAMCAST_UNIT_SEGMENT, -1),
		       "SEGMENT flag but without an fd");
}

/* --- reports --- */

static void reports_are_kept(void **state)
{
	struct fixture *f = *state;
	struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT,
						  .state = CAMCAST_CAMERA_SILENT,
						  .frames = 77,
						  .reason = "dark"};
	struct camcast_msg_stream stream = {.type = CAMCAST_MSG_STREAM,
					    .stream = FRONT_JPEG,
					    .encoder = "mjpeg",
					    .can_force_idr = 1};

	assert_int_equal(take(f, &heartbeat, sizeof heartbeat, -1), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_HEARTBEAT);
	assert_int_equal(worker_messages_heartbeat(f->messages)->frames, 77);
	assert_string_equal(worker_messages_heartbeat(f->messages)->reason, "dark");
	assert_int_equal(take(f, &stream, sizeof stream, -1), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_STREAM);
	assert_int_equal(f->news.number, FRONT_JPEG);
	assert_string_equal(worker_messages_streams(f->messages)[FRONT_JPEG].encoder, "mjpeg");
	worker_messages_reset(f->messages);
	assert_int_equal(worker_messages_heartbeat(f->messages)->frames, 0);
	assert_string_equal(worker_messages_streams(f->messages)[FRONT_JPEG].encoder, "");
}

static void reports_with_nonsense_are_errors(void **state)
{
	struct fixture *f = *state;
	struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT, .state = 4};
	struct camcast_msg_stream stream = {.type = CAMCAST_MSG_STREAM, .stream = BACK_H264};

	assert_refused(f, take(f, &heartbeat, sizeof heartbeat, -1), "HEARTBEAT with state 4");
	heartbeat.state = CAMCAST_CAMERA_RUNNING;
	memset(heartbeat.path, 'x', sizeof heartbeat.path);
	assert_refused(f, take(f, &heartbeat, sizeof heartbeat, -1), "unterminated text");
	assert_refused(f, take(f, &stream, sizeof stream, -1), "not of this camera");
	stream.stream = RIG_FEEDS;
	assert_refused(f, take(f, &stream, sizeof stream, -1), "not of this camera");
	stream.stream = FRONT_H264;
	memset(stream.detail, 'x', sizeof stream.detail);
	assert_refused(f, take(f, &stream, sizeof stream, -1), "unterminated text");
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
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT};

		strcpy(heartbeat.reason, cases[i][0]);
		assert_int_equal(take(f, &heartbeat, sizeof heartbeat, -1), 0);
		assert_string_equal(worker_messages_heartbeat(f->messages)->reason, cases[i][1]);
	}
}

/* --- units --- */

static void units_are_published(void **state)
{
	struct fixture *f = *state;
	uint32_t id = begin(f);

	assert_int_equal(take_unit(f, id, 1000, 0, -1), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_NONE);
	assert_int_equal(take_unit(f, id, 2000, CAMCAST_UNIT_DROPPABLE, -1), 0);
	assert_int_equal(take_unit(f, id, SEGMENT_SIZE - 1000, CAMCAST_UNIT_KEY, -1), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_KEY);
	begin(f);
	assert_int_equal(stats(f)->units, 5);
	assert_int_equal(stats(f)->keys, 3);
	assert_int_equal(stats(f)->bytes, 5000);
	assert_int_equal(stats(f)->log.segments, 2);
}

static void a_unit_that_is_not_key_after_a_gap_is_dropped_and_no_error(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(take_unit(f, 1, 0, CAMCAST_UNIT_SEGMENT, rig_segment(SEGMENT_SIZE, SEALS)),
			 0);
	assert_int_equal(stats(f)->units, 0);
	assert_int_equal(stats(f)->units_refused, 1);
	assert_int_equal(take_unit(f, 1, 1000, CAMCAST_UNIT_KEY, -1), 0);
	assert_int_equal(stats(f)->units, 1);
}

static void units_outside_are_errors(void **state)
{
	static const struct {
		uint32_t offset, len;
		const char *why;
	} cases[] = {
		{SEGMENT_SIZE - 999, 1000, "outside"},
		{SEGMENT_SIZE, 1, "outside"},
		{0, SEGMENT_SIZE + 1, "outside"},
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
		struct fixture *f = *state;
		struct camcast_msg_unit unit = unit_at(begin(f), cases[i].offset, 0);

		unit.len = cases[i].len;
		assert_refused(f, take(f, &unit, sizeof unit, -1), cases[i].why);
		teardown(state);
		setup_greeted(state);
	}
}

static void unit_fields_are_checked(void **state)
{
	struct fixture *f = *state;
	struct camcast_msg_unit unit = unit_at(begin(f), 1000, 1u << 3);

	assert_refused(f, take(f, &unit, sizeof unit, -1), "unknown flags 0x8");
	unit.flags = UINT32_MAX;
	assert_refused(f, take(f, &unit, sizeof unit, -1), "unknown flags");
	unit.flags = 0;
	unit.feed = BACK_H264;
	assert_refused(f, take(f, &unit, sizeof unit, -1), "feed 2, which is not of this camera");
	unit.feed = UINT32_MAX;
	assert_refused(f, take(f, &unit, sizeof unit, -1), "not of this camera");
	unit.feed = FRONT_H264;
	unit.track = CAMCAST_TRACKS_MAX;
	assert_refused(f, take(f, &unit, sizeof unit, -1), "UNIT of track 8");
	unit.track = 0;
	unit.pts_us = CAMCAST_PTS_MAX + 1;
	assert_refused(f, take(f, &unit, sizeof unit, -1), "UNIT at 9007199254740993 us");
	unit.pts_us = -CAMCAST_PTS_MAX - 1;
	assert_refused(f, take(f, &unit, sizeof unit, -1), "UNIT at -9007199254740993 us");
	unit.pts_us = INT64_MIN;
	assert_refused(f, take(f, &unit, sizeof unit, -1), "UNIT at");
	assert_int_equal(stats(f)->units, 1);
}

static void a_feed_may_have_several_tracks_and_times_that_go_back(void **state)
{
	struct fixture *f = *state;
	struct camcast_msg_unit unit = unit_at(begin(f), 1000, 0);

	for (uint32_t i = 0; i < CAMCAST_TRACKS_MAX; i++) {
		unit.track = i;
		unit.pts_us = i % 2 ? CAMCAST_PTS_MAX : -CAMCAST_PTS_MAX;
		unit.duration_us = i % 2 ? UINT32_MAX : 0;
		assert_int_equal(take(f, &unit, sizeof unit, -1), 0);
		unit.offset += unit.len;
	}
	assert_int_equal(stats(f)->units, 1 + CAMCAST_TRACKS_MAX);
}

/* --- preambles --- */

static int take_preamble(struct fixture *f, uint32_t feed, uint32_t version, uint32_t len)
{
	struct camcast_msg_preamble preamble = {
		.type = CAMCAST_MSG_PREAMBLE, .feed = feed, .version = version, .len = len};

	preamble.data[0] = (uint8_t)(100 + version);
	return take(f, &preamble, sizeof preamble, -1);
}

static void handle_send(struct cursor *cursor, const struct pages *pages, uint32_t offset,
			uint32_t len)
{
	struct viewer *viewer = container_of(cursor, struct viewer, cursor);

	if (pages->fd < 0) { /* memory alone: a preamble */
		viewer->preambles++;
		viewer->len = len;
		viewer->first = pages->map[offset];
	}
	viewer->pending = len;
}

static bool is_ready(const struct cursor *cursor)
{
	(void)cursor;
	return true;
}

static void handle_close(struct cursor *cursor, enum cursor_end why, bool at_once)
{
	(void)at_once;
	cursor_end(cursor, why);
}

static void describe(const struct cursor *cursor, char text[SINK_TEXT_MAX])
{
	(void)cursor;
	snprintf(text, SINK_TEXT_MAX, "a test");
}

static void join(struct fixture *f)
{
	static const struct sink sink = {.send = handle_send,
					 .ready = is_ready,
					 .close = handle_close,
					 .describe = describe};

	assert_int_equal(feed_join(rig_feed(&f->rig, FRONT_H264), &f->viewer.cursor, &sink), 0);
}

static void leave(struct fixture *f)
{
	cursor_end(&f->viewer.cursor, CURSOR_END_SHUTDOWN);
	cursor_release(&f->viewer.cursor);
}

/* Lets the viewer take all that there is for it. */
static const struct viewer *viewer_reads(struct fixture *f)
{
	while (f->viewer.pending > 0) {
		int len = (int)f->viewer.pending;

		f->viewer.pending = 0;
		cursor_sent(&f->viewer.cursor, len, false);
	}
	return &f->viewer;
}

/* A unit of 1000 bytes behind the last one of the segment. */
static int take_with(struct fixture *f, uint32_t segment, uint32_t version, uint32_t flags)
{
	struct camcast_msg_unit unit = unit_at(segment, (uint32_t)stats(f)->bytes, flags);

	unit.preamble = version;
	return take(f, &unit, sizeof unit, -1);
}

static void a_unit_names_the_preamble_that_it_goes_with(void **state)
{
	struct fixture *f = *state;
	uint32_t id = begin(f); /* without a preamble */

	assert_int_equal(take_preamble(f, FRONT_H264, 1, 10), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_NONE);
	assert_int_equal(take_with(f, id, 0, 0), 0); /* until the next key unit */
	assert_int_equal(take_with(f, id, 1, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(take_with(f, id, 1, 0), 0);
	assert_int_equal(take_preamble(f, FRONT_H264, 2, CAMCAST_PREAMBLE_MAX), 0);
	assert_int_equal(take_preamble(f, FRONT_H264, 3, 1), 0);
	assert_int_equal(take_with(f, id, 1, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(take_with(f, id, 3, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(stats(f)->units, 6);
}

static void a_feed_gets_a_preamble_with_the_key_unit_that_names_it(void **state)
{
	struct fixture *f = *state;
	uint32_t id;

	join(f);
	id = begin(f);
	assert_int_equal(take_preamble(f, FRONT_H264, 1, 10), 0);
	assert_int_equal(take_with(f, id, 0, 0), 0);
	assert_int_equal(viewer_reads(f)->preambles, 0);
	assert_int_equal(take_with(f, id, 1, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(viewer_reads(f)->preambles, 1);
	assert_int_equal(f->viewer.len, 10);
	assert_int_equal(f->viewer.first, 101);
	assert_int_equal(take_preamble(f, FRONT_H264, 2, CAMCAST_PREAMBLE_MAX), 0);
	assert_int_equal(take_with(f, id, 1, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(viewer_reads(f)->preambles, 1);
	assert_int_equal(take_with(f, id, 2, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(viewer_reads(f)->preambles, 2);
	assert_int_equal(f->viewer.len, CAMCAST_PREAMBLE_MAX);
	assert_int_equal(f->viewer.first, 102);
	leave(f);
}

static void without_memory_for_a_preamble_its_units_are_dropped(void **state)
{
	struct fixture *f = *state;
	uint32_t id = begin(f);

	assert_int_equal(take_preamble(f, FRONT_H264, 1, 10), 0);
	no_memory = true;
	assert_int_equal(take_with(f, id, 1, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_NO_MEMORY);
	no_memory = false;
	assert_int_equal(take_with(f, id, 1, 0), 0);
	assert_int_equal(stats(f)->units, 1);
	assert_int_equal(take_with(f, id, 1, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_KEY);
	assert_int_equal(stats(f)->units, 2);
}

static void a_preamble_whose_first_unit_was_lost_is_never_mistaken(void **state)
{
	struct fixture *f = *state;
	struct camcast_msg_unit unit = unit_at(2, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT);

	join(f);
	begin(f);
	assert_int_equal(take_preamble(f, FRONT_H264, 1, 10), 0);
	unit.preamble = 1;
	assert_int_equal(take_packet(f, &(struct worker_packet){.data = &unit,
								.len = sizeof unit,
								.truncated = true}),
			 0);
	assert_int_equal(take_preamble(f, FRONT_H264, 2, 10), 0);
	unit = unit_at(3, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT);
	unit.preamble = 1; /* which is no longer known */
	assert_int_equal(take(f, &unit, sizeof unit, rig_segment(SEGMENT_SIZE, SEALS)), 0);
	assert_int_equal(viewer_reads(f)->preambles, 0);
	assert_int_equal(stats(f)->units, 1);
	unit = unit_at(3, 1000, CAMCAST_UNIT_KEY);
	unit.preamble = 2;
	assert_int_equal(take(f, &unit, sizeof unit, -1), 0);
	assert_int_equal(viewer_reads(f)->first, 102);
	assert_int_equal(stats(f)->units, 2);
	leave(f);
}

static void a_preamble_must_have_been_announced(void **state)
{
	struct fixture *f = *state;
	uint32_t id = begin(f);

	assert_refused(f, take_with(f, id, 1, CAMCAST_UNIT_KEY),
		       "with preamble 1, which is neither");
	assert_int_equal(take_preamble(f, FRONT_JPEG, 1, 10), 0); /* another feed's */
	assert_refused(f, take_with(f, id, 1, CAMCAST_UNIT_KEY),
		       "with preamble 1, which is neither");
}

static void preambles_never_go_back(void **state)
{
	struct fixture *f = *state;
	uint32_t id = begin(f);

	for (uint32_t version = 1; version <= 3; version++)
		assert_int_equal(take_preamble(f, FRONT_H264, version, 10), 0);
	assert_refused(f, take_with(f, id, 2, CAMCAST_UNIT_KEY),
		       "with preamble 2, which is neither");
	assert_int_equal(take_with(f, id, 3, CAMCAST_UNIT_KEY), 0);
	assert_refused(f, take_with(f, id, 0, CAMCAST_UNIT_KEY),
		       "with preamble 0, which is neither");
}

static void a_preamble_changes_at_a_key_unit_only(void **state)
{
	struct fixture *f = *state;
	uint32_t id = begin(f);

	assert_int_equal(take_preamble(f, FRONT_H264, 1, 10), 0);
	assert_refused(f, take_with(f, id, 1, 0), "a new preamble, and not a key unit");
}

static void preambles_are_counted_from_one(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, take_preamble(f, FRONT_H264, 0, 10),
		       "preamble 0 of feed 0 after preamble 0");
	assert_refused(f, take_preamble(f, FRONT_H264, 2, 10),
		       "preamble 2 of feed 0 after preamble 0");
	assert_int_equal(take_preamble(f, FRONT_H264, 1, 10), 0);
	assert_refused(f, take_preamble(f, FRONT_H264, 1, 10),
		       "preamble 1 of feed 0 after preamble 1");
	assert_int_equal(take_preamble(f, FRONT_JPEG, 1, 10), 0);
	worker_messages_reset(f->messages);
	assert_int_equal(hello(f, CAMCAST_WORKER_VERSION), 0);
	assert_int_equal(take_preamble(f, FRONT_H264, 1, 10), 0);
}

static void preambles_have_a_length_and_a_feed(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, take_preamble(f, FRONT_H264, 1, 0), "PREAMBLE of 0 bytes");
	assert_refused(f, take_preamble(f, FRONT_H264, 1, CAMCAST_PREAMBLE_MAX + 1),
		       "PREAMBLE of 4097 bytes");
	assert_refused(f, take_preamble(f, FRONT_H264, 1, UINT32_MAX),
		       "PREAMBLE of 4294967295 bytes");
	assert_refused(f, take_preamble(f, BACK_H264, 1, 10),
		       "feed 2, which is not of this camera");
	assert_int_equal(take_preamble(f, FRONT_H264, 1, 1), 0);
}

static void segments_must_be_sealed_memfds_of_a_sane_size(void **state)
{
	struct fixture *f = *state;
	int pipe_fds[2];
	uint32_t flags = CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT;

	assert_refused(f, take_unit(f, 1, 0, flags, rig_segment(SEGMENT_SIZE, 0)), "not sealed");
	assert_refused(f, take_unit(f, 1, 0, flags, rig_segment(SEGMENT_SIZE, F_SEAL_SHRINK)),
		       "not sealed");
	assert_refused(f, take_unit(f, 1, 0, flags, rig_segment(SEGMENT_SIZE, F_SEAL_GROW)),
		       "not sealed");
	assert_refused(f, take_unit(f, 1, 0, flags, rig_segment(0, SEALS)), "segment of 0 bytes");
	assert_refused(
		f, take_unit(f, 1, 0, flags, rig_segment((int64_t)CAMCAST_SEGMENT_MAX + 1, SEALS)),
		"segment of 67108865 bytes");
	assert_refused(f, take_unit(f, 1, 0, flags, rig_segment(INT64_C(1) << 32, SEALS)),
		       "segment of 4294967296 bytes");
	assert_refused(f, take_unit(f, 1, 0, flags, open("/dev/null", O_RDONLY | O_CLOEXEC)),
		       "not a memfd");
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	close(pipe_fds[1]);
	assert_refused(f, take_unit(f, 1, 0, flags, pipe_fds[0]), "not a memfd");
	assert_int_equal(take_unit(f, 1, 0, flags, rig_segment(CAMCAST_SEGMENT_MAX, SEALS)), 0);
}

static void segment_ids_grow(void **state)
{
	struct fixture *f = *state;
	uint32_t flags = CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT;

	f->next_segment = 10;
	begin(f);
	assert_refused(f, take_unit(f, 10, 1000, flags, rig_segment(SEGMENT_SIZE, SEALS)),
		       "segment 10 of feed 0 after segment 10");
	assert_refused(f, take_unit(f, 9, 0, flags, rig_segment(SEGMENT_SIZE, SEALS)),
		       "segment 9 of feed 0 after segment 10");
	assert_refused(f, take_unit(f, 9, 0, 0, -1), "not the newest");
	assert_refused(f, take_unit(f, 11, 0, 0, -1), "not the newest");
	f->next_segment = UINT32_MAX;
	begin(f);
}

/* --- our own shortage --- */

static void ask_for_segment(struct fixture *f, uint32_t segment)
{
	struct camcast_msg_get_segment get = {
		.type = CAMCAST_MSG_GET_SEGMENT, .feed = FRONT_H264, .segment = segment};

	worker_messages_sent(f->messages, &get, sizeof get, f->now_us);
}

static int take_truncated(struct fixture *f, const void *data, size_t len)
{
	return take_packet(f, &(struct worker_packet){.data = data, .len = len, .truncated = true});
}

static void a_lost_segment_is_a_gap_until_it_comes_again(void **state)
{
	struct fixture *f = *state;
	struct camcast_msg_unit unit = unit_at(2, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT);
	struct camcast_msg_segment segment = {
		.type = CAMCAST_MSG_SEGMENT, .feed = FRONT_H264, .segment = 2};

	begin(f);
	assert_int_equal(take_truncated(f, &unit, sizeof unit), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_LOST_SEGMENT);
	assert_int_equal(f->news.segment, 2);
	/* Its units are of no use, and say again that it is missing. */
	assert_int_equal(take_unit(f, 2, 1000, CAMCAST_UNIT_KEY, -1), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_LOST_SEGMENT);
	assert_int_equal(stats(f)->units, 1);
	/* The answer may be lost as well. */
	ask_for_segment(f, 2);
	ask_for_segment(f, 2);
	assert_int_equal(take_truncated(f, &segment, sizeof segment), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_LOST_SEGMENT);
	assert_int_equal(take(f, &segment, sizeof segment, rig_segment(SEGMENT_SIZE, SEALS)), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_GOT_SEGMENT);
	/* Units that refer to lost ones are refused; a key unit ends the gap. */
	assert_int_equal(take_unit(f, 2, 2000, 0, -1), 0);
	assert_int_equal(stats(f)->units, 1);
	assert_int_equal(take_unit(f, 2, 3000, CAMCAST_UNIT_KEY, -1), 0);
	assert_int_equal(stats(f)->units, 2);
}

static void answers_may_be_late_or_double(void **state)
{
	struct fixture *f = *state;
	struct camcast_msg_unit unit = unit_at(1, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT);
	struct camcast_msg_segment segment = {
		.type = CAMCAST_MSG_SEGMENT, .feed = FRONT_H264, .segment = 1};

	assert_refused(f, take(f, &segment, sizeof segment, rig_segment(SEGMENT_SIZE, SEALS)),
		       "did not ask");
	assert_int_equal(take_truncated(f, &unit, sizeof unit), 0);
	f->next_segment = 2;
	begin(f);
	for (int i = 0; i < 2; i++)
		ask_for_segment(f, 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			take(f, &segment, sizeof segment, rig_segment(SEGMENT_SIZE, SEALS)), 0);
		assert_int_equal(f->news.event, WORKER_EVENT_NONE);
		assert_int_equal(rig_open_fds(), f->fds + 1);
	}
	assert_refused(f, take(f, &segment, sizeof segment, rig_segment(SEGMENT_SIZE, SEALS)),
		       "did not ask");
	assert_refused(f, take(f, &segment, sizeof segment, -1), "a SEGMENT without an fd");
	ask_for_segment(f, 3);
	segment.segment = 3;
	assert_refused(f, take(f, &segment, sizeof segment, rig_segment(SEGMENT_SIZE, SEALS)),
		       "did not ask");
	segment.feed = BACK_H264;
	assert_refused(f, take(f, &segment, sizeof segment, rig_segment(SEGMENT_SIZE, SEALS)),
		       "not of this camera");
}

static void an_answer_is_checked_like_any_segment(void **state)
{
	struct fixture *f = *state;
	struct camcast_msg_unit unit = unit_at(1, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT);
	struct camcast_msg_segment segment = {
		.type = CAMCAST_MSG_SEGMENT, .feed = FRONT_H264, .segment = 1};

	assert_int_equal(take_truncated(f, &unit, sizeof unit), 0);
	ask_for_segment(f, 1);
	assert_refused(f, take(f, &segment, sizeof segment, rig_segment(SEGMENT_SIZE, 0)),
		       "not sealed");
}

/* --- rates --- */

static void too_many_units_are_an_error(void **state)
{
	struct fixture *f = *state;
	struct camcast_msg_unit unit = unit_at(begin(f), 0, CAMCAST_UNIT_KEY);
	unsigned taken = 1;

	unit.len = 1;
	unit.offset = 1000;
	while (take(f, &unit, sizeof unit, -1) == 0) {
		unit.offset++;
		assert_true(++taken <= 2 * CAMCAST_UNIT_RATE_MAX);
	}
	assert_refused(f, -EPROTO, "more than 1000 units a second");
	assert_int_equal(taken, 2 * CAMCAST_UNIT_RATE_MAX);
}

static void as_many_units_as_allowed_may_go_on(void **state)
{
	struct fixture *f = *state;
	struct camcast_msg_unit unit = unit_at(begin(f), 1000, CAMCAST_UNIT_KEY);

	unit.len = 1;
	for (unsigned i = 0; i < 10 * CAMCAST_UNIT_RATE_MAX; i++) {
		f->now_us += 1000000 / CAMCAST_UNIT_RATE_MAX;
		assert_int_equal(take(f, &unit, sizeof unit, -1), 0);
		unit.offset++;
	}
}

static void too_many_bytes_are_an_error(void **state)
{
	struct fixture *f = *state;
	struct camcast_msg_unit unit;
	uint64_t bytes = 0;
	uint32_t id = 1;

	for (;; id++) {
		unit = unit_at(id, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT);
		unit.len = CAMCAST_UNIT_MAX;
		bytes += unit.len;
		if (take(f, &unit, sizeof unit, rig_segment(CAMCAST_UNIT_MAX, SEALS)) < 0)
			break;
		assert_true(bytes <= UINT64_C(2) * CAMCAST_BYTE_RATE_MAX);
	}
	assert_refused(f, -EPROTO, "bytes a second");
}

static void too_many_segments_are_an_error(void **state)
{
	struct fixture *f = *state;
	uint32_t id = 1;

	while (take_unit(f, id, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT,
			 rig_segment(4096, SEALS)) == 0)
		assert_true(id++ <= 2 * CAMCAST_SEGMENT_RATE_MAX);
	assert_refused(f, -EPROTO, "more than 100 segments a second");
}

static void too_many_reports_are_an_error(void **state)
{
	struct fixture *f = *state;
	struct camcast_msg_heartbeat heartbeat = {.type = CAMCAST_MSG_HEARTBEAT};
	unsigned taken = 0;

	while (take(f, &heartbeat, sizeof heartbeat, -1) == 0)
		assert_true(++taken <= 2 * CAMCAST_REPORT_RATE_MAX);
	assert_refused(f, -EPROTO, "more than 100 heartbeats a second");
	assert_int_equal(taken, 2 * CAMCAST_REPORT_RATE_MAX);
}

/* How many reports about the first stream are taken, from now on. */
static unsigned count_reports(struct fixture *f)
{
	struct camcast_msg_stream stream = {.type = CAMCAST_MSG_STREAM};
	unsigned taken = 0;

	while (take(f, &stream, sizeof stream, -1) == 0)
		assert_true(++taken < 100000);
	assert_refused(f, -EPROTO, "more than 100 reports a second about stream 0");
	return taken;
}

static void reports_are_counted_for_each_stream(void **state)
{
	struct fixture *f = *state;
	struct camcast_msg_stream other = {.type = CAMCAST_MSG_STREAM, .stream = 1};

	assert_int_equal(count_reports(f), 2 * CAMCAST_REPORT_RATE_MAX);
	assert_int_equal(take(f, &other, sizeof other, -1), 0);
}

static void what_camcastd_asks_for_may_be_answered(void **state)
{
	struct fixture *f = *state;
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
	struct fixture *f = *state;
	uint32_t version = 1;

	while (take_preamble(f, FRONT_H264, version, 10) == 0)
		assert_true(version++ <= 2 * CAMCAST_PREAMBLE_RATE_MAX);
	assert_refused(f, -EPROTO, "more than 10 preambles a second");
	assert_int_equal(version, 2 * CAMCAST_PREAMBLE_RATE_MAX + 1);
	f->now_us += 2000000;
	assert_int_equal(take_preamble(f, FRONT_H264, version, 10), 0);
}

/* --- a new worker --- */

static void a_reset_forgets_ids(void **state)
{
	struct fixture *f = *state;

	f->next_segment = 1000;
	begin(f);
	worker_messages_reset(f->messages);
	feed_reset(rig_feed(&f->rig, FRONT_H264));
	assert_int_equal(hello(f, CAMCAST_WORKER_VERSION), 0);
	f->next_segment = 1;
	begin(f);
	assert_int_equal(stats(f)->units, 2);
}

#define GREETED(test) cmocka_unit_test_setup_teardown(test, setup_greeted, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(hello_comes_first, setup, teardown),
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
		GREETED(a_unit_names_the_preamble_that_it_goes_with),
		GREETED(a_feed_gets_a_preamble_with_the_key_unit_that_names_it),
		GREETED(without_memory_for_a_preamble_its_units_are_dropped),
		GREETED(a_preamble_whose_first_unit_was_lost_is_never_mistaken),
		GREETED(a_preamble_must_have_been_announced),
		GREETED(preambles_never_go_back),
		GREETED(a_preamble_changes_at_a_key_unit_only),
		GREETED(preambles_are_counted_from_one),
		GREETED(preambles_have_a_length_and_a_feed),
		GREETED(segments_must_be_sealed_memfds_of_a_sane_size),
		GREETED(segment_ids_grow),
		GREETED(a_lost_segment_is_a_gap_until_it_comes_again),
		GREETED(answers_may_be_late_or_double),
		GREETED(an_answer_is_checked_like_any_segment),
		GREETED(too_many_units_are_an_error),
		GREETED(as_many_units_as_allowed_may_go_on),
		GREETED(too_many_bytes_are_an_error),
		GREETED(too_many_segments_are_an_error),
		GREETED(too_many_reports_are_an_error),
		GREETED(reports_are_counted_for_each_stream),
		GREETED(what_camcastd_asks_for_may_be_answered),
		GREETED(too_many_preambles_are_an_error),
		GREETED(a_reset_forgets_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
