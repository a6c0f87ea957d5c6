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
#include <sys/stat.h>

#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>

#include "base/clock.h"
#include "base/diag.h"
#include "capture/source/decoder.h"
#include "capture/source/source.h"
#include "capture/source/timeline.h"
#include "media/access_unit.h"
#include "media/jpeg.h"

#define WHY_SIZE 256
#define LATE_US 500000
#define REORDER_MAX_US INT64_C(10000000)

struct file_source {
	struct source base;
	char camera_name[CONFIG_NAME_MAX];
	char *url; /* "file:PATH", as libavformat takes it */
	AVFormatContext *input;
	int stream; /* index of the video stream */
	AVPacket *packet;
	struct timeline timeline;
	int64_t start_us; /* CLOCK_MONOTONIC at media time 0 */
	uint64_t found;	  /* pictures that could be delivered, whether there was room or not */

	/* coded */
	AVBSFContext *filter;
	uint8_t *joined; /* a packet with parameter sets or tables put into it */
	size_t joined_size;
	bool wait_key; /* after a gap: nothing up to the next key picture */

	/* decoded */
	struct decoder *decoder;

	pthread_t thread;
	bool running;
	atomic_bool stop; /* also read inside of libavformat's calls */
	pthread_mutex_t lock;
	pthread_cond_t wake; /* stop was set, under lock */
};

/* --- errors --- */

static int errno_of(int averror)
{
	/* libav's own errors are tags, far below any errno. */
	return averror > -4096 ? averror : -EINVAL;
}

static const char *text_of(int averror, char text[AV_ERROR_MAX_STRING_SIZE])
{
	if (averror == AVERROR_INVALIDDATA)
		return "no recording that libavformat knows, or a damaged one";
	if (averror > -4096)
		return strerror(-averror);
	av_strerror(averror, text, AV_ERROR_MAX_STRING_SIZE);
	return text;
}

/* --- the input --- */

static int is_stopped(void *user)
{
	struct file_source *source = user;

	return atomic_load_explicit(&source->stop, memory_order_relaxed);
}

static const struct AVStream *stream_of(const struct file_source *source)
{
	return source->input->streams[source->stream];
}

/* libavformat would take a folder for a file of size 0, and wait on a pipe for ever. */
static int check_path(const char *path, char *why)
{
	struct stat st;
	int r = 0;

	if (stat(path, &st) < 0)
		r = -errno;
	else if (S_ISDIR(st.st_mode))
		r = -EISDIR;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	else if (st.st_size == 0)
		r = -ENODATA;
	if (r)
		snprintf(why, WHY_SIZE, "%.200s: %s", path,
			 r == -EINVAL	 ? "not a regular file"
			 : r == -ENODATA ? "the file is empty"
					 : strerror(-r));
	return r;
}

static int open_input(struct file_source *source, char *why)
{
	struct config_rate rate = source->base.info.format.rate;
	char text[AV_ERROR_MAX_STRING_SIZE], framerate[32];
	AVDictionary *options = NULL;
	int r;

	source->input = avformat_alloc_context();
	if (!source->input) {
		snprintf(why, WHY_SIZE, "out of memory");
		return -ENOMEM;
	}
	source->input->interrupt_callback = (AVIOInterruptCB){is_stopped, source};
	/* Only formats without a rate of their own look at it: images, raw streams. */
	snprintf(framerate, sizeof(framerate), "%u/%u", rate.num, rate.den);
	av_dict_set(&options, "framerate", framerate, 0);
	/* A playlist may name more files, but no hosts. */
	av_dict_set(&options, "protocol_whitelist", "file", 0);
	r = avformat_open_input(&source->input, source->url, NULL, &options);
	av_dict_free(&options);
	if (r >= 0)
		r = avformat_find_stream_info(source->input, NULL);
	if (r < 0) {
		snprintf(why, WHY_SIZE, "%.160s: %s", source->url, text_of(r, text));
		return errno_of(r);
	}
	r = av_find_best_stream(source->input, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
	if (r < 0 || source->input->streams[r]->disposition & AV_DISPOSITION_ATTACHED_PIC) {
		snprintf(why, WHY_SIZE, "%.200s: there is no video in it", source->url);
		return -EINVAL;
	}
	source->stream = r;
	if (stream_of(source)->codecpar->width <= 0 || stream_of(source)->codecpar->height <= 0) {
		snprintf(why, WHY_SIZE,
			 "%.160s: its video tells no size; the file may be cut short", source->url);
		return -EINVAL;
	}
	for (unsigned i = 0; i < source->input->nb_streams; i++)
		if ((int)i != source->stream)
			source->input->streams[i]->discard = AVDISCARD_ALL;
	return 0;
}

/* Back to the first picture. A jump to a time may miss it where there is no index; where that is
 * so, or a jump is impossible, the file is opened anew. */
static int rewind_input(struct file_source *source)
{
	const struct AVStream *stream = stream_of(source);
	const int flags = source->input->iformat->flags;
	const int64_t start = stream->start_time == AV_NOPTS_VALUE ? 0 : stream->start_time;
	char why[WHY_SIZE];
	int r;

	if (!(flags & (AVFMT_TS_DISCONT | AVFMT_NOTIMESTAMPS)))
		r = avformat_seek_file(source->input, source->stream, INT64_MIN, start, start, 0);
	else if (!(flags & AVFMT_NO_BYTE_SEEK))
		r = av_seek_frame(source->input, source->stream, 0, AVSEEK_FLAG_BYTE);
	else
		r = -1;
	if (r >= 0)
		return 0;
	avformat_close_input(&source->input);
	r = open_input(source, why);
	if (r)
		diag_error("camera %s: %s", source->camera_name, why);
	return r;
}

/* --- real time --- */

/* False when stopped. */
static bool wait_until(struct file_source *source, int64_t media_us)
{
	const int64_t now_us = clock_now_us();
	int64_t due_us = source->start_us + media_us;
	struct timespec at;

	if (now_us > due_us + LATE_US) {
		source->start_us += now_us - due_us;
		due_us = now_us;
	}
	at = (struct timespec){.tv_sec = due_us / 1000000, .tv_nsec = due_us % 1000000 * 1000};
	pthread_mutex_lock(&source->lock);
	while (!is_stopped(source) && !pthread_cond_timedwait(&source->wake, &source->lock, &at))
		;
	pthread_mutex_unlock(&source->lock);
	return !is_stopped(source);
}

/* --- coded --- */

static int make_room(struct file_source *source, size_t size)
{
	uint8_t *larger;

	if (source->joined_size >= size)
		return 0;
	larger = realloc(source->joined, size);
	if (!larger)
		return -ENOMEM;
	source->joined = larger;
	source->joined_size = size;
	return 0;
}

/* Puts the parameter sets of the file's header in front of an IDR that has none. */
static int join_sets(struct file_source *source, struct packet *packet)
{
	const AVCodecParameters *parameters = source->filter->par_out;
	const size_t head = (size_t)parameters->extradata_size;
	int r = make_room(source, head + packet->len);

	if (r)
		return r;
	memcpy(source->joined, parameters->extradata, head);
	memcpy(source->joined + head, packet->data, packet->len);
	packet->data = source->joined;
	packet->len += head;
	return 0;
}

static int complete_jpeg(struct file_source *source, struct packet *packet)
{
	struct jpeg_header header;
	int r;

	if (jpeg_header_read(packet->data, packet->len, &header) < 0)
		return -EBADMSG;
	packet->key = true;
	if (header.has_tables)
		return 0;
	r = make_room(source, packet->len + JPEG_TABLES_LEN);
	if (r)
		return r;
	packet->len = jpeg_insert_tables(packet->data, packet->len, header.scan, source->joined);
	packet->data = source->joined;
	return 0;
}

/* -EBADMSG: a damaged picture. */
static int complete_packet(struct file_source *source, struct packet *packet)
{
	struct access_unit_head head;

	if (source->base.info.codec == CONFIG_CODEC_MJPEG)
		return complete_jpeg(source, packet);
	access_unit_read_head(packet->data, packet->len, &head);
	packet->key = head.idr;
	if (head.idr && !head.sps && source->filter->par_out->extradata_size > 0)
		return join_sets(source, packet);
	return 0;
}

/* How much later than it is decoded a picture is shown. More than REORDER_MAX_US is damage. */
static int64_t reorder_us(const AVPacket *av, AVRational base)
{
	uint64_t ticks = (uint64_t)av->pts - (uint64_t)av->dts;
	int64_t us;

	if (av->pts == AV_NOPTS_VALUE || av->dts == AV_NOPTS_VALUE || av->pts <= av->dts ||
	    ticks > INT64_MAX)
		return 0;
	us = av_rescale_q((int64_t)ticks, base, AV_TIME_BASE_Q);
	return us >= 0 && us <= REORDER_MAX_US ? us : 0;
}

static uint32_t duration_us(const AVPacket *av, AVRational base)
{
	int64_t us = av->duration > 0 ? av_rescale_q(av->duration, base, AV_TIME_BASE_Q) : 0;

	return us > 0 && us <= UINT32_MAX ? (uint32_t)us : 0;
}

/* Takes what is in source->packet, after the filter. 0, or -errno to end. */
static int deliver_packet(struct file_source *source)
{
	const AVRational base = source->filter->time_base_out;
	const AVPacket *av = source->packet;
	struct packet packet = {.data = av->data, .len = (size_t)av->size};
	int64_t media_us;
	int r;

	r = av->size <= 0 || av->flags & AV_PKT_FLAG_CORRUPT ? -EBADMSG
							     : complete_packet(source, &packet);
	if (r == -EBADMSG) {
		source->wait_key = true;
		return 0;
	}
	if (r)
		return r;
	if (source->wait_key && !packet.key)
		return 0;
	source->wait_key = false;
	source->found++;
	/* What is left out at an end of the recording takes no time there. */
	media_us = timeline_place(&source->timeline, av->dts, av->duration);
	if (!wait_until(source, media_us))
		return -ECANCELED;
	packet.capture_us = source->start_us + media_us;
	packet.pts_us = packet.capture_us + reorder_us(av, base);
	packet.duration_us = duration_us(av, base);
	source->base.events.packet(source->base.events.user, &packet);
	return 0;
}

/* packet NULL: the end. */
static int filter_packet(struct file_source *source, AVPacket *packet)
{
	int r = av_bsf_send_packet(source->filter, packet);

	if (r < 0) {
		/* Damaged: the filter could not make an access unit of it. */
		if (packet)
			av_packet_unref(packet);
		source->wait_key = true;
		return 0;
	}
	while ((r = av_bsf_receive_packet(source->filter, source->packet)) >= 0) {
		r = deliver_packet(source);
		av_packet_unref(source->packet);
		if (r)
			return r;
	}
	return 0;
}

/* --- decoded --- */

static int deliver_pictures(struct file_source *source)
{
	struct frame *frame;
	int64_t timestamp;
	int r;

	while ((r = decoder_receive(source->decoder, &frame, &timestamp)) != -EAGAIN &&
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
	/* A damaged packet costs its picture. Every picture was received, so there is room. */
	decoder_send(source->decoder, packet);
	return deliver_pictures(source);
}

/* --- the thread --- */

static int take_packet(struct file_source *source, AVPacket *packet)
{
	return source->decoder ? decode_packet(source, packet) : filter_packet(source, packet);
}

/* One pass through the recording. 0 at its end, else -errno. */
static int play(struct file_source *source, AVPacket *packet)
{
	int r = 0;

	/* Whatever libavformat calls it, an error in the middle is where this file ends. */
	while (!r && !is_stopped(source) && av_read_frame(source->input, packet) >= 0) {
		if (packet->stream_index == source->stream)
			r = take_packet(source, packet);
		av_packet_unref(packet);
	}
	if (!r && is_stopped(source))
		r = -ECANCELED;
	return r ? r : take_packet(source, NULL);
}

static int play_again(struct file_source *source)
{
	int r = rewind_input(source);

	if (r)
		return r;
	timeline_rewind(&source->timeline);
	if (source->decoder)
		decoder_flush(source->decoder);
	else
		av_bsf_flush(source->filter);
	source->wait_key = true;
	return 0;
}

static void *run(void *arg)
{
	struct file_source *source = arg;
	AVPacket *packet = av_packet_alloc();
	const char *why = "the recording cannot be played again from its beginning";
	int r = packet ? 0 : -ENOMEM;

	pthread_setname_np(pthread_self(), "file");
	source->start_us = clock_now_us();
	while (!r) {
		const uint64_t before = source->found;

		r = play(source, packet);
		if (!r && source->found == before) {
			r = -EINVAL;
			why = source->decoder ? "no picture in the recording can be decoded"
					      : "the recording has no key picture (IDR) to begin "
						"with; let it be encoded instead of `copy`";
		}
		if (!r)
			r = play_again(source);
	}
	av_packet_free(&packet);
	if (!is_stopped(source))
		source->base.events.gone(source->base.events.user, r,
					 r == -ENOMEM ? "out of memory" : why);
	return NULL;
}

/* --- opening --- */

static struct config_rate rate_of(const struct file_source *source, struct config_rate otherwise)
{
	AVRational rate = stream_of(source)->avg_frame_rate;

	if (rate.num <= 0 || rate.den <= 0)
		rate = stream_of(source)->r_frame_rate;
	if (rate.num <= 0 || rate.den <= 0 || av_q2d(rate) > 1000 || av_q2d(rate) < 1e-4)
		return otherwise;
	/* the VUI's fields have 32 bits, one of them for twice the number */
	av_reduce(&rate.num, &rate.den, rate.num, rate.den, 1 << 28);
	return (struct config_rate){(uint32_t)rate.num, (uint32_t)rate.den};
}

static int open_filter(struct file_source *source, char *why)
{
	const bool h264 = source->base.info.codec == CONFIG_CODEC_H264;
	const struct AVStream *stream = stream_of(source);
	const AVBitStreamFilter *filter = av_bsf_get_by_name(h264 ? "h264_mp4toannexb" : "null");
	int r = filter ? av_bsf_alloc(filter, &source->filter) : AVERROR_BSF_NOT_FOUND;

	if (r >= 0)
		r = avcodec_parameters_copy(source->filter->par_in, stream->codecpar);
	if (r >= 0) {
		source->filter->time_base_in = stream->time_base;
		r = av_bsf_init(source->filter);
	}
	source->packet = av_packet_alloc();
	if (r >= 0 && source->packet)
		return 0;
	snprintf(why, WHY_SIZE, "%.160s: its video cannot be passed on as it is", source->url);
	return r < 0 ? errno_of(r) : -ENOMEM;
}

static int open_coded(struct file_source *source, enum config_codec codec, char *why)
{
	struct source_info *info = &source->base.info;

	info->coded = true;
	info->codec = codec;
	info->format.width = (uint32_t)stream_of(source)->codecpar->width;
	info->format.height = (uint32_t)stream_of(source)->codecpar->height;
	snprintf(info->note, sizeof(info->note), "passed on as recorded");
	source->wait_key = true;
	return open_filter(source, why);
}

static int open_decoded(struct file_source *source, const struct config_camera *config, char *why)
{
	struct source_info *info = &source->base.info;
	int r = decoder_create(&source->decoder, stream_of(source)->codecpar, info->format.rate,
			       config->allocator, config->buffers, why);

	if (r)
		return r;
	info->format = *decoder_format(source->decoder);
	snprintf(info->allocator, sizeof(info->allocator), "%s",
		 decoder_allocator(source->decoder));
	snprintf(info->note, sizeof(info->note), "%s", decoder_note(source->decoder));
	return 0;
}

static void file_close(struct source *base)
{
	struct file_source *source = (struct file_source *)base;

	decoder_destroy(source->decoder);
	av_bsf_free(&source->filter);
	av_packet_free(&source->packet);
	avformat_close_input(&source->input);
	pthread_cond_destroy(&source->wake);
	pthread_mutex_destroy(&source->lock);
	free(source->joined);
	free(source->url);
	free(source);
}

static int open_file(struct file_source *source, const struct config_camera *config,
		     bool want_coded, enum config_codec coded_codec, char *why)
{
	const enum AVCodecID id =
		coded_codec == CONFIG_CODEC_H264 ? AV_CODEC_ID_H264 : AV_CODEC_ID_MJPEG;
	struct source_info *info = &source->base.info;
	const struct AVStream *stream;
	int r;

	source->url = strdup(config->source);
	if (!source->url) {
		snprintf(why, WHY_SIZE, "out of memory");
		return -ENOMEM;
	}
	r = check_path(source->url + strlen("file:"), why);
	if (r)
		return r;
	snprintf(info->name, sizeof(info->name), "%s", source->url);
	info->format.rate = config->framerate;
	r = open_input(source, why);
	if (r)
		return r;
	stream = stream_of(source);
	info->format.rate = rate_of(source, config->framerate);
	timeline_init(&source->timeline, stream->time_base.num, stream->time_base.den,
		      (int64_t)1000000 * info->format.rate.den / info->format.rate.num,
		      source->input->iformat->flags & AVFMT_TS_DISCONT);
	if (want_coded && stream->codecpar->codec_id == id)
		return open_coded(source, coded_codec, why);
	if (want_coded)
		diag_warn("camera %s: %s holds %s, which cannot be copied as %s: it is decoded",
			  config->name, source->url, avcodec_get_name(stream->codecpar->codec_id),
			  config_codec_name(coded_codec));
	return open_decoded(source, config, why);
}

static int file_open(struct source **out, const struct config_camera *config, bool want_coded,
		     enum config_codec coded_codec, const struct source_events *events, char *why)
{
	struct file_source *source = calloc(1, sizeof(*source));
	pthread_condattr_t attr;
	int r;

	if (!source) {
		snprintf(why, WHY_SIZE, "out of memory");
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

	/* A damaged recording is told of once, here, and not by libav in every pass. */
	av_log_set_level(AV_LOG_FATAL);
	r = open_file(source, config, want_coded, coded_codec, why);
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
	r = pthread_create(&source->thread, NULL, run, source);
	source->running = r == 0;
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
}

const struct source_ops source_file = {
	.open = file_open,
	.start = file_start,
	.stop = file_stop,
	.close = file_close,
};
