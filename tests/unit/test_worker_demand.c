/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages to a worker about feeds that are watched. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "camcast/worker.h"
#include "daemon/worker/demand.h"
#include "media/rtp.h"

static const char text[] = "[camera cam]\n"
			   "[stream always]\ncamera = cam\nannexb = 1\nlength_prefixed = 2\n"
			   "[stream asked]\ncamera = cam\non_demand = yes\nlinger_ms = 100\n"
			   "annexb = 3\nlength_prefixed = 4\n";

/* Numbers. */
enum { ALWAYS, ASKED };
enum {
	ALWAYS_ANNEXB,
	ALWAYS_PREFIXED,
	ALWAYS_MP4,
	ALWAYS_RTP = 5,
	ASKED_ANNEXB = 7,
	ASKED_PREFIXED,
	FEEDS = 14
};

static int64_t clock_ahead_us;

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	const int64_t us = 1000000000 + clock_ahead_us; /* it moves only when told */

	if (id != CLOCK_MONOTONIC)
		return __real_clock_gettime(id, ts);
	ts->tv_sec = us / 1000000;
	ts->tv_nsec = us % 1000000 * 1000;
	return 0;
}

struct fixture {
	struct config *config;
	struct cameras *cameras;
	struct loop *loop;
	struct worker_demand *demand;
	bool full; /* the pair */
	/* The messages that the process got. */
	int wanted[FEEDS]; /* -1: nothing */
	struct camcast_msg_want want[FEEDS];
	unsigned wants, idrs[2], bitrates;
};

/* --- the process --- */

static bool hear(void *user, const void *message, size_t size)
{
	struct fixture *f = user;
	struct camcast_msg_want want;
	struct camcast_msg_idr idr;
	uint32_t type;

	if (f->full)
		return false;
	memcpy(&type, message, sizeof type);
	if (type == CAMCAST_MSG_WANT) {
		assert_int_equal(size, sizeof want);
		memcpy(&want, message, sizeof want);
		assert_in_range(want.feed, 0, FEEDS - 1);
		f->wanted[want.feed] = (int)want.wanted;
		f->want[want.feed] = want;
		f->wants++;
	} else if (type == CAMCAST_MSG_IDR) {
		assert_int_equal(size, sizeof idr);
		memcpy(&idr, message, sizeof idr);
		assert_in_range(idr.stream, ALWAYS, ASKED);
		f->idrs[idr.stream]++;
	} else {
		assert_int_equal(type, CAMCAST_MSG_BITRATE);
		f->bitrates++;
	}
	return true;
}

static void begin_process(struct fixture *f)
{
	memset(f->wanted, -1, sizeof f->wanted);
	f->wants = f->bitrates = f->idrs[ALWAYS] = f->idrs[ASKED] = 0;
	worker_demand_say_all(f->demand);
	worker_demand_set_up(f->demand, true);
}

static int setup(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;
	struct loop_options options = {.backend = CONFIG_BACKEND_EPOLL, .max_conns = 1};
	struct worker_demand_options demand = {.say = hear, .user = f};

	memset(f, 0, sizeof *f);
	clock_ahead_us = 0;
	assert_int_equal(config_parse(&f->config, "test", text, sizeof text - 1, stderr), 0);
	assert_int_equal(cameras_create(&f->cameras, f->config), 0);
	assert_int_equal(loop_create(&f->loop, &options), 0);
	demand.camera = f->cameras->cameras[0];
	assert_int_equal(worker_demand_create(&f->demand, f->loop, &demand), 0);
	for (size_t i = 0; i < f->cameras->n_outputs; i++) {
		struct output *output = f->cameras->outputs[i];
		struct feed_options feed = {.name = output->name, .policy = output->stream->config};

		assert_int_equal(feed_create(&output->feed, f->loop, &feed,
					     worker_demand_of_feed(f->demand, output->number)),
				 0);
	}
	begin_process(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->cameras->n_outputs; i++)
		feed_destroy(f->cameras->outputs[i]->feed);
	worker_demand_destroy(f->demand);
	loop_destroy(f->loop);
	cameras_destroy(f->cameras);
	config_destroy(f->config);
	return 0;
}

static void watch(struct fixture *f, unsigned feed, bool watched)
{
	struct feed_demand *demand = worker_demand_of_feed(f->demand, feed);

	if (watched)
		demand->watched(demand);
	else
		demand->unwatched(demand, true);
}

static void ask_idr(struct fixture *f, unsigned feed)
{
	struct feed_demand *demand = worker_demand_of_feed(f->demand, feed);

	demand->idr(demand);
}

static void let_pass(struct fixture *f, int64_t ms)
{
	clock_ahead_us += ms * 1000;
	assert_int_equal(loop_turn(f->loop, 0), 0);
}

/* --- wanted or not --- */

static void a_new_process_is_told_of_every_feed(void **state)
{
	static const int expected[FEEDS] = {[ALWAYS_ANNEXB] = 1, [ALWAYS_PREFIXED] = 1};
	struct fixture *f = *state;

	assert_memory_equal(f->wanted, expected, sizeof expected);
	assert_int_equal(f->wants, FEEDS);
	watch(f, ASKED_PREFIXED, true);
	begin_process(f);
	assert_int_equal(f->wanted[ASKED_ANNEXB], 0);
	assert_int_equal(f->wanted[ASKED_PREFIXED], 1);
	assert_int_equal(f->wants, FEEDS);
}

static void feeds_that_are_always_wanted_stay_so(void **state)
{
	struct fixture *f = *state;

	watch(f, ALWAYS_ANNEXB, true);
	watch(f, ALWAYS_ANNEXB, false);
	let_pass(f, 1000);
	assert_int_equal(f->wants, FEEDS);
	assert_true(worker_demand_wanted_us(f->demand)[ALWAYS] > 0);
}

static void each_feed_is_wanted_for_itself(void **state)
{
	struct fixture *f = *state;

	watch(f, ASKED_ANNEXB, true);
	assert_int_equal(f->wanted[ASKED_ANNEXB], 1);
	assert_int_equal(f->wanted[ASKED_PREFIXED], 0);
	watch(f, ASKED_PREFIXED, true);
	assert_int_equal(f->wanted[ASKED_PREFIXED], 1);
	watch(f, ASKED_ANNEXB, false);
	let_pass(f, 50);
	assert_int_equal(f->wanted[ASKED_ANNEXB], 1); /* lingers */
	let_pass(f, 60);
	assert_int_equal(f->wanted[ASKED_ANNEXB], 0);
	assert_int_equal(f->wanted[ASKED_PREFIXED], 1);
}

static void a_stream_is_wanted_while_any_of_its_feeds_is(void **state)
{
	struct fixture *f = *state;
	int64_t since;

	assert_int_equal(worker_demand_wanted_us(f->demand)[ASKED], 0);
	watch(f, ASKED_ANNEXB, true);
	since = worker_demand_wanted_us(f->demand)[ASKED];
	assert_true(since > 0);
	let_pass(f, 10);
	watch(f, ASKED_PREFIXED, true);
	watch(f, ASKED_ANNEXB, false);
	let_pass(f, 110);
	assert_int_equal(worker_demand_wanted_us(f->demand)[ASKED], since);
	watch(f, ASKED_PREFIXED, false);
	let_pass(f, 110);
	assert_int_equal(worker_demand_wanted_us(f->demand)[ASKED], 0);
}

static void back_within_the_linger_nothing_is_said(void **state)
{
	struct fixture *f = *state;

	watch(f, ASKED_ANNEXB, true);
	watch(f, ASKED_ANNEXB, false);
	let_pass(f, 90);
	watch(f, ASKED_ANNEXB, true);
	let_pass(f, 1000);
	assert_int_equal(f->wanted[ASKED_ANNEXB], 1);
	assert_int_equal(f->wants, FEEDS + 1);
}

static void another_linger_counts_at_once(void **state)
{
	struct fixture *f = *state;
	struct config_stream *asked = &f->config->streams[ASKED];

	watch(f, ASKED_ANNEXB, true);
	watch(f, ASKED_ANNEXB, false);
	asked->linger_ms = 300;
	worker_demand_renew(f->demand);
	let_pass(f, 200);
	assert_int_equal(f->wanted[ASKED_ANNEXB], 1);
	asked->linger_ms = 150;
	worker_demand_renew(f->demand);
	let_pass(f, 1);
	assert_int_equal(f->wanted[ASKED_ANNEXB], 0);
}

static void let_a_scanner_pass(struct fixture *f)
{
	struct feed_demand *demand = worker_demand_of_feed(f->demand, ASKED_ANNEXB);

	demand->watched(demand);
	demand->unwatched(demand, false);
	let_pass(f, 0);
}

static void one_that_was_no_viewer_leaves_no_linger(void **state)
{
	struct fixture *f = *state;

	let_a_scanner_pass(f);
	assert_int_equal(f->wanted[ASKED_ANNEXB], 0);
	/* It neither ends nor lengthens that of a viewer. */
	watch(f, ASKED_ANNEXB, true);
	watch(f, ASKED_ANNEXB, false);
	let_pass(f, 50);
	let_a_scanner_pass(f);
	assert_int_equal(f->wanted[ASKED_ANNEXB], 1);
	let_pass(f, 60);
	assert_int_equal(f->wanted[ASKED_ANNEXB], 0);
}

static void what_did_not_go_is_said_again(void **state)
{
	struct fixture *f = *state;

	f->full = true;
	watch(f, ASKED_ANNEXB, true);
	worker_demand_set_bitrate(f->demand, ALWAYS, 500000);
	worker_demand_say_rest(f->demand);
	assert_int_equal(f->wants, FEEDS);
	f->full = false;
	worker_demand_say_rest(f->demand);
	worker_demand_say_rest(f->demand);
	assert_int_equal(f->wanted[ASKED_ANNEXB], 1);
	assert_int_equal(f->wants, FEEDS + 1);
	assert_int_equal(f->bitrates, 1);
}

/* --- IDRs --- */

static void the_first_feed_of_a_stream_needs_no_idr(void **state)
{
	struct fixture *f = *state;

	watch(f, ASKED_ANNEXB, true);
	assert_int_equal(f->idrs[ASKED], 0);
}

static void a_second_feed_asks_for_an_idr(void **state)
{
	struct fixture *f = *state;

	watch(f, ASKED_ANNEXB, true);
	watch(f, ASKED_PREFIXED, true);
	assert_int_equal(f->idrs[ASKED], 1);
	ask_idr(f, ASKED_PREFIXED); /* its first viewer */
	assert_int_equal(f->idrs[ASKED], 1);
	worker_demand_key_came(f->demand, ASKED_PREFIXED);
	let_pass(f, 1100);
	assert_int_equal(f->idrs[ASKED], 1);
}

static void feeds_that_come_and_go_cost_one_idr_a_second(void **state)
{
	struct fixture *f = *state;

	watch(f, ASKED_ANNEXB, true);
	for (int i = 0; i < 9; i++) {
		watch(f, ASKED_PREFIXED, true);
		worker_demand_key_came(f->demand, ASKED_PREFIXED);
		watch(f, ASKED_PREFIXED, false);
		let_pass(f, 110);
	}
	assert_int_equal(f->idrs[ASKED], 1);
	let_pass(f, 1000);
	watch(f, ASKED_PREFIXED, true);
	assert_int_equal(f->idrs[ASKED], 2);
}

static void another_feed_s_key_unit_is_no_answer(void **state)
{
	struct fixture *f = *state;

	ask_idr(f, ALWAYS_ANNEXB);
	ask_idr(f, ALWAYS_PREFIXED);
	assert_int_equal(f->idrs[ALWAYS], 1);
	worker_demand_key_came(f->demand, ALWAYS_ANNEXB);
	let_pass(f, 1100);
	assert_int_equal(f->idrs[ALWAYS], 2);
	ask_idr(f, ALWAYS_ANNEXB);
	worker_demand_key_came(f->demand, ALWAYS_ANNEXB);
	worker_demand_key_came(f->demand, ALWAYS_PREFIXED);
	let_pass(f, 1100);
	assert_int_equal(f->idrs[ALWAYS], 2);
}

static void streams_have_their_own_idrs(void **state)
{
	struct fixture *f = *state;

	watch(f, ASKED_ANNEXB, true);
	ask_idr(f, ALWAYS_ANNEXB);
	ask_idr(f, ASKED_ANNEXB);
	assert_int_equal(f->idrs[ALWAYS], 1);
	assert_int_equal(f->idrs[ASKED], 1);
}

static void a_feed_without_an_address_is_wanted_while_it_is_watched(void **state)
{
	struct fixture *f = *state;

	watch(f, ALWAYS_MP4, true);
	assert_int_equal(f->wanted[ALWAYS_MP4], 1);
	assert_int_equal(f->idrs[ALWAYS], 1); /* the stream is encoded already */
	watch(f, ALWAYS_MP4, false);
	let_pass(f, 4999);
	assert_int_equal(f->wanted[ALWAYS_MP4], 1);
	let_pass(f, 1);
	assert_int_equal(f->wanted[ALWAYS_MP4], 0);
	assert_int_equal(f->wanted[ALWAYS_ANNEXB], 1);
}

/* --- RTP --- */

/* Adds a unit of n packets to the feed, which has no segment yet. */
static void add_packets(struct fixture *f, unsigned number, uint16_t sequence, unsigned n)
{
	struct feed *feed = f->cameras->outputs[number]->feed;
	struct feed_unit unit = {.flags = CAMCAST_UNIT_KEY};
	int fd = memfd_create("test", MFD_CLOEXEC);
	uint8_t data[4096], *at = data;

	for (unsigned i = 0; i < n; i++) {
		const struct rtp_head head = {.sequence = (uint16_t)(sequence + i)};

		at = rtp_put_head(rtp_put_frame(at, 0, RTP_HEAD + 1), &head);
		*at++ = 1;
	}
	unit.len = (uint32_t)(at - data);
	assert_int_equal(write(fd, data, sizeof data), sizeof data);
	assert_int_equal(feed_add_segment(feed, 1, fd, sizeof data), 0);
	assert_int_equal(feed_add_unit(feed, 1, &unit), 0);
}

static void packets_go_on_where_the_last_process_was(void **state)
{
	struct fixture *f = *state;
	const struct output *output = f->cameras->outputs[ALWAYS_RTP];

	assert_true(output_is_rtp(output));
	watch(f, ALWAYS_RTP, true);
	assert_int_equal(f->want[ALWAYS_RTP].rtp_ssrc, output->rtp_ssrc);
	assert_int_equal(f->want[ALWAYS_RTP].rtp_offset, output->rtp_offset);
	assert_int_equal(f->want[ALWAYS_ANNEXB].rtp_ssrc, 0);

	add_packets(f, ALWAYS_RTP, 65530, 10);
	begin_process(f);
	assert_int_equal(f->wanted[ALWAYS_RTP], 1);
	assert_int_equal(f->want[ALWAYS_RTP].rtp_ssrc, output->rtp_ssrc);
	assert_int_equal(f->want[ALWAYS_RTP].rtp_offset, output->rtp_offset);
	assert_int_equal(f->want[ALWAYS_RTP].rtp_sequence, 4);

	/* What is forgotten is remembered. */
	watch(f, ALWAYS_RTP, false);
	let_pass(f, 6000);
	assert_int_equal(f->wanted[ALWAYS_RTP], 0);
	watch(f, ALWAYS_RTP, true);
	assert_int_equal(feed_log(output->feed)->tail, feed_log(output->feed)->head);
	begin_process(f);
	assert_int_equal(f->want[ALWAYS_RTP].rtp_sequence, 4);
}

static void a_feed_that_is_kept_from_now_on_is_wanted(void **state)
{
	struct fixture *f = *state;
	struct config_feed *mp4 = &f->config->feeds[ALWAYS_MP4];
	struct config_feed *annexb = &f->config->feeds[ALWAYS_ANNEXB];

	mp4->kept = true;
	worker_demand_renew(f->demand);
	assert_int_equal(f->wanted[ALWAYS_MP4], 1);
	annexb->kept = false;
	worker_demand_renew(f->demand);
	let_pass(f, 1);
	assert_int_equal(f->wanted[ALWAYS_ANNEXB], 0);
	assert_int_equal(f->wanted[ALWAYS_MP4], 1);

	/* One that is watched stays wanted up to the end of that. */
	watch(f, ALWAYS_MP4, true);
	mp4->kept = false;
	worker_demand_renew(f->demand);
	let_pass(f, 6000);
	assert_int_equal(f->wanted[ALWAYS_MP4], 1);
	watch(f, ALWAYS_MP4, false);
	let_pass(f, 6000);
	assert_int_equal(f->wanted[ALWAYS_MP4], 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_process_is_told_of_every_feed),
		TEST(feeds_that_are_always_wanted_stay_so),
		TEST(each_feed_is_wanted_for_itself),
		TEST(a_feed_without_an_address_is_wanted_while_it_is_watched),
		TEST(a_stream_is_wanted_while_any_of_its_feeds_is),
		TEST(back_within_the_linger_nothing_is_said),
		TEST(another_linger_counts_at_once),
		TEST(one_that_was_no_viewer_leaves_no_linger),
		TEST(what_did_not_go_is_said_again),
		TEST(the_first_feed_of_a_stream_needs_no_idr),
		TEST(a_second_feed_asks_for_an_idr),
		TEST(feeds_that_come_and_go_cost_one_idr_a_second),
		TEST(another_feed_s_key_unit_is_no_answer),
		TEST(streams_have_their_own_idrs),
		TEST(packets_go_on_where_the_last_process_was),
		TEST(a_feed_that_is_kept_from_now_on_is_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
