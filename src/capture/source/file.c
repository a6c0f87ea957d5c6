/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A recording as a source, played in real time and in a loop: passed on as it is coded, or decoded.
 * Deadlines count from the start, so that nothing drifts; a source that is late by more than
 * LATE_US (a suspended machine, a decoder too slow) moves the start instead of hurrying after it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/text.h"
#include "capture/source/demux.h"
#include "capture/source/pictures.h"
#include "capture/source/source.h"
#include "capture/source/survey.h"
#include "capture/source/timeline.h"

#define LATE_US 500000
/* A recording is searched for its first key picture at full speed for so long, then at a packet in
 * each SEARCH_STEP_US. */
#define SEARCH_US 2000000
#define SEARCH_STEP_US 10000

struct file_source {
	struct source base;
	char camera_name[CONFIG_NAME_MAX];
	struct demux *demux;
	struct timeline timeline;
	int64_t start_us; /* CLOCK_MONOTONIC at media time 0 */
	char told[128];	  /* what the log says about the end of a pass */
	int64_t pass_us;  /* when the pass under way began */
	uint64_t found;	  /* pictures that could be delivered, whether there was room or not */
	bool told_gap;	  /* that pictures of a copy are left out */

	struct pictures pictures;

	pthread_t thread;
	bool running;
	atomic_bool stop; /* also read inside of libavformat's calls */
	pthread_mutex_t lock;
	pthread_cond_t wake; /* stop was set, under lock */
};

/* --- real time --- */

static bool is_stopped(struct file_source *source)
{
	return atomic_load_explicit(&source->stop, memory_order_relaxed);
}

/* CLOCK_MONOTONIC. False when stopped. */
static bool sleep_until(struct file_source *source, int64_t us)
{
	const struct timespec at = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	pthread_mutex_lock(&source->lock);
	while (!is_stopped(source) && !pthread_cond_timedwait(&source->wake, &source->lock, &at))
		;
	pthread_mutex_unlock(&source->lock);
	return !is_stopped(source);
}

/* False when stopped. */
static bool wait_until(struct file_source *source, int64_t media_us)
{
	const int64_t now_us = clock_now_us();
	int64_t due_us = source->start_us + media_us;

	if (now_us > due_us + LATE_US) {
		source->start_us += now_us - due_us;
		due_us = now_us;
	}
	source_set_due(&source->base, due_us);
	return sleep_until(source, due_us);
}

/* --- coded --- */

static int deliver_packet(struct file_source *source, struct coded_picture *picture)
{
	struct packet *packet = &picture->packet;
	int64_t media_us;

	source->found++;
	source_set_size(&source->base, picture->width, picture->height);
	/* Pictures that are left out at an end of the recording take no time there. */
	media_us = timeline_place(&source->timeline, picture->dts, picture->duration);
	if (!wait_until(source, media_us))
		return -ECANCELED;
	packet->capture_us = source->start_us + media_us;
	packet->pts_us = packet->capture_us + picture->reorder_us;
	source->base.events.packet(source->base.events.user, packet);
	decoding_take(source->pictures.decoding, packet);
	return 0;
}

/* A packet of a picture that is left out. In front of the first key picture such packets take no
 * time; later they take theirs, or a damaged recording would be read as fast as the disk allows. */
static int pass_over(struct file_source *source, const AVPacket *packet)
{
	const int64_t us = timeline_skip(&source->timeline, packet->dts);
	const int64_t now_us = clock_now_us();

	if (us) {
		if (!source->told_gap)
			diag_warn("camera %s: the recording is damaged; pictures are left out up "
				  "to the next key picture (IDR)",
				  source->camera_name);
		source->told_gap = true;
		return wait_until(source, us) ? 0 : -ECANCELED;
	}
	if (now_us < source->pass_us + SEARCH_US)
		return 0;
	return sleep_until(source, now_us + SEARCH_STEP_US) ? 0 : -ECANCELED;
}

/* packet NULL: the end. */
static int pass_on(struct file_source *source, AVPacket *packet)
{
	const uint64_t before = source->found;
	struct coded_picture picture;
	int r = coded_send(source->pictures.coded, packet);

	while (!r) {
		r = coded_receive(source->pictures.coded, &picture);
		if (!r)
			r = deliver_packet(source, &picture);
	}
	if (r != -EAGAIN)
		return r;
	if (packet && source->found == before && coded_waits_for_key(source->pictures.coded))
		return pass_over(source, packet);
	return 0;
}

/* --- decoded --- */

static int deliver_pictures(struct file_source *source)
{
	struct frame *frame;
	int64_t timestamp;
	int r;

	while ((r = decoder_receive(source->pictures.decoder, &frame, &timestamp)) != -EAGAIN &&
	       r != -ENODATA) {
		int64_t media_us;

		if (r && r != -ENOBUFS)
			return 0;
		source->found++;
		if (r) /* the encoders are behind */
			continue;
		media_us = timeline_place(&source->timeline, timestamp, 0);
		if (!wait_until(source, media_us)) {
			frame_unref(frame);
			return -ECANCELED;
		}
		frame->sequence = source->found;
		frame->capture_us = source->start_us + media_us;
		source->base.events.frame(source->base.events.user, frame);
	}
	return 0;
}

static int decode_packet(struct file_source *source, const AVPacket *packet)
{
	/* A picture like the one before, in AVI and MP4; libavcodec would take it for the end. */
	if (packet && packet->size == 0)
		return 0;
	/* A damaged packet costs its picture. Every picture was received, so there is room. */
	decoder_send(source->pictures.decoder, packet);
	return deliver_pictures(source);
}

/* --- the thread --- */

static int take_packet(struct file_source *source, AVPacket *packet)
{
	return source->pictures.decoder ? decode_packet(source, packet) : pass_on(source, packet);
}

/* One pass through the recording. 0 at its end, else -errno. */
static int play(struct file_source *source, AVPacket *packet)
{
	int r = 0;

	source->pass_us = clock_now_us();
	while (!r && demux_read(source->demux, packet) == 0) {
		r = take_packet(source, packet);
		av_packet_unref(packet);
	}
	if (!r && is_stopped(source))
		r = -ECANCELED;
	return r ? r : take_packet(source, NULL);
}

/* A pass that did not come to the recording's end, said once for each reason. */
static void tell_trouble(struct file_source *source)
{
	const char *trouble = demux_trouble(source->demux);

	if (!trouble[0] || strcmp(trouble, source->told) == 0)
		return;
	text_set(source->told, sizeof(source->told), trouble);
	diag_error("camera %s: the recording cannot be read to its end: %s; playback starts "
		   "over",
		   source->camera_name, trouble);
}

/* When the pass is over. A picture of a copy was placed with its own duration. */
static void end_pass(struct file_source *source)
{
	timeline_end(&source->timeline, demux_end(source->demux, source->pictures.coded));
}

/* empty: no picture came of the pass that is over. */
static int play_again(struct file_source *source, bool empty, char *why)
{
	int r;

	end_pass(source);
	r = demux_rewind(source->demux, empty, why);
	if (r)
		return r;
	timeline_rewind(&source->timeline);
	if (source->pictures.coded)
		return coded_rewind(source->pictures.coded, demux_stream(source->demux));
	decoder_flush(source->pictures.decoder);
	return 0;
}

static void *run(void *arg)
{
	struct file_source *source = arg;
	AVPacket *packet = av_packet_alloc();
	char why[DEMUX_WHY_SIZE] = "out of memory";
	int r = packet ? 0 : -ENOMEM;

	pthread_setname_np(pthread_self(), "file");
	source->start_us = clock_now_us();
	while (!r) {
		const uint64_t before = source->found;

		r = play(source, packet);
		if (!r)
			tell_trouble(source);
		/* A jump may lead nowhere: only a file that was just opened has no picture. */
		if (!r && source->found == before && demux_began_with_opening(source->demux)) {
			r = -EINVAL;
			if (source->pictures.decoder)
				snprintf(why, sizeof(why),
					 "no picture in the recording can be decoded");
			else
				coded_trouble(source->pictures.coded, why);
		}
		if (!r)
			r = play_again(source, source->found == before, why);
	}
	av_packet_free(&packet);
	if (!is_stopped(source))
		source->base.events.gone(source->base.events.user, r == -ESTALE ? 0 : r,
					 r == -ENOMEM ? "out of memory" : why);
	return NULL;
}

/* --- opening --- */

/* How a player turns the pictures: as the container says, else as Exif does. */
static struct orientation stated_orientation(const struct file_source *source,
					     const struct survey *survey)
{
	const struct orientation stated = demux_orientation(source->demux);

	return orientation_is_upright(stated) ? survey->orientation : stated;
}

static void file_close(struct source *base)
{
	struct file_source *source = (struct file_source *)base;

	pictures_close(&source->pictures);
	demux_close(source->demux);
	pthread_cond_destroy(&source->wake);
	pthread_mutex_destroy(&source->lock);
	free(source);
}

static int open_file(struct file_source *source, const struct config_camera *config,
		     enum source_coding coding, enum config_codec coded_codec, char *why)
{
	struct source_info *info = &source->base.info;
	struct pictures_input input;
	struct survey survey;
	int r;

	snprintf(info->name, sizeof(info->name), "%s", config->source);
	r = demux_open(&source->demux, config->source, config->framerate, &source->stop, why);
	if (r)
		return r;
	r = survey_recording(&survey, config->source, config->framerate, &source->stop, why);
	if (r)
		return r;
	input = (struct pictures_input){
		.what = "recording",
		.stream = demux_stream(source->demux),
		.shape = demux_shape(source->demux),
		.container_shape = demux_container_shape(source->demux),
		.stated = stated_orientation(source, &survey),
		.exif = survey.orientation,
		.parsed = demux_clock_jumps(source->demux),
		.key_hidden = survey.key_hidden,
		.field_jpegs = survey.field_jpegs,
		.bitrate_bps = survey.bitrate_bps,
	};
	info->format.rate = survey.rate;
	info->rate_varies = survey.rate_varies;
	timeline_init(&source->timeline, input.stream->time_base.num, input.stream->time_base.den,
		      (int64_t)1000000 * info->format.rate.den / info->format.rate.num,
		      input.parsed);
	return pictures_open(&source->pictures, &source->base, config, coding, coded_codec, &input,
			     why);
}

static int file_open(struct source **out, const struct config_camera *config,
		     enum source_coding coding, enum config_codec coded_codec,
		     const struct source_events *events, char *why)
{
	struct file_source *source = calloc(1, sizeof(*source));
	pthread_condattr_t attr;
	int r;

	if (!source) {
		snprintf(why, DEMUX_WHY_SIZE, "out of memory");
		return -ENOMEM;
	}
	source->base.ops = &source_file;
	source->base.events = *events;
	snprintf(source->camera_name, sizeof(source->camera_name), "%s", config->name);
	pthread_mutex_init(&source->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&source->wake, &attr);
	pthread_condattr_destroy(&attr);

	/* A damaged recording is reported once, here, and not by libav for each picture, which it
	 * does as FATAL for what is no JPEG. */
	av_log_set_level(AV_LOG_PANIC);
	r = open_file(source, config, coding, coded_codec, why);
	if (r) {
		diag_error("camera %s: %s", config->name, why);
		file_close(&source->base);
		return r;
	}
	*out = &source->base;
	return 0;
}

static int file_start(struct source *base)
{
	struct file_source *source = (struct file_source *)base;
	int r;

	atomic_store_explicit(&source->stop, false, memory_order_relaxed);
	if (source->pictures.decoding) {
		r = decoding_start(source->pictures.decoding);
		if (r)
			return r;
	}
	r = pthread_create(&source->thread, NULL, run, source);
	source->running = r == 0;
	if (r && source->pictures.decoding)
		decoding_stop(source->pictures.decoding);
	return -r;
}

static void file_stop(struct source *base)
{
	struct file_source *source = (struct file_source *)base;

	if (!source->running)
		return;
	pthread_mutex_lock(&source->lock);
	atomic_store_explicit(&source->stop, true, memory_order_relaxed);
	pthread_cond_signal(&source->wake);
	pthread_mutex_unlock(&source->lock);
	pthread_join(source->thread, NULL);
	source->running = false;
	if (source->pictures.decoding)
		decoding_stop(source->pictures.decoding);
}

static void file_want_frames(struct source *base, bool wanted)
{
	struct file_source *source = (struct file_source *)base;

	if (source->pictures.decoding)
		decoding_want(source->pictures.decoding, wanted);
}

const struct source_ops source_file = {
	.open = file_open,
	.start = file_start,
	.stop = file_stop,
	.close = file_close,
	.want_frames = file_want_frames,
};
