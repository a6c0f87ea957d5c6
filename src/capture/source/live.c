/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A source whose pictures come when they come: a URL, a program, or a named pipe. One thread
 * connects, reads, delivers, and connects again after the source has gone, so that streams and
 * viewers wait without noticing more than a gap. The first connection, too, may take as long as it
 * likes: what a stream is made for (codec, size) is known only then.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/text.h"
#include "base/arrival.h"
#include "capture/source/fifo.h"
#include "capture/source/intake.h"
#include "capture/source/pictures.h"
#include "capture/source/program.h"
#include "capture/source/source.h"

#define PICTURES_PER_S_MAX 400 /* more than any camera delivers */
#define BACKOFF_MS 250
#define BACKOFF_MAX_MS 10000
#define HEALTHY_MS 10000
#define SILENCE_MS 5000	    /* without a picture for so long, and four intervals, it hangs */
#define WAIT_MS 100	    /* how soon a stop is seen */
#define TELL_US 60000000    /* at most one line in this time about the same loss */
#define WAITING_MS 500	    /* between two calls of the event `waiting` */
#define KEYLESS_US 10000000 /* pictures, but no key picture for so long, are worth a reason */

enum phase {
	CONNECTING, /* for the first time */
	READY,	    /* the intake is the main thread's, which makes the streams for it */
	RUNNING,
	FAILED, /* the first connection, for good */
};

struct live_source {
	struct source base;
	char camera_name[CONFIG_NAME_MAX];
	enum config_source_kind kind;
	char *what; /* behind the prefix: URL, command, path */
	char *url_options;
	uint32_t silence_ms;	 /* of intake_options */
	struct program *program; /* borrowed */

	pthread_t thread;
	bool started;	      /* the thread */
	atomic_bool stop;     /* also read inside of libavformat's calls */
	pthread_mutex_t lock; /* guards what follows, up to the next blank line */
	pthread_cond_t wake;
	enum phase phase;
	int error; /* if FAILED; with the text in away */
	bool gone; /* there is no connection, or nothing useful comes */
	char away[SOURCE_AWAY_SIZE];

	/* the thread; in phase READY the main thread */
	struct fifo fifo;
	int fd; /* of the program; -1: none */
	struct intake *intake;
	struct pictures pictures;
	enum AVCodecID codec_id; /* of the first connection */
	uint8_t *header;	 /* its codec's */
	int header_len;
	struct arrival arrival;
	struct backoff backoff;
	uint64_t found;	    /* pictures that could be delivered, whether there was room or not */
	int64_t second_us;  /* when the second under way began */
	unsigned in_second; /* pictures in it */
	int64_t begun_us;   /* the connection */
	int64_t keyless_us; /* since when only pictures come that cannot be begun with; 0: not */
	char told[SOURCE_AWAY_SIZE];
	struct diag_limit tell_limit;
};

static bool is_stopped(struct live_source *live)
{
	return atomic_load_explicit(&live->stop, memory_order_relaxed);
}

/* --- for others to see --- */

static void set_away(struct live_source *live, const char *why)
{
	pthread_mutex_lock(&live->lock);
	live->gone = why != NULL;
	if (why)
		text_set(live->away, sizeof(live->away), why);
	pthread_cond_broadcast(&live->wake);
	pthread_mutex_unlock(&live->lock);
}

static bool live_away(struct source *base, char *why)
{
	struct live_source *live = (struct live_source *)base;
	bool gone;

	pthread_mutex_lock(&live->lock);
	gone = live->gone;
	if (gone)
		text_set(why, SOURCE_AWAY_SIZE, live->away);
	pthread_mutex_unlock(&live->lock);
	return gone;
}

/* Waits for a time, or a stop. */
static void pause_ms(struct live_source *live, uint32_t ms)
{
	const int64_t until_us = clock_now_us() + (int64_t)ms * 1000;
	const struct timespec at = {.tv_sec = until_us / 1000000,
				    .tv_nsec = until_us % 1000000 * 1000};

	pthread_mutex_lock(&live->lock);
	while (!is_stopped(live) && !pthread_cond_timedwait(&live->wake, &live->lock, &at))
		;
	pthread_mutex_unlock(&live->lock);
}

/* --- connecting --- */

static int wait_for_program(struct live_source *live, char *why)
{
	char ended[PROGRAM_WHY_SIZE];
	int r;

	while (!is_stopped(live)) {
		r = program_receive(live->program, WAIT_MS, &live->fd, ended);
		if (r == 1)
			return 0;
		if (r == 0)
			set_away(live, ended);
		if (r != -EPIPE)
			continue;
		snprintf(why, INTAKE_WHY_SIZE, "the process that starts the program has ended");
		return -ESTALE;
	}
	return -ECANCELED;
}

static int wait_for_writer(struct live_source *live, char *why)
{
	bool told = false;
	int r = 0;

	if (live->fifo.fd < 0)
		r = fifo_open(&live->fifo, live->what, why);
	while (!r && !is_stopped(live)) {
		r = fifo_wait(&live->fifo, WAIT_MS);
		if (r == 0)
			return 0;
		if (r != -EAGAIN)
			break;
		if (!told)
			set_away(live, "no program writes into the pipe");
		told = true;
		r = 0;
	}
	if (r == -ESTALE)
		snprintf(why, INTAKE_WHY_SIZE, "another pipe was put in its place");
	return r ? r : -ECANCELED;
}

static int connect_source(struct live_source *live, char *why)
{
	struct intake_options options = {
		.fd = -1,
		.url_options = live->url_options,
		.stop = &live->stop,
		.silence_ms = live->silence_ms,
	};
	int r = 0;

	if (live->kind == CONFIG_SOURCE_EXEC) {
		r = wait_for_program(live, why);
		options.fd = live->fd;
	} else if (live->kind == CONFIG_SOURCE_PIPE) {
		r = wait_for_writer(live, why);
		options.fd = live->fifo.fd;
	} else {
		options.url = live->what;
	}
	return r ? r : intake_open(&live->intake, &options, why);
}

/* How the program ended says more than that its output did. */
static void explain_end(struct live_source *live, char *why)
{
	const int64_t until_us = clock_now_us() + 1000000;
	char ended[PROGRAM_WHY_SIZE];
	int fd, r = -EAGAIN;

	while (r == -EAGAIN && !is_stopped(live) && clock_now_us() < until_us)
		r = program_receive(live->program, WAIT_MS, &fd, ended);
	if (r == 0)
		snprintf(why, INTAKE_WHY_SIZE, "%s", ended);
	else
		program_kill(live->program);
	if (r == 1)
		close(fd);
}

/* error: why the connection is over. */
static void disconnect(struct live_source *live, int error, char *why)
{
	intake_close(live->intake);
	live->intake = NULL;
	if (live->fd < 0)
		return;
	close(live->fd);
	live->fd = -1;
	if (is_stopped(live))
		return;
	if (error == -ENODATA)
		explain_end(live, why);
	else
		program_kill(live->program);
}

/* --- what another connection delivers --- */

static int keep_kind(struct live_source *live)
{
	const AVCodecParameters *now = intake_stream(live->intake)->codecpar;

	live->codec_id = now->codec_id;
	live->header_len = now->extradata_size;
	live->header = now->extradata_size > 0 ? malloc((size_t)now->extradata_size) : NULL;
	if (now->extradata_size > 0 && !live->header)
		return -ENOMEM;
	if (live->header)
		memcpy(live->header, now->extradata, (size_t)now->extradata_size);
	return 0;
}

/* Sizes and parameter sets of copied pictures may change at any time; the codec may not, nor what a
 * decoder was opened with. */
static int go_on(struct live_source *live, char *why)
{
	const AVStream *stream = intake_stream(live->intake);
	const AVCodecParameters *now = stream->codecpar;
	const bool same_header = now->extradata_size == live->header_len &&
				 (live->header_len == 0 || memcmp(now->extradata, live->header,
								  (size_t)live->header_len) == 0);

	if (now->codec_id != live->codec_id || (live->pictures.decoder && !same_header)) {
		snprintf(why, INTAKE_WHY_SIZE, "it came back as another stream (%s)",
			 avcodec_get_name(now->codec_id));
		return -ESTALE;
	}
	arrival_restart(&live->arrival);
	if (live->pictures.coded)
		return coded_rewind(live->pictures.coded, stream);
	decoder_flush(live->pictures.decoder);
	return 0;
}

/* --- pictures --- */

static int64_t place(struct live_source *live, int64_t timestamp)
{
	const AVRational base = intake_stream(live->intake)->time_base;

	if (timestamp == AV_NOPTS_VALUE || !intake_has_clock(live->intake))
		return arrival_place(&live->arrival, clock_now_us(), ARRIVAL_NONE);
	return arrival_place(&live->arrival, clock_now_us(),
			     av_rescale_q(timestamp, base, AV_TIME_BASE_Q));
}

/* A source that has a store of pictures waits: camcastd takes CAMCAST_UNIT_RATE_MAX of a worker. */
static void slow_down(struct live_source *live)
{
	const int64_t now_us = clock_now_us();

	if (now_us - live->second_us >= 1000000) {
		live->second_us = now_us;
		live->in_second = 0;
	}
	if (++live->in_second > PICTURES_PER_S_MAX)
		pause_ms(live, (uint32_t)((live->second_us + 1000000 - now_us) / 1000 + 1));
}

static void note_picture(struct live_source *live)
{
	slow_down(live);
	live->found++;
	if (live->keyless_us < 0)
		return;
	/* From now on there is nothing to say, until the next gap. */
	live->keyless_us = -1;
	live->told[0] = '\0';
	set_away(live, NULL);
}

static void deliver_packet(struct live_source *live, struct coded_picture *picture)
{
	struct packet *packet = &picture->packet;

	note_picture(live);
	source_set_size(&live->base, picture->width, picture->height);
	packet->capture_us = place(live, picture->dts);
	packet->pts_us = packet->capture_us + picture->reorder_us;
	live->base.events.packet(live->base.events.user, packet);
	decoding_take(live->pictures.decoding, packet);
}

static int pass_on(struct live_source *live, const AVPacket *packet)
{
	struct coded_picture picture;
	char why[256];
	int r = coded_send(live->pictures.coded, packet);

	while (!r) {
		r = coded_receive(live->pictures.coded, &picture);
		if (!r)
			deliver_packet(live, &picture);
	}
	if (r != -EAGAIN)
		return r;
	if (live->keyless_us > 0 && clock_now_us() > live->keyless_us + KEYLESS_US) {
		coded_trouble(live->pictures.coded, why);
		set_away(live, why);
		live->keyless_us = clock_now_us();
	}
	return 0;
}

static void deliver_frames(struct live_source *live)
{
	struct frame *frame;
	int64_t us, now_us;
	int r;

	while ((r = decoder_receive(live->pictures.decoder, &frame, &us)) != -EAGAIN &&
	       r != -ENODATA) {
		if (r && r != -ENOBUFS)
			return;
		note_picture(live);
		if (r) /* the encoders are behind */
			continue;
		frame->sequence = live->found;
		/* The streams' clocks never go back: a time ahead of ours would stop them. */
		now_us = clock_now_us();
		frame->capture_us = us == AV_NOPTS_VALUE || us > now_us ? now_us : us;
		live->base.events.frame(live->base.events.user, frame);
	}
}

/* The decoder gets times of ours: when it gives a picture, it gives its time as well. */
static void decode(struct live_source *live, AVPacket *packet)
{
	const AVRational base = intake_stream(live->intake)->time_base;
	int64_t shown_us = place(live, packet->dts), later_us = 0;

	if (packet->size == 0)
		return;
	if (intake_has_clock(live->intake) && packet->pts != AV_NOPTS_VALUE &&
	    packet->dts != AV_NOPTS_VALUE && packet->pts > packet->dts &&
	    (uint64_t)packet->pts - (uint64_t)packet->dts < INT32_MAX)
		later_us = av_rescale_q(packet->pts - packet->dts, base, AV_TIME_BASE_Q);
	if (later_us > 0 && later_us <= CODED_REORDER_LIVE_US)
		shown_us += later_us;
	packet->pts = shown_us;
	packet->dts = AV_NOPTS_VALUE;
	/* A damaged packet costs its picture. Every picture was received, so there is room. */
	(void)decoder_send(live->pictures.decoder, packet);
	deliver_frames(live);
}

/* Until the connection ends: -errno, with a text. */
static int deliver(struct live_source *live, AVPacket *packet, char *why)
{
	int r;

	live->begun_us = clock_now_us();
	live->keyless_us = live->begun_us;
	while ((r = intake_read(live->intake, packet, why)) == 0) {
		if (live->pictures.decoder)
			decode(live, packet);
		else
			r = pass_on(live, packet);
		av_packet_unref(packet);
		if (r) {
			snprintf(why, INTAKE_WHY_SIZE, "out of memory");
			return r;
		}
	}
	return r;
}

/* --- the thread --- */

/* The first connection stands: the main thread takes it, and gives it back by live_start(). */
static int hand_over(struct live_source *live)
{
	int r = keep_kind(live);

	if (r)
		return r;
	pthread_mutex_lock(&live->lock);
	live->phase = READY;
	live->gone = false;
	pthread_cond_broadcast(&live->wake);
	while (live->phase == READY && !is_stopped(live))
		pthread_cond_wait(&live->wake, &live->lock);
	pthread_mutex_unlock(&live->lock);
	return is_stopped(live) ? -ECANCELED : 0;
}

/* One connection, from its beginning to its end. */
static int live_once(struct live_source *live, AVPacket *packet, char *why)
{
	int r = connect_source(live, why);

	live->begun_us = 0;
	if (r)
		return r;
	if (live->codec_id == AV_CODEC_ID_NONE)
		r = hand_over(live);
	else
		r = go_on(live, why);
	return r ? r : deliver(live, packet, why);
}

/* The log has the loss of a source once, until it is back or the reason changes. */
static void tell_loss(struct live_source *live, const char *why)
{
	uint64_t suppressed;

	set_away(live, why);
	/* What a program ended with is in the log already. */
	if (live->kind == CONFIG_SOURCE_EXEC && strstr(why, " ended: "))
		return;
	if (strcmp(why, live->told) == 0 ||
	    !diag_allowed(&live->tell_limit, clock_now_us(), TELL_US, &suppressed))
		return;
	text_set(live->told, sizeof(live->told), why);
	diag_warn("camera %s: %s: %s; camcast tries again, and viewers wait", live->camera_name,
		  live->base.info.name, why);
}

static void recover(struct live_source *live, int error, const char *why)
{
	const int64_t worked_ms = live->begun_us ? (clock_now_us() - live->begun_us) / 1000 : 0;

	if (live->begun_us)
		source_count_reconnect(&live->base);
	/* A writer may come and go. */
	if (live->kind != CONFIG_SOURCE_PIPE || error != -ENODATA)
		tell_loss(live, why);
	/* The launcher has a backoff of its own; a writer that has gone is waited for. */
	if (live->kind == CONFIG_SOURCE_URL ||
	    (live->kind == CONFIG_SOURCE_PIPE && error != -ENODATA))
		pause_ms(live, backoff_after(&live->backoff, worked_ms));
}

/* Trying again cannot help. */
static bool is_final(const struct live_source *live, int error)
{
	return error == -ESTALE || error == -ENOMEM ||
	       (live->kind == CONFIG_SOURCE_PIPE && live->fifo.fd < 0);
}

static void give_up(struct live_source *live, int error, const char *why)
{
	bool first;

	pthread_mutex_lock(&live->lock);
	first = live->phase == CONNECTING;
	if (first) {
		live->phase = FAILED;
		live->error = error;
		text_set(live->away, sizeof(live->away), why);
	}
	pthread_cond_broadcast(&live->wake);
	pthread_mutex_unlock(&live->lock);
	if (!first)
		live->base.events.gone(live->base.events.user, error == -ESTALE ? 0 : error, why);
}

static void *run(void *arg)
{
	struct live_source *live = arg;
	AVPacket *packet = av_packet_alloc();
	char why[INTAKE_WHY_SIZE] = "out of memory";
	int r = packet ? 0 : -ENOMEM;

	pthread_setname_np(pthread_self(), "live");
	while (!r) {
		r = live_once(live, packet, why);
		disconnect(live, r, why);
		if (is_stopped(live))
			break;
		if (is_final(live, r))
			give_up(live, r, why);
		else {
			recover(live, r, why);
			r = 0;
		}
	}
	if (!packet)
		give_up(live, r, why);
	av_packet_free(&packet);
	return NULL;
}

/* --- life --- */

static void stop_thread(struct live_source *live)
{
	if (!live->started)
		return;
	pthread_mutex_lock(&live->lock);
	atomic_store_explicit(&live->stop, true, memory_order_relaxed);
	pthread_cond_broadcast(&live->wake);
	pthread_mutex_unlock(&live->lock);
	pthread_join(live->thread, NULL);
	live->started = false;
}

static void live_close(struct source *base)
{
	struct live_source *live = (struct live_source *)base;

	stop_thread(live);
	pictures_close(&live->pictures);
	intake_close(live->intake);
	if (live->fd >= 0)
		close(live->fd);
	fifo_close(&live->fifo);
	free(live->header);
	free(live->what);
	free(live->url_options);
	pthread_cond_destroy(&live->wake);
	pthread_mutex_destroy(&live->lock);
	free(live);
}

/* Until the first connection stands. 0, or -errno with a text. */
static int wait_until_ready(struct live_source *live, char *why)
{
	const struct source_events *events = &live->base.events;
	char away[SOURCE_AWAY_SIZE];
	int r;

	pthread_mutex_lock(&live->lock);
	while (live->phase == CONNECTING) {
		const int64_t until_us = clock_now_us() + WAITING_MS * 1000;
		const struct timespec at = {.tv_sec = until_us / 1000000,
					    .tv_nsec = until_us % 1000000 * 1000};

		(void)pthread_cond_timedwait(&live->wake, &live->lock, &at);
		if (live->phase != CONNECTING)
			break;
		text_set(away, sizeof(away), live->gone ? live->away : "");
		pthread_mutex_unlock(&live->lock);
		if (events->waiting && !events->waiting(events->user, away)) {
			snprintf(why, 256, "stopped");
			return -ECANCELED;
		}
		pthread_mutex_lock(&live->lock);
	}
	r = live->phase == FAILED ? live->error : 0;
	if (r)
		snprintf(why, 256, "%s", live->away);
	pthread_mutex_unlock(&live->lock);
	return r;
}

static int open_pictures(struct live_source *live, const struct config_camera *config,
			 enum source_coding coding, enum config_codec codec, char *why)
{
	struct source_info *info = &live->base.info;
	const struct pictures_input input = {
		.what = "stream",
		.stream = intake_stream(live->intake),
		.shape = intake_shape(live->intake, false),
		.container_shape = intake_shape(live->intake, true),
		.parsed = intake_is_parsed(live->intake),
		.immediate = true,
	};

	info->format.rate = intake_rate(live->intake, config->framerate);
	info->rate_varies = true;
	info->returns = true;
	return pictures_open(&live->pictures, &live->base, config, coding, codec, &input, why);
}

static int init(struct live_source *live, const struct config_camera *config,
		const struct source_events *events)
{
	const char *what;
	pthread_condattr_t attr;

	live->base.ops = &source_live;
	live->base.events = *events;
	live->fd = live->fifo.fd = -1;
	live->kind = config_source_kind(config->source, &what);
	live->program = events->program;
	live->backoff = (struct backoff){BACKOFF_MS, BACKOFF_MAX_MS, HEALTHY_MS, 0};
	/* The program that writes into a pipe may pause: nothing would be better if it were
	 * closed. */
	if (live->kind != CONFIG_SOURCE_PIPE)
		live->silence_ms =
			SILENCE_MS + 4000 * config->framerate.den / config->framerate.num;
	snprintf(live->camera_name, sizeof(live->camera_name), "%s", config->name);
	config_source_show(config->source, live->base.info.name);
	pthread_mutex_init(&live->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&live->wake, &attr);
	pthread_condattr_destroy(&attr);
	live->what = strdup(what);
	live->url_options = strdup(config->url_options ? config->url_options : "");
	return live->what && live->url_options ? 0 : -ENOMEM;
}

static int live_open(struct source **out, const struct config_camera *config,
		     enum source_coding coding, enum config_codec coded_codec,
		     const struct source_events *events, char *why)
{
	struct live_source *live = calloc(1, sizeof(*live));
	int r;

	snprintf(why, 256, "out of memory");
	if (!live)
		return -ENOMEM;
	r = init(live, config, events);
	if (!r && live->kind == CONFIG_SOURCE_EXEC && !live->program) {
		snprintf(why, 256, "the program cannot be started");
		r = -EINVAL;
	}
	if (!r) {
		r = -pthread_create(&live->thread, NULL, run, live);
		live->started = r == 0;
	}
	if (!r)
		r = wait_until_ready(live, why);
	if (!r)
		r = open_pictures(live, config, coding, coded_codec, why);
	if (r) {
		if (r != -ECANCELED)
			diag_error("camera %s: %s: %s", config->name, live->base.info.name, why);
		live_close(&live->base);
		return r;
	}
	*out = &live->base;
	return 0;
}

static int live_start(struct source *base)
{
	struct live_source *live = (struct live_source *)base;

	if (live->pictures.decoding) {
		int r = decoding_start(live->pictures.decoding);

		if (r)
			return r;
	}
	pthread_mutex_lock(&live->lock);
	live->phase = RUNNING;
	pthread_cond_broadcast(&live->wake);
	pthread_mutex_unlock(&live->lock);
	return 0;
}

static void live_stop(struct source *base)
{
	struct live_source *live = (struct live_source *)base;

	stop_thread(live);
	if (live->pictures.decoding)
		decoding_stop(live->pictures.decoding);
}

static void live_want_frames(struct source *base, bool wanted)
{
	struct live_source *live = (struct live_source *)base;

	if (live->pictures.decoding)
		decoding_want(live->pictures.decoding, wanted);
}

const struct source_ops source_live = {
	.open = live_open,
	.start = live_start,
	.stop = live_stop,
	.close = live_close,
	.want_frames = live_want_frames,
	.away = live_away,
};
