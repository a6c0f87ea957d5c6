/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/survey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "capture/source/coded.h"
#include "media/jpeg.h"

#define PICTURES_MAX 1000
#define BYTES_MAX (32u << 20)
#define TIME_MAX_US 4000000 /* camcastd waits 10 s for a camera that opens */
#define VARIES 1.5     /* the longest interval to the shortest; containers round to milliseconds */
#define SAME_RATE 0.03 /* a stated rate that is as near to the measured one is what is meant */

struct sight {
	bool any;		   /* a picture came, with a time or without */
	int64_t dts[PICTURES_MAX]; /* of the pictures, growing */
	size_t pictures;
	int64_t last_duration; /* ticks */
	uint64_t bytes;	       /* of the packets */
	unsigned packets;      /* of those that are not read as H.264 */
	unsigned packets_each; /* for a picture: 2 where one is a field */
};

/* --- looking --- */

static void see_picture(struct sight *sight, int64_t dts, int64_t duration)
{
	sight->any = true;
	if (dts == AV_NOPTS_VALUE ||
	    (sight->pictures > 0 && dts <= sight->dts[sight->pictures - 1]))
		return;
	sight->dts[sight->pictures++] = dts;
	sight->last_duration = duration;
}

/* packet NULL: the end. */
static int see_coded(struct sight *sight, struct coded *coded, const AVPacket *packet)
{
	struct coded_picture picture;
	int r = coded_send(coded, packet);

	if (!r)
		r = coded_receive(coded, &picture);
	if (r)
		return r == -EAGAIN ? 0 : r;
	see_picture(sight, picture.dts, picture.duration);
	return 0;
}

/* The first packet, if it is a JPEG. */
static void see_jpeg(struct survey *survey, struct sight *sight, const AVPacket *packet,
		     const AVCodecParameters *parameters)
{
	const size_t len = packet->size > 0 ? (size_t)packet->size : 0;
	struct jpeg_header header;

	if (parameters->codec_id != AV_CODEC_ID_MJPEG ||
	    jpeg_header_read(packet->data, len, &header) < 0)
		return;
	survey->orientation = header.orientation;
	survey->field_jpegs =
		header.height > 0 && abs(2 * (int)header.height - parameters->height) <= 1;
	if (survey->field_jpegs && !jpeg_is_followed(packet->data, len, header.scan))
		sight->packets_each = 2;
}

/* coded: how H.264 is read, else NULL. */
static int look(struct survey *survey, struct sight *sight, struct demux *demux,
		struct coded *coded, AVPacket *packet)
{
	const int64_t until_us = clock_now_us() + TIME_MAX_US;
	int r = 0;

	while (!r && sight->pictures < PICTURES_MAX && sight->bytes < BYTES_MAX &&
	       clock_now_us() < until_us && demux_read(demux, packet) == 0) {
		if (sight->bytes == 0)
			see_jpeg(survey, sight, packet, demux_stream(demux)->codecpar);
		sight->bytes += (uint64_t)packet->size;
		if (coded)
			r = see_coded(sight, coded, packet);
		else if (packet->size > 0 && !(packet->flags & AV_PKT_FLAG_DISCARD) &&
			 sight->packets++ % sight->packets_each == 0)
			see_picture(sight, packet->dts, packet->duration);
		av_packet_unref(packet);
	}
	if (!r && coded && sight->pictures < PICTURES_MAX)
		r = see_coded(sight, coded, NULL);
	return r;
}

/* --- judging --- */

static int compare(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static bool is_near(AVRational stated, double rate)
{
	return stated.num > 0 && stated.den > 0 && av_q2d(stated) > rate * (1 - SAME_RATE) &&
	       av_q2d(stated) < rate * (1 + SAME_RATE);
}

/* rate, or what the container states for it. */
static struct rate name_rate(const AVStream *stream, AVRational measured, struct rate otherwise)
{
	const double rate = av_q2d(measured);

	if (rate > 1000 || rate < 1e-4)
		return otherwise;
	if (is_near(stream->avg_frame_rate, rate))
		measured = stream->avg_frame_rate;
	else if (is_near(stream->r_frame_rate, rate))
		measured = stream->r_frame_rate;
	/* the VUI's fields have 32 bits, one of them for twice the number */
	av_reduce(&measured.num, &measured.den, measured.num, measured.den, 1 << 28);
	return (struct rate){(uint32_t)measured.num, (uint32_t)measured.den};
}

static void judge_rate(struct survey *survey, const struct sight *sight, const AVStream *stream)
{
	const size_t n = sight->pictures - 1;
	int64_t intervals[PICTURES_MAX], shortest, longest, all;
	AVRational measured;

	if (sight->pictures < 2)
		return;
	for (size_t i = 0; i < n; i++)
		intervals[i] = sight->dts[i + 1] - sight->dts[i];
	qsort(intervals, n, sizeof(*intervals), compare);
	/* A single pair of pictures that are close together is no rate. */
	shortest = intervals[n / 50];
	longest = intervals[n - 1];
	survey->rate_varies = (double)longest > VARIES * (double)shortest;
	all = sight->dts[n] - sight->dts[0];
	if (survey->rate_varies)
		av_reduce(&measured.num, &measured.den, stream->time_base.den,
			  shortest * stream->time_base.num, INT32_MAX);
	else
		av_reduce(&measured.num, &measured.den, (int64_t)n * stream->time_base.den,
			  all * stream->time_base.num, INT32_MAX);
	survey->rate = name_rate(stream, measured, survey->rate);
}

static void judge_bitrate(struct survey *survey, const struct sight *sight, const AVStream *stream)
{
	const AVRational second = {1, 1000};
	int64_t ms;

	if (sight->pictures < 2)
		return;
	ms = av_rescale_q(sight->dts[sight->pictures - 1] - sight->dts[0] +
				  (sight->last_duration > 0 ? sight->last_duration : 0),
			  stream->time_base, second);
	if (ms > 0 && sight->bytes * 8000 / (uint64_t)ms <= UINT32_MAX)
		survey->bitrate_bps = (uint32_t)(sight->bytes * 8000 / (uint64_t)ms);
}

/* --- a recording --- */

/* One look at the recording. keep_hidden: coded_options'. */
static int survey_once(struct survey *survey, struct sight *sight, struct demux *demux,
		       bool keep_hidden, char *why)
{
	const AVStream *stream = demux_stream(demux);
	const struct coded_options options = {
		.stream = stream,
		.codec = CONFIG_CODEC_H264,
		.parsed = demux_clock_jumps(demux),
		.keep_hidden = keep_hidden,
	};
	AVPacket *packet = av_packet_alloc();
	struct coded *coded = NULL;
	int r = packet ? 0 : -ENOMEM;

	memset(sight, 0, sizeof(*sight));
	sight->packets_each = 1;
	if (!r && stream->codecpar->codec_id == AV_CODEC_ID_H264)
		r = coded_create(&coded, &options, why);
	if (!r)
		r = look(survey, sight, demux, coded, packet);
	if (r)
		snprintf(why, DEMUX_WHY_SIZE, "out of memory");
	coded_destroy(coded);
	av_packet_free(&packet);
	return r;
}

int survey_recording(struct survey *out, const char *url, struct rate rate, const atomic_bool *stop,
		     char *why)
{
	struct sight *sight = malloc(sizeof(*sight));
	struct demux *demux = NULL;
	int r;

	if (!sight) {
		snprintf(why, DEMUX_WHY_SIZE, "out of memory");
		return -ENOMEM;
	}
	*out = (struct survey){.rate = rate};
	r = demux_open(&demux, url, rate, stop, why);
	if (r)
		goto free_sight;
	out->rate = demux_rate(demux, rate);
	r = survey_once(out, sight, demux, false, why);
	if (!r && !sight->any) {
		out->key_hidden = true;
		r = demux_rewind(demux, true, why);
		if (!r)
			r = survey_once(out, sight, demux, true, why);
	}
	if (!r) {
		judge_rate(out, sight, demux_stream(demux));
		judge_bitrate(out, sight, demux_stream(demux));
	}
	demux_close(demux);
free_sight:
	free(sight);
	return r;
}
