/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/mp4.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>

#define TIMESCALE 90000 /* ticks a second, as MPEG systems have it */
#define IO_SIZE 65536
#define FRAGMENT_KEY_US 900000 /* a key unit's second is a little less or more */
#define FRAGMENT_MAX_US 2000000

struct parser {
	AVCodecParserContext *context;
	AVCodecContext *codec;
};

struct mp4_format {
	enum AVCodecID codec;
	int width, height;
	int reorder;	    /* pictures that wait for one that is shown before them, at most */
	uint8_t *extradata; /* H.264: SPS and PPS as a byte stream; padded */
	size_t extradata_len;
	AVBSFContext *extractor;
	AVPacket *packet;
};

struct mp4 {
	AVFormatContext *context;
	AVBSFContext *filter; /* NULL: pictures go in as they are */
	/* For streams that show pictures in another order than they send them. */
	struct parser parser;
	int reorder;	   /* 0: this one does not */
	int64_t since_key; /* pictures */
	int order_step;	   /* of the picture order count, from picture to picture */

	AVPacket *held; /* the last picture added, until its length is known */
	bool holds;
	int64_t later_us;			/* the held one is shown so long after held_us */
	int64_t held_us, first_us, fragment_us; /* fragment_us: start of the one under way */
	int64_t end_us;				/* of what the muxer has */
	bool begun;				/* anything was added */
	bool fragment_begun;			/* the muxer has something of it */

	uint8_t *data; /* what the muxer wrote */
	size_t len, size;
	bool no_memory;
};

/* libav's own errors are tags, far below any errno. */
static int errno_of(int averror)
{
	return averror > -4096 ? averror : -EINVAL;
}

/* --- format --- */

int mp4_format_create(struct mp4_format **out)
{
	const AVBitStreamFilter *filter = av_bsf_get_by_name("extract_extradata");
	struct mp4_format *format = calloc(1, sizeof *format);
	int err = -ENOMEM;

	if (!format)
		return -ENOMEM;
	format->packet = av_packet_alloc();
	if (!format->packet)
		goto destroy;
	if (!filter) {
		err = -ENOSYS; /* a libavcodec built without it */
		goto destroy;
	}
	err = av_bsf_alloc(filter, &format->extractor);
	if (err < 0)
		goto destroy;
	format->extractor->par_in->codec_type = AVMEDIA_TYPE_VIDEO;
	format->extractor->par_in->codec_id = AV_CODEC_ID_H264;
	err = av_bsf_init(format->extractor);
	if (err < 0)
		goto destroy;
	*out = format;
	return 0;

destroy:
	mp4_format_destroy(format);
	return errno_of(err);
}

void mp4_format_destroy(struct mp4_format *format)
{
	if (!format)
		return;
	av_bsf_free(&format->extractor);
	av_packet_free(&format->packet);
	free(format->extradata);
	free(format);
}

static int fill_packet(AVPacket *packet, const struct reader_unit *unit)
{
	int err;

	if (unit->len > INT32_MAX - AV_INPUT_BUFFER_PADDING_SIZE)
		return -EINVAL;
	err = av_new_packet(packet, (int)unit->len);
	if (err < 0)
		return errno_of(err);
	memcpy(packet->data, unit->data, unit->len);
	if (unit->key)
		packet->flags |= AV_PKT_FLAG_KEY;
	return 0;
}

/* --- what stands in the headers of pictures --- */

static void parser_close(struct parser *parser)
{
	avcodec_free_context(&parser->codec);
	if (parser->context)
		av_parser_close(parser->context);
	parser->context = NULL;
}

static int parser_open(struct parser *parser)
{
	parser->context = av_parser_init(AV_CODEC_ID_H264);
	parser->codec = avcodec_alloc_context3(avcodec_find_decoder(AV_CODEC_ID_H264));
	if (!parser->context || !parser->codec) {
		parser_close(parser);
		return -ENOMEM;
	}
	parser->context->flags |= PARSER_FLAG_COMPLETE_FRAMES;
	return 0;
}

/* packet: a whole unit. */
static void parser_read(struct parser *parser, const AVPacket *packet)
{
	uint8_t *data;
	int len;

	av_parser_parse2(parser->context, parser->codec, &data, &len, packet->data, packet->size,
			 AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
}

/* Size and max_num_reorder_frames (H.264 E.2.1; 0 where the SPS does not say), which a decoder knows
 * when it has seen a picture. unit: a whole key unit. */
static int read_h264_format(struct mp4_format *format, const struct reader_unit *unit, int *width,
			    int *height)
{
	const AVCodec *decoder = avcodec_find_decoder(AV_CODEC_ID_H264);
	AVCodecContext *codec = avcodec_alloc_context3(decoder);
	int err;

	if (!codec)
		return -ENOMEM;
	codec->thread_count = 1;
	err = errno_of(avcodec_open2(codec, decoder, NULL));
	if (err == 0)
		err = fill_packet(format->packet, unit);
	if (err == 0)
		err = errno_of(avcodec_send_packet(codec, format->packet));
	av_packet_unref(format->packet);
	if (err == 0) {
		*width = codec->width;
		*height = codec->height;
		format->reorder = codec->has_b_frames;
		if (*width <= 0 || *height <= 0)
			err = -EINVAL;
	}
	avcodec_free_context(&codec);
	return err;
}

/* ITU-T T.81 B.1.1.4, B.2.2: segments up to the frame header, which has the size. */
static int parse_jpeg_size(const uint8_t *data, size_t len, int *width, int *height)
{
	for (size_t at = 2; at + 9 < len && data[at] == 0xff;) {
		uint8_t marker = data[at + 1];

		if (marker == 0xff) { /* a fill byte */
			at++;
			continue;
		}
		if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 &&
		    marker != 0xcc) {
			*height = data[at + 5] << 8 | data[at + 6];
			*width = data[at + 7] << 8 | data[at + 8];
			return *width > 0 && *height > 0 ? 0 : -EINVAL;
		}
		at += 2 + (size_t)(data[at + 2] << 8 | data[at + 3]);
	}
	return -EINVAL;
}

/* Copies the NAL units of a byte stream (H.264 annex B) with start codes of one length and without
 * zeros behind them, which depend on what followed them in the stream. out has room for 4/3 of len.
 * Returns the length. */
static size_t copy_nals(uint8_t *out, const uint8_t *data, size_t len)
{
	size_t n = 0, start = 0; /* of the NAL unit under way; 0: none yet */

	for (size_t at = 0; at <= len; at++) {
		bool code = at + 3 <= len && !data[at] && !data[at + 1] && data[at + 2] == 1;
		size_t end = at;

		if (!code && at < len)
			continue;
		while (start && end > start && !data[end - 1])
			end--;
		if (start && end > start) {
			memcpy(out + n, "\0\0\0\1", 4);
			memcpy(out + n + 4, data + start, end - start);
			n += 4 + end - start;
		}
		if (code)
			start = at + 3;
	}
	return n;
}

/* 1 if these parameter sets are others than before, 0, or -ENOMEM. */
static int set_extradata(struct mp4_format *format, const uint8_t *found, size_t len)
{
	uint8_t *extradata = calloc(1, len + len / 3 + 4 + AV_INPUT_BUFFER_PADDING_SIZE);

	if (!extradata)
		return -ENOMEM;
	len = copy_nals(extradata, found, len);
	if (format->extradata && len == format->extradata_len &&
	    memcmp(extradata, format->extradata, len) == 0) {
		free(extradata);
		return 0;
	}
	free(format->extradata);
	format->extradata = extradata;
	format->extradata_len = len;
	return 1;
}

/* With SPS and PPS of the unit; returns as set_extradata(), and -EINVAL: it has none. */
static int update_extradata(struct mp4_format *format, const struct reader_unit *unit)
{
	const uint8_t *found;
	size_t len;
	int err;

	err = fill_packet(format->packet, unit);
	if (err < 0)
		return err;
	err = av_bsf_send_packet(format->extractor, format->packet);
	if (err < 0) {
		av_packet_unref(format->packet);
		return errno_of(err);
	}
	err = av_bsf_receive_packet(format->extractor, format->packet);
	if (err < 0)
		return errno_of(err);
	found = av_packet_get_side_data(format->packet, AV_PKT_DATA_NEW_EXTRADATA, &len);
	err = found ? set_extradata(format, found, len) : -EINVAL;
	av_packet_unref(format->packet);
	return err;
}

int mp4_format_update(struct mp4_format *format, const struct reader_unit *unit)
{
	bool h264 = unit->codec == STREAM_H264;
	enum AVCodecID codec = h264 ? AV_CODEC_ID_H264 : AV_CODEC_ID_MJPEG;
	int width = 0, height = 0, err;
	bool changed;

	if (codec != format->codec) {
		free(format->extradata);
		format->extradata = NULL;
		format->extradata_len = 0;
	}
	if (h264) {
		err = update_extradata(format, unit);
		if (err == 1)
			err = read_h264_format(format, unit, &width, &height);
		else if (err == 0)
			return 0;
		if (err < 0) { /* what is no key unit to us says nothing of the next one */
			free(format->extradata);
			format->extradata = NULL;
			return err;
		}
		changed = true;
	} else {
		err = parse_jpeg_size(unit->data, unit->len, &width, &height);
		if (err < 0)
			return err;
		changed = codec != format->codec || width != format->width ||
			  height != format->height;
	}
	format->codec = codec;
	format->width = width;
	format->height = height;
	if (!h264)
		format->reorder = 0;
	return changed;
}

/* --- file --- */

#if LIBAVFORMAT_VERSION_MAJOR < 61 /* FFmpeg 7: FF_API_AVIO_WRITE_NONCONST went */
#define WRITTEN uint8_t
#else
#define WRITTEN const uint8_t
#endif

static int handle_write(void *user, WRITTEN *data, int len)
{
	struct mp4 *mp4 = user;
	size_t needed = mp4->len + (size_t)len, size = mp4->size ? mp4->size : IO_SIZE;
	uint8_t *grown;

	if (needed > mp4->size) {
		while (size < needed)
			size *= 2;
		grown = realloc(mp4->data, size);
		if (!grown) {
			mp4->no_memory = true;
			return AVERROR(ENOMEM);
		}
		mp4->data = grown;
		mp4->size = size;
	}
	memcpy(mp4->data + mp4->len, data, (size_t)len);
	mp4->len = needed;
	return len;
}

static int fill_stream(AVStream *stream, const struct mp4_format *format)
{
	AVCodecParameters *par = stream->codecpar;

	par->codec_type = AVMEDIA_TYPE_VIDEO;
	par->codec_id = format->codec;
	par->width = format->width;
	par->height = format->height;
	stream->time_base = (AVRational){1, TIMESCALE};
	if (!format->extradata)
		return 0;
	par->extradata = av_mallocz(format->extradata_len + AV_INPUT_BUFFER_PADDING_SIZE);
	if (!par->extradata)
		return -ENOMEM;
	memcpy(par->extradata, format->extradata, format->extradata_len);
	par->extradata_size = (int)format->extradata_len;
	return 0;
}

/* Parameter sets stand in the header, and not in samples of type avc1 (14496-15, 5.4.2); delimiters
 * have no use where samples have lengths. */
static int create_filter(struct mp4 *mp4)
{
	const AVBitStreamFilter *filter = av_bsf_get_by_name("filter_units");
	int err;

	if (!filter)
		return -ENOSYS;
	err = av_bsf_alloc(filter, &mp4->filter);
	if (err < 0)
		return errno_of(err);
	mp4->filter->par_in->codec_type = AVMEDIA_TYPE_VIDEO;
	mp4->filter->par_in->codec_id = AV_CODEC_ID_H264;
	err = av_opt_set(mp4->filter->priv_data, "remove_types", "7-9", 0);
	if (err >= 0)
		err = av_bsf_init(mp4->filter);
	return errno_of(err);
}

/* The muxer makes avcC and length prefixes of a byte stream by itself (14496-15), as the extradata
 * is one. */
static int write_header(struct mp4 *mp4, const char *title, int64_t utc_us)
{
	time_t second = (time_t)(utc_us / 1000000);
	AVDictionary *options = NULL;
	char created[40];
	struct tm tm;
	size_t len;
	int err;

	gmtime_r(&second, &tm);
	len = strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(created + len, sizeof created - len, ".%06dZ", (int)(utc_us % 1000000));
	av_dict_set(&mp4->context->metadata, "creation_time", created, 0);
	av_dict_set(&mp4->context->metadata, "title", title, 0);
	/* The moov goes in front, without samples; fragments end when we say so. */
	av_dict_set(&options, "movflags", "empty_moov+default_base_moof+frag_custom", 0);
	av_dict_set_int(&options, "video_track_timescale", TIMESCALE, 0);
	err = avformat_write_header(mp4->context, &options);
	av_dict_free(&options);
	return errno_of(err);
}

int mp4_create(struct mp4 **out, const struct mp4_format *format, const char *title, int64_t utc_us)
{
	struct mp4 *mp4 = calloc(1, sizeof *mp4);
	AVStream *stream;
	uint8_t *io;
	int err = -ENOMEM;

	if (!mp4)
		return -ENOMEM;
	mp4->held = av_packet_alloc();
	if (!mp4->held || avformat_alloc_output_context2(&mp4->context, NULL, "mp4", NULL) < 0)
		goto destroy;
	io = av_malloc(IO_SIZE);
	if (!io)
		goto destroy;
	mp4->context->pb = avio_alloc_context(io, IO_SIZE, 1, mp4, NULL, handle_write, NULL);
	if (!mp4->context->pb) {
		av_free(io);
		goto destroy;
	}
	mp4->context->flags |= AVFMT_FLAG_CUSTOM_IO;
	stream = avformat_new_stream(mp4->context, NULL);
	if (!stream)
		goto destroy;
	err = fill_stream(stream, format);
	if (err == 0 && format->codec == AV_CODEC_ID_H264)
		err = create_filter(mp4);
	if (err == 0 && format->reorder > 0)
		err = parser_open(&mp4->parser);
	mp4->reorder = format->reorder;
	mp4->order_step = 2;
	if (err == 0)
		err = write_header(mp4, title, utc_us);
	if (err < 0)
		goto destroy;
	*out = mp4;
	return 0;

destroy:
	mp4_destroy(mp4);
	return err;
}

void mp4_destroy(struct mp4 *mp4)
{
	if (!mp4)
		return;
	if (mp4->context) {
		if (mp4->context->pb) {
			av_freep(&mp4->context->pb->buffer);
			avio_context_free(&mp4->context->pb);
		}
		avformat_free_context(mp4->context);
	}
	parser_close(&mp4->parser);
	av_bsf_free(&mp4->filter);
	av_packet_free(&mp4->held);
	free(mp4->data);
	free(mp4);
}

static int64_t ticks(const struct mp4 *mp4, int64_t at_us)
{
	return av_rescale(at_us - mp4->first_us, TIMESCALE, 1000000);
}

/* Gives the held picture to the muxer; it ends at end_us. */
static int write_held(struct mp4 *mp4, int64_t end_us)
{
	AVPacket *held = mp4->held;
	int err;

	if (!mp4->holds)
		return 0;
	mp4->holds = false;
	/* The muxer lets a fragment begin where the one before ended, unless told otherwise: that
	 * one's end was a guess if there was nothing to follow when it was written. */
	if (!mp4->fragment_begun && mp4->end_us != mp4->held_us)
		av_opt_set(mp4->context->priv_data, "movflags", "+frag_discont", 0);
	held->stream_index = 0;
	held->dts = ticks(mp4, mp4->held_us);
	held->pts = ticks(mp4, mp4->held_us + mp4->later_us);
	held->duration = ticks(mp4, end_us) - held->dts;
	err = av_write_frame(mp4->context, held);
	av_packet_unref(held);
	if (err < 0)
		return errno_of(err);
	mp4->end_us = end_us;
	mp4->fragment_begun = true;
	return 0;
}

/* How long after its turn the picture is shown, in pictures: in the order of their counts, which
 * begin anew at an IDR (H.264 8.2.1), and late enough for all of them. */
static int64_t shown_later(struct mp4 *mp4, bool key)
{
	int count, later;

	mp4->since_key = key ? 0 : mp4->since_key + 1;
	parser_read(&mp4->parser, mp4->held);
	count = mp4->parser.context->output_picture_number;
	if (count % 2) /* most count fields, this one pictures */
		mp4->order_step = 1;
	later = (int)(count / mp4->order_step - mp4->since_key) + mp4->reorder;
	/* Beyond what the SPS promised: lost or damaged. */
	return later < 0 ? 0 : later > 2 * mp4->reorder ? mp4->reorder : later;
}

/* Makes it the held one. */
static int hold(struct mp4 *mp4, const struct reader_unit *unit, int64_t at_us, int64_t step_us)
{
	int err = fill_packet(mp4->held, unit);

	if (err < 0)
		return err;
	mp4->later_us = mp4->reorder ? shown_later(mp4, unit->key) * step_us : 0;
	if (mp4->filter) {
		err = av_bsf_send_packet(mp4->filter, mp4->held);
		if (err < 0) {
			av_packet_unref(mp4->held);
			return errno_of(err);
		}
		err = av_bsf_receive_packet(mp4->filter, mp4->held);
		if (err == AVERROR(EAGAIN)) /* there was no picture in it */
			return 0;
		if (err < 0)
			return errno_of(err);
	}
	mp4->holds = true;
	mp4->held_us = at_us;
	return 0;
}

static int end_fragment(struct mp4 *mp4)
{
	int err;

	if (!mp4->fragment_begun)
		return 0;
	mp4->fragment_begun = false;
	err = av_write_frame(mp4->context, NULL);
	if (err < 0)
		return errno_of(err);
	avio_flush(mp4->context->pb);
	return mp4->no_memory ? -ENOMEM : 0;
}

int mp4_add(struct mp4 *mp4, const struct reader_unit *unit, int64_t at_us, int64_t step_us)
{
	bool ended = false;
	int64_t age_us;
	int err;

	if (!mp4->begun) {
		mp4->begun = true;
		mp4->first_us = mp4->end_us = mp4->fragment_us = at_us;
	}
	err = write_held(mp4, at_us);
	if (err < 0)
		return err;
	age_us = at_us - mp4->fragment_us;
	if (!mp4->fragment_begun) { /* the first picture, or after mp4_end_fragment() */
		mp4->fragment_us = at_us;
	} else if (age_us >= FRAGMENT_MAX_US || (unit->key && age_us >= FRAGMENT_KEY_US)) {
		err = end_fragment(mp4);
		if (err < 0)
			return err;
		mp4->fragment_us = at_us;
		ended = true;
	}
	err = hold(mp4, unit, at_us, step_us);
	return err < 0 ? err : ended;
}

int mp4_end_fragment(struct mp4 *mp4, int64_t length_us)
{
	int err = write_held(mp4, mp4->held_us + length_us);

	return err < 0 ? err : end_fragment(mp4);
}

int mp4_finish(struct mp4 *mp4, int64_t length_us)
{
	int err = mp4_end_fragment(mp4, length_us);

	if (err < 0)
		return err;
	err = av_write_trailer(mp4->context);
	if (err < 0)
		return errno_of(err);
	avio_flush(mp4->context->pb);
	return mp4->no_memory ? -ENOMEM : 0;
}

const uint8_t *mp4_take(struct mp4 *mp4, size_t *len)
{
	*len = mp4->len;
	mp4->len = 0; /* the bytes stay until the muxer writes again */
	return mp4->data;
}

int64_t mp4_duration_us(const struct mp4 *mp4)
{
	return mp4->end_us - mp4->first_us;
}
