/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/capture.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/text.h"
#include "camcast/worker.h"
#include "capture/encode/stream.h"
#include "capture/publish/link.h"
#include "capture/publish/output.h"
#include "capture/source/source.h"

/* Ticks of the heartbeat without a picture. They are counted in ticks, not in time, so that a
 * process that was stopped and continues does not take its own pause for silence of the camera. */
#define SILENT_TICKS 2
#define LOST_TICKS 5

struct capture {
	const struct config *config;
	const struct config_camera *camera;
	int pair;
	struct guard *guard;
	int notify_fd; /* eventfd: a status changed */
	int timer_fd;  /* one tick a second */
	struct source *source;
	struct stream **streams;	 /* by number; NULL: not run */
	struct camcast_msg_stream *sent; /* by number: the last STREAM that was sent; main thread */

	/* written by the source's thread, read by the main thread; relaxed: only numbers */
	atomic_uint_fast64_t frames, missed;
	uint64_t next_sequence; /* source's thread, of frames */
	atomic_bool flowing;	/* pictures came since the main thread last found silence */

	/* The source has ended. The store of gone (release) publishes the two fields before it. */
	int gone_error;
	char gone_why[256];
	atomic_bool gone;

	/* main thread */
	bool frames_wanted; /* by a stream that encodes */
	unsigned quiet_ticks;
	unsigned silent_limit, lost_limit; /* ticks */
	uint64_t sampled_frames;
	int64_t sampled_us;
	uint32_t fps_milli;
	enum camcast_camera_state state;
	char reason[184];
};

/* --- the source's thread --- */

static void count_picture(struct capture *capture)
{
	atomic_fetch_add_explicit(&capture->frames, 1, memory_order_relaxed);
	if (!atomic_exchange_explicit(&capture->flowing, true, memory_order_relaxed))
		eventfd_write(capture->notify_fd, 1);
}

static void give_frame(struct capture *capture, struct frame *frame)
{
	for (size_t i = 0; i < capture->camera->n_streams; i++) {
		if (capture->streams[i])
			stream_frame(capture->streams[i], frame);
	}
	frame_unref(frame);
}

static void handle_frame(void *user, struct frame *frame)
{
	struct capture *capture = user;

	/* Coded pictures are counted as they come. */
	if (source_info(capture->source)->coded) {
		give_frame(capture, frame);
		return;
	}
	if (frame->sequence > capture->next_sequence && capture->next_sequence > 0)
		atomic_fetch_add_explicit(&capture->missed,
					  frame->sequence - capture->next_sequence,
					  memory_order_relaxed);
	capture->next_sequence = frame->sequence + 1;
	count_picture(capture);
	give_frame(capture, frame);
}

static void handle_packet(void *user, const struct packet *packet)
{
	struct capture *capture = user;

	count_picture(capture);
	for (size_t i = 0; i < capture->camera->n_streams; i++) {
		if (capture->streams[i])
			stream_packet(capture->streams[i], packet);
	}
}

static void handle_gone(void *user, int error, const char *why)
{
	struct capture *capture = user;

	if (atomic_load_explicit(&capture->gone, memory_order_relaxed))
		return;
	capture->gone_error = error;
	text_set(capture->gone_why, sizeof(capture->gone_why), why);
	atomic_store_explicit(&capture->gone, true, memory_order_release);
	eventfd_write(capture->notify_fd, 1);
}

/* --- requests from camcastd --- */

static struct stream *stream_of(struct capture *capture, uint32_t number)
{
	return number < capture->camera->n_streams ? capture->streams[number] : NULL;
}

/* A source of coded pictures decodes them only while a stream needs it. */
static void want_frames(struct capture *capture)
{
	bool wanted = false;

	for (size_t i = 0; i < capture->camera->n_streams; i++) {
		if (capture->streams[i] && stream_wants_frames(capture->streams[i]))
			wanted = true;
	}
	if (wanted != capture->frames_wanted)
		source_want_frames(capture->source, wanted);
	capture->frames_wanted = wanted;
}

static void handle_want(void *user, const struct camcast_msg_want *message)
{
	struct capture *capture = user;

	for (size_t i = 0; i < capture->camera->n_streams; i++) {
		if (!capture->streams[i])
			continue;
		output_set_rtp(stream_output(capture->streams[i]), message);
		stream_want(capture->streams[i], message->feed, message->wanted != 0);
	}
	want_frames(capture);
}

static void handle_idr(void *user, const struct camcast_msg_idr *message)
{
	struct stream *stream = stream_of(user, message->stream);

	if (stream)
		stream_request_idr(stream);
}

static void handle_bitrate(void *user, const struct camcast_msg_bitrate *message)
{
	struct stream *stream = stream_of(user, message->stream);

	if (stream && message->bitrate_bps > 0)
		stream_set_bitrate(stream, message->bitrate_bps);
}

static void handle_control(void *user, const struct camcast_msg_control *message)
{
	struct capture *capture = user;
	int r = source_set_control(capture->source, message->name, message->value);

	if (r == 0) {
		diag_info("camera %s: %s = %s", capture->camera->name, message->name,
			  message->value);
		return;
	}
	diag_warn("camera %s: %s = %s refused: %s", capture->camera->name, message->name,
		  message->value, r == -ENOTSUP ? "this source has no controls" : strerror(-r));
}

static void handle_get_segment(void *user, const struct camcast_msg_get_segment *message)
{
	struct capture *capture = user;

	for (size_t i = 0; i < capture->camera->n_streams; i++) {
		if (capture->streams[i])
			output_resend_segment(stream_output(capture->streams[i]), message->feed,
					      message->segment);
	}
}

static const struct link_handlers link_handlers = {
	.want = handle_want,
	.idr = handle_idr,
	.bitrate = handle_bitrate,
	.control = handle_control,
	.get_segment = handle_get_segment,
};

/* --- reports to camcastd --- */

/* How pictures reach the encoders. */
static void describe_path(struct capture *capture, char *out, size_t size)
{
	const struct source_info *info = source_info(capture->source);
	bool imported = false, mapped = false;
	uint32_t width, height;

	for (size_t i = 0; i < capture->camera->n_streams; i++) {
		if (!capture->streams[i])
			continue;
		if (info->coded && !stream_wants_frames(capture->streams[i]))
			continue;
		if (stream_imports(capture->streams[i]))
			imported = true;
		else
			mapped = true;
	}
	source_size(capture->source, &width, &height);
	if (info->coded)
		snprintf(out, size, "%s %" PRIu32 "x%" PRIu32 ", passed on unchanged%s%s",
			 config_codec_name(info->codec), width, height,
			 capture->frames_wanted ? ", and decoded, slots " : "",
			 !capture->frames_wanted ? ""
			 : imported		 ? "imported"
						 : "mapped");
	else
		snprintf(out, size, "%s %" PRIu32 "x%" PRIu32 ", slots %s%s%s",
			 frame_fourcc_name(info->format.fourcc), info->format.width,
			 info->format.height, imported ? "imported" : "",
			 imported && mapped ? " and " : "", mapped ? "mapped" : "");
	if (info->note[0]) {
		text_append(out, size, "; ");
		text_append(out, size, info->note);
	}
}

static uint32_t rate_milli(struct rate rate)
{
	const uint64_t milli = rate.den > 0 ? (uint64_t)rate.num * 1000 / rate.den : 0;

	return milli <= UINT32_MAX ? (uint32_t)milli : 0;
}

/* How long a time lies ahead. */
static uint32_t wait_ms(int64_t due_us)
{
	const int64_t ms = (due_us - clock_now_us() + 999) / 1000;

	return ms <= 0 ? 0 : ms <= UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static void send_heartbeat(struct capture *capture)
{
	struct camcast_msg_heartbeat message = {
		.type = CAMCAST_MSG_HEARTBEAT,
		.state = capture->state,
		.fps_milli = capture->fps_milli,
	};

	message.dropped = atomic_load_explicit(&capture->missed, memory_order_relaxed);
	message.frames =
		atomic_load_explicit(&capture->frames, memory_order_relaxed) + message.dropped;
	if (capture->source) {
		const struct source_info *info = source_info(capture->source);

		source_size(capture->source, &message.width, &message.height);
		message.rate_milli = rate_milli(info->format.rate);
		message.wait_ms = wait_ms(source_due_us(capture->source));
		text_set(message.source, sizeof(message.source), info->name);
		text_set(message.allocator, sizeof(message.allocator), info->allocator);
		describe_path(capture, message.path, sizeof(message.path));
		message.reconnects = source_reconnects(capture->source);
	} else {
		config_source_show(capture->camera->source, message.source);
	}
	text_set(message.reason, sizeof(message.reason), capture->reason);
	/* A full pair means that camcastd is behind; then units are lost, too. */
	(void)link_send(capture->pair, &message, sizeof(message), -1);
}

/* Whether a STREAM differs from the last one in more than counters. */
static bool has_news(const struct camcast_msg_stream *message,
		     const struct camcast_msg_stream *sent)
{
	return message->type != sent->type || message->active != sent->active ||
	       message->can_force_idr != sent->can_force_idr ||
	       message->target_bps != sent->target_bps ||
	       strcmp(message->encoder, sent->encoder) != 0 ||
	       strcmp(message->detail, sent->detail) != 0;
}

/* due: a second has passed; otherwise only streams with changes are reported. */
static void send_status(struct capture *capture, bool due)
{
	send_heartbeat(capture);
	for (size_t i = 0; i < capture->camera->n_streams; i++) {
		struct camcast_msg_stream message;

		if (!capture->streams[i])
			continue;
		stream_status(capture->streams[i], &message);
		if ((due || has_news(&message, &capture->sent[i])) &&
		    link_send(capture->pair, &message, sizeof(message), -1) == 0)
			capture->sent[i] = message;
	}
}

static enum capture_exit fail(struct capture *capture, enum capture_exit code, const char *why)
{
	capture->state = CAMCAST_CAMERA_FAILED;
	text_set(capture->reason, sizeof(capture->reason), why);
	send_status(capture, true);
	return code;
}

/* --- the loop --- */

static void sample(struct capture *capture, int64_t now_us)
{
	uint64_t frames = atomic_load_explicit(&capture->frames, memory_order_relaxed);
	int64_t elapsed_us = now_us - capture->sampled_us;

	if (elapsed_us > 0)
		capture->fps_milli = (uint32_t)((frames - capture->sampled_frames) * 1000000000u /
						(uint64_t)elapsed_us);
	/* A pause in a recorded file is no silence: the source waits until its next picture is
	 * due. */
	if (frames != capture->sampled_frames || now_us < source_due_us(capture->source))
		capture->quiet_ticks = 0;
	else
		capture->quiet_ticks++;
	capture->sampled_frames = frames;
	capture->sampled_us = now_us;
	for (size_t i = 0; i < capture->camera->n_streams; i++) {
		if (capture->streams[i])
			stream_sample(capture->streams[i], now_us);
	}
}

/* Detects silence and its end. */
static void judge(struct capture *capture)
{
	const char *name = capture->camera->name;

	/* The source itself has logged it. */
	if (source_away(capture->source, capture->reason)) {
		capture->state = CAMCAST_CAMERA_SILENT;
		atomic_store_explicit(&capture->flowing, false, memory_order_relaxed);
		return;
	}
	if (capture->quiet_ticks >= capture->silent_limit &&
	    capture->state != CAMCAST_CAMERA_SILENT) {
		capture->state = CAMCAST_CAMERA_SILENT;
		snprintf(capture->reason, sizeof(capture->reason), "no picture for %u s",
			 capture->quiet_ticks);
		atomic_store_explicit(&capture->flowing, false, memory_order_relaxed);
		diag_warn("camera %s: %s", name, capture->reason);
	} else if (capture->quiet_ticks == 0 && capture->state != CAMCAST_CAMERA_RUNNING &&
		   atomic_load_explicit(&capture->flowing, memory_order_relaxed)) {
		diag_info("camera %s: %s delivers pictures", name,
			  source_info(capture->source)->name);
		capture->state = CAMCAST_CAMERA_RUNNING;
		capture->reason[0] = '\0';
	}
}

/* A sandbox allows the devices that there were when the worker entered it. */
static bool is_outdated(struct capture *capture)
{
	for (size_t i = 0; i < capture->camera->n_streams; i++) {
		if (capture->streams[i] && stream_outdated(capture->streams[i]))
			return true;
	}
	return false;
}

static enum capture_exit loop(struct capture *capture)
{
	struct pollfd fds[] = {
		{.fd = capture->guard->stop_fd, .events = POLLIN},
		{.fd = capture->pair, .events = POLLIN},
		{.fd = capture->timer_fd, .events = POLLIN},
		{.fd = capture->notify_fd, .events = POLLIN},
	};
	char why[512];

	for (;;) {
		uint64_t ignored;

		if (poll(fds, sizeof(fds) / sizeof(*fds), -1) < 0) {
			if (errno == EINTR)
				continue;
			return fail(capture, CAPTURE_BROKEN, strerror(errno));
		}
		if (fds[0].revents)
			return CAPTURE_STOPPED;
		if (fds[1].revents && link_receive(capture->pair, &link_handlers, capture) < 0)
			return CAPTURE_STOPPED;
		if (fds[3].revents) {
			eventfd_read(capture->notify_fd, &ignored);
			/* A first picture, or one after silence, need not wait for the tick. */
			if (atomic_load_explicit(&capture->flowing, memory_order_relaxed))
				capture->quiet_ticks = 0;
		}
		if (fds[2].revents && read(capture->timer_fd, &ignored, sizeof(ignored)) > 0)
			sample(capture, clock_now_us());
		judge(capture);
		if (atomic_load_explicit(&capture->gone, memory_order_acquire)) {
			snprintf(why, sizeof(why), "%s ended: %s",
				 source_info(capture->source)->name, capture->gone_why);
			if (capture->gone_error)
				diag_error("camera %s: %s", capture->camera->name, why);
			else
				diag_info("camera %s: %s", capture->camera->name, why);
			return fail(capture, CAPTURE_LOST_CAMERA, why);
		}
		if (capture->quiet_ticks >= capture->lost_limit &&
		    !source_info(capture->source)->returns) {
			snprintf(why, sizeof(why), "%s: no picture for %u s, starting again",
				 source_info(capture->source)->name, capture->quiet_ticks);
			diag_error("camera %s: %s", capture->camera->name, why);
			return fail(capture, CAPTURE_LOST_CAMERA, why);
		}
		if (is_outdated(capture))
			return fail(capture, CAPTURE_OUTDATED,
				    "an encoder has come, which needs a new worker");
		if (fds[2].revents || fds[3].revents)
			send_status(capture, fds[2].revents != 0);
	}
}

/* --- start and stop --- */

/* Coded pictures are passed on when a stream has `encoder = copy`; also when all are `auto` with
 * the same codec, unless the pictures have to be turned. */
static enum source_coding choose_coding(const struct capture_options *options,
					enum config_codec *codec)
{
	const struct config *config = options->config;
	bool all_auto = true;
	size_t n = 0;

	for (size_t i = 0; i < config->n_streams; i++) {
		const struct config_stream *s = &config->streams[i];

		if (s->camera != options->camera || s->implied ||
		    (options->only_stream >= 0 && (size_t)options->only_stream != i))
			continue;
		if (s->encoder == CONFIG_ENCODER_COPY) {
			*codec = s->codec;
			return SOURCE_COPY;
		}
		if (s->encoder != CONFIG_ENCODER_AUTO || (n > 0 && s->codec != *codec))
			all_auto = false;
		*codec = s->codec;
		n++;
	}
	return all_auto && n > 0 ? SOURCE_COPY_UPRIGHT : SOURCE_DECODE;
}

static int create_streams(struct capture *capture, const struct capture_options *options)
{
	for (size_t i = 0; i < capture->config->n_streams; i++) {
		const struct config_stream *config = &capture->config->streams[i];
		const struct stream_options stream_options = {
			.config = capture->config,
			.stream = (unsigned)i,
			.info = source_info(capture->source),
			.pair = capture->pair,
			.notify_fd = capture->notify_fd,
		};
		int r;

		if (config->camera != options->camera ||
		    (options->only_stream >= 0 && (size_t)options->only_stream != i))
			continue;
		r = stream_create(&capture->streams[config->number], &stream_options);
		if (r < 0)
			return r;
		r = stream_start(capture->streams[config->number]);
		if (r < 0)
			return r;
	}
	return 0;
}

static void set_limits(struct capture *capture)
{
	struct rate rate = source_info(capture->source)->format.rate;
	/* Whole seconds between two pictures, for cameras slower than one a second. */
	unsigned interval = rate.num > 0 ? rate.den / rate.num : 0;

	capture->silent_limit = SILENT_TICKS + 2 * interval;
	capture->lost_limit = LOST_TICKS + 4 * interval;
}

static int start_timer(struct capture *capture)
{
	const struct itimerspec second = {.it_value = {.tv_sec = 1}, .it_interval = {.tv_sec = 1}};

	if (timerfd_settime(capture->timer_fd, 0, &second, NULL) < 0)
		return -errno;
	capture->sampled_us = clock_now_us();
	return 0;
}

static int say_hello(struct capture *capture, const char *sandbox)
{
	struct camcast_msg_hello hello = {
		.type = CAMCAST_MSG_HELLO,
		.version = CAMCAST_WORKER_VERSION,
		.pid = (uint32_t)getpid(),
	};
	int r;

	text_set(hello.sandbox, sizeof(hello.sandbox), sandbox);
	r = link_send(capture->pair, &hello, sizeof(hello), -1);
	if (r == 0)
		send_heartbeat(capture);
	return r;
}

/* While a live source is waited for: the same as in the loop, without a source. */
static bool handle_waiting(void *user, const char *why)
{
	struct capture *capture = user;
	struct pollfd stop = {.fd = capture->guard->stop_fd, .events = POLLIN};

	capture->state = *why ? CAMCAST_CAMERA_SILENT : CAMCAST_CAMERA_STARTING;
	text_set(capture->reason, sizeof(capture->reason), why);
	send_heartbeat(capture);
	return poll(&stop, 1, 0) == 0;
}

static enum capture_exit run_source(struct capture *capture, const struct capture_options *options)
{
	const struct source_events events = {
		.frame = handle_frame,
		.packet = handle_packet,
		.gone = handle_gone,
		.waiting = handle_waiting,
		.program = options->program,
		.user = capture,
	};
	enum config_codec codec = CONFIG_CODEC_H264;
	enum source_coding coding = choose_coding(options, &codec);
	enum capture_exit code;
	char why[256] = "";
	int r;

	r = source_open(&capture->source, capture->camera, coding, codec, &events, why);
	if (r < 0) {
		capture->source = NULL;
		return r == -ECANCELED ? CAPTURE_STOPPED : fail(capture, CAPTURE_NO_CAMERA, why);
	}
	capture->state = CAMCAST_CAMERA_STARTING;
	capture->reason[0] = '\0';
	set_limits(capture);
	r = create_streams(capture, options);
	want_frames(capture);
	if (r == 0)
		r = start_timer(capture);
	if (r < 0) {
		diag_error("camera %s: streams: %s", capture->camera->name, strerror(-r));
		code = fail(capture, CAPTURE_BROKEN, strerror(-r));
		goto stop;
	}
	send_status(capture, true);
	r = source_start(capture->source);
	if (r < 0) {
		snprintf(why, sizeof(why), "%.100s does not start: %s",
			 source_info(capture->source)->name, strerror(-r));
		diag_error("camera %s: %s", capture->camera->name, why);
		code = fail(capture, CAPTURE_NO_CAMERA, why);
		goto stop;
	}
	code = loop(capture);
stop:
	guard_arm(capture->guard, code);
	source_stop(capture->source);
	for (size_t i = 0; i < capture->camera->n_streams; i++)
		stream_destroy(capture->streams[i]);
	source_close(capture->source);
	return code;
}

enum capture_exit capture_run(const struct capture_options *options)
{
	struct capture *capture = calloc(1, sizeof(*capture));
	enum capture_exit code = CAPTURE_BROKEN;
	int r;

	if (!capture)
		return code;
	capture->config = options->config;
	capture->camera = &options->config->cameras[options->camera];
	capture->pair = options->pair;
	capture->guard = options->guard;
	capture->streams = calloc(capture->camera->n_streams + 1, sizeof(*capture->streams));
	capture->sent = calloc(capture->camera->n_streams + 1, sizeof(*capture->sent));
	capture->notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	capture->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (!capture->streams || !capture->sent || capture->notify_fd < 0 ||
	    capture->timer_fd < 0) {
		diag_error("camera %s: out of memory or file descriptors", capture->camera->name);
		goto free_capture;
	}
	r = say_hello(capture, options->sandbox);
	if (r == 0)
		code = run_source(capture, options);
	else if (r == -EPIPE)
		code = CAPTURE_STOPPED;
free_capture:
	if (capture->timer_fd >= 0)
		close(capture->timer_fd);
	if (capture->notify_fd >= 0)
		close(capture->notify_fd);
	free(capture->sent);
	free(capture->streams);
	free(capture);
	return code;
}
