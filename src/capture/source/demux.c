/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/demux.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define WHY_SIZE DEMUX_WHY_SIZE

struct demux {
	char *url;
	struct rate rate;
	const atomic_bool *stop;
	AVFormatContext *input;
	int stream; /* index of the video stream */
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

/* --- opening --- */

static int is_stopped(void *user)
{
	const struct demux *demux = user;

	return atomic_load_explicit(demux->stop, memory_order_relaxed);
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
	r = avformat_open_input(&demux->input, demux->url, NULL, &options);
	av_dict_free(&options);
	if (r >= 0)
		r = avformat_find_stream_info(demux->input, NULL);
	if (r < 0) {
		snprintf(why, WHY_SIZE, "%.160s: %s", demux->url, text_of(r, text));
		return errno_of(r);
	}
	r = av_find_best_stream(demux->input, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
	if (r < 0 || demux->input->streams[r]->disposition & AV_DISPOSITION_ATTACHED_PIC) {
		snprintf(why, WHY_SIZE, "%.200s: there is no video in it", demux->url);
		return -EINVAL;
	}
	demux->stream = r;
	if (demux_stream(demux)->codecpar->width <= 0 ||
	    demux_stream(demux)->codecpar->height <= 0) {
		snprintf(why, WHY_SIZE,
			 "%.160s: its video tells no size; the file may be cut short", demux->url);
		return -EINVAL;
	}
	for (unsigned i = 0; i < demux->input->nb_streams; i++)
		if ((int)i != demux->stream)
			demux->input->streams[i]->discard = AVDISCARD_ALL;
	return 0;
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
	r = check_path(demux->url + strlen("file:"), why);
	if (!r)
		r = open_input(demux, why);
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

struct rate demux_rate(const struct demux *demux, struct rate otherwise)
{
	AVRational rate = demux_stream(demux)->avg_frame_rate;

	if (rate.num <= 0 || rate.den <= 0)
		rate = demux_stream(demux)->r_frame_rate;
	if (rate.num <= 0 || rate.den <= 0 || av_q2d(rate) > 1000 || av_q2d(rate) < 1e-4)
		return otherwise;
	/* the VUI's fields have 32 bits, one of them for twice the number */
	av_reduce(&rate.num, &rate.den, rate.num, rate.den, 1 << 28);
	return (struct rate){(uint32_t)rate.num, (uint32_t)rate.den};
}

static AVRational reduce(AVRational shape)
{
	if (shape.num <= 0 || shape.den <= 0)
		return (AVRational){0, 1};
	av_reduce(&shape.num, &shape.den, shape.num, shape.den, UINT16_MAX);
	return shape;
}

AVRational demux_shape(const struct demux *demux)
{
	AVStream *stream = demux->input->streams[demux->stream];

	return reduce(av_guess_sample_aspect_ratio(demux->input, stream, NULL));
}

AVRational demux_container_shape(const struct demux *demux)
{
	return reduce(demux_stream(demux)->sample_aspect_ratio);
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

int demux_read(struct demux *demux, AVPacket *packet)
{
	/* Whatever libavformat calls it, an error in the middle is where this file ends. */
	while (!is_stopped(demux) && av_read_frame(demux->input, packet) >= 0) {
		if (packet->stream_index == demux->stream)
			return 0;
		av_packet_unref(packet);
	}
	return -ENODATA;
}

/* A jump to a time may miss the first picture where there is no index; where that is so, or a jump
 * is impossible, the file is opened again. */
int demux_rewind(struct demux *demux, char *why)
{
	const AVStream *stream = demux_stream(demux);
	const int flags = demux->input->iformat->flags;
	const int64_t start = stream->start_time == AV_NOPTS_VALUE ? 0 : stream->start_time;
	int r;

	if (!(flags & (AVFMT_TS_DISCONT | AVFMT_NOTIMESTAMPS)))
		r = avformat_seek_file(demux->input, demux->stream, INT64_MIN, start, start, 0);
	else if (!(flags & AVFMT_NO_BYTE_SEEK))
		r = av_seek_frame(demux->input, demux->stream, 0, AVSEEK_FLAG_BYTE);
	else
		r = -1;
	if (r >= 0)
		return 0;
	avformat_close_input(&demux->input);
	return open_input(demux, why);
}
