/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams that encode, with encoders that stream_rig plays. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/clock.h"
#include "capture/encode/encoder.h"
#include "capture/encode/stream.h"
#include "stream_rig.h"

static void the_first_unit_is_a_key_and_carries_the_segment(void **state)
{
	struct stream_rig *s = *state;
	struct camcast_msg_unit unit;

	start(s);
	give_frame(s);
	unit = receive_unit(s);
	assert_int_equal(unit.flags, CAMCAST_UNIT_KEY | CAMCAST_UNIT_SEGMENT);
	assert_int_equal(unit.pts_us, s->frames[0].capture_us);
	assert_int_equal(unit.duration_us, 33333);
	give_frame(s);
	assert_int_equal(receive_unit(s).flags, 0);
	assert_string_equal(status(s).encoder, name_of(SOFTWARE));
	assert_non_null(strstr(status(s).detail, "not v4l2m2m: no such device"));
	assert_int_equal(status(s).target_bps, 1000000);
	assert_int_equal(status(s).can_force_idr, 1);
}

static void a_requested_idr_is_the_next_picture(void **state)
{
	struct stream_rig *s = *state;

	start(s);
	give_frame(s);
	assert_true(next_is_key(s));
	give_frame(s);
	assert_false(next_is_key(s));
	stream_request_idr(s->stream);
	stream_request_idr(s->stream); /* one picture answers both */
	give_frame(s);
	assert_true(next_is_key(s));
	give_frame(s);
	assert_false(next_is_key(s));
	wait_for_units(s, 4);
	assert_int_equal(status(s).idr_requests, 1);
	assert_int_equal(status(s).keys, 2);
}

static void an_idr_that_did_not_come_is_asked_for_again(void **state)
{
	struct stream_rig *s = *state;

	start(s);
	give_frame(s);
	assert_true(next_is_key(s));
	pthread_mutex_lock(&fakes_lock);
	fakes[SOFTWARE].ignores_force = 2;
	pthread_mutex_unlock(&fakes_lock);
	stream_request_idr(s->stream);
	for (int i = 0; i < 2; i++) {
		give_frame(s);
		assert_false(next_is_key(s));
	}
	give_frame(s);
	assert_true(next_is_key(s));
}

static void a_picture_encoder_makes_nothing_but_keys(void **state)
{
	struct stream_rig *s = *state;

	s->stream_config.codec = CONFIG_CODEC_MJPEG;
	s->feeds[0].framing = CONFIG_FRAMING_LENGTH_PREFIXED;
	start(s);
	for (int i = 0; i < 3; i++) {
		struct camcast_msg_unit unit;

		give_frame(s);
		unit = receive_unit(s);
		assert_true(unit.flags & CAMCAST_UNIT_KEY);
		assert_int_equal(unit.len, 4 + sizeof(jpeg_unit));
	}
	assert_int_equal(status(s).target_bps, 0);
}

static void of_frames_that_wait_the_newest_win(void **state)
{
	struct stream_rig *s = *state;

	fakes[SOFTWARE].closed_gate = true;
	start(s);
	give_frame(s);
	WAIT_UNTIL(fakes[SOFTWARE].entered == 1);
	for (int i = 0; i < 5; i++)
		give_frame(s); /* 1 to 5; two may wait */
	assert_int_equal(status(s).dropped, 3);
	WAIT_UNTIL(s->released == 3);
	pthread_mutex_lock(&fakes_lock);
	fakes[SOFTWARE].closed_gate = false;
	fakes_signal();
	pthread_mutex_unlock(&fakes_lock);
	assert_int_equal(receive_unit(s).pts_us, s->frames[0].capture_us);
	for (int i = 4; i < 6; i++)
		assert_in_range(receive_unit(s).pts_us, s->frames[i].capture_us,
				s->frames[i].capture_us + 1);
	WAIT_UNTIL(s->released == 6);
}

/* The others are wanted by the camera. */
static void of_a_stream_that_is_no_longer_wanted_one_frame_waits(void **state)
{
	struct stream_rig *s = *state;

	fakes[SOFTWARE].closed_gate = true;
	start(s);
	give_frame(s);
	WAIT_UNTIL(fakes[SOFTWARE].entered == 1);
	give_frame(s);
	give_frame(s);
	stream_want(s->stream, 0, false);
	give_frame(s);
	WAIT_UNTIL(s->released == 2);
	pthread_mutex_lock(&fakes_lock);
	fakes[SOFTWARE].closed_gate = false;
	fakes_signal();
	pthread_mutex_unlock(&fakes_lock);
	WAIT_UNTIL(s->released == 3);
}

static void a_refused_frame_is_dropped_and_counted(void **state)
{
	struct stream_rig *s = *state;

	fakes[SOFTWARE].refuses = true;
	start(s);
	give_frame(s);
	WAIT_UNTIL(s->released == 1);
	while (status(s).dropped < 1)
		sched_yield();
	pthread_mutex_lock(&fakes_lock);
	fakes[SOFTWARE].refuses = false;
	pthread_mutex_unlock(&fakes_lock);
	give_frame(s);
	assert_true(next_is_key(s));
	assert_int_equal(status(s).dropped, 1);
}

static void an_unwanted_stream_has_an_encoder_ready_and_starts_with_the_waiting_frame(void **state)
{
	struct stream_rig *s = *state;

	s->stream_config.on_demand = true;
	start(s);
	give_frame(s);
	WAIT_UNTIL(fakes[SOFTWARE].creates == 1);
	wait_for_encoder(s, name_of(SOFTWARE));
	for (int i = 0; i < 5; i++)
		give_frame(s);
	assert_int_equal(status(s).active, 0);
	assert_int_equal(status(s).dropped, 0);
	assert_int_equal(fakes[SOFTWARE].entered, 0);
	WAIT_UNTIL(s->released == 5);

	stream_want(s->stream, 0, true);
	assert_int_equal(receive_unit(s).pts_us, s->frames[5].capture_us);
	assert_int_equal(status(s).active, 1);
	give_frame(s);
	assert_false(next_is_key(s));

	stream_want(s->stream, 0, false);
	give_frame(s);
	give_frame(s);
	stream_want(s->stream, 0, true);
	assert_true(next_is_key(s));
	assert_int_equal(fakes[SOFTWARE].creates, 1);
}

static void an_implied_stream_keeps_nothing_while_nobody_asks(void **state)
{
	struct stream_rig *s = *state;

	s->stream_config.codec = CONFIG_CODEC_MJPEG;
	s->stream_config.encoder = CONFIG_ENCODER_MJPEG;
	s->stream_config.on_demand = s->stream_config.implied = true;
	s->feeds[0].framing = CONFIG_FRAMING_LENGTH_PREFIXED;
	start(s);
	for (unsigned round = 1; round <= 2; round++) {
		for (int i = 0; i < 3; i++)
			give_frame(s);
		assert_int_equal(s->released, s->next_frame); /* at once, by this thread */
		assert_int_equal(fakes[MJPEG].creates, round - 1);
		assert_string_equal(status(s).encoder, "");

		stream_want(s->stream, 0, true);
		give_frame(s);
		receive_unit(s);
		wait_for_encoder(s, "mjpeg");

		pthread_mutex_lock(&fakes_lock);
		fakes[MJPEG].closed_gate = true;
		pthread_mutex_unlock(&fakes_lock);
		give_frame(s);
		give_frame(s); /* waits for the encoder */
		WAIT_UNTIL(fakes[MJPEG].encodes == 2 * round - 1 &&
			   fakes[MJPEG].entered == 3 * round - 1);
		stream_want(s->stream, 0, false);
		pthread_mutex_lock(&fakes_lock);
		fakes[MJPEG].closed_gate = false;
		fakes_signal();
		pthread_mutex_unlock(&fakes_lock);
		receive_unit(s);
		WAIT_UNTIL(fakes[MJPEG].destroys == round && s->released == s->next_frame);
		wait_for_encoder(s, "");
		/* The protocol wants zeros behind a text. */
		assert_memory_equal(status(s).encoder, (char[32]){""}, 32);
		assert_no_unit(s);
	}
	assert_int_equal(status(s).dropped, 0);
}

static void assert_next(struct stream_rig *s, unsigned feed, bool key)
{
	struct camcast_msg_unit unit = receive_unit(s);

	assert_int_equal(unit.feed, feed);
	assert_int_equal((unit.flags & CAMCAST_UNIT_KEY) != 0, key);
}

static void each_feed_is_written_while_it_is_wanted(void **state)
{
	struct stream_rig *s = *state;

	s->config.n_feeds = 2;
	s->stream_config.on_demand = true;
	start(s);
	stream_want(s->stream, 2, true); /* not one of this stream's */
	give_frame(s);
	WAIT_UNTIL(fakes[SOFTWARE].creates == 1);
	assert_int_equal(status(s).active, 0);
	stream_want(s->stream, 1, true);
	assert_next(s, 1, true);
	assert_int_equal(status(s).active, 1);
	give_frame(s);
	assert_next(s, 1, false);
	/* A second one waits for the IDR that camcastd asks for: no viewer costs more than that. */
	stream_want(s->stream, 0, true);
	for (int i = 0; i < 3; i++) {
		give_frame(s);
		assert_next(s, 1, false);
	}
	stream_request_idr(s->stream);
	give_frame(s);
	assert_next(s, 0, true);
	assert_next(s, 1, true);
	give_frame(s);
	assert_next(s, 0, false);
	assert_next(s, 1, false);
	stream_want(s->stream, 1, false);
	give_frame(s);
	assert_next(s, 0, false);
	give_frame(s);
	assert_next(s, 0, false);
	stream_want(s->stream, 0, false);
	assert_int_equal(status(s).active, 0);
	give_frame(s);
	stream_want(s->stream, 0, true);
	assert_next(s, 0, true);
	assert_no_unit(s);
}

static void a_new_bitrate_reaches_the_encoder_and_the_one_after_it(void **state)
{
	struct stream_rig *s = *state;

	start(s);
	give_frame(s);
	assert_true(next_is_key(s));
	stream_set_bitrate(s->stream, 700000);
	give_frame(s);
	receive_unit(s);
	WAIT_UNTIL(fakes[SOFTWARE].bitrate_bps == 700000);
	while (status(s).target_bps != 700000)
		wait_for_change(s);
	pthread_mutex_lock(&fakes_lock);
	fakes[SOFTWARE].fail_after = fakes[SOFTWARE].encodes;
	pthread_mutex_unlock(&fakes_lock);
	give_frame(s); /* fails */
	WAIT_UNTIL(fakes[SOFTWARE].destroys == 1);
	pthread_mutex_lock(&fakes_lock);
	fakes[SOFTWARE].fail_after = 0;
	pthread_mutex_unlock(&fakes_lock);
	give_frame_after_closing(s);
	assert_true(next_is_key(s));
	WAIT_UNTIL(fakes[SOFTWARE].bitrate_bps == 700000);
}

static void a_failing_encoder_is_replaced_and_the_feed_goes_on_at_a_key(void **state)
{
	struct stream_rig *s = *state;

	start(s);
	give_frame(s);
	assert_true(next_is_key(s));
	pthread_mutex_lock(&fakes_lock);
	fakes[SOFTWARE].fail_after = 1; /* and all later ones */
	pthread_mutex_unlock(&fakes_lock);
	give_frame(s);
	WAIT_UNTIL(fakes[SOFTWARE].destroys == 1);
	give_frame_after_closing(s);
	WAIT_UNTIL(fakes[SOFTWARE].destroys == 2);
	give_frame_after_closing(s);
	assert_true(next_is_key(s));
	assert_string_equal(status(s).encoder, name_of(OTHER));
	assert_non_null(strstr(status(s).detail, "failed twice"));
}

static void when_no_encoder_is_left_the_status_says_why_and_frames_go_back(void **state)
{
	struct stream_rig *s = *state;

	s->stream_config.codec = CONFIG_CODEC_MJPEG;
	fakes[MJPEG].create_error = -ENOMEM;
	start(s);
	for (unsigned i = 1; i <= 5; i++) {
		give_frame(s);
		WAIT_UNTIL(s->released == i);
	}
	assert_int_equal(fakes[MJPEG].creates, 1);
	assert_string_equal(status(s).encoder, "");
	assert_string_equal(status(s).detail, "mjpeg: no such device");
}

/* Two seconds of silence, twice. */
static void a_silent_asynchronous_encoder_is_reopened_then_replaced(void **state)
{
	struct stream_rig *s = *state;
	int64_t before_us = clock_now_us();

	fakes[V4L2].create_error = 0;
	fakes[V4L2].asynchronous = true;
	fakes[V4L2].silent = true;
	start(s);
	while (strcmp(status(s).encoder, name_of(SOFTWARE)) != 0) {
		struct pollfd pollfd = {.fd = s->notify_fd, .events = POLLIN};
		eventfd_t ignored;

		give_frame(s);
		if (poll(&pollfd, 1, 50) == 1)
			eventfd_read(s->notify_fd, &ignored);
		assert_in_range(clock_now_us() - before_us, 0, PATIENCE_S * 1000000);
	}
	assert_true(clock_now_us() - before_us > 4000000);
	assert_int_equal(fakes[V4L2].creates, 2);
	assert_non_null(strstr(status(s).detail, "hangs"));
	give_frame(s);
	assert_true(next_is_key(s));
}

/* It keeps one, and gives it when the next one comes. */
static void a_pause_between_two_pictures_is_no_hang_of_the_encoder(void **state)
{
	struct stream_rig *s = *state;

	fakes[V4L2].create_error = 0;
	fakes[V4L2].asynchronous = true;
	fakes[V4L2].silent = true;
	start(s);
	give_frame(s);
	WAIT_UNTIL(fakes[V4L2].encodes == 1);
	assert_int_equal(poll(NULL, 0, 2100), 0);
	give_frame(s);
	WAIT_UNTIL(fakes[V4L2].encodes == 2);
	assert_int_equal(poll(NULL, 0, 700), 0);
	assert_int_equal(fakes[V4L2].creates, 1);
	assert_int_equal(fakes[V4L2].destroys, 0);
}

static void an_encoder_that_blocks_when_closed_blocks_no_status(void **state)
{
	struct stream_rig *s = *state;

	fakes[SOFTWARE].fail_after = 1;
	fakes[SOFTWARE].closed_destroy_gate = true;
	start(s);
	give_frame(s);
	assert_true(next_is_key(s));
	give_frame(s);
	WAIT_UNTIL(fakes[SOFTWARE].entered == 3); /* two encodes and the destroy */
	for (int i = 0; i < 5; i++)
		give_frame(s);
	stream_sample(s->stream, clock_now_us());
	assert_string_equal(status(s).encoder, "");
	assert_non_null(strstr(status(s).detail, "is being closed"));
	pthread_mutex_lock(&fakes_lock);
	fakes[SOFTWARE].closed_destroy_gate = false;
	fakes[SOFTWARE].fail_after = 0;
	fakes_signal();
	pthread_mutex_unlock(&fakes_lock);
	give_frame_after_closing(s);
	assert_true(next_is_key(s));
}

static void after_a_drop_in_the_log_the_stream_makes_a_key_by_itself(void **state)
{
	struct stream_rig *s = *state;
	int small = 1;
	unsigned given = 0, units;
	bool key;

	assert_int_equal(setsockopt(s->pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	start(s);
	/* Until the pair is full, and a few more. */
	for (units = 0; given < 40; given++) {
		give_frame(s);
		WAIT_UNTIL(s->released == given + 1);
	}
	while (recv(s->pair[1], &key, 1, MSG_DONTWAIT) > 0)
		units++;
	assert_in_range(units, 1, 39);
	/* There is room again: the next unit is a key unit without a request. */
	give_frame(s);
	while (!recv(s->pair[1], &key, 0, MSG_DONTWAIT | MSG_PEEK) || errno == EAGAIN) {
		struct pollfd pollfd = {.fd = s->pair[1], .events = POLLIN};

		if (poll(&pollfd, 1, 20) == 1)
			break;
		give_frame(s);
	}
	assert_true(next_is_key(s));
	assert_int_equal(status(s).idr_requests, 0);
}

static void rates_are_those_of_the_last_second(void **state)
{
	struct stream_rig *s = *state;
	struct camcast_msg_stream message;
	int64_t now_us = clock_now_us();

	start(s);
	stream_sample(s->stream, now_us + 1000000);
	for (int i = 0; i < 10; i++) {
		give_frame(s);
		receive_unit(s);
	}
	wait_for_units(s, 10);
	stream_sample(s->stream, now_us + 3000000); /* two seconds */
	message = status(s);
	assert_int_equal(message.fps_milli, 5000);
	assert_in_range(message.bitrate_bps, 10 * sizeof(p_unit) * 4, 10 * 100 * 4);
	assert_in_range(message.encode_us, 0, 1000000);
	stream_sample(s->stream, now_us + 4000000);
	assert_int_equal(status(s).fps_milli, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_first_unit_is_a_key_and_carries_the_segment),
		CASE(a_requested_idr_is_the_next_picture),
		CASE(an_idr_that_did_not_come_is_asked_for_again),
		CASE(a_picture_encoder_makes_nothing_but_keys),
		CASE(of_frames_that_wait_the_newest_win),
		CASE(of_a_stream_that_is_no_longer_wanted_one_frame_waits),
		CASE(a_refused_frame_is_dropped_and_counted),
		CASE(an_unwanted_stream_has_an_encoder_ready_and_starts_with_the_waiting_frame),
		CASE(an_implied_stream_keeps_nothing_while_nobody_asks),
		CASE(each_feed_is_written_while_it_is_wanted),
		CASE(a_new_bitrate_reaches_the_encoder_and_the_one_after_it),
		CASE(a_failing_encoder_is_replaced_and_the_feed_goes_on_at_a_key),
		CASE(when_no_encoder_is_left_the_status_says_why_and_frames_go_back),
		CASE(a_silent_asynchronous_encoder_is_reopened_then_replaced),
		CASE(a_pause_between_two_pictures_is_no_hang_of_the_encoder),
		CASE(an_encoder_that_blocks_when_closed_blocks_no_status),
		CASE(after_a_drop_in_the_log_the_stream_makes_a_key_by_itself),
		CASE(rates_are_those_of_the_last_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
