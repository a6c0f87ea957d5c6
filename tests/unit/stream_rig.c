/* SPDX-License-Identifier: BSD-2-Clause */
#include "stream_rig.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
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

/* --- encoders --- */

/* SPS, PPS, IDR and P slice as OpenH264 makes them; nobody decodes the slices. */
const uint8_t idr_unit[] = {0,	  0,	0,    1,    0x67, 0x64, 0x0c, 0x1f, 0xac, 0x19, 0x1a,
			    0x80, 0x50, 0x05, 0xba, 0x6a, 0x02, 0x02, 0x02, 0x80, 0x00, 0x00,
			    0x03, 0x00, 0x80, 0x00, 0x00, 0x1e, 0x47, 0x84, 0x42, 0x35, 0,
			    0,	  0,	1,    0x68, 0xee, 0x3c, 0x80, 0,    0,	  0,	1,
			    0x65, 0xb8, 0x00, 0x04, 0x12, 0x34, 0x08, 0xff, 0xfd};
const uint8_t p_unit[] = {0, 0, 0, 1, 0x61, 0xe0, 0x00, 0x40, 0x12, 0x34, 0x56, 0x78};
const uint8_t jpeg_unit[] = {0xff, 0xd8, 1, 2, 3, 0xff, 0xd9};

struct fake {
	struct encoder base;
	int kind;
	int event_fd;
	bool coded; /* something: the first one is an IDR */
	uint32_t bitrate_bps;
};

pthread_mutex_t fakes_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t fakes_changed = PTHREAD_COND_INITIALIZER;

struct fake_encoder fakes[KINDS];

void fakes_signal(void)
{
	pthread_cond_broadcast(&fakes_changed);
}

static int fake_create(int kind, struct encoder **out, const struct encoder_ops *ops,
		       const struct encoder_config *config, const struct encoder_events *events,
		       char *why)
{
	struct fake *fake;
	int r;

	pthread_mutex_lock(&fakes_lock);
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
	fakes_signal();
	pthread_mutex_unlock(&fakes_lock);
	return r;
}

static int fake_encode(struct encoder *encoder, struct frame *frame, bool force_idr)
{
	struct fake *fake = (struct fake *)encoder;
	struct access_unit unit = {.capture_us = frame->capture_us};
	bool silent;
	int r = 0;

	pthread_mutex_lock(&fakes_lock);
	fakes[fake->kind].entered++;
	fakes_signal();
	while (fakes[fake->kind].closed_gate)
		pthread_cond_wait(&fakes_changed, &fakes_lock);
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
	fakes_signal();
	pthread_mutex_unlock(&fakes_lock);
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

	pthread_mutex_lock(&fakes_lock);
	fakes[fake->kind].bitrate_bps = bitrate_bps;
	fakes_signal();
	pthread_mutex_unlock(&fakes_lock);
	return 0;
}

static void fake_destroy(struct encoder *encoder)
{
	struct fake *fake = (struct fake *)encoder;

	pthread_mutex_lock(&fakes_lock);
	fakes[fake->kind].entered++;
	fakes_signal();
	while (fakes[fake->kind].closed_destroy_gate)
		pthread_cond_wait(&fakes_changed, &fakes_lock);
	fakes[fake->kind].destroys++;
	fakes_signal();
	pthread_mutex_unlock(&fakes_lock);
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

const char *name_of(int kind)
{
	return kind == X264 ? "x264" : "openh264";
}

/* --- one stream between test frames and a test camcastd --- */

static void release_frame(struct frame *frame)
{
	struct stream_rig *s = frame->source;

	pthread_mutex_lock(&fakes_lock);
	s->released++;
	fakes_signal();
	pthread_mutex_unlock(&fakes_lock);
}

int stream_setup(void **state)
{
	struct stream_rig *s = calloc(1, sizeof(*s));

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
	s->stream_config.packet_size = 1400;
	snprintf(s->info.name, sizeof(s->info.name), "test");
	s->info.format = (struct frame_format){
		.fourcc = FRAME_I420, .width = 64, .height = 64, .rate = {30, 1}};
	assert_int_equal(frame_format_layout(&s->info.format, 0), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->pair), 0);
	s->notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	*state = s;
	return 0;
}

int stream_teardown(void **state)
{
	struct stream_rig *s = *state;

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

void start(struct stream_rig *s)
{
	const struct stream_options options = {.config = &s->config,
					       .info = &s->info,
					       .pair = s->pair[0],
					       .notify_fd = s->notify_fd};

	s->feeds[0].kept = s->feeds[1].kept = !s->stream_config.on_demand;
	assert_int_equal(stream_create(&s->stream, &options), 0);
	assert_int_equal(stream_start(s->stream), 0);
}

void give_frame(struct stream_rig *s)
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

struct camcast_msg_unit receive_unit(struct stream_rig *s)
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

bool next_is_key(struct stream_rig *s)
{
	return receive_unit(s).flags & CAMCAST_UNIT_KEY;
}

void assert_no_unit(struct stream_rig *s)
{
	char byte;

	assert_int_equal(recv(s->pair[1], &byte, 1, MSG_DONTWAIT), -1);
}

struct camcast_msg_stream status(struct stream_rig *s)
{
	struct camcast_msg_stream message;

	stream_status(s->stream, &message);
	return message;
}

void give_frame_after_closing(struct stream_rig *s)
{
	uint64_t dropped;

	do {
		dropped = status(s).dropped;
		give_frame(s);
	} while (status(s).dropped != dropped && poll(NULL, 0, 20) == 0);
}

void wait_for_units(struct stream_rig *s, uint64_t n)
{
	int64_t until_us = clock_now_us() + PATIENCE_S * 1000000ll;

	while (status(s).units < n && clock_now_us() < until_us)
		sched_yield();
	assert_int_equal(status(s).units, n);
}

void wait_for_change(struct stream_rig *s)
{
	eventfd_t ignored;

	wait_for_fd(s->notify_fd);
	eventfd_read(s->notify_fd, &ignored);
}

void wait_for_encoder(struct stream_rig *s, const char *name)
{
	while (strcmp(status(s).encoder, name) != 0)
		wait_for_change(s);
}
