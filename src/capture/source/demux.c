/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/demux.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "capture/source/averror.h"

#define WHY_SIZE DEMUX_WHY_SIZE

struct demux {
	char *url;
	struct rate rate;
	const atomic_bool *stop;
	AVFormatContext *input;
	int stream;	  /* index of the video stream */
	struct stat file; /* as it was when it was opened */
	/* Of the first opening: what comes later has to be the same. */
	AVCodecParameters *kind;
	AVRational time_base;
	int64_t last_dts;      /* in the pass under way; or AV_NOPTS_VALUE */
	int64_t last_duration; /* of the same packet; 0: not stated */
	int64_t first_delay;   /* PTS - DTS of the first packet */
	int unstated;	       /* packets at the beginning of the pass without a DTS; -1: over */
	int64_t unstated_pts;  /* of the first of them */
	int64_t max_pts;       /* of the pictures that are shown; or AV_NOPTS_VALUE */
	bool durations_true;   /* the last packet came when the one before ended */
	bool opened;	       /* the pass under way began with opening the file */
	bool never_seek;   /* a jump to the beginning led to no picture, or is not to be trusted */
	bool failed;	   /* the last pass ended with an error; libavformat may be confused */
	char trouble[128]; /* why it did */
};

/* --- errors --- */

static const char *text_of(int averror, char text[AV_ERROR_MAX_STRING_SIZE])
{
	if (averror == AVERROR_INVALIDDATA)
		return "no recording that libavformat knows, or a damaged one";
	return averror_text(averror, text);
}

/* --- opening --- */

static int is_stopped(void *user)
{
	const struct demux *demux = user;

	return atomic_load_explicit(demux->stop, memory_order_relaxed);
}

/* Advice for a path that is no file to play. */
static const char *advice(const char *path, int error, mode_t mode)
{
	switch (error) {
	case 0:
		break;
	case ENOENT:
		return strchr(path, '%') ? "No such file or directory (a '%' stands for itself; a "
					   "sequence of pictures is listed in an ffconcat file)"
					 : "No such file or directory";
	case EACCES:
		return "Permission denied (the user that camcastd runs as has to be able to read "
		       "it)";
	default:
		return strerror(error);
	}
	if (S_ISDIR(mode))
		return "a folder; give one file, or an ffconcat file that lists several";
	if (S_ISCHR(mode))
		return "a device; cameras are `source = libcamera`, and `source = exec:` reads "
		       "what a program writes";
	if (S_ISFIFO(mode))
		return "a named pipe; `source = pipe:` reads what programs write into it";
	if (S_ISREG(mode))
		return "the file is empty";
	return "not a regular file, so that it cannot be played again from its beginning";
}

/* libavformat would take a folder for a file of size 0, and wait on a pipe for ever. */
static int check_path(const char *path, struct stat *file, char *why)
{
	int error = stat(path, file) < 0 ? errno : 0;

	if (!error && S_ISREG(file->st_mode) && file->st_size > 0)
		return 0;
	snprintf(why, WHY_SIZE, "%.130s: %s", path, advice(path, error, file->st_mode));
	return error			? -error
	       : S_ISDIR(file->st_mode) ? -EISDIR
	       : S_ISREG(file->st_mode) ? -ENODATA
					: -EINVAL;
}

/* Why the size of the pictures is not known. */
static void explain_no_size(const struct demux *demux, char *why)
{
	const enum AVCodecID id = demux_stream(demux)->codecpar->codec_id;

	if (id == AV_CODEC_ID_H264 || id == AV_CODEC_ID_HEVC)
		snprintf(why, WHY_SIZE,
			 "%.120s: no parameter sets (SPS) were found, which say the size of the "
			 "pictures; the recording lacks them, or is damaged",
			 demux->url);
	else if (id == AV_CODEC_ID_WEBP)
		snprintf(why, WHY_SIZE,
			 "%.140s: this libavcodec cannot decode the picture; animated WebP has to "
			 "be converted to video",
			 demux->url);
	else
		snprintf(why, WHY_SIZE,
			 "%.120s: the size of its pictures (%s) is not known; the file is cut "
			 "short, damaged, or not supported by this libavcodec",
			 demux->url, avcodec_get_name(id));
}

static int open_input(struct demux *demux, char *why)
{
	char text[AV_ERROR_MAX_STRING_SIZE], framerate[32];
	AVDictionary *options = NULL;
	int r;

	demux->input = avformat_alloc_context();
	if (!demux->input) {
		snprintf(why, WHY_SIZE, "out of memory");
		return -ENOMEM;
	}
	demux->input->interrupt_callback = (AVIOInterruptCB){is_stopped, demux};
	/* Only formats without a rate of their own look at it: images, raw streams. */
	snprintf(framerate, sizeof(framerate), "%u/%u", demux->rate.num, demux->rate.den);
	av_dict_set(&options, "framerate", framerate, 0);
	/* A playlist may name more files, but no hosts. */
	av_dict_set(&options, "protocol_whitelist", "file", 0);
	/* Those may be anywhere, and have any name. */
	av_dict_set(&options, "safe", "0", 0);
	/* The name of a picture is no pattern of names. */
	av_dict_set(&options, "pattern_type", "none", 0);
	averror_forget();
	r = avformat_open_input(&demux->input, demux->url, NULL, &options);
	av_dict_free(&options);
	if (r >= 0)
		r = avformat_find_stream_info(demux->input, NULL);
	if (r < 0) {
		snprintf(why, WHY_SIZE, "%.120s: %s%s%s", demux->url, text_of(r, text),
			 *averror_said() ? "; libav: " : "", averror_said());
		return averror_errno(r);
	}
	r = av_find_best_stream(demux->input, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
	if (r < 0 || demux->input->streams[r]->disposition & AV_DISPOSITION_ATTACHED_PIC) {
		snprintf(why, WHY_SIZE, "%.200s: there is no video in it", demux->url);
		return -EINVAL;
	}
	demux->stream = r;
	if (demux_stream(demux)->codecpar->width <= 0 ||
	    demux_stream(demux)->codecpar->height <= 0) {
		explain_no_size(demux, why);
		return -EINVAL;
	}
	for (unsigned i = 0; i < demux->input->nb_streams; i++)
		if ((int)i != demux->stream)
			demux->input->streams[i]->discard = AVDISCARD_ALL;
	demux->opened = true;
	return 0;
}

static int open_path(struct demux *demux, char *why)
{
	int r = check_path(demux->url + strlen("file:"), &demux->file, why);

	return r ? r : open_input(demux, why);
}

static void begin_pass(struct demux *demux)
{
	demux->last_dts = demux->max_pts = AV_NOPTS_VALUE;
	demux->last_duration = demux->first_delay = 0;
	demux->unstated = 0;
	demux->durations_true = false;
}

static bool is_list(const struct demux *demux)
{
	return strcmp(demux->input->iformat->name, "concat") == 0;
}

static int keep_kind(struct demux *demux)
{
	const AVStream *stream = demux_stream(demux);

	/* The files of a list are looked for again in every pass. */
	demux->never_seek = is_list(demux);
	demux->time_base = stream->time_base;
	demux->kind = avcodec_parameters_alloc();
	if (!demux->kind || avcodec_parameters_copy(demux->kind, stream->codecpar) < 0)
		return -ENOMEM;
	return 0;
}

/* Whether what was opened again can be taken for what was opened first. */
static bool is_same_kind(const struct demux *demux)
{
	const AVStream *stream = demux_stream(demux);
	const AVCodecParameters *now = stream->codecpar, *first = demux->kind;

	return now->codec_id == first->codec_id && now->width == first->width &&
	       now->height == first->height && now->format == first->format &&
	       now->extradata_size == first->extradata_size &&
	       (now->extradata_size == 0 ||
		memcmp(now->extradata, first->extradata, (size_t)now->extradata_size) == 0) &&
	       !av_cmp_q(stream->time_base, demux->time_base);
}

int demux_open(struct demux **out, const char *url, struct rate rate, const atomic_bool *stop,
	       char *why)
{
	struct demux *demux = calloc(1, sizeof(*demux));
	int r;

	if (demux)
		demux->url = strdup(url);
	if (!demux || !demux->url) {
		free(demux);
		snprintf(why, WHY_SIZE, "out of memory");
		return -ENOMEM;
	}
	demux->rate = rate;
	demux->stop = stop;
	begin_pass(demux);
	averror_listen();
	r = open_path(demux, why);
	if (!r && keep_kind(demux) < 0) {
		snprintf(why, WHY_SIZE, "out of memory");
		r = -ENOMEM;
	}
	if (r) {
		demux_close(demux);
		return r;
	}
	*out = demux;
	return 0;
}

void demux_close(struct demux *demux)
{
	if (!demux)
		return;
	avformat_close_input(&demux->input);
	avcodec_parameters_free(&demux->kind);
	free(demux->url);
	free(demux);
}

/* --- properties --- */

const AVStream *demux_stream(const struct demux *demux)
{
	return demux->input->streams[demux->stream];
}

bool demux_clock_jumps(const struct demux *demux)
{
	return demux->input->iformat->flags & AVFMT_TS_DISCONT;
}

struct rate demux_stated_rate(const AVStream *stream, struct rate otherwise)
{
	AVRational rate = stream->avg_frame_rate;

	if (rate.num <= 0 || rate.den <= 0)
		rate = stream->r_frame_rate;
	if (rate.num <= 0 || rate.den <= 0 || av_q2d(rate) > 1000 || av_q2d(rate) < 1e-4)
		return otherwise;
	/* the VUI's fields have 32 bits, one of them for twice the number */
	av_reduce(&rate.num, &rate.den, rate.num, rate.den, 1 << 28);
	return (struct rate){(uint32_t)rate.num, (uint32_t)rate.den};
}

struct rate demux_rate(const struct demux *demux, struct rate otherwise)
{
	return demux_stated_rate(demux_stream(demux), otherwise);
}

AVRational demux_reduce_shape(AVRational shape)
{
	if (shape.num <= 0 || shape.den <= 0)
		return (AVRational){0, 1};
	av_reduce(&shape.num, &shape.den, shape.num, shape.den, UINT16_MAX);
	return shape;
}

AVRational demux_shape(const struct demux *demux)
{
	AVStream *stream = demux->input->streams[demux->stream];

	return demux_reduce_shape(av_guess_sample_aspect_ratio(demux->input, stream, NULL));
}

AVRational demux_container_shape(const struct demux *demux)
{
	return demux_reduce_shape(demux_stream(demux)->sample_aspect_ratio);
}

struct orientation demux_orientation(const struct demux *demux)
{
	const uint8_t *data = NULL;
	int32_t matrix[9];
	size_t size = 0;

#if LIBAVFORMAT_VERSION_MAJOR >= 61
	const AVCodecParameters *parameters = demux_stream(demux)->codecpar;
	const AVPacketSideData *side =
		av_packet_side_data_get(parameters->coded_side_data, parameters->nb_coded_side_data,
					AV_PKT_DATA_DISPLAYMATRIX);

	if (side) {
		data = side->data;
		size = side->size;
	}
#else
	data = av_stream_get_side_data(demux_stream(demux), AV_PKT_DATA_DISPLAYMATRIX, &size);
#endif
	if (!data || size < sizeof(matrix))
		return orientation_of_matrix(NULL);
	memcpy(matrix, data, sizeof(matrix));
	return orientation_of_matrix(matrix);
}

/* --- reading --- */

/* Times of a container are rounded to its ticks. */
static bool is_tick_apart(int64_t a, int64_t b)
{
	return a - (uint64_t)b + 1 <= 2;
}

/* Matroska states PTS only, and libavformat knows a DTS no sooner than when it has seen as many
 * packets as pictures are reordered: the first ones lie that much before the first PTS. */
static void complete_dts(struct demux *demux, AVPacket *packet)
{
	const int64_t limit = INT64_MAX / 4, delay = demux_stream(demux)->codecpar->video_delay;
	int64_t dts;

	if (packet->dts != AV_NOPTS_VALUE || demux->unstated < 0 || demux->unstated >= delay ||
	    packet->duration <= 0 || packet->duration > INT32_MAX || packet->pts < -limit ||
	    packet->pts > limit) {
		demux->unstated = -1;
		return;
	}
	if (demux->unstated == 0)
		demux->unstated_pts = packet->pts;
	dts = demux->unstated_pts - (delay - demux->unstated++) * packet->duration;
	if (dts <= packet->pts)
		packet->dts = dts;
}

/* Where times repeat (joined FLV files), a jump to the first one may lead to the last. */
static void watch_clock(struct demux *demux, const AVPacket *packet)
{
	const int64_t dts = packet->dts, last = demux->last_dts;

	if (dts == AV_NOPTS_VALUE || packet->flags & AV_PKT_FLAG_DISCARD)
		return;
	if (last != AV_NOPTS_VALUE && dts < last) {
		demux->never_seek |= !demux_clock_jumps(demux);
		demux->max_pts = AV_NOPTS_VALUE;
	}
	if (last == AV_NOPTS_VALUE && packet->pts != AV_NOPTS_VALUE)
		demux->first_delay = (int64_t)((uint64_t)packet->pts - (uint64_t)dts);
	demux->durations_true =
		last != AV_NOPTS_VALUE && demux->last_duration > 0 &&
		is_tick_apart((int64_t)((uint64_t)last + (uint64_t)demux->last_duration), dts);
	demux->last_dts = dts;
	demux->last_duration = packet->duration;
	if (demux->max_pts == AV_NOPTS_VALUE || packet->pts > demux->max_pts)
		demux->max_pts = packet->pts;
}

/* libavformat takes the header of a second file for a tag of 5 MB, and goes on behind that. */
static bool jumped_beyond_end(const struct demux *demux)
{
	AVIOContext *pb = demux->input->pb;

	return pb && strcmp(demux->input->iformat->name, "flv") == 0 &&
	       avio_tell(pb) > avio_size(pb);
}

int demux_read(struct demux *demux, AVPacket *packet)
{
	const AVIOContext *pb = demux->input->pb;
	int r = 0;

	averror_forget();
	while (!is_stopped(demux) && (r = av_read_frame(demux->input, packet)) >= 0) {
		if (packet->stream_index == demux->stream) {
			complete_dts(demux, packet);
			watch_clock(demux, packet);
			return 0;
		}
		av_packet_unref(packet);
	}
	/* Whatever libavformat calls it, an error in the middle is where this pass ends. Some
	 * formats have no other way to say that a file is over. */
	demux->failed = r < 0 && r != AVERROR_EOF;
	demux->trouble[0] = '\0';
	if (is_stopped(demux))
		return -ENODATA;
	if (demux->failed && *averror_said())
		text_set(demux->trouble, sizeof(demux->trouble), averror_said());
	else if (pb && pb->error < 0 && pb->error != AVERROR_EOF)
		text_set(demux->trouble, sizeof(demux->trouble),
			 strerror(-averror_errno(pb->error)));
	else if (jumped_beyond_end(demux))
		text_set(
			demux->trouble, sizeof(demux->trouble),
			"a second FLV file follows in it, which libavformat cannot read; name both "
			"in an ffconcat list");
	return -ENODATA;
}

const char *demux_trouble(const struct demux *demux)
{
	return demux->trouble;
}

int64_t demux_end(const struct demux *demux, bool coded)
{
	uint64_t end;

	if (demux->failed || demux->max_pts == AV_NOPTS_VALUE)
		return AV_NOPTS_VALUE;
	if (is_list(demux) && demux->input->duration > 0) {
		/* the times of a list begin at 0 */
		end = (uint64_t)av_rescale_q(demux->input->duration, AV_TIME_BASE_Q,
					     demux_stream(demux)->time_base);
		return (int64_t)(end - (uint64_t)(coded ? demux->first_delay : 0));
	}
	if (coded || !demux->durations_true || demux->last_duration <= 0)
		return AV_NOPTS_VALUE;
	return (int64_t)((uint64_t)demux->max_pts + (uint64_t)demux->last_duration);
}

bool demux_began_with_opening(const struct demux *demux)
{
	return demux->opened;
}

static bool is_replaced(const struct demux *demux)
{
	const struct stat *then = &demux->file;
	struct stat now;

	if (stat(demux->url + strlen("file:"), &now) < 0)
		return false; /* what is open can be played on */
	return now.st_dev != then->st_dev || now.st_ino != then->st_ino ||
	       now.st_size != then->st_size || now.st_mtim.tv_sec != then->st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != then->st_mtim.tv_nsec;
}

/* To the first picture. A jump to a time may miss it where there is no index; there it is one to
 * the first byte. Negative: it is impossible. */
static int seek_to_begin(struct demux *demux)
{
	const AVStream *stream = demux_stream(demux);
	const int flags = demux->input->iformat->flags;
	const int64_t start = stream->start_time == AV_NOPTS_VALUE ? 0 : stream->start_time;

	if (!(flags & (AVFMT_TS_DISCONT | AVFMT_NOTIMESTAMPS)))
		return avformat_seek_file(demux->input, demux->stream, INT64_MIN, start, start, 0);
	if (!(flags & AVFMT_NO_BYTE_SEEK))
		return av_seek_frame(demux->input, demux->stream, 0, AVSEEK_FLAG_BYTE);
	return -1;
}

int demux_rewind(struct demux *demux, bool seek_failed, char *why)
{
	int r;

	demux->never_seek |= seek_failed;
	begin_pass(demux);
	if (!demux->never_seek && !demux->failed && !is_replaced(demux) &&
	    seek_to_begin(demux) >= 0) {
		demux->opened = false;
		return 0;
	}
	demux->failed = false;
	avformat_close_input(&demux->input);
	r = open_path(demux, why);
	if (!r && !is_same_kind(demux)) {
		snprintf(why, WHY_SIZE, "another recording was put in its place");
		return -ESTALE;
	}
	return r;
}
