/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams and the ladder of encoders, with encoders that this file plays. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "capture/encode/encoder.h"
#include "capture/encode/ladder.h"
#include "capture/encode/stream.h"

#define PATIENCE_S 20 /* for what must happen */

/* --- encoders --- */

/* SPS, PPS, IDR and P slice as OpenH264 makes them; nobody decodes the slices. */
static const uint8_t idr_unit[] = {0,	 0,    0,    1,	   0x67, 0x64, 0x0c, 0x1f, 0xac, 0x19, 0x1a,
				   0x80, 0x50, 0x05, 0xba, 0x6a, 0x02, 0x02, 0x02, 0x80, 0x00, 0x00,
				   0x03, 0x00, 0x80, 0x00, 0x00, 0x1e, 0x47, 0x84, 0x42, 0x35, 0,
				   0,	 0,    1,    0x68, 0xee, 0x3c, 0x80, 0,	   0,	 0,    1,
				   0x65, 0xb8, 0x00, 0x04, 0x12, 0x34, 0x08, 0xff, 0xfd};
static const uint8_t p_unit[] = {0, 0, 0, 1, 0x61, 0xe0, 0x00, 0x40, 0x12, 0x34, 0x56, 0x78};
static const uint8_t jpeg_unit[] = {0xff, 0xd8, 1, 2, 3, 0xff, 0xd9};

enum { V4L2, OPENH264, X264, MJPEG, KINDS };

struct fake {
	struct encoder base;
	int kind;
	int event_fd;
	bool coded; /* something: the first one is an IDR */
	uint32_t bitrate_bps;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* The behaviour that the encoders play, and what they did; under `lock`. */
static struct {
	int create_error;
	bool asynchronous, silent, refuses, closed_gate, closed_destroy_gate;
	unsigned ignores_force; /* times */
	unsigned fail_after;	/* encodes; 0: never */
	const char *detail;
	unsigned creates, destroys, encodes, forced, entered;
	uint32_t bitrate_bps;
} fakes[KINDS];

static void signal_change(void)
{
	pthread_cond_broadcast(&changed);
}

static int fake_create(int kind, struct encoder **out, const struct encoder_ops *ops,
		       const struct encoder_config *config, const struct encoder_events *events,
		       char *why)
{
	struct fake *fake;
	int r;

	pthread_mutex_lock(&lock);
	r = fakes[kind].create_error;
	fakes[kind].creates++;
	if (r == 0) {
		fake = calloc(1, sizeof(*fake));
		fake->base.ops = ops;
		fake->base.events = *events;
		fake->base.asynchronous = fakes[kind].asynchronous;
		snprintf(fake->base.detail, sizeof(fake->base.detail), "%s",
			 fakes[kind].detail ? fakes[kind].detail : "fake");
		fake->kind = kind;
		fake->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		fake->bitrate_bps = config->stream->bitrate;
		fakes[kind].bitrate_bps = fake->bitrate_bps;
		*out = &fake->base;
	} else {
		snprintf(why, 256, "no such device");
	}
	signal_change();
	pthread_mutex_unlock(&lock);
	return r;
}

static int fake_encode(struct encoder *encoder, struct frame *frame, bool force_idr)
{
	struct fake *fake = (struct fake *)encoder;
	struct access_unit unit = {.capture_us = frame->capture_us};
	bool silent;
	int r = 0;

	pthread_mutex_lock(&lock);
	fakes[fake->kind].entered++;
	signal_change();
	while (fakes[fake->kind].closed_gate)
		pthread_cond_wait(&changed, &lock);
	if (fakes[fake->kind].refuses) {
		r = -EAGAIN;
	} else {
		fakes[fake->kind].encodes++;
		if (fakes[fake->kind].fail_after &&
		    fakes[fake->kind].encodes > fakes[fake->kind].fail_after)
			r = -EIO;
	}
	fakes[fake->kind].forced += force_idr;
	if (force_idr && fakes[fake->kind].ignores_force > 0) {
		fakes[fake->kind].ignores_force--;
		force_idr = false;
	}
	silent = fakes[fake->kind].silent;
	signal_change();
	pthread_mutex_unlock(&lock);
	frame_unref(frame);
	if (r < 0 || silent)
		return r;
	unit.key = force_idr || !fake->coded || fake->kind == MJPEG;
	fake->coded = true;
	if (fake->kind == MJPEG) {
		unit.data = jpeg_unit;
		unit.len = sizeof(jpeg_unit);
	} else {
		unit.data = unit.key ? idr_unit : p_unit;
		unit.len = unit.key ? sizeof(idr_unit) : sizeof(p_unit);
	}
	fake->base.events.coded(fake->base.events.user, &unit);
	return 0;
}

static int fake_pollfd(struct encoder *encoder, short *events)
{
	*events = POLLIN;
	return ((struct fake *)encoder)->event_fd;
}

static int fake_dispatch(struct encoder *encoder, short revents)
{
	(void)encoder;
	(void)revents;
	return 0;
}

static int fake_set_bitrate(struct encoder *encoder, uint32_t bitrate_bps)
{
	struct fake *fake = (struct fake *)encoder;

	pthread_mutex_lock(&lock);
	fakes[fake->kind].bitrate_bps = bitrate_bps;
	signal_change();
	pthread_mutex_unlock(&lock);
	return 0;
}

static void fake_destroy(struct encoder *encoder)
{
	struct fake *fake = (struct fake *)encoder;

	pthread_mutex_lock(&lock);
	fakes[fake->kind].entered++;
	signal_change();
	while (fakes[fake->kind].closed_destroy_gate)
		pthread_cond_wait(&changed, &lock);
	fakes[fake->kind].destroys++;
	signal_change();
	pthread_mutex_unlock(&lock);
	close(fake->event_fd);
	free(fake);
}

#define FAKE(name, kind)                                                                           \
	static int create_##name(struct encoder **out, const struct encoder_config *config,        \
				 const struct encoder_events *events, char *why)                   \
	{                                                                                          \
		return fake_create(kind, out, &encoder_##name, config, events, why);               \
	}                                                                                          \
	const struct encoder_ops encoder_##name = {#name,	create_##name, fake_encode,        \
						   fake_pollfd, fake_dispatch, fake_set_bitrate,   \
						   fake_destroy}
FAKE(v4l2m2m, V4L2);
FAKE(openh264, OPENH264);
FAKE(x264, X264);
FAKE(mjpeg, MJPEG);

#define SOFTWARE (ENCODER_SOFTWARE_DEFAULT == CONFIG_ENCODER_X264 ? X264 : OPENH264)
#define OTHER (SOFTWARE == X264 ? OPENH264 : X264)

/* Waits until condition holds, under the lock; that it never does is a failure. */
#define WAIT_UNTIL(condition)                                                                      \
	do {                                                                                       \
		struct timespec until_;                                                            \
		int r_ = 0;                                                                        \
                                                                                                   \
		clock_gettime(CLOCK_REALTIME, &until_);                                            \
		until_.tv_sec += PATIENCE_S;                                                       \
		pthread_mutex_lock(&lock);                                                         \
		while (!(condition) && r_ == 0)                                                    \
			r_ = pthread_cond_timedwait(&changed, &lock, &until_);                     \
		pthread_mutex_unlock(&lock);                                                       \
		assert_int_equal(r_, 0);                                                           \
	} while (0)

/* --- one stream between test frames and a test camcastd --- */

struct state {
	struct config config;
	struct config_stream stream_config;
	struct config_feed feeds[2]; /* one of them, unless the test says otherwise */
	struct source_info info;
	struct stream *stream;
	int pair[2], notify_fd;
	struct frame frames[400];
	unsigned next_frame;
	unsigned released; /* under `lock` */
};

static void release_frame(struct frame *frame)
{
	struct state *s = frame->source;

	pthread_mutex_lock(&lock);
	s->released++;
	signal_change();
	pthread_mutex_unlock(&lock);
}

static int setup(void **state)
{
	struct state *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	memset(fakes, 0, sizeof(fakes));
	fakes[V4L2].create_error = -ENODEV;
	s->config.streams = &s->stream_config;
	s->config.n_streams = 1;
	s->config.feeds = s->feeds;
	s->config.n_feeds = 1;
	s->feeds[0].framing = CONFIG_FRAMING_ANNEXB;
	s->feeds[1].framing = CONFIG_FRAMING_LENGTH_PREFIXED;
	s->feeds[1].number = 1;
	snprintf(s->stream_config.name, sizeof(s->stream_config.name), "test");
	s->stream_config.codec = CONFIG_CODEC_H264;
	s->stream_config.bitrate = 1000000;
	s->stream_config.temporal_layers = 1;
	s->stream_config.segment_size = 1 << 20;
	snprintf(s->info.name, sizeof(s->info.name), "test");
	s->info.format = (struct frame_format){
		.fourcc = FRAME_I420, .width = 64, .height = 64, .rate = {30, 1}};
	assert_int_equal(frame_format_layout(&s->info.format, 0), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->pair), 0);
	s->notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct state *s = *state;

	stream_destroy(s->stream);
	/* Every frame came back, every encoder is closed. */
	assert_int_equal(s->released, s->next_frame);
	for (int i = 0; i < KINDS; i++)
		assert_int_equal(fakes[i].destroys + (fakes[i].create_error ? fakes[i].creates : 0),
				 fakes[i].creates);
	close(s->pair[0]);
	close(s->pair[1]);
	close(s->notify_fd);
	free(s);
	return 0;
}

static void start(struct state *s)
{
	const struct stream_options options = {.config = &s->config,
					       .info = &s->info,
					       .pair = s->pair[0],
					       .notify_fd = s->notify_fd};

	s->feeds[0].kept = s->feeds[1].kept = !s->stream_config.on_demand;
	assert_int_equal(stream_create(&s->stream, &options), 0);
	assert_int_equal(stream_start(s->stream), 0);
}

/* As capture.c does: the source's reference is given back after the streams took theirs. */
static void give_frame(struct state *s)
{
	struct frame *frame = &s->frames[s->next_frame];

	assert_in_range(s->next_frame, 0, 399);
	frame->format = &s->info.format;
	frame->sequence = s->next_frame;
	frame->capture_us = clock_now_us();
	frame->release = release_frame;
	frame->source = s;
	atomic_init(&frame->refs, 1);
	s->next_frame++;
	stream_frame(s->stream, frame);
	frame_unref(frame);
}

static void wait_for_fd(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&pollfd, 1, PATIENCE_S * 1000), 1);
}

/* The next unit; an fd that comes with it is closed. */
static struct camcast_msg_unit receive_unit(struct state *s)
{
	struct camcast_msg_unit unit;
	struct iovec iov = {.iov_base = &unit, .iov_len = sizeof(unit)};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *cmsg;
	int fd;

	wait_for_fd(s->pair[1]);
	assert_int_equal(recvmsg(s->pair[1], &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), sizeof(unit));
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg) {
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
		close(fd);
	}
	assert_int_equal(unit.type, CAMCAST_MSG_UNIT);
	return unit;
}

static bool next_is_key(struct state *s)
{
	return receive_unit(s).flags & CAMCAST_UNIT_KEY;
}

static void assert_no_unit(struct state *s)
{
	char byte;

	assert_int_equal(recv(s->pair[1], &byte, 1, MSG_DONTWAIT), -1);
}

static struct camcast_msg_stream status(struct state *s)
{
	struct camcast_msg_stream message;

	stream_status(s->stream, &message);
	return message;
}

/* Frames that come while a failed encoder is being closed are dropped: until one is not. */
static void give_frame_after_closing(struct state *s)
{
	uint64_t dropped;

	do {
		dropped = status(s).dropped;
		give_frame(s);
	} while (status(s).dropped != dropped && poll(NULL, 0, 20) == 0);
}

/* A unit is counted after it is sent. */
static void wait_for_units(struct state *s, uint64_t n)
{
	int64_t until_us = clock_now_us() + PATIENCE_S * 1000000ll;

	while (status(s).units < n && clock_now_us() < until_us)
		sched_yield();
	assert_int_equal(status(s).units, n);
}

/* Of the status: every one is notified. */
static void wait_for_change(struct state *s)
{
	eventfd_t ignored;

	wait_for_fd(s->notify_fd);
	eventfd_read(s->notify_fd, &ignored);
}

static void wait_for_encoder(struct state *s, const char *name)
{
	while (strcmp(status(s).encoder, name) != 0)
		wait_for_change(s);
}

/* --- the ladder --- */

static int open_rung(struct ladder *ladder, struct config_stream *config, int64_t now_us,
		     const char *expected)
{
	struct encoder_config encoder_config = {.stream = config};
	struct encoder_events events = {0};
	struct encoder *encoder;
	int r = ladder_open(ladder, &encoder_config, &events, now_us, &encoder);

	if (r == 0) {
		assert_string_equal(encoder->ops->name, expected);
		encoder->ops->destroy(encoder);
	}
	return r;
}

static const char *name_of(int kind)
{
	return kind == X264 ? "x264" : "openh264";
}

static void auto_takes_hardware_when_it_opens(void **state)
{
	struct state *s = *state;
	struct ladder ladder;

	fakes[V4L2].create_error = 0;
	ladder_init(&ladder, &s->stream_config);
	assert_int_equal(open_rung(&ladder, &s->stream_config, 0, "v4l2m2m"), 0);
	assert_string_equal(ladder.trouble, "");
}

static void auto_takes_software_else_and_says_why(void **state)
{
	struct state *s = *state;
	struct ladder ladder;

	ladder_init(&ladder, &s->stream_config);
	assert_int_equal(open_rung(&ladder, &s->stream_config, 0, name_of(SOFTWARE)), 0);
	assert_string_equal(ladder.trouble, "v4l2m2m: no such device");
}

static void temporal_layers_mean_openh264(void **state)
{
	struct state *s = *state;
	struct ladder ladder;

	fakes[V4L2].create_error = 0;
	s->stream_config.temporal_layers = 2;
	ladder_init(&ladder, &s->stream_config);
	assert_int_equal(open_rung(&ladder, &s->stream_config, 0, "openh264"), 0);
}

static void an_encoder_asked_for_by_name_is_not_replaced_when_it_does_not_open(void **state)
{
	struct state *s = *state;
	struct ladder ladder;

	s->stream_config.encoder = CONFIG_ENCODER_V4L2M2M;
	ladder_init(&ladder, &s->stream_config);
	assert_int_equal(open_rung(&ladder, &s->stream_config, 0, ""), -ENODEV);
	assert_string_equal(ladder.trouble, "v4l2m2m: no such device");
	assert_int_equal(fakes[SOFTWARE].creates, 0);
	/* and not tried at every frame */
	assert_int_equal(open_rung(&ladder, &s->stream_config, LADDER_RETRY_US - 1, ""), -EAGAIN);
	assert_int_equal(fakes[V4L2].creates, 1);
	assert_int_equal(open_rung(&ladder, &s->stream_config, LADDER_RETRY_US, ""), -ENODEV);
	assert_int_equal(fakes[V4L2].creates, 2);
}

static void a_failed_encoder_is_opened_once_more_then_the_next_one_and_at_last_none(void **state)
{
	struct state *s = *state;
	struct ladder ladder;
	const char *rungs[] = {"v4l2m2m", name_of(SOFTWARE), name_of(OTHER)};
	int64_t now_us = 5;

	fakes[V4L2].create_error = 0;
	s->stream_config.encoder = CONFIG_ENCODER_V4L2M2M;
	ladder_init(&ladder, &s->stream_config);
	for (int rung = 0; rung < 3; rung++) {
		for (int time = 0; time < 2; time++) {
			assert_int_equal(open_rung(&ladder, &s->stream_config, now_us, rungs[rung]),
					 0);
			ladder_failed(&ladder, "bcm2835-codec", "hangs", ++now_us);
		}
	}
	assert_int_equal(open_rung(&ladder, &s->stream_config, now_us, ""), -EAGAIN);
	assert_non_null(strstr(ladder.trouble, "v4l2m2m: failed twice, its firmware may need a "
					       "reboot: hangs"));
	/* A minute later from the top. */
	now_us += LADDER_RETRY_US;
	assert_int_equal(open_rung(&ladder, &s->stream_config, now_us, "v4l2m2m"), 0);
	assert_string_equal(ladder.trouble, "");
}

static void a_minute_of_good_work_is_forgiveness(void **state)
{
	struct state *s = *state;
	struct ladder ladder;
	int64_t now_us = 0;

	fakes[V4L2].create_error = 0;
	ladder_init(&ladder, &s->stream_config);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(open_rung(&ladder, &s->stream_config, now_us, "v4l2m2m"), 0);
		now_us += LADDER_FORGIVE_US + 1;
		ladder_failed(&ladder, "", "hangs", now_us);
	}
	assert_int_equal(open_rung(&ladder, &s->stream_config, now_us, "v4l2m2m"), 0);
}

static void hardware_that_does_not_open_again_is_suspected(void **state)
{
	struct state *s = *state;
	struct ladder ladder;

	fakes[V4L2].create_error = 0;
	ladder_init(&ladder, &s->stream_config);
	assert_int_equal(open_rung(&ladder, &s->stream_config, 0, "v4l2m2m"), 0);
	ladder_failed(&ladder, "/dev/video11 bcm2835-codec", "hangs", 1);
	fakes[V4L2].create_error = -EIO;
	assert_int_equal(open_rung(&ladder, &s->stream_config, 2, name_of(SOFTWARE)), 0);
	assert_non_null(strstr(ladder.trouble, "firmware may need a reboot"));
	fakes[V4L2].creates = fakes[V4L2].destroys = 0; /* one opened, one did not */
}

/* --- encoding streams --- */

static void the_first_unit_is_a_key_and_carries_the_segment(void **state)
{
	struct state *s = *state;
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
	struct state *s = *state;

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
	struct state *s = *state;

	start(s);
	give_frame(s);
	assert_true(next_is_key(s));
	pthread_mutex_lock(&lock);
	fakes[SOFTWARE].ignores_force = 2;
	pthread_mutex_unlock(&lock);
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
	struct state *s = *state;

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
	struct state *s = *state;

	fakes[SOFTWARE].closed_gate = true;
	start(s);
	give_frame(s);
	WAIT_UNTIL(fakes[SOFTWARE].entered == 1);
	for (int i = 0; i < 5; i++)
		give_frame(s); /* 1 to 5; two may wait */
	assert_int_equal(status(s).dropped, 3);
	WAIT_UNTIL(s->released == 3);
	pthread_mutex_lock(&lock);
	fakes[SOFTWARE].closed_gate = false;
	signal_change();
	pthread_mutex_unlock(&lock);
	assert_int_equal(receive_unit(s).pts_us, s->frames[0].capture_us);
	for (int i = 4; i < 6; i++)
		assert_in_range(receive_unit(s).pts_us, s->frames[i].capture_us,
				s->frames[i].capture_us + 1);
	WAIT_UNTIL(s->released == 6);
}

static void a_refused_frame_is_dropped_and_counted(void **state)
{
	struct state *s = *state;

	fakes[SOFTWARE].refuses = true;
	start(s);
	give_frame(s);
	WAIT_UNTIL(s->released == 1);
	while (status(s).dropped < 1)
		sched_yield();
	pthread_mutex_lock(&lock);
	fakes[SOFTWARE].refuses = false;
	pthread_mutex_unlock(&lock);
	give_frame(s);
	assert_true(next_is_key(s));
	assert_int_equal(status(s).dropped, 1);
}

static void an_unwanted_stream_has_an_encoder_ready_and_starts_with_the_waiting_frame(void **state)
{
	struct state *s = *state;

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
	struct state *s = *state;

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

		pthread_mutex_lock(&lock);
		fakes[MJPEG].closed_gate = true;
		pthread_mutex_unlock(&lock);
		give_frame(s);
		give_frame(s); /* waits for the encoder */
		WAIT_UNTIL(fakes[MJPEG].encodes == 2 * round - 1 &&
			   fakes[MJPEG].entered == 3 * round - 1);
		stream_want(s->stream, 0, false);
		pthread_mutex_lock(&lock);
		fakes[MJPEG].closed_gate = false;
		signal_change();
		pthread_mutex_unlock(&lock);
		receive_unit(s);
		WAIT_UNTIL(fakes[MJPEG].destroys == round && s->released == s->next_frame);
		wait_for_encoder(s, "");
		/* The protocol wants zeros behind a text. */
		assert_memory_equal(status(s).encoder, (char[32]){""}, 32);
		assert_no_unit(s);
	}
	assert_int_equal(status(s).dropped, 0);
}

static void assert_next(struct state *s, unsigned feed, bool key)
{
	struct camcast_msg_unit unit = receive_unit(s);

	assert_int_equal(unit.feed, feed);
	assert_int_equal((unit.flags & CAMCAST_UNIT_KEY) != 0, key);
}

static void each_feed_is_written_while_it_is_wanted(void **state)
{
	struct state *s = *state;

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
	struct state *s = *state;

	start(s);
	give_frame(s);
	assert_true(next_is_key(s));
	stream_set_bitrate(s->stream, 700000);
	give_frame(s);
	receive_unit(s);
	WAIT_UNTIL(fakes[SOFTWARE].bitrate_bps == 700000);
	while (status(s).target_bps != 700000)
		wait_for_change(s);
	pthread_mutex_lock(&lock);
	fakes[SOFTWARE].fail_after = fakes[SOFTWARE].encodes;
	pthread_mutex_unlock(&lock);
	give_frame(s); /* fails */
	WAIT_UNTIL(fakes[SOFTWARE].destroys == 1);
	pthread_mutex_lock(&lock);
	fakes[SOFTWARE].fail_after = 0;
	pthread_mutex_unlock(&lock);
	give_frame_after_closing(s);
	assert_true(next_is_key(s));
	WAIT_UNTIL(fakes[SOFTWARE].bitrate_bps == 700000);
}

static void a_failing_encoder_is_replaced_and_the_feed_goes_on_at_a_key(void **state)
{
	struct state *s = *state;

	start(s);
	give_frame(s);
	assert_true(next_is_key(s));
	pthread_mutex_lock(&lock);
	fakes[SOFTWARE].fail_after = 1; /* and all later ones */
	pthread_mutex_unlock(&lock);
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
	struct state *s = *state;

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
	struct state *s = *state;
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

static void an_encoder_that_blocks_when_closed_blocks_no_status(void **state)
{
	struct state *s = *state;

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
	pthread_mutex_lock(&lock);
	fakes[SOFTWARE].closed_destroy_gate = false;
	fakes[SOFTWARE].fail_after = 0;
	signal_change();
	pthread_mutex_unlock(&lock);
	give_frame_after_closing(s);
	assert_true(next_is_key(s));
}

static void after_a_drop_in_the_log_the_stream_makes_a_key_by_itself(void **state)
{
	struct state *s = *state;
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
	struct state *s = *state;
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

/* --- coded sources --- */

static void give_packet(struct state *s, const uint8_t *data, size_t len, int64_t pts_us)
{
	struct packet packet = {.data = data, .len = len, .pts_us = pts_us};

	packet.capture_us = clock_now_us();
	stream_packet(s->stream, &packet);
}

static void make_coded(struct state *s, enum config_codec codec)
{
	s->info.coded = true;
	s->info.codec = codec;
}

static void coded_pictures_are_passed_on_from_a_key(void **state)
{
	struct state *s = *state;
	struct camcast_msg_unit unit;

	make_coded(s, CONFIG_CODEC_H264);
	s->info.bitrate_bps = 123456;
	start(s);
	give_packet(s, p_unit, sizeof(p_unit), 100);
	assert_no_unit(s);
	give_packet(s, idr_unit, sizeof(idr_unit), 200);
	unit = receive_unit(s);
	assert_true(unit.flags & CAMCAST_UNIT_KEY);
	assert_int_equal(unit.pts_us, 200);
	assert_int_equal(unit.duration_us, 33333);   /* the nominal one */
	give_packet(s, p_unit, sizeof(p_unit), 150); /* reordered */
	assert_int_equal(receive_unit(s).pts_us, 150);
	assert_string_equal(status(s).encoder, "copy");
	assert_int_equal(status(s).can_force_idr, 0);
	assert_int_equal(status(s).target_bps, 123456);
	for (int i = 0; i < KINDS; i++)
		assert_int_equal(fakes[i].creates, 0);
}

static void unwanted_coded_pictures_are_not_logged(void **state)
{
	struct state *s = *state;

	make_coded(s, CONFIG_CODEC_H264);
	s->stream_config.encoder = CONFIG_ENCODER_COPY;
	s->stream_config.on_demand = true;
	start(s);
	give_packet(s, idr_unit, sizeof(idr_unit), 100);
	assert_no_unit(s);
	stream_want(s->stream, 0, true);
	give_packet(s, p_unit, sizeof(p_unit), 200);
	assert_no_unit(s);
	give_packet(s, idr_unit, sizeof(idr_unit), 300);
	assert_true(next_is_key(s));
	stream_want(s->stream, 0, false);
	stream_want(s->stream, 0, true);
	give_packet(s, p_unit, sizeof(p_unit), 400);
	assert_no_unit(s);
}

static void copies_of_raw_pictures_are_refused_in_the_status(void **state)
{
	struct state *s = *state;

	s->stream_config.encoder = CONFIG_ENCODER_COPY;
	start(s);
	give_frame(s);
	assert_int_equal(s->released, 1);
	assert_string_equal(status(s).encoder, "");
	assert_non_null(strstr(status(s).detail, "copy needs coded pictures"));
}

static void coded_pictures_of_another_codec_are_refused_in_the_status(void **state)
{
	struct state *s = *state;

	make_coded(s, CONFIG_CODEC_MJPEG);
	start(s);
	give_packet(s, jpeg_unit, sizeof(jpeg_unit), 100);
	assert_no_unit(s);
	assert_string_equal(status(s).encoder, "");
	assert_non_null(strstr(status(s).detail, "delivers mjpeg"));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(auto_takes_hardware_when_it_opens),
		CASE(auto_takes_software_else_and_says_why),
		CASE(temporal_layers_mean_openh264),
		CASE(an_encoder_asked_for_by_name_is_not_replaced_when_it_does_not_open),
		CASE(a_failed_encoder_is_opened_once_more_then_the_next_one_and_at_last_none),
		CASE(a_minute_of_good_work_is_forgiveness),
		CASE(hardware_that_does_not_open_again_is_suspected),
		CASE(the_first_unit_is_a_key_and_carries_the_segment),
		CASE(a_requested_idr_is_the_next_picture),
		CASE(an_idr_that_did_not_come_is_asked_for_again),
		CASE(a_picture_encoder_makes_nothing_but_keys),
		CASE(of_frames_that_wait_the_newest_win),
		CASE(a_refused_frame_is_dropped_and_counted),
		CASE(an_unwanted_stream_has_an_encoder_ready_and_starts_with_the_waiting_frame),
		CASE(an_implied_stream_keeps_nothing_while_nobody_asks),
		CASE(each_feed_is_written_while_it_is_wanted),
		CASE(a_new_bitrate_reaches_the_encoder_and_the_one_after_it),
		CASE(a_failing_encoder_is_replaced_and_the_feed_goes_on_at_a_key),
		CASE(when_no_encoder_is_left_the_status_says_why_and_frames_go_back),
		CASE(a_silent_asynchronous_encoder_is_reopened_then_replaced),
		CASE(an_encoder_that_blocks_when_closed_blocks_no_status),
		CASE(after_a_drop_in_the_log_the_stream_makes_a_key_by_itself),
		CASE(rates_are_those_of_the_last_second),
		CASE(coded_pictures_are_passed_on_from_a_key),
		CASE(unwanted_coded_pictures_are_not_logged),
		CASE(copies_of_raw_pictures_are_refused_in_the_status),
		CASE(coded_pictures_of_another_codec_are_refused_in_the_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
