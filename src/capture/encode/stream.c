/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/encode/stream.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/text.h"
#include "capture/encode/encoding.h"
#include "capture/encode/mode.h"
#include "capture/publish/output.h"

#define QUEUE_MAX 2		 /* frames that wait for the encoder */
#define KEY_AFTER_DROP_US 250000 /* between IDRs forced because a log lost units */
#define RESTS "nobody asks for its pictures"

struct stream {
	const struct config_stream *config;
	const struct source_info *info;
	int notify_fd;
	enum stream_mode mode;
	int wake_fd;
	pthread_t thread;
	bool started;

	pthread_mutex_t lock; /* guards what follows, up to the next blank line */
	struct frame *queue[QUEUE_MAX];
	int64_t arrived_us[QUEUE_MAX];
	unsigned queued;
	/* Feeds, as in output_set_wanted(); wanted 0: nothing is encoded. */
	uint32_t wanted, begun;
	bool resumed; /* a first feed became wanted since then */
	bool stopping;
	bool opened;	     /* an encoder is open: idle frames need not wake the thread */
	bool closing;	     /* a failed encoder is being closed: no frame waits meanwhile */
	unsigned idr_asked;  /* requests since the last forced IDR */
	uint32_t target_bps; /* asked for */
	struct {
		uint64_t units, keys, dropped, idr_requests, bytes;
		struct output_losses lost;
		uint64_t encode_us; /* sum over units */
	} count;
	char encoder_name[32], detail[160];
	uint32_t applied_bps; /* the encoder's; 0: it has none */
	bool imports;
	bool outdated; /* see stream_outdated() */

	/* the stream's thread only (copy: the source's) */
	struct output output;
	struct encoding encoding;
	unsigned idr_counted; /* requests that the next forced IDR answers */
	int64_t next_key_us;  /* not before, after a drop in a log */
	int64_t last_us;      /* time of the newest encoded unit */
	struct diag_limit coded_limit;
	bool told_encoder; /* in the log */

	/* main thread only: the last sample */
	struct {
		int64_t at_us;
		uint64_t units, bytes, encode_us, no_space;
		uint32_t fps_milli, bitrate_bps, mean_encode_us;
		bool no_space_now;
	} sample;
};

static void notify(struct stream *stream)
{
	eventfd_write(stream->notify_fd, 1);
}

static void set_status(struct stream *stream, const char *encoder, const char *detail)
{
	pthread_mutex_lock(&stream->lock);
	text_set(stream->encoder_name, sizeof(stream->encoder_name), encoder);
	text_set(stream->detail, sizeof(stream->detail), detail);
	pthread_mutex_unlock(&stream->lock);
	notify(stream);
}

/* --- access units out: on the stream's thread, or for copy on the source's --- */

/* The nominal time between two pictures; 0: not known. */
static uint32_t interval_us(const struct stream *stream)
{
	struct rate rate = stream->info->format.rate;
	uint64_t us = rate.num > 0 ? (uint64_t)rate.den * 1000000 / rate.num : 0;

	return us <= UINT32_MAX ? (uint32_t)us : 0;
}

/* Passes the wanted feeds to the output; returns whether there are any. *resumed, if not NULL: a
 * first feed became wanted since the last call. */
static bool take_wanted(struct stream *stream, bool *resumed)
{
	uint32_t wanted, begun;

	pthread_mutex_lock(&stream->lock);
	wanted = stream->wanted;
	begun = stream->begun;
	stream->begun = 0;
	if (resumed)
		*resumed = stream->resumed;
	stream->resumed = false;
	pthread_mutex_unlock(&stream->lock);
	output_set_wanted(&stream->output, wanted, begun, clock_now_us());
	return wanted != 0;
}

/* Returns whether it is a key unit. */
static bool deliver(struct stream *stream, const struct access_unit *unit, int64_t dts_us,
		    int64_t pts_us, uint32_t duration_us, int64_t arrived_us)
{
	struct output_result result;
	uint64_t suppressed;
	int64_t now_us;
	int r;

	r = output_unit(&stream->output, unit, dts_us, pts_us, duration_us, &result);
	now_us = clock_now_us();
	if (r == -EINVAL)
		return false; /* parameter sets without a picture: stored for the next IDR */
	if (r < 0) {
		output_gap(&stream->output);
		if (diag_allowed(&stream->coded_limit, now_us, 10000000, &suppressed))
			diag_error("stream %s: an access unit is lost: %s", stream->config->name,
				   strerror(-r));
		return false;
	}
	pthread_mutex_lock(&stream->lock);
	stream->count.units++;
	stream->count.keys += result.key;
	stream->count.bytes += result.len;
	stream->count.encode_us += (uint64_t)(now_us - arrived_us);
	output_losses(&stream->output, &stream->count.lost);
	pthread_mutex_unlock(&stream->lock);
	return result.key;
}

void stream_packet(struct stream *stream, const struct packet *packet)
{
	struct access_unit unit = {.data = packet->data,
				   .len = packet->len,
				   .capture_us = packet->capture_us,
				   .key = packet->key};
	uint32_t duration_us = packet->duration_us ? packet->duration_us : interval_us(stream);

	if (stream->mode == STREAM_COPIES && take_wanted(stream, NULL))
		deliver(stream, &unit, packet->capture_us, packet->pts_us, duration_us,
			clock_now_us());
}

static bool handle_coded(void *user, const struct access_unit *unit, int64_t arrived_us)
{
	struct stream *stream = user;
	struct access_unit timed = *unit;

	/* Encoders do not reorder, and every unit has its own time. Of a source whose times are
	 * damaged, a picture may lie before the last one. */
	if (timed.capture_us <= stream->last_us)
		timed.capture_us = stream->last_us + 1;
	stream->last_us = timed.capture_us;
	return deliver(stream, &timed, timed.capture_us, timed.capture_us, interval_us(stream),
		       arrived_us);
}

/* --- the encoder --- */

static void apply_bitrate(struct stream *stream)
{
	uint32_t target, applied;
	int r;

	pthread_mutex_lock(&stream->lock);
	target = stream->target_bps;
	applied = stream->applied_bps;
	pthread_mutex_unlock(&stream->lock);
	if (target == applied || applied == 0)
		return;
	r = encoding_set_bitrate(&stream->encoding, target);
	if (r < 0)
		diag_warn("stream %s: %s stays at %u bit/s: %s", stream->config->name,
			  stream->encoding.encoder->ops->name, applied, strerror(-r));
	pthread_mutex_lock(&stream->lock);
	if (r == 0)
		stream->applied_bps = target;
	else if (stream->target_bps == target)
		stream->target_bps = applied;
	pthread_mutex_unlock(&stream->lock);
	notify(stream);
}

static void tell_encoder(struct stream *stream)
{
	const struct encoder *encoder = stream->encoding.encoder;
	const char *trouble = stream->encoding.ladder.trouble;
	char detail[160];

	text_set(detail, sizeof(detail), encoder->detail);
	if (trouble[0]) {
		text_append(detail, sizeof(detail), "; not ");
		text_append(detail, sizeof(detail), trouble);
	}
	/* An implied stream opens one for each snapshot. */
	if (!stream->told_encoder || !stream->config->implied)
		diag_info("stream %s: %s: %s%s%s", stream->config->name, encoder->ops->name,
			  encoder->detail, trouble[0] ? "; not " : "", trouble);
	stream->told_encoder = true;
	set_status(stream, encoder->ops->name, detail);
}

static void tell_none(struct stream *stream)
{
	diag_error("stream %s: no encoder: %s; next try in %d s", stream->config->name,
		   stream->encoding.ladder.trouble, (int)(LADDER_RETRY_US / 1000000));
	set_status(stream, "", stream->encoding.ladder.trouble);
}

static void set_outdated(struct stream *stream)
{
	diag_warn("stream %s: no encoder: %s; a new worker may open it", stream->config->name,
		  stream->encoding.ladder.trouble);
	set_status(stream, "", stream->encoding.ladder.trouble);
	pthread_mutex_lock(&stream->lock);
	stream->outdated = true;
	pthread_mutex_unlock(&stream->lock);
	notify(stream);
}

static void open_encoder(struct stream *stream, const struct frame *frame)
{
	int r = encoding_open(&stream->encoding, frame);

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		if (r == -ESTALE)
			set_outdated(stream);
		else
			tell_none(stream);
		return;
	}
	output_gap(&stream->output);
	pthread_mutex_lock(&stream->lock);
	stream->opened = true;
	stream->applied_bps =
		stream->config->codec == CONFIG_CODEC_MJPEG ? 0 : stream->config->bitrate;
	stream->imports = stream->encoding.encoder->ops == &encoder_v4l2m2m;
	pthread_mutex_unlock(&stream->lock);
	tell_encoder(stream);
	apply_bitrate(stream);
}

static void drop_queue(struct stream *stream, bool counted)
{
	struct frame *frames[QUEUE_MAX];
	unsigned n;

	pthread_mutex_lock(&stream->lock);
	n = stream->queued;
	memcpy(frames, stream->queue, n * sizeof(*frames));
	stream->queued = 0;
	if (counted)
		stream->count.dropped += n;
	pthread_mutex_unlock(&stream->lock);
	for (unsigned i = 0; i < n; i++)
		frame_unref(frames[i]);
}

/* The next frame opens the next encoder of the ladder. */
static void replace_encoder(struct stream *stream)
{
	char status[512];

	snprintf(status, sizeof(status), "%s failed and is being closed: %s",
		 stream->encoding.encoder->ops->name, stream->encoding.failure);
	diag_warn("stream %s: %s", stream->config->name, status);
	set_status(stream, "", status);
	pthread_mutex_lock(&stream->lock);
	stream->opened = false;
	stream->closing = true;
	pthread_mutex_unlock(&stream->lock);
	/* Closing may take seconds. The encoder still holds slots, so the slots of the queue could
	 * be the last ones for the camera's other streams. */
	drop_queue(stream, true);
	if (!encoding_replace(&stream->encoding))
		tell_none(stream);
	pthread_mutex_lock(&stream->lock);
	stream->closing = false;
	pthread_mutex_unlock(&stream->lock);
}

/* --- frames in --- */

/* Takes the oldest waiting frame, if it should be encoded now. The caller gets the reference. */
static struct frame *take_frame(struct stream *stream, int64_t *arrived_us)
{
	struct frame *frame = NULL;

	pthread_mutex_lock(&stream->lock);
	if (stream->wanted != 0 && stream->queued > 0 && !stream->stopping) {
		frame = stream->queue[0];
		*arrived_us = stream->arrived_us[0];
		stream->queue[0] = stream->queue[1];
		stream->arrived_us[0] = stream->arrived_us[1];
		stream->queued--;
	}
	pthread_mutex_unlock(&stream->lock);
	return frame;
}

/* Returns a reference to the newest frame, which stays in the queue. */
static struct frame *peek_frame(struct stream *stream)
{
	struct frame *frame = NULL;

	pthread_mutex_lock(&stream->lock);
	if (stream->queued > 0 && !stream->stopping) {
		frame = stream->queue[stream->queued - 1];
		frame_ref(frame);
	}
	pthread_mutex_unlock(&stream->lock);
	return frame;
}

/* Whether an IDR is wanted: it was requested, the stream starts, or a log lost units. */
static void take_requests(struct stream *stream, int64_t now_us)
{
	bool resumed, asked;

	take_wanted(stream, &resumed);
	pthread_mutex_lock(&stream->lock);
	asked = stream->idr_asked > 0;
	stream->idr_counted += stream->idr_asked;
	stream->idr_asked = 0;
	pthread_mutex_unlock(&stream->lock);
	if (resumed || asked)
		stream->encoding.key_wanted = true;
	if (!stream->encoding.key_wanted && now_us >= stream->next_key_us &&
	    output_needs_key(&stream->output, now_us)) {
		stream->encoding.key_wanted = true;
		stream->next_key_us = now_us + KEY_AFTER_DROP_US;
	}
}

/* An implied stream that nobody watches keeps nothing: neither an encoder, nor a frame. The lock is
 * held. */
static bool rests(const struct stream *stream)
{
	return stream->config->implied && stream->wanted == 0;
}

/* True if the stream rests: it has given back what it kept. */
static bool rest(struct stream *stream)
{
	bool idle;

	pthread_mutex_lock(&stream->lock);
	idle = rests(stream);
	if (idle)
		stream->opened = false;
	pthread_mutex_unlock(&stream->lock);
	if (!idle)
		return false;
	drop_queue(stream, false);
	if (stream->encoding.encoder) {
		encoding_close(&stream->encoding);
		set_status(stream, "", RESTS);
	}
	return true;
}

static void encode(struct stream *stream, struct frame *frame, int64_t arrived_us)
{
	bool forced;
	int r;

	take_requests(stream, clock_now_us());
	r = encoding_frame(&stream->encoding, frame, arrived_us, &forced);
	pthread_mutex_lock(&stream->lock);
	if (forced && stream->idr_counted > 0) {
		stream->count.idr_requests++;
		stream->idr_counted = 0;
	}
	if (r < 0)
		stream->count.dropped++;
	pthread_mutex_unlock(&stream->lock);
}

static void work(struct stream *stream)
{
	struct encoding *encoding = &stream->encoding;
	struct frame *frame;
	int64_t arrived_us;

	if (rest(stream))
		return;
	if (!encoding->encoder && (frame = peek_frame(stream))) {
		open_encoder(stream, frame);
		frame_unref(frame);
	}
	if (!encoding->encoder) {
		drop_queue(stream, true);
		return;
	}
	apply_bitrate(stream);
	while (!encoding->failure[0] && (frame = take_frame(stream, &arrived_us)))
		encode(stream, frame, arrived_us);
	encoding_watch(encoding);
	if (encoding->failure[0])
		replace_encoder(stream);
}

/* Waits for a frame, a request or the encoder, and gives the encoder its events. */
static void wait_for_work(struct stream *stream)
{
	struct pollfd fds[2] = {{.fd = stream->wake_fd, .events = POLLIN}};
	int timeout_ms;
	bool polled = encoding_poll(&stream->encoding, &fds[1], &timeout_ms);
	eventfd_t ignored;

	if (poll(fds, polled ? 2 : 1, timeout_ms) < 0)
		return; /* EINTR: nothing happened */
	if (fds[0].revents)
		eventfd_read(stream->wake_fd, &ignored);
	if (polled && fds[1].revents)
		encoding_dispatch(&stream->encoding, fds[1].revents);
}

static bool is_stopping(struct stream *stream)
{
	bool stopping;

	pthread_mutex_lock(&stream->lock);
	stopping = stream->stopping;
	pthread_mutex_unlock(&stream->lock);
	return stopping;
}

static void *run(void *arg)
{
	struct stream *stream = arg;
	char name[16];

	snprintf(name, sizeof(name), "%.15s", stream->config->name);
	pthread_setname_np(pthread_self(), name);
	while (!is_stopping(stream)) {
		wait_for_work(stream);
		work(stream);
	}
	encoding_close(&stream->encoding);
	return NULL;
}

void stream_frame(struct stream *stream, struct frame *frame)
{
	struct frame *old[QUEUE_MAX];
	unsigned most, n_old = 0;
	bool wake;

	if (stream->mode != STREAM_ENCODES)
		return;
	pthread_mutex_lock(&stream->lock);
	if (stream->closing || rests(stream)) {
		stream->count.dropped += stream->wanted != 0;
		pthread_mutex_unlock(&stream->lock);
		return;
	}
	frame_ref(frame);
	/* The stream is not wanted: only the newest frame waits, for the first viewer. */
	most = stream->wanted != 0 ? QUEUE_MAX : 1;
	while (stream->queued >= most) {
		old[n_old++] = stream->queue[0];
		stream->queue[0] = stream->queue[1];
		stream->arrived_us[0] = stream->arrived_us[1];
		stream->queued--;
		stream->count.dropped += stream->wanted != 0;
	}
	stream->queue[stream->queued] = frame;
	stream->arrived_us[stream->queued] = clock_now_us();
	stream->queued++;
	wake = stream->wanted != 0 || !stream->opened;
	pthread_mutex_unlock(&stream->lock);
	while (n_old > 0)
		frame_unref(old[--n_old]);
	if (wake)
		eventfd_write(stream->wake_fd, 1);
}

/* --- requests --- */

void stream_want(struct stream *stream, unsigned feed, bool wanted)
{
	int place = output_find(&stream->output, feed);
	uint32_t bit = place < 0 ? 0 : 1u << place;
	bool active, changed;

	pthread_mutex_lock(&stream->lock);
	active = stream->wanted != 0;
	if (wanted) {
		stream->begun |= bit & ~stream->wanted;
		stream->wanted |= bit;
	} else {
		stream->wanted &= ~bit;
	}
	changed = active != (stream->wanted != 0);
	if (changed && wanted)
		stream->resumed = true;
	pthread_mutex_unlock(&stream->lock);
	if (!changed)
		return;
	eventfd_write(stream->wake_fd, 1);
	notify(stream);
}

void stream_request_idr(struct stream *stream)
{
	if (stream->mode != STREAM_ENCODES)
		return;
	pthread_mutex_lock(&stream->lock);
	stream->idr_asked++;
	pthread_mutex_unlock(&stream->lock);
}

void stream_set_bitrate(struct stream *stream, uint32_t bitrate_bps)
{
	pthread_mutex_lock(&stream->lock);
	stream->target_bps = bitrate_bps;
	pthread_mutex_unlock(&stream->lock);
}

struct output *stream_output(struct stream *stream)
{
	return &stream->output;
}

bool stream_wants_frames(struct stream *stream)
{
	bool wanted;

	pthread_mutex_lock(&stream->lock);
	wanted = stream->mode == STREAM_ENCODES && stream->wanted != 0;
	pthread_mutex_unlock(&stream->lock);
	return wanted;
}

bool stream_imports(struct stream *stream)
{
	bool imports;

	pthread_mutex_lock(&stream->lock);
	imports = stream->opened && stream->imports;
	pthread_mutex_unlock(&stream->lock);
	return imports;
}

bool stream_outdated(struct stream *stream)
{
	bool outdated;

	pthread_mutex_lock(&stream->lock);
	outdated = stream->outdated;
	pthread_mutex_unlock(&stream->lock);
	return outdated;
}

/* --- status --- */

void stream_sample(struct stream *stream, int64_t now_us)
{
	int64_t elapsed_us = now_us - stream->sample.at_us;
	uint64_t units, bytes, encode_us;

	if (elapsed_us <= 0)
		return;
	pthread_mutex_lock(&stream->lock);
	units = stream->count.units - stream->sample.units;
	bytes = stream->count.bytes - stream->sample.bytes;
	encode_us = stream->count.encode_us - stream->sample.encode_us;
	stream->sample.units = stream->count.units;
	stream->sample.bytes = stream->count.bytes;
	stream->sample.encode_us = stream->count.encode_us;
	stream->sample.no_space_now = stream->count.lost.no_space != stream->sample.no_space;
	stream->sample.no_space = stream->count.lost.no_space;
	pthread_mutex_unlock(&stream->lock);
	stream->sample.at_us = now_us;
	stream->sample.fps_milli = (uint32_t)(units * 1000000000u / (uint64_t)elapsed_us);
	stream->sample.bitrate_bps = (uint32_t)(bytes * 8000000u / (uint64_t)elapsed_us);
	stream->sample.mean_encode_us = units ? (uint32_t)(encode_us / units) : 0;
}

void stream_status(struct stream *stream, struct camcast_msg_stream *out)
{
	memset(out, 0, sizeof(*out));
	out->type = CAMCAST_MSG_STREAM;
	out->stream = stream->config->number;
	out->fps_milli = stream->sample.fps_milli;
	out->bitrate_bps = stream->sample.bitrate_bps;
	out->encode_us = stream->sample.mean_encode_us;
	out->can_force_idr = stream->mode == STREAM_ENCODES;
	pthread_mutex_lock(&stream->lock);
	out->units = stream->count.units;
	out->keys = stream->count.keys;
	out->dropped = stream->count.dropped;
	out->idr_requests = stream->count.idr_requests;
	out->unframed = stream->count.lost.unframed;
	out->target_bps =
		stream->mode == STREAM_COPIES ? stream->info->bitrate_bps : stream->applied_bps;
	out->active = stream->wanted != 0;
	text_set(out->encoder, sizeof(out->encoder), stream->encoder_name);
	if (stream->sample.no_space_now)
		text_set(out->detail, sizeof(out->detail),
			 "there is no room for the log, and units are lost; ");
	text_append(out->detail, sizeof(out->detail), stream->detail);
	pthread_mutex_unlock(&stream->lock);
}

/* --- life --- */

int stream_create(struct stream **out, const struct stream_options *options)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	struct output_options output = {
		.config = options->config, .stream = options->stream, .pair = options->pair};
	int r;

	if (!stream)
		return -ENOMEM;
	stream->config = &options->config->streams[options->stream];
	stream->info = options->info;
	stream->notify_fd = options->notify_fd;
	stream->sample.at_us = clock_now_us();
	stream->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (stream->wake_fd < 0) {
		r = -errno;
		goto free_stream;
	}
	stream->mode =
		stream_mode(stream->config, stream->info, stream->detail, sizeof(stream->detail));
	output.edit = stream_mode_edit(stream->mode, stream->info);
	if (stream->mode == STREAM_COPIES) {
		output.turned = stream->info->turned;
		output.orientation = stream->info->orientation;
	}
	r = output_init(&stream->output, &output);
	if (r < 0)
		goto close_wake;
	stream->wanted = stream->begun = output_kept(&stream->output);
	stream->last_us = INT64_MIN;
	pthread_mutex_init(&stream->lock, NULL);
	if (stream->mode == STREAM_ENCODES) {
		encoding_init(&stream->encoding, stream->config, handle_coded, stream);
		stream->target_bps = stream->config->bitrate;
		snprintf(stream->detail, sizeof(stream->detail), "%s",
			 stream->config->implied ? RESTS : "waiting for the first picture");
	} else if (stream->mode == STREAM_COPIES) {
		snprintf(stream->encoder_name, sizeof(stream->encoder_name), "copy");
		diag_info("stream %s: copy: %s", stream->config->name, stream->detail);
	} else {
		diag_error("stream %s: %s", stream->config->name, stream->detail);
	}
	*out = stream;
	return 0;
close_wake:
	close(stream->wake_fd);
free_stream:
	free(stream);
	return r;
}

int stream_start(struct stream *stream)
{
	int r;

	if (stream->mode != STREAM_ENCODES)
		return 0;
	r = pthread_create(&stream->thread, NULL, run, stream);
	stream->started = r == 0;
	return -r;
}

void stream_destroy(struct stream *stream)
{
	if (!stream)
		return;
	if (stream->started) {
		pthread_mutex_lock(&stream->lock);
		stream->stopping = true;
		pthread_mutex_unlock(&stream->lock);
		eventfd_write(stream->wake_fd, 1);
		pthread_join(stream->thread, NULL);
	}
	drop_queue(stream, false);
	output_finish(&stream->output);
	close(stream->wake_fd);
	pthread_mutex_destroy(&stream->lock);
	free(stream);
}
