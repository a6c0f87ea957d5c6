/* SPDX-License-Identifier: BSD-2-Clause */
/* Preambles of a worker: camcast/worker.h's rules, and what viewers get. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/messages_rig.h"

/* A viewer of FRONT_H264 that takes all that it is sent. */
struct viewer {
	struct cursor cursor;
	uint32_t pending;   /* bytes of the send under way */
	unsigned preambles; /* that it was sent */
	uint32_t len;	    /* of the last one */
	uint8_t first;	    /* its first byte */
};

static bool no_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return no_memory ? NULL : __real_malloc(size);
}

static struct viewer front; /* joined by a test */

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

static void join(struct messages_rig *f)
{
	static const struct sink sink = {.send = handle_send,
					 .ready = is_ready,
					 .close = handle_close,
					 .describe = describe};

	memset(&front, 0, sizeof front);
	assert_int_equal(feed_join(rig_feed(&f->rig, FRONT_H264), &front.cursor, &sink, 0), 0);
}

static void leave(void)
{
	cursor_end(&front.cursor, CURSOR_END_SHUTDOWN);
	cursor_release(&front.cursor);
}

/* Lets the viewer take all that there is for it. */
static const struct viewer *viewer_reads(void)
{
	while (front.pending > 0) {
		int len = (int)front.pending;

		front.pending = 0;
		cursor_sent(&front.cursor, len, false);
	}
	return &front;
}

/* A unit of 1000 bytes behind the last one of the segment. */
static int take_with(struct messages_rig *f, uint32_t segment, uint32_t version, uint32_t flags)
{
	struct camcast_msg_unit unit =
		messages_unit_at(segment, (uint32_t)messages_stats(f)->bytes, flags);

	unit.preamble = version;
	return messages_take(f, &unit, sizeof unit, -1);
}

static void a_unit_names_the_preamble_that_it_goes_with(void **state)
{
	struct messages_rig *f = *state;
	uint32_t id = messages_begin(f); /* without a preamble */

	assert_int_equal(messages_take_preamble(f, FRONT_H264, 1, 10), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_NONE);
	assert_int_equal(take_with(f, id, 0, 0), 0); /* until the next key unit */
	assert_int_equal(take_with(f, id, 1, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(take_with(f, id, 1, 0), 0);
	assert_int_equal(messages_take_preamble(f, FRONT_H264, 2, CAMCAST_PREAMBLE_MAX), 0);
	assert_int_equal(messages_take_preamble(f, FRONT_H264, 3, 1), 0);
	assert_int_equal(take_with(f, id, 1, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(take_with(f, id, 3, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(messages_stats(f)->units, 6);
}

static void a_feed_gets_a_preamble_with_the_key_unit_that_names_it(void **state)
{
	struct messages_rig *f = *state;
	uint32_t id;

	join(f);
	id = messages_begin(f);
	assert_int_equal(messages_take_preamble(f, FRONT_H264, 1, 10), 0);
	assert_int_equal(take_with(f, id, 0, 0), 0);
	assert_int_equal(viewer_reads()->preambles, 0);
	assert_int_equal(take_with(f, id, 1, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(viewer_reads()->preambles, 1);
	assert_int_equal(front.len, 10);
	assert_int_equal(front.first, 101);
	assert_int_equal(messages_take_preamble(f, FRONT_H264, 2, CAMCAST_PREAMBLE_MAX), 0);
	assert_int_equal(take_with(f, id, 1, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(viewer_reads()->preambles, 1);
	assert_int_equal(take_with(f, id, 2, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(viewer_reads()->preambles, 2);
	assert_int_equal(front.len, CAMCAST_PREAMBLE_MAX);
	assert_int_equal(front.first, 102);
	leave();
}

static void without_memory_for_a_preamble_its_units_are_dropped(void **state)
{
	struct messages_rig *f = *state;
	uint32_t id = messages_begin(f);

	assert_int_equal(messages_take_preamble(f, FRONT_H264, 1, 10), 0);
	no_memory = true;
	assert_int_equal(take_with(f, id, 1, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_NO_MEMORY);
	no_memory = false;
	assert_int_equal(take_with(f, id, 1, 0), 0);
	assert_int_equal(messages_stats(f)->units, 1);
	assert_int_equal(take_with(f, id, 1, CAMCAST_UNIT_KEY), 0);
	assert_int_equal(f->news.event, WORKER_EVENT_KEY);
	assert_int_equal(messages_stats(f)->units, 2);
}

static void a_preamble_whose_first_unit_was_lost_is_never_mistaken(void **state)
{
	struct messages_rig *f = *state;
	struct camcast_msg_unit unit =
		messages_unit_at(2, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT);

	join(f);
	messages_begin(f);
	assert_int_equal(messages_take_preamble(f, FRONT_H264, 1, 10), 0);
	unit.preamble = 1;
	assert_int_equal(messages_take_packet(f, &(struct worker_packet){.data = &unit,
									 .len = sizeof unit,
									 .truncated = true}),
			 0);
	assert_int_equal(messages_take_preamble(f, FRONT_H264, 2, 10), 0);
	unit = messages_unit_at(3, 0, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT);
	unit.preamble = 1; /* which is no longer known */
	assert_int_equal(messages_take(f, &unit, sizeof unit,
				       rig_segment(MESSAGES_SEGMENT_SIZE, MESSAGES_SEALS)),
			 0);
	assert_int_equal(viewer_reads()->preambles, 0);
	assert_int_equal(messages_stats(f)->units, 1);
	unit = messages_unit_at(3, 1000, CAMCAST_UNIT_KEY);
	unit.preamble = 2;
	assert_int_equal(messages_take(f, &unit, sizeof unit, -1), 0);
	assert_int_equal(viewer_reads()->first, 102);
	assert_int_equal(messages_stats(f)->units, 2);
	leave();
}

static void a_preamble_must_have_been_announced(void **state)
{
	struct messages_rig *f = *state;
	uint32_t id = messages_begin(f);

	messages_assert_refused(f, take_with(f, id, 1, CAMCAST_UNIT_KEY),
				"with preamble 1, which is neither");
	assert_int_equal(messages_take_preamble(f, FRONT_JPEG, 1, 10), 0); /* another feed's */
	messages_assert_refused(f, take_with(f, id, 1, CAMCAST_UNIT_KEY),
				"with preamble 1, which is neither");
}

static void preambles_never_go_back(void **state)
{
	struct messages_rig *f = *state;
	uint32_t id = messages_begin(f);

	for (uint32_t version = 1; version <= 3; version++)
		assert_int_equal(messages_take_preamble(f, FRONT_H264, version, 10), 0);
	messages_assert_refused(f, take_with(f, id, 2, CAMCAST_UNIT_KEY),
				"with preamble 2, which is neither");
	assert_int_equal(take_with(f, id, 3, CAMCAST_UNIT_KEY), 0);
	messages_assert_refused(f, take_with(f, id, 0, CAMCAST_UNIT_KEY),
				"with preamble 0, which is neither");
}

static void a_preamble_changes_at_a_key_unit_only(void **state)
{
	struct messages_rig *f = *state;
	uint32_t id = messages_begin(f);

	assert_int_equal(messages_take_preamble(f, FRONT_H264, 1, 10), 0);
	messages_assert_refused(f, take_with(f, id, 1, 0), "a new preamble, and not a key unit");
}

static void preambles_are_counted_from_one(void **state)
{
	struct messages_rig *f = *state;

	messages_assert_refused(f, messages_take_preamble(f, FRONT_H264, 0, 10),
				"preamble 0 of feed 0 after preamble 0");
	messages_assert_refused(f, messages_take_preamble(f, FRONT_H264, 2, 10),
				"preamble 2 of feed 0 after preamble 0");
	assert_int_equal(messages_take_preamble(f, FRONT_H264, 1, 10), 0);
	messages_assert_refused(f, messages_take_preamble(f, FRONT_H264, 1, 10),
				"preamble 1 of feed 0 after preamble 1");
	assert_int_equal(messages_take_preamble(f, FRONT_JPEG, 1, 10), 0);
	worker_messages_reset(f->messages);
	assert_int_equal(messages_hello(f, CAMCAST_WORKER_VERSION), 0);
	assert_int_equal(messages_take_preamble(f, FRONT_H264, 1, 10), 0);
}

static void preambles_have_a_length_and_a_feed(void **state)
{
	struct messages_rig *f = *state;

	messages_assert_refused(f, messages_take_preamble(f, FRONT_H264, 1, 0),
				"PREAMBLE of 0 bytes");
	messages_assert_refused(f,
				messages_take_preamble(f, FRONT_H264, 1, CAMCAST_PREAMBLE_MAX + 1),
				"PREAMBLE of 4097 bytes");
	messages_assert_refused(f, messages_take_preamble(f, FRONT_H264, 1, UINT32_MAX),
				"PREAMBLE of 4294967295 bytes");
	messages_assert_refused(f, messages_take_preamble(f, BACK_H264, 1, 10),
				"feed 12, which is not of this camera");
	assert_int_equal(messages_take_preamble(f, FRONT_H264, 1, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GREETED(a_unit_names_the_preamble_that_it_goes_with),
		GREETED(a_feed_gets_a_preamble_with_the_key_unit_that_names_it),
		GREETED(without_memory_for_a_preamble_its_units_are_dropped),
		GREETED(a_preamble_whose_first_unit_was_lost_is_never_mistaken),
		GREETED(a_preamble_must_have_been_announced),
		GREETED(preambles_never_go_back),
		GREETED(a_preamble_changes_at_a_key_unit_only),
		GREETED(preambles_are_counted_from_one),
		GREETED(preambles_have_a_length_and_a_feed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
