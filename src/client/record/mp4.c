/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/mp4.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>

#include "media/jpeg.h"
#include "media/sps.h"

#define TIMESCALE 90000 /* ticks a second, as MPEG systems have it */
#define IO_SIZE 65536
#define FRAGMENT_KEY_US 900000 /* a key unit's second is a little less or more */
#define FRAGMENT_MAX_US 2000000
#define BETWEEN_MAX 16 /* B pictures between two others: x264's limit */

struct parser {
	AVCodecParserContext *context;
	AVCodecContext *codec;
};

struct mp4_format {
	enum AVCodecID codec;
	int width, height;
	int reorder;   /* pictures that wait for one that is shown before them, at most */
	uint8_t *sets; /* H.264: SPS and PPS as a byte stream */
	size_t sets_len;
};

struct mp4 {
	AVFormatContext *context;
	/* For streams that show pictures in another order than they send them. */
	struct parser parser;
	int reorder;	   /* 0: this one does not */
	int64_t since_key; /* pictures */
	int order_step;	   /* of the picture order count, from picture to picture */
	int last_shown;	   /* the highest count since the key picture */

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
	*out = calloc(1, sizeof **out);
	return *out ? 0 : -ENOMEM;
}

static void forget_sets(struct mp4_format *format)
{
	free(format->sets);
	format->sets = NULL;
	format->sets_len = 0;
}

void mp4_format_destroy(struct mp4_format *format)
{
	if (!format)
		return;
	forget_sets(format);
	free(format);
}

/* Parameter sets stand in the header, and not in samples of type avc1 (14496-15, 5.4.2). */
static bool goes_into_header(unsigned nal_type)
{
	return nal_type == NAL_SPS || nal_type == NAL_PPS;
}

/* Delimiters have no use where samples have lengths. */
static bool goes_into_samples(unsigned nal_type)
{
	return !goes_into_header(nal_type) && nal_type != NAL_AUD;
}

/* Room that copy_nals() needs for a unit of len bytes: for each of its NAL units (four bytes at
 * least) one byte more. */
static size_t copy_room(size_t len)
{
	return len + len / 4 + 1;
}

/* Copies those of a byte stream's NAL units (H.264 annex B) that are wanted, with start codes of
 * one length and without zeros behind them, which depend on what followed them in the stream.
 * Returns the length. */
static size_t copy_nals(uint8_t *out, const uint8_t *data, size_t len,
			bool (*wanted)(unsigned nal_type))
{
	size_t n = 0, pos = 0;
	struct nal nal;

	while (nal_next(data, len, &pos, &nal)) {
		if (!wanted(nal.type))
			continue;
		memcpy(out + n, "\0\0\0\1", 4);
		memcpy(out + n + 4, nal.data, nal.len);
		n += 4 + nal.len;
	}
	return n;
}

/* 1 if the unit's parameter sets are others than before, 0, or -ENOMEM. */
static int update_sets(struct mp4_format *format, const struct reader_unit *unit)
{
	uint8_t *sets = malloc(copy_room(unit->len));
	size_t len;

	if (!sets)
		return -ENOMEM;
	len = copy_nals(sets, unit->data, unit->len, goes_into_header);
	if (format->sets && len == format->sets_len && memcmp(sets, format->sets, len) == 0) {
		free(sets);
		return 0;
	}
	free(format->sets);
	format->sets = sets;
	format->sets_len = len;
	return 1;
}

static int update_h264(struct mp4_format *format, const struct reader_unit *unit)
{
	struct sps sps;
	int r = update_sets(format, unit);

	if (r <= 0)
		return r;
	r = sps_read_active(unit->data, unit->len, &sps);
	if (r < 0) { /* what is no key unit to us says nothing of the next one */
		forget_sets(format);
		return r;
	}
	format->width = (int)sps.width;
	format->height = (int)sps.height;
	/* A stream that does not say hardly ever reorders, and the limit that follows from its
	 * level would delay all of it by seconds. */
	format->reorder = sps.reorder_stated ? (int)sps.reorder_frames : 0;
	return 1;
}

static int update_jpeg(struct mp4_format *format, const struct reader_unit *unit)
{
	struct jpeg_header header;
	bool changed;

	if (jpeg_header_read(unit->data, unit->len, &header) < 0 || header.width == 0 ||
	    header.height == 0)
		return -EINVAL;
	changed = (int)header.width != format->width || (int)header.height != format->height;
	format->width = (int)header.width;
	format->height = (int)header.height;
	format->reorder = 0;
	return changed;
}

int mp4_format_update(struct mp4_format *format, const struct reader_unit *unit)
{
	bool h264 = unit->codec == STREAM_H264;
	enum AVCodecID codec = h264 ? AV_CODEC_ID_H264 : AV_CODEC_ID_MJPEG;
	int r;

	if (codec != format->codec)
		forget_sets(format);
	r = h264 ? update_h264(format, unit) : update_jpeg(format, unit);
	if (r < 0)
		return r;
	if (codec != format->codec)
		r = 1;
	format->codec = codec;
	return r;
}

/* --- samples --- */

/* What the muxer gets for a unit. 1; 0: there is no picture in it; or -errno. */
static int fill_packet(AVPacket *packet, const struct reader_unit *unit)
{
	size_t size = unit->codec == STREAM_H264 ? copy_room(unit->len) : unit->len,
	       len = unit->len;
	int err;

	if (size > INT32_MAX - AV_INPUT_BUFFER_PADDING_SIZE)
		return -EINVAL;
	err = av_new_packet(packet, (int)size);
	if (err < 0)
		return errno_of(err);
	if (unit->codec == STREAM_H264)
		len = copy_nals(packet->data, unit->data, len, goes_into_samples);
	else
		memcpy(packet->data, unit->data, len);
	if (len == 0) {
		av_packet_unref(packet);
		return 0;
	}
	av_shrink_packet(packet, (int)len);
	if (unit->key)
		packet->flags |= AV_PKT_FLAG_KEY;
	return 1;
}

/* --- what stands in the headers of pictures --- */

static void parser_close(struct parser *parser)
{
	avcodec_free_context(&parser->codec);
	if (parser->context)
		av_parser_close(parser->context);
	parser->context = NULL;
}

static int fill_extradata(uint8_t **extradata, int *size, const struct mp4_format *format)
{
	*extradata = av_mallocz(format->sets_len + AV_INPUT_BUFFER_PADDING_SIZE);
	if (!*extradata)
		return -ENOMEM;
	memcpy(*extradata, format->sets, format->sets_len);
	*size = (int)format->sets_len;
	return 0;
}

static int parser_open(struct parser *parser, const struct mp4_format *format)
{
	int err = -ENOMEM;

	parser->context = av_parser_init(AV_CODEC_ID_H264);
	parser->codec = avcodec_alloc_context3(avcodec_find_decoder(AV_CODEC_ID_H264));
	if (parser->context && parser->codec)
		err = fill_extradata(&parser->codec->extradata, &parser->codec->extradata_size,
				     format);
	if (err < 0) {
		parser_close(parser);
		return err;
	}
	parser->context->flags |= PARSER_FLAG_COMPLETE_FRAMES;
	return 0;
}

/* packet: a whole sample. */
static void parser_read(struct parser *parser, const AVPacket *packet)
{
	uint8_t *data;
	int len;

	av_parser_parse2(parser->context, parser->codec, &data, &len, packet->data, packet->size,
			 AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
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
	return format->sets ? fill_extradata(&par->extradata, &par->extradata_size, format) : 0;
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
	if (err == 0 && format->reorder > 0)
		err = parser_open(&mp4->parser, format);
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
	int count;
	int64_t later;

	mp4->since_key = key ? 0 : mp4->since_key + 1;
	parser_read(&mp4->parser, mp4->held);
	count = mp4->parser.context->output_picture_number;
	if (count % 2) /* most count fields, this one pictures */
		mp4->order_step = 1;
	if (key) {
		mp4->last_shown = count;
	} else if (count > mp4->last_shown) {
		/* Those shown before the one that was shown last so far have come, or been lost on
		 * the way. */
		if (mp4->since_key <= mp4->last_shown / mp4->order_step)
			mp4->since_key = mp4->last_shown / mp4->order_step + 1;
		mp4->last_shown = count;
	}
	later = count / mp4->order_step - mp4->since_key + mp4->reorder;
	/* More is lost or damaged. */
	return later < 0 ? 0 : later > mp4->reorder + BETWEEN_MAX ? mp4->reorder : later;
}

/* Makes it the held one. */
static int hold(struct mp4 *mp4, const struct reader_unit *unit, int64_t at_us, int64_t step_us)
{
	int r = fill_packet(mp4->held, unit);

	if (r <= 0)
		return r;
	mp4->later_us = mp4->reorder ? shown_later(mp4, unit->key) * step_us : 0;
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
