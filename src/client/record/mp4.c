/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/mp4.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>

#include "client/record/head.h"
#include "client/record/kept.h"
#include "client/record/order.h"
#include "media/jpeg.h"
#include "media/sei.h"
#include "media/sps.h"

#define TIMESCALE 90000 /* ticks a second, as MPEG systems have it */
#define IO_SIZE 65536
#define FRAGMENT_KEY_US 900000 /* a key unit's second is a little less or more */
#define FRAGMENT_MAX_US 2000000
#define FRAGMENT_MAX_BYTES (16 << 20)
#define HELD_MAX_BYTES (32 << 20)

struct parser {
	AVCodecParserContext *context;
	AVCodecContext *codec;
};

struct mp4_format {
	enum AVCodecID codec;
	int width, height;
	int sar_width, sar_height; /* shape of a sample; 0: not stated */
	int reorder;		   /* order_init() */
	struct orientation orientation;
	uint8_t *sets; /* H.264: SPS and PPS as a byte stream */
	size_t sets_len;
};

struct mp4 {
	AVFormatContext *context;
	struct mp4_format format;
	struct parser parser; /* open for streams that may show pictures in another order */
	struct order order;
	AVPacket *held[ORDER_HELD_MAX]; /* the pictures of `order` */
	int64_t held_bytes, fragment_bytes;

	int64_t first_us, fragment_us; /* of the first picture of all, and of the fragment's */
	int64_t end_us;		       /* of what the muxer has */
	bool begun;		       /* anything was added */
	bool fragment_begun;	       /* the muxer has something of it */

	/* Pictures are numbered as they are added. */
	struct kept kept;      /* those since the cut */
	uint64_t muxed, saved; /* numbers of the first that the muxer, the disk do not have */
	uint64_t fragment;     /* number of the first one of the fragment */
	bool fragment_key;     /* that one is a key picture */
	int64_t taken_bytes, saved_bytes;
	uint64_t cut_at; /* number of the first picture behind the cut */
	struct mp4_cut cut;

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

/* to has nothing yet. */
static int copy_format(struct mp4_format *to, const struct mp4_format *from)
{
	*to = *from;
	if (!from->sets)
		return 0;
	to->sets = malloc(from->sets_len);
	if (!to->sets)
		return -ENOMEM;
	memcpy(to->sets, from->sets, from->sets_len);
	return 0;
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

/* 1 if the unit's orientation is another one than before, else 0. */
static int update_orientation(struct mp4_format *format, const struct reader_unit *unit)
{
	struct orientation now = {0};
	bool same;

	(void)sei_find_orientation(unit->data, unit->len, &now);
	same = orientation_is_same(now, format->orientation);
	format->orientation = now;
	return !same;
}

static int update_h264(struct mp4_format *format, const struct reader_unit *unit)
{
	const int turned = update_orientation(format, unit);
	struct sps sps;
	int r = update_sets(format, unit);

	if (r < 0)
		return r;
	if (r == 0)
		return turned;
	r = sps_read_active(unit->data, unit->len, &sps);
	if (r < 0) { /* what is no key unit to us says nothing of the next one */
		forget_sets(format);
		return r;
	}
	format->width = (int)sps.width;
	format->height = (int)sps.height;
	format->sar_width = (int)sps.sar_width;
	format->sar_height = (int)sps.sar_height;
	format->reorder = sps.reorder_stated ? (int)sps.reorder_frames : -1;
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
	format->orientation = (struct orientation){0};
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

/* The picture order count of a whole sample. */
static int parser_read(struct parser *parser, const AVPacket *packet)
{
	uint8_t *data;
	int len;

	av_parser_parse2(parser->context, parser->codec, &data, &len, packet->data, packet->size,
			 AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
	return parser->context->output_picture_number;
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

/* The muxer writes it into the track's header (tkhd, 14496-12, 8.3.2). */
static int fill_orientation(AVStream *stream, struct orientation orientation)
{
	int32_t matrix[ORIENTATION_MATRIX_LEN];
	uint8_t *side;

	if (orientation_is_upright(orientation))
		return 0;
	orientation_to_matrix(orientation, matrix);
#if LIBAVFORMAT_VERSION_MAJOR >= 61
	AVCodecParameters *par = stream->codecpar;
	AVPacketSideData *data =
		av_packet_side_data_new(&par->coded_side_data, &par->nb_coded_side_data,
					AV_PKT_DATA_DISPLAYMATRIX, sizeof(matrix), 0);

	side = data ? data->data : NULL;
#else
	side = av_stream_new_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, sizeof(matrix));
#endif
	if (!side)
		return -ENOMEM;
	memcpy(side, matrix, sizeof(matrix));
	return 0;
}

static int fill_stream(AVStream *stream, const struct mp4_format *format)
{
	AVCodecParameters *par = stream->codecpar;
	int err;

	par->codec_type = AVMEDIA_TYPE_VIDEO;
	par->codec_id = format->codec;
	par->width = format->width;
	par->height = format->height;
	par->sample_aspect_ratio = (AVRational){format->sar_width, format->sar_height};
	stream->sample_aspect_ratio = par->sample_aspect_ratio;
	stream->time_base = (AVRational){1, TIMESCALE};
	err = fill_orientation(stream, format->orientation);
	if (err < 0)
		return err;
	return format->sets ? fill_extradata(&par->extradata, &par->extradata_size, format) : 0;
}

/* The muxer makes avcC and length prefixes of a byte stream by itself (14496-15), as the extradata
 * is one. */
static int write_header(struct mp4 *mp4, const char *title, int64_t utc_us)
{
	AVDictionary *options = NULL;
	size_t len;
	uint8_t *plain;
	int err;

	av_dict_set(&mp4->context->metadata, "title", title, 0);
	/* The moov goes in front, without samples; fragments end when we say so. */
	av_dict_set(&options, "movflags", "empty_moov+default_base_moof+frag_custom", 0);
	av_dict_set_int(&options, "video_track_timescale", TIMESCALE, 0);
	err = avformat_write_header(mp4->context, &options);
	av_dict_free(&options);
	if (err < 0)
		return errno_of(err);
	avio_flush(mp4->context->pb);
	/* The muxer counts the bytes by which the header grows: its index has places
	 * in the file. */
	len = mp4->len;
	for (size_t i = head_growth(utc_us); i > 0; i--)
		avio_w8(mp4->context->pb, 0);
	avio_flush(mp4->context->pb);
	if (mp4->no_memory)
		return -ENOMEM;
	plain = malloc(len);
	if (!plain)
		return -ENOMEM;
	memcpy(plain, mp4->data, len);
	err = head_write(mp4->data, plain, len, utc_us);
	free(plain);
	return err;
}

int mp4_create(struct mp4 **out, const struct mp4_format *format, const char *title, int64_t utc_us)
{
	struct mp4 *mp4 = calloc(1, sizeof *mp4);
	AVStream *stream;
	uint8_t *io;
	int err = -ENOMEM;

	if (!mp4)
		return -ENOMEM;
	if (copy_format(&mp4->format, format) < 0)
		goto destroy;
	if (avformat_alloc_output_context2(&mp4->context, NULL, "mp4", NULL) < 0)
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
	order_init(&mp4->order, format->reorder);
	if (err == 0 && format->reorder != 0)
		err = parser_open(&mp4->parser, format);
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
	for (size_t i = 0; i < mp4->order.n; i++)
		av_packet_free(&mp4->held[i]);
	kept_destroy(&mp4->kept);
	forget_sets(&mp4->format);
	free(mp4->data);
	free(mp4);
}

static int64_t ticks(const struct mp4 *mp4, int64_t at_us)
{
	return av_rescale(at_us - mp4->first_us, TIMESCALE, 1000000);
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

/* The file can be cut before the fragment under way if that begins at a key picture, and all before
 * it is on disk. */
static void move_cut(struct mp4 *mp4)
{
	if (!mp4->fragment_begun || !mp4->fragment_key || mp4->saved != mp4->fragment)
		return;
	mp4->cut_at = mp4->fragment;
	mp4->cut = (struct mp4_cut){mp4->saved_bytes, mp4->fragment_us - mp4->first_us};
	kept_forget(&mp4->kept, mp4->cut_at);
}

/* Whether a fragment ends before the picture. */
static bool is_fragment_over(const struct mp4 *mp4, const AVPacket *picture, int64_t at_us)
{
	int64_t age_us = at_us - mp4->fragment_us;

	return mp4->fragment_begun &&
	       (age_us >= FRAGMENT_MAX_US || mp4->fragment_bytes >= FRAGMENT_MAX_BYTES ||
		((picture->flags & AV_PKT_FLAG_KEY) && age_us >= FRAGMENT_KEY_US));
}

/* Gives the oldest picture that is held to the muxer. 0; 1: a fragment ended before it; -errno. */
static int write_oldest(struct mp4 *mp4, const struct order_times *times)
{
	AVPacket *picture = mp4->held[0];
	bool over = is_fragment_over(mp4, picture, times->at_us);
	int err = over ? end_fragment(mp4) : 0;

	memmove(mp4->held, mp4->held + 1, mp4->order.n * sizeof mp4->held[0]);
	mp4->held_bytes -= picture->size;
	if (err < 0)
		goto free_picture;
	/* The muxer lets a fragment begin where the one before ended, unless told otherwise: that
	 * end was a guess if there was nothing to follow when it was written. */
	if (!mp4->fragment_begun && mp4->end_us != times->at_us)
		av_opt_set(mp4->context->priv_data, "movflags", "+frag_discont", 0);
	if (!mp4->fragment_begun) {
		mp4->fragment_us = times->at_us;
		mp4->fragment_bytes = 0;
		mp4->fragment = mp4->muxed;
		mp4->fragment_key = picture->flags & AV_PKT_FLAG_KEY;
	}
	mp4->muxed++;
	mp4->fragment_bytes += picture->size;
	picture->stream_index = 0;
	picture->dts = ticks(mp4, times->at_us);
	picture->pts = ticks(mp4, times->shown_us);
	picture->duration = ticks(mp4, times->end_us) - picture->dts;
	err = av_write_frame(mp4->context, picture);
	if (err < 0) {
		err = errno_of(err);
		goto free_picture;
	}
	mp4->end_us = times->end_us;
	mp4->fragment_begun = true;
	move_cut(mp4);
	err = over;

free_picture:
	av_packet_free(&picture);
	return err;
}

/* Gives the pictures whose times are known to the muxer. Result as write_oldest(). */
static int write_known(struct mp4 *mp4)
{
	struct order_times times;
	bool ended = false;

	while (order_take(&mp4->order, &times)) {
		int r = write_oldest(mp4, &times);

		if (r < 0)
			return r;
		ended |= r > 0;
	}
	return ended;
}

/* Gives all pictures to the muxer. Result as write_oldest(). */
static int write_all(struct mp4 *mp4, int64_t step_us)
{
	struct order_times times;
	bool ended = false;

	while (order_force(&mp4->order, step_us, &times)) {
		int r = write_oldest(mp4, &times);

		if (r < 0)
			return r;
		ended |= r > 0;
	}
	return ended;
}

/* Takes the picture over. Result as mp4_add(). */
static int add_picture(struct mp4 *mp4, AVPacket *picture, int64_t at_us)
{
	int64_t count = 0;
	int r;

	kept_add(&mp4->kept, picture, at_us);
	if (!mp4->begun) {
		mp4->begun = true;
		mp4->first_us = mp4->end_us = at_us;
	}
	if (mp4->parser.context)
		count = parser_read(&mp4->parser, picture);
	mp4->held[mp4->order.n] = picture;
	mp4->held_bytes += picture->size;
	order_add(&mp4->order, picture->flags & AV_PKT_FLAG_KEY, count, at_us);
	r = write_known(mp4);
	return r >= 0 && mp4->held_bytes > HELD_MAX_BYTES ? -EMSGSIZE : r;
}

int mp4_add(struct mp4 *mp4, const struct reader_unit *unit, int64_t at_us)
{
	AVPacket *picture = av_packet_alloc();
	int r = picture ? fill_packet(picture, unit) : -ENOMEM;

	if (r <= 0) {
		av_packet_free(&picture);
		return r;
	}
	return add_picture(mp4, picture, at_us);
}

int mp4_go_on(struct mp4 **out, const struct mp4 *full, const char *title, int64_t utc_us,
	      struct mp4_cut *cut)
{
	struct mp4 *mp4;
	int r;

	if (full->cut_at == 0 || full->kept.first != full->cut_at)
		return -ENODATA;
	r = mp4_create(&mp4, &full->format, title, utc_us + full->cut.us);
	if (r < 0)
		return r;
	for (size_t i = 0; i < full->kept.n && r >= 0; i++) {
		const struct kept_picture *kept = &full->kept.pictures[i];
		AVPacket *picture = av_packet_clone(kept->packet);

		r = picture ? add_picture(mp4, picture, kept->at_us) : -ENOMEM;
	}
	if (r < 0) {
		mp4_destroy(mp4);
		return r;
	}
	*cut = full->cut;
	*out = mp4;
	return 0;
}

int mp4_end_fragment(struct mp4 *mp4, int64_t step_us)
{
	/* In a stream without B pictures the last one only waits for its length. */
	int r = mp4->order.reorder == 0 && !mp4->order.learning ? write_all(mp4, step_us)
								: write_known(mp4);

	return r < 0 ? r : end_fragment(mp4);
}

int mp4_finish(struct mp4 *mp4, int64_t step_us)
{
	int err = write_all(mp4, step_us);

	if (err >= 0)
		err = end_fragment(mp4);
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
	mp4->taken_bytes += (int64_t)mp4->len;
	mp4->len = 0; /* the bytes stay until the muxer writes again */
	return mp4->data;
}

void mp4_saved(struct mp4 *mp4)
{
	mp4->saved = mp4->fragment_begun ? mp4->fragment : mp4->muxed;
	mp4->saved_bytes = mp4->taken_bytes;
	move_cut(mp4);
}

int64_t mp4_duration_us(const struct mp4 *mp4)
{
	return mp4->end_us - mp4->first_us;
}
