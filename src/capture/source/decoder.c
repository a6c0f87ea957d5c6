/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/decoder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/pixdesc.h>

#include "base/diag.h"
#include "capture/source/fit.h"

#define WHY_SIZE 256
/* Slots for what a decoder keeps to refer to; with more references than that it gets memory of its
 * own for some pictures, and those are copied. */
#define REFERENCES 4
#define SLOTS_MAX 32
/* libavcodec's own buffers reach this far beyond the last plane: its SIMD code may touch it. */
#define OVERREAD 128

struct decoder_slot {
	struct frame frame; /* first member: release() finds its way back */
	uint8_t *map;
	AVFrame *picture;  /* keeps libavcodec's reference while the frame is out */
	atomic_bool taken; /* by libavcodec or a frame; cleared with release, read with acquire */
	atomic_bool delivered; /* as a frame; the same */
};

struct decoder {
	AVCodecContext *codec;
	AVFrame *picture;
	struct fit *fit;
	char camera[CONFIG_NAME_MAX];
	unsigned first_width, first_height; /* of the coded pictures */
	bool told_scaled;		    /* that later ones have another size */
	struct frame_format format;
	enum AVPixelFormat pixels;	    /* of the slots */
	bool direct;			    /* libavcodec may decode into the slots */
	uint32_t coded_width, coded_height; /* that a slot has room for */
	struct slot_ring *ring;
	struct decoder_slot *slots;
	char note[128];
};

static const struct {
	enum AVPixelFormat pixels;
	uint32_t fourcc;
} formats[] = {
	{AV_PIX_FMT_YUV420P, FRAME_I420},
	{AV_PIX_FMT_YUVJ420P, FRAME_I420},
	{AV_PIX_FMT_NV12, FRAME_NV12},
	{AV_PIX_FMT_YUYV422, FRAME_YUYV},
};

/* --- slots --- */

static struct decoder_slot *take_slot(struct decoder *decoder)
{
	for (unsigned i = 0; i < decoder->ring->n; i++) {
		struct decoder_slot *slot = &decoder->slots[i];

		/* Only this thread takes slots. */
		if (atomic_load_explicit(&slot->delivered, memory_order_acquire) ||
		    atomic_load_explicit(&slot->taken, memory_order_acquire))
			continue;
		if (slot_begin_access(decoder->ring, i, true))
			return NULL;
		atomic_store_explicit(&slot->taken, true, memory_order_relaxed);
		return slot;
	}
	return NULL;
}

/* libavcodec and the frame have let go. Any thread. */
static void free_buffer(void *opaque, uint8_t *data)
{
	struct decoder_slot *slot = opaque;

	(void)data;
	atomic_store_explicit(&slot->taken, false, memory_order_release);
}

/* Any thread. `delivered` goes last: until then the slot is not taken again. */
static void release_frame(struct frame *frame)
{
	struct decoder_slot *slot = (struct decoder_slot *)frame;

	if (slot->picture->buf[0])
		av_frame_unref(slot->picture); /* may end in free_buffer() */
	else
		free_buffer(slot, NULL);
	atomic_store_explicit(&slot->delivered, false, memory_order_release);
}

/* libavcodec asks for memory for a picture. A slot if it can be one, else its own way. */
static int get_buffer(AVCodecContext *codec, AVFrame *picture, int flags)
{
	struct decoder *decoder = codec->opaque;
	const struct frame_format *format = &decoder->format;
	struct decoder_slot *slot = NULL;

	if (decoder->direct && picture->format == decoder->pixels &&
	    (uint32_t)picture->width <= decoder->coded_width &&
	    (uint32_t)picture->height <= decoder->coded_height)
		slot = take_slot(decoder);
	if (!slot)
		return avcodec_default_get_buffer2(codec, picture, flags);
	picture->buf[0] = av_buffer_create(slot->map, decoder->ring->slots[slot->frame.slot].size,
					   free_buffer, slot, 0);
	if (!picture->buf[0]) {
		free_buffer(slot, NULL);
		return AVERROR(ENOMEM);
	}
	for (unsigned i = 0; i < format->n_planes; i++) {
		picture->data[i] = slot->map + format->planes[i].offset;
		picture->linesize[i] = (int)format->planes[i].stride;
	}
	picture->extended_data = picture->data;
	return 0;
}

/* The slot that holds the picture as the format says, or NULL. A picture cropped at its top or left
 * begins elsewhere; a picture that is shown twice is out already; one of another size or other
 * colours has to be converted. */
static struct decoder_slot *slot_of(struct decoder *decoder, const AVFrame *picture)
{
	const struct frame_format *format = &decoder->format;
	struct decoder_slot *slot = NULL;

	for (unsigned i = 0; i < decoder->ring->n; i++)
		if (picture->buf[0]->data == decoder->slots[i].map)
			slot = &decoder->slots[i];
	if (!slot || atomic_load_explicit(&slot->delivered, memory_order_acquire) ||
	    picture->format != decoder->pixels || !fit_is_same(decoder->fit, picture))
		return NULL;
	for (unsigned i = 0; i < format->n_planes; i++)
		if (picture->data[i] != slot->map + format->planes[i].offset ||
		    picture->linesize[i] != (int)format->planes[i].stride)
			return NULL;
	return slot;
}

/* --- conversion --- */

static int convert_to_slot(struct decoder *decoder, struct decoder_slot **out)
{
	struct decoder_slot *slot = take_slot(decoder);
	int r;

	if (!slot)
		return -ENOBUFS;
	r = fit_write(decoder->fit, decoder->picture, slot->map);
	if (r) {
		slot_end_access(decoder->ring, slot->frame.slot, true);
		free_buffer(slot, NULL);
		return r;
	}
	if (fit_was_scaled(decoder->fit) && !decoder->told_scaled) {
		decoder->told_scaled = true;
		diag_warn("camera %s: the pictures change from %ux%u to %dx%d; they are scaled to "
			  "the first size, with bars where their shape is another one",
			  decoder->camera, decoder->first_width, decoder->first_height,
			  decoder->picture->width, decoder->picture->height);
	}
	*out = slot;
	return 0;
}

/* --- the calls --- */

static int error_of(int averror)
{
	if (averror == AVERROR_EOF)
		return -ENODATA;
	/* The other errors that libav makes up are tags, far below any errno. */
	return averror < 0 && averror > -4096 ? averror : averror < 0 ? -EINVAL : 0;
}

int decoder_send(struct decoder *decoder, const AVPacket *packet)
{
	return error_of(avcodec_send_packet(decoder->codec, packet));
}

int decoder_receive(struct decoder *decoder, struct frame **frame, int64_t *timestamp)
{
	AVFrame *picture = decoder->picture;
	struct decoder_slot *slot;
	int r = error_of(avcodec_receive_frame(decoder->codec, picture));

	if (r)
		return r;
	*timestamp = picture->best_effort_timestamp;
	slot = slot_of(decoder, picture);
	if (slot) {
		av_frame_move_ref(slot->picture, picture);
	} else {
		r = convert_to_slot(decoder, &slot);
		av_frame_unref(picture);
		if (r)
			return r;
	}
	slot_end_access(decoder->ring, slot->frame.slot, true);
	atomic_store_explicit(&slot->delivered, true, memory_order_relaxed);
	atomic_store_explicit(&slot->frame.refs, 1, memory_order_relaxed);
	*frame = &slot->frame;
	return 0;
}

void decoder_flush(struct decoder *decoder)
{
	avcodec_flush_buffers(decoder->codec);
}

const struct frame_format *decoder_format(const struct decoder *decoder)
{
	return &decoder->format;
}

const char *decoder_allocator(const struct decoder *decoder)
{
	return decoder->ring->allocator;
}

const char *decoder_note(const struct decoder *decoder)
{
	return decoder->note;
}

/* --- creation --- */

static enum frame_colour colour_of(const AVCodecParameters *parameters, bool full_range)
{
	switch (parameters->color_space) {
	case AVCOL_SPC_BT2020_NCL:
	case AVCOL_SPC_BT2020_CL:
		return parameters->color_trc == AVCOL_TRC_SMPTE2084	 ? FRAME_COLOUR_BT2020_PQ
		       : parameters->color_trc == AVCOL_TRC_ARIB_STD_B67 ? FRAME_COLOUR_BT2020_HLG
									 : FRAME_COLOUR_BT2020;
	case AVCOL_SPC_BT709:
		return FRAME_COLOUR_REC709;
	case AVCOL_SPC_SMPTE170M:
	case AVCOL_SPC_BT470BG:
		return full_range ? FRAME_COLOUR_JPEG : FRAME_COLOUR_SMPTE170M;
	default:
		if (full_range)
			return FRAME_COLOUR_JPEG;
		/* RGB becomes 601, as files from ffmpeg have it; for the rest, players' choice. */
		return parameters->height >= 720 && parameters->color_space != AVCOL_SPC_RGB
			       ? FRAME_COLOUR_REC709
			       : FRAME_COLOUR_SMPTE170M;
	}
}

/* Makes room in the layout for the lines that the codec writes beyond the picture's. */
static int layout_direct(struct decoder *decoder)
{
	struct frame_format *format = &decoder->format;
	int width = (int)format->width, height = (int)format->height;
	int align[AV_NUM_DATA_POINTERS];
	uint32_t luma, offset = 0;
	int r;

	if (decoder->codec->coded_width > width)
		width = decoder->codec->coded_width;
	if (decoder->codec->coded_height > height)
		height = decoder->codec->coded_height;
	avcodec_align_dimensions2(decoder->codec, &width, &height, align);
	luma = (uint32_t)(width * (format->fourcc == FRAME_YUYV ? 2 : 1));
	/* chroma lines of I420 are half as long, and have to be aligned as well */
	const uint32_t unit =
		(uint32_t)(format->fourcc == FRAME_I420 && 2 * align[1] > align[0] ? 2 * align[1]
										   : align[0]);
	r = frame_format_layout(format, (luma + unit - 1) / unit * unit);
	if (r)
		return r;
	decoder->coded_width = (uint32_t)width;
	decoder->coded_height = (uint32_t)height;
	for (unsigned i = 0; i < format->n_planes; i++) {
		format->planes[i].offset = offset;
		offset += format->planes[i].stride * (uint32_t)(i ? height / 2 : height);
	}
	format->size = offset;
	return 0;
}

/* RGB is converted to limited range, because many players know no other for H.264. */
static bool is_full_range(const AVCodecParameters *parameters)
{
	const AVPixFmtDescriptor *description = av_pix_fmt_desc_get(parameters->format);

	if (!description || description->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL))
		return false;
	if (parameters->color_range != AVCOL_RANGE_UNSPECIFIED)
		return parameters->color_range == AVCOL_RANGE_JPEG;
	/* yuvj*p is the old way to say full range; pictures in grey are of computers */
	return strncmp(description->name, "yuvj", 4) == 0 || description->nb_components < 3;
}

struct frame_format decoder_outline(const AVCodecParameters *parameters,
				    const struct decoder_options *options)
{
	struct frame_format format = {.rate = options->rate};
	AVRational shape = options->shape;
	int width = parameters->width & ~1, height = parameters->height & ~1;

	if (options->orientation.transpose) {
		width = parameters->height & ~1;
		height = parameters->width & ~1;
		shape = (AVRational){shape.den, shape.num};
	}
	format.width = (uint32_t)width;
	format.height = (uint32_t)height;
	if (shape.num > 0 && shape.den > 0 &&
	    av_reduce(&shape.num, &shape.den, shape.num, shape.den, UINT16_MAX)) {
		format.sar_width = (uint32_t)shape.num;
		format.sar_height = (uint32_t)shape.den;
	}
	return format;
}

static int choose_format(struct decoder *decoder, const AVCodecParameters *parameters,
			 const struct decoder_options *options)
{
	struct frame_format *format = &decoder->format;
	const bool plain = parameters->width % 2 == 0 && parameters->height % 2 == 0 &&
			   orientation_is_upright(options->orientation);
	const enum AVPixelFormat pixels = (enum AVPixelFormat)parameters->format;
	const char *name = avcodec_get_name(parameters->codec_id);
	const char *pixels_name = av_get_pix_fmt_name(pixels);

	*format = decoder_outline(parameters, options);
	format->full_range = is_full_range(parameters);
	format->colour = colour_of(parameters, format->full_range);
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		if (formats[i].pixels != pixels || !plain ||
		    !(decoder->codec->codec->capabilities & AV_CODEC_CAP_DR1))
			continue;
		decoder->direct = true;
		decoder->pixels = pixels;
		format->fourcc = formats[i].fourcc;
		snprintf(decoder->note, sizeof(decoder->note), "decoded from %s into the slots",
			 name);
		return layout_direct(decoder);
	}
	format->fourcc = FRAME_I420;
	snprintf(decoder->note, sizeof(decoder->note), "decoded from %s, %s converted to I420%s%s",
		 name, pixels_name ? pixels_name : "an unknown pixel format",
		 orientation_is_upright(options->orientation) ? "" : ", ",
		 orientation_is_upright(options->orientation)
			 ? ""
			 : orientation_name(options->orientation));
	return frame_format_layout(format, 0);
}

static int make_slots(struct decoder *decoder, const char *allocator, unsigned buffers)
{
	uint32_t size = frame_format_slot_size(&decoder->format);
	unsigned n = buffers;
	int r;

	if (decoder->direct) {
		n += REFERENCES + (unsigned)decoder->codec->has_b_frames;
		if (size < decoder->format.size + OVERREAD)
			size = decoder->format.size + OVERREAD;
	}
	if (n > SLOTS_MAX)
		n = SLOTS_MAX;
	r = slot_ring_create_for(&decoder->ring, decoder->camera, allocator, n, size);
	if (r)
		return r;
	decoder->slots = calloc(n, sizeof(*decoder->slots));
	if (!decoder->slots)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		struct decoder_slot *slot = &decoder->slots[i];

		slot->frame.format = &decoder->format;
		slot->frame.ring = decoder->ring;
		slot->frame.slot = i;
		slot->frame.release = release_frame;
		slot->frame.source = decoder;
		slot->picture = av_frame_alloc();
		if (!slot->picture)
			return -ENOMEM;
		r = slot_map(decoder->ring, i, true, &slot->map);
		if (r)
			return r;
	}
	return 0;
}

static int open_codec(struct decoder *decoder, const AVCodecParameters *parameters, char *why)
{
	const AVCodec *codec = avcodec_find_decoder(parameters->codec_id);
	int r;

	if (!codec) {
		snprintf(why, WHY_SIZE, "no decoder for %s",
			 avcodec_get_name(parameters->codec_id));
		return -ENOTSUP;
	}
	decoder->codec = avcodec_alloc_context3(codec);
	decoder->picture = av_frame_alloc();
	if (!decoder->codec || !decoder->picture ||
	    avcodec_parameters_to_context(decoder->codec, parameters) < 0) {
		snprintf(why, WHY_SIZE, "out of memory");
		return -ENOMEM;
	}
	decoder->codec->opaque = decoder;
	decoder->codec->get_buffer2 = get_buffer;
	/* Threads by picture would hold more pictures, and get_buffer() would run on them. */
	decoder->codec->thread_type = FF_THREAD_SLICE;
	decoder->codec->thread_count = 0;
	r = error_of(avcodec_open2(decoder->codec, codec, NULL));
	if (r)
		snprintf(why, WHY_SIZE, "the decoder for %s does not open: %s", codec->name,
			 strerror(-r));
	return r;
}

int decoder_create(struct decoder **out, const AVCodecParameters *parameters,
		   const struct decoder_options *options, char *why)
{
	struct decoder *decoder = calloc(1, sizeof(*decoder));
	int r;

	/* Not a line from libav for each damaged picture, which may be FATAL. */
	av_log_set_level(AV_LOG_PANIC);
	if (!decoder) {
		snprintf(why, WHY_SIZE, "out of memory");
		return -ENOMEM;
	}
	r = open_codec(decoder, parameters, why);
	if (r)
		goto destroy;
	snprintf(decoder->camera, sizeof(decoder->camera), "%s", options->camera->name);
	decoder->first_width = (unsigned)parameters->width;
	decoder->first_height = (unsigned)parameters->height;
	r = choose_format(decoder, parameters, options);
	if (r) {
		snprintf(why, WHY_SIZE, "pictures of %dx%d cannot be handled", parameters->width,
			 parameters->height);
		goto destroy;
	}
	r = fit_create(&decoder->fit, &decoder->format, options->orientation);
	if (r) {
		snprintf(why, WHY_SIZE, "out of memory");
		goto destroy;
	}
	r = make_slots(decoder, options->camera->allocator, options->camera->buffers);
	if (r) {
		snprintf(why, WHY_SIZE, "no frame slots: %s", strerror(-r));
		goto destroy;
	}
	*out = decoder;
	return 0;

destroy:
	decoder_destroy(decoder);
	return r;
}

void decoder_destroy(struct decoder *decoder)
{
	if (!decoder)
		return;
	/* First what refers to slots. */
	av_frame_free(&decoder->picture);
	avcodec_free_context(&decoder->codec);
	if (decoder->slots)
		for (unsigned i = 0; i < decoder->ring->n; i++)
			av_frame_free(&decoder->slots[i].picture);
	free(decoder->slots);
	slot_ring_destroy(decoder->ring);
	fit_destroy(decoder->fit);
	free(decoder);
}
