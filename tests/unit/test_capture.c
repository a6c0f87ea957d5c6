/* SPDX-License-Identifier: BSD-2-Clause */
/* The worker's main loop and its guard, with a source and an encoder that this file plays. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "camcast/worker.h"
#include "capture/capture.h"
#include "capture/encode/encoder.h"
#include "capture/source/source.h"

/* --- a source and an encoder, told what to do by the test, in another process --- */

enum command {
	FRAME = 'f', /* deliver one */
	SKIP = 's',  /* take one and have no slot for it */
	GONE = 'g',
};

static struct {
	int open_error, start_error;
	bool open_blocks, stop_blocks, destroy_blocks;
	struct rate rate;
} fake;
static int fake_commands; /* the source's end, in the worker */

struct fake_source {
	struct source base;
	pthread_t thread;
	bool running;
	struct frame frame;
	uint64_t sequence;
	atomic_uint busy;
};

static void block_for_ever(void)
{
	for (;;)
		pause();
}

static void release_frame(struct frame *frame)
{
	struct fake_source *source = frame->source;

	atomic_store(&source->busy, 0);
}

static void *run(void *arg)
{
	struct fake_source *source = arg;
	struct source_events *events = &source->base.events;
	char command;

	while (read(fake_commands, &command, 1) == 1) {
		if (command == SKIP)
			source->sequence++;
		if (command == GONE)
			events->gone(events->user, -ENODEV, "unplugged");
		if (command != FRAME || atomic_exchange(&source->busy, 1))
			continue;
		source->frame.sequence = source->sequence++;
		source->frame.capture_us = clock_now_us();
		atomic_store(&source->frame.refs, 1);
		events->frame(events->user, &source->frame);
	}
	return NULL;
}

static int fake_open(struct source **out, const struct config_camera *config,
		     enum source_coding coding, enum config_codec coded_codec,
		     const struct source_events *events, char *why)
{
	struct fake_source *source;

	(void)config;
	(void)coding;
	(void)coded_codec;
	if (fake.open_blocks)
		block_for_ever();
	if (fake.open_error) {
		snprintf(why, 256, "no such camera");
		return fake.open_error;
	}
	source = calloc(1, sizeof(*source));
	source->base.ops = &source_pattern;
	source->base.events = *events;
	snprintf(source->base.info.name, sizeof(source->base.info.name), "fake");
	snprintf(source->base.info.note, sizeof(source->base.info.note), "a note");
	source->base.info.format = (struct frame_format){
		.fourcc = FRAME_NV12, .width = 64, .height = 32, .rate = fake.rate};
	frame_format_layout(&source->base.info.format, 0);
	source->frame.format = &source->base.info.format;
	source->frame.release = release_frame;
	source->frame.source = source;
	*out = &source->base;
	return 0;
}

static int fake_start(struct source *base)
{
	struct fake_source *source = (struct fake_source *)base;

	if (fake.start_error)
		return fake.start_error;
	source->running = true;
	return -pthread_create(&source->thread, NULL, run, source);
}

static void fake_stop(struct source *base)
{
	struct fake_source *source = (struct fake_source *)base;
	if (fake.stop_blocks)
		block_for_ever();
	if (!source->running)
		return;
	source->running = false;
	shutdown(fake_commands, SHUT_RD);
	pthread_join(source->thread, NULL);
}

static void fake_close(struct source *base)
{
	free(base);
}

static int fake_set_control(struct source *base, const char *name, const char *value)
{
	(void)base;
	/* Seen by the test as a source that goes. */
	if (strcmp(name, "go") == 0 && strcmp(value, "away") == 0)
		base->events.gone(base->events.user, -EIO, "told to");
	return 0;
}

#define FAKE_OPS                                                                                   \
	{                                                                                          \
		.open = fake_open, .start = fake_start, .stop = fake_stop, .close = fake_close,    \
		.set_control = fake_set_control                                                    \
	}
const struct source_ops source_pattern = FAKE_OPS, source_file = FAKE_OPS,
			source_libcamera = FAKE_OPS, source_live = FAKE_OPS;

static int fake_create(struct encoder **out, const struct encoder_config *config,
		       const struct encoder_events *events, char *why)
{
	struct encoder *encoder = calloc(1, sizeof(*encoder));

	(void)config;
	(void)why;
	encoder->ops = &encoder_mjpeg;
	encoder->events = *events;
	*out = encoder;
	return 0;
}

static int fake_encode(struct encoder *encoder, struct frame *frame, bool force_idr)
{
	static const uint8_t jpeg[] = {0xff, 0xd8, 0xff, 0xd9};
	struct access_unit unit = {
		.data = jpeg, .len = sizeof(jpeg), .capture_us = frame->capture_us, .key = true};

	(void)force_idr;
	frame_unref(frame); /* before the test can know, so that the next one finds it free */
	encoder->events.coded(encoder->events.user, &unit);
	return 0;
}

static void fake_destroy(struct encoder *encoder)
{
	if (fake.destroy_blocks)
		block_for_ever();
	free(encoder);
}

const struct encoder_ops encoder_mjpeg = {
	.name = "mjpeg", .create = fake_create, .encode = fake_encode, .destroy = fake_destroy};
const struct encoder_ops encoder_openh264, encoder_x264, encoder_v4l2m2m;

/* --- the worker in a process of its own, the test is its camcastd --- */

struct state {
	int pair;
	int commands;
	pid_t pid;
	struct camcast_msg_hello hello;
	struct camcast_msg_heartbeat heartbeat;
	struct camcast_msg_stream stream;
	unsigned units;
};

static int run_worker(int pair)
{
	static char name[] = "pattern";
	struct config_camera camera = {.name = "cam", .source = name, .n_streams = 1, .n_feeds = 1};
	struct config_stream stream = {.name = "s",
				       .codec = CONFIG_CODEC_MJPEG,
				       .temporal_layers = 1,
				       .segment_size = 4096,
				       .packet_size = 1400};
	struct config_feed feed = {.framing = CONFIG_FRAMING_LENGTH_PREFIXED, .kept = true};
	struct config config = {.cameras = &camera,
				.n_cameras = 1,
				.streams = &stream,
				.n_streams = 1,
				.feeds = &feed,
				.n_feeds = 1};
	struct guard guard;
	struct capture_options options = {.config = &config,
					  .only_stream = -1,
					  .pair = pair,
					  .guard = &guard,
					  .sandbox = "seccomp, no landlock"};
	int code;

	if (guard_init(&guard, pair) < 0)
		return 100;
	code = (int)capture_run(&options);
	guard_finish(&guard);
	return code;
}

/* A process of its own, by exec: libraries of this one have threads, which fork() alone would
 * break. The first bytes on the commands say what the fakes do. */
static void start(struct state *s)
{
	int pair[2], commands[2];
	char fds[2][16];

	if (fake.rate.num == 0)
		fake.rate = (struct rate){30, 1};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, commands), 0);
	snprintf(fds[0], sizeof(fds[0]), "%d", pair[1]);
	snprintf(fds[1], sizeof(fds[1]), "%d", commands[1]);
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fcntl(pair[1], F_SETFD, 0);
		fcntl(commands[1], F_SETFD, 0);
		execl("/proc/self/exe", "test_capture", fds[0], fds[1], NULL);
		_exit(101);
	}
	close(pair[1]);
	close(commands[1]);
	s->pair = pair[0];
	s->commands = commands[0];
	assert_int_equal(send(s->commands, &fake, sizeof(fake), MSG_NOSIGNAL), sizeof(fake));
}

static int worker_main(int pair, int commands)
{
	if (recv(commands, &fake, sizeof(fake), MSG_WAITALL) != sizeof(fake))
		return 102;
	fake_commands = commands;
	fcntl(pair, F_SETFD, FD_CLOEXEC);
	return run_worker(pair);
}

static int setup(void **state)
{
	struct state *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->pair = s->commands = -1;
	memset(&fake, 0, sizeof(fake));
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct state *s = *state;

	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	if (s->pair >= 0)
		close(s->pair);
	if (s->commands >= 0)
		close(s->commands);
	free(s);
	return 0;
}

static void command(struct state *s, enum command what)
{
	const char byte = (char)what;

	assert_int_equal(send(s->commands, &byte, 1, MSG_NOSIGNAL), 1);
}

/* Handles one message; its type, or 0 at the end. */
static uint32_t receive(struct state *s)
{
	union {
		uint32_t type;
		struct camcast_msg_hello hello;
		struct camcast_msg_heartbeat heartbeat;
		struct camcast_msg_stream stream;
	} message;
	struct pollfd pollfd = {.fd = s->pair, .events = POLLIN};
	ssize_t n;

	assert_int_equal(poll(&pollfd, 1, 20000), 1);
	n = recv(s->pair, &message, sizeof(message), 0); /* fds are left behind: closed */
	if (n <= 0)
		return 0;
	if (message.type == CAMCAST_MSG_HELLO)
		s->hello = message.hello;
	if (message.type == CAMCAST_MSG_HEARTBEAT)
		s->heartbeat = message.heartbeat;
	if (message.type == CAMCAST_MSG_STREAM)
		s->stream = message.stream;
	s->units += message.type == CAMCAST_MSG_UNIT;
	return message.type;
}

static void receive_until_state(struct state *s, enum camcast_camera_state wanted)
{
	while (s->heartbeat.type == 0 || s->heartbeat.state != wanted)
		assert_int_not_equal(receive(s), 0);
}

static int exit_code(struct state *s, int64_t *elapsed_us)
{
	int64_t before_us = clock_now_us();
	int status;

	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	s->pid = 0;
	if (elapsed_us)
		*elapsed_us = clock_now_us() - before_us;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void a_camera_runs_from_its_first_picture_on(void **state)
{
	struct state *s = *state;

	start(s);
	assert_int_equal(receive(s), CAMCAST_MSG_HELLO);
	assert_string_equal(s->hello.sandbox, "seccomp, no landlock");
	receive_until_state(s, CAMCAST_CAMERA_STARTING);
	command(s, FRAME);
	receive_until_state(s, CAMCAST_CAMERA_RUNNING);
	assert_string_equal(s->heartbeat.reason, "");
	assert_string_equal(s->heartbeat.source, "fake");
	assert_string_equal(s->heartbeat.path, "NV12 64x32, slots mapped; a note");
	while (s->units == 0)
		receive(s);
	close(s->pair);
	s->pair = -1;
	assert_int_equal(exit_code(s, NULL), CAPTURE_STOPPED);
}

static void pictures_not_taken_are_counted(void **state)
{
	struct state *s = *state;

	start(s);
	command(s, FRAME);
	while (s->units == 0)
		assert_int_not_equal(receive(s), 0);
	command(s, SKIP);
	command(s, SKIP);
	command(s, FRAME);
	while (s->units < 2 || s->heartbeat.frames < 4)
		assert_int_not_equal(receive(s), 0);
	assert_int_equal(s->heartbeat.frames, 4);
	assert_int_equal(s->heartbeat.dropped, 2);
}

static void silence_is_told_after_two_seconds_and_its_end_at_once(void **state)
{
	struct state *s = *state;
	int64_t us;

	start(s);
	command(s, FRAME);
	receive_until_state(s, CAMCAST_CAMERA_RUNNING);
	us = clock_now_us();
	receive_until_state(s, CAMCAST_CAMERA_SILENT);
	assert_in_range(clock_now_us() - us, 1500000, 6000000);
	assert_non_null(strstr(s->heartbeat.reason, "no picture"));
	us = clock_now_us();
	command(s, FRAME);
	receive_until_state(s, CAMCAST_CAMERA_RUNNING);
	assert_in_range(clock_now_us() - us, 0, 500000);
	assert_string_equal(s->heartbeat.reason, "");
}

static void a_silent_camera_is_given_up(void **state)
{
	struct state *s = *state;

	start(s);
	receive_until_state(s, CAMCAST_CAMERA_SILENT);
	receive_until_state(s, CAMCAST_CAMERA_FAILED);
	assert_non_null(strstr(s->heartbeat.reason, "no picture for 5 s"));
	assert_int_equal(exit_code(s, NULL), CAPTURE_LOST_CAMERA);
}

static void a_slow_camera_is_not_silent_between_two_pictures(void **state)
{
	struct state *s = *state;
	unsigned heartbeats = 0;

	fake.rate = (struct rate){1, 3};
	start(s);
	command(s, FRAME);
	receive_until_state(s, CAMCAST_CAMERA_RUNNING);
	while (heartbeats < 7) {
		heartbeats += receive(s) == CAMCAST_MSG_HEARTBEAT;
		assert_int_equal(s->heartbeat.state, CAMCAST_CAMERA_RUNNING);
	}
}

static void a_camera_that_goes_is_told_with_its_reason(void **state)
{
	struct state *s = *state;

	start(s);
	command(s, FRAME);
	receive_until_state(s, CAMCAST_CAMERA_RUNNING);
	command(s, GONE);
	receive_until_state(s, CAMCAST_CAMERA_FAILED);
	assert_string_equal(s->heartbeat.reason, "fake ended: unplugged");
	assert_int_equal(exit_code(s, NULL), CAPTURE_LOST_CAMERA);
}

static void a_control_reaches_the_source(void **state)
{
	struct camcast_msg_control control = {
		.type = CAMCAST_MSG_CONTROL, .name = "go", .value = "away"};
	struct state *s = *state;

	start(s);
	command(s, FRAME);
	receive_until_state(s, CAMCAST_CAMERA_RUNNING);
	assert_int_equal(send(s->pair, &control, sizeof(control), MSG_NOSIGNAL), sizeof(control));
	receive_until_state(s, CAMCAST_CAMERA_FAILED);
	assert_string_equal(s->heartbeat.reason, "fake ended: told to");
}

static void a_camera_that_does_not_open_is_told(void **state)
{
	struct state *s = *state;

	fake.open_error = -EBUSY;
	start(s);
	receive_until_state(s, CAMCAST_CAMERA_FAILED);
	assert_string_equal(s->heartbeat.reason, "no such camera");
	assert_int_equal(exit_code(s, NULL), CAPTURE_NO_CAMERA);
}

static void a_camera_that_does_not_start_is_told(void **state)
{
	struct state *s = *state;

	fake.start_error = -EIO;
	start(s);
	receive_until_state(s, CAMCAST_CAMERA_FAILED);
	assert_string_equal(s->heartbeat.reason, "fake does not start: Input/output error");
	assert_int_equal(exit_code(s, NULL), CAPTURE_NO_CAMERA);
}

#ifdef __SANITIZE_THREAD__
#define EXIT_US 1000000 /* ThreadSanitizer's atexit_sleep_ms */
#else
#define EXIT_US 0
#endif

/* Two seconds, or longer with CAMCAST_PATIENCE on a slow machine. */
static int64_t in_time_us(void)
{
	const char *patience = getenv("CAMCAST_PATIENCE");
	long s = patience ? strtol(patience, NULL, 10) : 0;

	return (s > 2 ? s : 2) * 1000000 + EXIT_US;
}

static void assert_ends_in_time(struct state *s)
{
	int64_t elapsed_us;

	assert_int_equal(exit_code(s, &elapsed_us), CAPTURE_STOPPED);
	assert_in_range(elapsed_us, (GUARD_DEADLINE_MS - 100) * 1000, in_time_us());
}

static void a_signal_ends_a_worker_whose_camera_does_not_open(void **state)
{
	struct state *s = *state;

	fake.open_blocks = true;
	start(s);
	receive_until_state(s, CAMCAST_CAMERA_STARTING);
	kill(s->pid, SIGTERM);
	assert_ends_in_time(s);
}

static void a_closed_pair_ends_a_worker_whose_camera_does_not_stop(void **state)
{
	struct state *s = *state;

	fake.stop_blocks = true;
	start(s);
	command(s, FRAME);
	receive_until_state(s, CAMCAST_CAMERA_RUNNING);
	close(s->pair);
	s->pair = -1;
	assert_ends_in_time(s);
}

static void a_closed_pair_ends_a_worker_whose_encoder_does_not_close(void **state)
{
	struct state *s = *state;

	fake.destroy_blocks = true;
	start(s);
	command(s, FRAME);
	while (s->units == 0)
		assert_int_not_equal(receive(s), 0);
	close(s->pair);
	s->pair = -1;
	assert_ends_in_time(s);
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_camera_runs_from_its_first_picture_on),
		CASE(pictures_not_taken_are_counted),
		CASE(silence_is_told_after_two_seconds_and_its_end_at_once),
		CASE(a_silent_camera_is_given_up),
		CASE(a_slow_camera_is_not_silent_between_two_pictures),
		CASE(a_camera_that_goes_is_told_with_its_reason),
		CASE(a_control_reaches_the_source),
		CASE(a_camera_that_does_not_open_is_told),
		CASE(a_camera_that_does_not_start_is_told),
		CASE(a_signal_ends_a_worker_whose_camera_does_not_open),
		CASE(a_closed_pair_ends_a_worker_whose_camera_does_not_stop),
		CASE(a_closed_pair_ends_a_worker_whose_encoder_does_not_close),
	};

	if (argc == 3)
		return worker_main(atoi(argv[1]), atoi(argv[2]));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
