/* SPDX-License-Identifier: BSD-2-Clause */
/* What a peer of RTSP sends between its requests: its reports are read, all else is skipped, and
 * requests are found behind it. */
#include "tests/unit/rtsp_rig.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "camcast/rtp.h"
#include "media/rtcp.h"

static void hang_up(struct rtsp_rig *r, int fd)
{
	close(fd);
	rig_settle(r->rig.loop);
	assert_int_equal(r->door.quota->used + r->places.used, 0);
	rtsp_rig_stop(r);
}

/* A receiver report about RTSP_SSRC: five packets are lost, half of the last ones. */
static const uint8_t report[] = {0x81, 201,  0, 7, 0, 0, 0, 1, 0xab, 0xcd, 0xef,
				 0x01, 128,  0, 0, 5, 0, 0, 0, 9,    0,	   0,
				 0x03, 0x84, 0, 0, 0, 0, 0, 0, 0,    0};

/* Says a frame with these bytes, which states another length if `states` is not 0; in pieces if
 * `step` is not 0. */
struct frame {
	uint8_t channel;
	const uint8_t *data;
	size_t len, states, step;
};

static void say(struct rtsp_rig *r, int fd, const struct frame *frame)
{
	static uint8_t bytes[1 << 16];
	size_t states = frame->states ? frame->states : frame->len;
	size_t n = 4 + frame->len, step = frame->step ? frame->step : n;

	bytes[0] = '$';
	bytes[1] = frame->channel;
	bytes[2] = (uint8_t)(states >> 8);
	bytes[3] = (uint8_t)states;
	memcpy(bytes + 4, frame->data, frame->len);
	for (size_t at = 0; at < n; at += step) {
		size_t piece = n - at < step ? n - at : step;

		assert_int_equal(send(fd, bytes + at, piece, MSG_NOSIGNAL), piece);
		rig_settle(r->rig.loop);
	}
}

static void say_report(struct rtsp_rig *r, int fd)
{
	say(r, fd, &(struct frame){CAMCAST_RTCP_CHANNEL, report, sizeof report, 0, 0});
}

struct shown {
	unsigned viewers, reports;
	struct sink_report report;
};

static void note(const struct cursor *cursor, void *user)
{
	struct shown *shown = user;

	shown->viewers++;
	shown->reports += cursor->sink->report(cursor, &shown->report);
}

static struct shown look(const struct rtsp_rig *r)
{
	struct shown shown = {0};

	feed_for_each_cursor(r->rig.feed, note, &shown);
	return shown;
}

static void assert_shown(const struct rtsp_rig *r)
{
	struct shown shown = look(r);

	assert_int_equal(shown.reports, 1);
	assert_int_equal(shown.report.lost, 5);
	assert_int_equal(shown.report.permille, 500);
	assert_int_equal(shown.report.jitter_us, 10000);
}

static int play(struct rtsp_rig *r)
{
	int fd = rtsp_dial(r, 0);
	size_t len;

	rtsp_unit(r, true, 100, &len);
	rtsp_play(r, fd);
	return fd;
}

static void assert_listens(struct rtsp_rig *r, int fd)
{
	assert_int_equal(rtsp_ask(r, fd, "OPTIONS", "*", ""), 200);
}

static void a_report_is_that_of_the_viewer(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = play(r), other;

	assert_int_equal(look(r).reports, 0);
	say_report(r, fd);
	assert_shown(r);
	other = rtsp_dial(r, 0);
	rtsp_play(r, other);
	assert_int_equal(look(r).viewers, 2);
	assert_shown(r);
	assert_listens(r, fd);
	close(other);
	hang_up(r, fd);
}

static void it_may_come_in_pieces(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);

	for (size_t step = 1; step < 36; step++) {
		int fd = play(r);

		say(r, fd, &(struct frame){CAMCAST_RTCP_CHANNEL, report, sizeof report, 0, step});
		assert_shown(r);
		assert_listens(r, fd);
		close(fd);
		rig_settle(r->rig.loop);
	}
	hang_up(r, rtsp_dial(r, 0));
}

/* What follows the report, a description of who sends it, may be long. */
static void the_longest_is_read_and_a_longer_one_skipped(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	uint8_t data[RTCP_MAX + 4] = {0};
	int fd = play(r);

	memcpy(data, report, sizeof report);
	memcpy(data + sizeof report, "\x80\xca", 2);
	for (size_t len = RTCP_MAX + 4; len >= RTCP_MAX; len -= 4) {
		size_t words = (len - sizeof report) / 4 - 1;

		assert_int_equal(look(r).reports, 0);
		data[sizeof report + 2] = (uint8_t)(words >> 8);
		data[sizeof report + 3] = (uint8_t)words;
		say(r, fd, &(struct frame){CAMCAST_RTCP_CHANNEL, data, len, 0, 700});
	}
	assert_shown(r);
	assert_listens(r, fd);
	hang_up(r, fd);
}

static void what_is_no_report_is_skipped(void **state)
{
	static const uint8_t wrong[][8] = {
		{0x81, 201, 0, 7, 0, 0, 0, 1}, /* its blocks are missing */
		{0x41, 201, 0, 1, 0, 0, 0, 1}, /* another version */
		{0x80, 201, 0xff, 0xff, 0, 0, 0, 1},
		{0x80, 203, 0, 1, 0, 0, 0, 1}, /* a goodbye alone */
	};
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = play(r);
	uint8_t other[sizeof report];

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		say(r, fd, &(struct frame){CAMCAST_RTCP_CHANNEL, wrong[i], sizeof *wrong, 0, 0});
	say(r, fd, &(struct frame){CAMCAST_RTCP_CHANNEL, report, 0, 0, 0});
	for (unsigned channel = 0; channel < 256; channel++)
		if (channel != CAMCAST_RTCP_CHANNEL)
			say(r, fd, &(struct frame){(uint8_t)channel, report, sizeof report, 0, 0});
	memcpy(other, report, sizeof report);
	other[11] ^= 1; /* about another source */
	say(r, fd, &(struct frame){CAMCAST_RTCP_CHANNEL, other, sizeof other, 0, 0});
	assert_int_equal(look(r).reports, 0);
	assert_listens(r, fd);
	say_report(r, fd);
	assert_shown(r);
	hang_up(r, fd);
}

/* It takes what follows with it, requests included, and no more than a frame can. */
static void a_length_that_lies_costs_its_peer_alone(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = play(r), other = play(r);
	static const uint8_t nothing[65536 - 4 - sizeof report];

	say(r, fd, &(struct frame){CAMCAST_RTCP_CHANNEL, report, sizeof report, 65535, 0});
	assert_int_equal(rtsp_ask(r, fd, "OPTIONS", "*", ""), 0);
	assert_int_equal(look(r).reports, 0);
	assert_listens(r, other);
	(void)send(fd, nothing, sizeof nothing, MSG_NOSIGNAL);
	rig_settle(r->rig.loop);
	rtsp_hear(r, fd);
	assert_true(r->ended);
	assert_int_equal(feed_stats(r->rig.feed)->audience.left[CURSOR_END_NOISE], 1);
	assert_listens(r, other);
	close(other);
	hang_up(r, fd);
}

static void reports_without_end_are_noise(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = play(r);
	unsigned before, n = 0;

	say_report(r, fd);
	before = rig_allocations;
	while (look(r).viewers > 0 && n++ < 2000)
		say_report(r, fd);
	assert_in_range(n, 900, 1100);
	assert_true(rig_allocations - before <= n); /* a report each, which is freed */
	assert_int_equal(feed_stats(r->rig.feed)->audience.left[CURSOR_END_NOISE], 1);
	hang_up(r, fd);
}

static void a_pause_ends_what_was_reported(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = play(r);

	say_report(r, fd);
	assert_int_equal(rtsp_ask(r, fd, "PAUSE", RTSP_URL, ""), 200);
	for (int i = 0; i < 5; i++) { /* it keeps the session, and is nobody's */
		rig_pass(&r->rig, 55000000);
		say_report(r, fd);
	}
	assert_int_equal(rtsp_ask(r, fd, "PLAY", RTSP_URL, ""), 200);
	assert_int_equal(look(r).viewers, 1);
	assert_int_equal(look(r).reports, 0);
	say_report(r, fd);
	assert_shown(r);
	hang_up(r, fd);
}

static void before_a_play_they_are_skipped(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = rtsp_dial(r, 0);
	unsigned before = rig_allocations;

	for (size_t step = 1; step < 5; step++)
		say(r, fd, &(struct frame){CAMCAST_RTCP_CHANNEL, report, sizeof report, 0, step});
	assert_int_equal(rig_allocations, before);
	rtsp_play(r, fd);
	assert_int_equal(look(r).reports, 0);
	hang_up(r, fd);
}

static void without_memory_a_report_is_skipped(void **state)
{
	struct rtsp_rig *r = rtsp_rig_start(state);
	int fd = play(r);

	rig_no_memory = true;
	say_report(r, fd);
	rig_no_memory = false;
	assert_int_equal(look(r).reports, 0);
	say_report(r, fd);
	assert_shown(r);
	assert_listens(r, fd);
	hang_up(r, fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_report_is_that_of_the_viewer),
		ON_BOTH(it_may_come_in_pieces),
		ON_BOTH(the_longest_is_read_and_a_longer_one_skipped),
		ON_BOTH(what_is_no_report_is_skipped),
		ON_BOTH(a_length_that_lies_costs_its_peer_alone),
		ON_BOTH(reports_without_end_are_noise),
		ON_BOTH(a_pause_ends_what_was_reported),
		ON_BOTH(before_a_play_they_are_skipped),
		ON_BOTH(without_memory_a_report_is_skipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
