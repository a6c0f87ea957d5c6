/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/decoder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavutil/hwcontext.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "client/view/size.h"
#include "media/orientation.h"

#define WHY_SIZE 256
#define THREADS_MAX 4
/* libavcodec's own buffers reach this far beyond the last plane: its SIMD code may touch it. */
#define OVERREAD 128
/* Lines begin at multiples of this, which is enough for every SIMD instruction set. */
#define LINE_ALIGN 64
/* After this many consecutive pictures without a slot, the decoder is assumed to hold its slots for
 * ever. */
#define STARVED_MAX 60

struct view_decoder {
	AVCodecContext *codec;
	AVBufferRef *device; /* NULL: software */
	enum AVPixelFormat device_pixels;
	AVPacket *packet;
	AVFrame *picture, *download;
	AVFrame *converted;	   /* a picture that is not yet turned; NULL: none was */
	struct SwsContext *scaler; /* of the last conversion, with these parameters: */
	struct {
		int width, height, from, to, matrix;
		enum view_colour colour;
	} scaling;
	struct view_ring *ring;
	uint8_t *input; /* the coded picture, with the padding that libavcodec wants */
	unsigned input_size;
	unsigned starved;
	bool used; /* the device decoded the last picture; it may open but refuse the stream */
	char device_name[96], name[96];
};

/* The places of a picture's planes in a slot. */
struct layout {
	uint32_t offset[3], stride[3];
	size_t size;
};

/* A reference to a slot, freed when libavcodec releases it. */
struct slot_ref {
	struct view_ring *ring;
	unsigned slot;
};

/* --- pictures in slots --- */

static uint32_t align(uint32_t value, uint32_t to)
{
	return (value + to - 1) / to * to;
}

static struct layout lay_out(enum view_format format, uint32_t width, uint32_t height)
{
	const uint32_t luma = align(width, 2 * LINE_ALIGN), rows = (height + 1) / 2;
	struct layout layout = {.stride = {luma}};

	layout.offset[1] = luma * height;
	if (format == VIEW_NV12) {
		layout.stride[1] = luma;
		layout.size = layout.offset[1] + (size_t)luma * rows;
	} else {
		layout.stride[1] = layout.stride[2] = luma / 2;
		layout.offset[2] = layout.offset[1] + luma / 2 * rows;
		layout.size = layout.offset[2] + (size_t)(luma / 2) * rows;
	}
	layout.size += OVERREAD;
	return layout;
}

/* The bytes that a slot has for a picture: enough for it as it lies and on its side, because slots
 * cannot grow while the decoder refers to one. */
static size_t room_for(enum view_format format, uint32_t width, uint32_t height)
{
	const size_t lying = lay_out(format, width, height).size;
	const size_t turned = lay_out(format, height, width).size;

	return lying > turned ? lying : turned;
}

static bool format_of(enum AVPixelFormat pixels, enum view_format *out)
{
	switch (pixels) {
	case AV_PIX_FMT_YUV420P:
	case AV_PIX_FMT_YUVJ420P:
		*out = VIEW_I420;
		return true;
	case AV_PIX_FMT_NV12:
		*out = VIEW_NV12;
		return true;
	default:
		return false;
	}
}

static void point_into(uint8_t *start, const struct layout *layout, uint8_t **data, int *stride)
{
	for (unsigned i = 0; i < 3; i++) {
		data[i] = layout->stride[i] ? start + layout->offset[i] : NULL;
		stride[i] = (int)layout->stride[i];
	}
}

/* A slot of at least that many bytes, as view_ring_take() and view_ring_fit(). */
static int take_slot(struct view_ring *ring, size_t size, bool for_decoder)
{
	int r = view_ring_fit(ring, size);

	return r < 0 ? r : view_ring_take(ring, for_decoder);
}

/* libavcodec has released the slot. */
static void free_slot(void *opaque, uint8_t *data)
{
	struct slot_ref *ref = opaque;

	(void)data;
	view_ring_give_back(ref->ring, ref->slot);
	free(ref);
}

/* Creates a reference for libavcodec to a taken slot; NULL: no memory, and the slot was given
 * back. */
static AVBufferRef *refer_to(struct view_ring *ring, unsigned slot)
{
	struct slot_ref *ref = malloc(sizeof(*ref));
	AVBufferRef *buffer = NULL;

	if (ref) {
		*ref = (struct slot_ref){ring, slot};
		buffer = av_buffer_create(view_ring_data(ring, slot), ring->slot_size, free_slot,
					  ref, 0);
	}
	if (!buffer) {
		view_ring_give_back(ring, slot);
		free(ref);
	}
	return buffer;
}

/* libavcodec asks for memory for a picture: a slot, or memory laid out as a slot, because all the
 * pictures that a picture refers to must have lines of the same length (h264_mb.c). With slice
 * threads it asks on our thread only. */
static int get_buffer(AVCodecContext *codec, AVFrame *picture, int flags)
{
	struct view_decoder *decoder = codec->opaque;
	int width = picture->width, height = picture->height, slot;
	int aligns[AV_NUM_DATA_POINTERS];
	enum view_format format;
	struct layout layout;

	if (!format_of(picture->format, &format) ||
	    !(codec->codec->capabilities & AV_CODEC_CAP_DR1) || width > VIEW_PICTURE_MAX ||
	    height > VIEW_PICTURE_MAX)
		return avcodec_default_get_buffer2(codec, picture, flags);
	avcodec_align_dimensions2(codec, &width, &height, aligns);
	layout = lay_out(format, (uint32_t)width, (uint32_t)height);
	slot = take_slot(decoder->ring, room_for(format, (uint32_t)width, (uint32_t)height), true);
	picture->buf[0] =
		slot >= 0 ? refer_to(decoder->ring, (unsigned)slot) : av_buffer_alloc(layout.size);
	if (!picture->buf[0])
		return AVERROR(ENOMEM);
	point_into(picture->buf[0]->data, &layout, picture->data, picture->linesize);
	picture->extended_data = picture->data;
	return 0;
}

static bool is_full_range(const AVFrame *picture)
{
	return picture->color_range == AVCOL_RANGE_JPEG || picture->format == AV_PIX_FMT_YUVJ420P;
}

static bool is_bt2020(const AVFrame *picture)
{
	return picture->colorspace == AVCOL_SPC_BT2020_NCL ||
	       picture->colorspace == AVCOL_SPC_BT2020_CL;
}

/* SDL does not know the picture's colours; they are converted to those of colour_of(). */
static bool colours_differ(const AVFrame *picture)
{
	return is_bt2020(picture) ||
	       (is_full_range(picture) && picture->colorspace == AVCOL_SPC_BT709);
}

static enum view_colour colour_of(const AVFrame *picture)
{
	if (is_full_range(picture))
		return VIEW_JPEG;
	if (is_bt2020(picture))
		return VIEW_REC709;
	if (picture->colorspace == AVCOL_SPC_BT709)
		return VIEW_REC709;
	/* Unspecified: the choice that players make. */
	return picture->colorspace == AVCOL_SPC_UNSPECIFIED && picture->height >= 720 ? VIEW_REC709
										      : VIEW_REC601;
}

/* As an SEI message of the stream states it. */
static struct orientation orientation_of(const AVFrame *picture)
{
	const AVFrameSideData *side = av_frame_get_side_data(picture, AV_FRAME_DATA_DISPLAYMATRIX);
	int32_t matrix[ORIENTATION_MATRIX_LEN];

	if (!side || side->size < sizeof(matrix))
		return orientation_of_matrix(NULL);
	memcpy(matrix, side->data, sizeof(matrix));
	return orientation_of_matrix(matrix);
}

/* Whether the planes can be shown as they are. */
static bool is_ready(const AVFrame *picture)
{
	return !colours_differ(picture) && orientation_is_upright(orientation_of(picture));
}

/* What is shown of the picture, after it was turned. */
static void describe(const AVFrame *picture, struct view_picture *out)
{
	const AVRational shape = picture->sample_aspect_ratio;

	/* The timestamp carries both: view_decoder_decode(). */
	*out = (struct view_picture){
		.colour = colour_of(picture),
		.width = (uint32_t)picture->width,
		.height = (uint32_t)picture->height,
		.sar_width = shape.num > 0 ? (uint32_t)shape.num : 0,
		.sar_height = shape.den > 0 ? (uint32_t)shape.den : 0,
		.since_us = picture->pts >> 1,
		.captured = picture->pts & 1,
	};
	if (orientation_of(picture).transpose) {
		out->width = (uint32_t)picture->height;
		out->height = (uint32_t)picture->width;
		out->sar_width = shape.den > 0 ? (uint32_t)shape.den : 0;
		out->sar_height = shape.num > 0 ? (uint32_t)shape.num : 0;
	}
}

static int error_of(int averror)
{
	/* libav's own errors are tags, far below any errno. */
	return averror >= 0 ? 0 : averror > -4096 ? averror : -EINVAL;
}

/* --- publishing --- */

/* The picture is in a slot already; cropping may have moved its planes' beginnings. */
static int publish_in_place(struct view_decoder *decoder, const AVFrame *picture, unsigned slot)
{
	struct view_picture shown;

	describe(picture, &shown);
	if (!format_of(picture->format, &shown.format))
		return -EINVAL;
	for (unsigned i = 0; i < 3 && picture->data[i]; i++) {
		shown.offset[i] = (uint32_t)(picture->data[i] - decoder->ring->shared->area);
		shown.stride[i] = (uint32_t)picture->linesize[i];
	}
	view_ring_publish(decoder->ring, slot, &shown);
	return 0;
}

static int prepare_scaler(struct view_decoder *decoder, const AVFrame *picture,
			  enum AVPixelFormat to, enum view_colour colour)
{
	const int target = colour == VIEW_REC709 ? SWS_CS_ITU709 : SWS_CS_ITU601;
	const int matrix = is_bt2020(picture)			    ? SWS_CS_BT2020
			   : picture->colorspace == AVCOL_SPC_BT709 ? SWS_CS_ITU709
								    : target;
	const bool full_range = colour == VIEW_JPEG;

	if (decoder->scaler && decoder->scaling.width == picture->width &&
	    decoder->scaling.height == picture->height &&
	    decoder->scaling.from == picture->format && decoder->scaling.to == (int)to &&
	    decoder->scaling.matrix == matrix && decoder->scaling.colour == colour)
		return 0;
	sws_freeContext(decoder->scaler);
	decoder->scaler =
		sws_getContext(picture->width, picture->height, picture->format, picture->width,
			       picture->height, to, SWS_BILINEAR, NULL, NULL, NULL);
	if (!decoder->scaler)
		return -EINVAL;
	(void)sws_setColorspaceDetails(decoder->scaler, sws_getCoefficients(matrix), full_range,
				       sws_getCoefficients(target), full_range, 0, 1 << 16,
				       1 << 16);
	decoder->scaling.width = picture->width;
	decoder->scaling.height = picture->height;
	decoder->scaling.from = picture->format;
	decoder->scaling.to = (int)to;
	decoder->scaling.matrix = matrix;
	decoder->scaling.colour = colour;
	return 0;
}

/* Whether the planes have a format of the ring, and colours that it has a name for. */
static bool has_form(const AVFrame *picture)
{
	enum view_format format;

	return format_of(picture->format, &format) && !colours_differ(picture);
}

static int convert(struct view_decoder *decoder, const AVFrame *picture, enum AVPixelFormat pixels,
		   enum view_colour colour, uint8_t *const data[4], const int stride[4])
{
	if (prepare_scaler(decoder, picture, pixels, colour) < 0 ||
	    sws_scale(decoder->scaler, (const uint8_t *const *)picture->data, picture->linesize, 0,
		      picture->height, data, stride) < 0)
		return -EINVAL;
	return 0;
}

/* The picture as I420 in memory of its own, kept for the next one of that size. */
static int convert_aside(struct view_decoder *decoder, const AVFrame *picture,
			 enum AVPixelFormat pixels, enum view_colour colour)
{
	AVFrame *to = decoder->converted;

	if (!to || to->width != picture->width || to->height != picture->height) {
		av_frame_free(&decoder->converted);
		to = decoder->converted = av_frame_alloc();
		if (!to)
			return -ENOMEM;
		to->format = AV_PIX_FMT_YUV420P;
		to->width = picture->width;
		to->height = picture->height;
		if (av_frame_get_buffer(to, 0) < 0) {
			av_frame_free(&decoder->converted);
			return -ENOMEM;
		}
	}
	return convert(decoder, picture, pixels, colour, to->data, to->linesize);
}

/* Turns a picture of a format of the ring into I420. width and height: of the result. */
static void turn(const AVFrame *picture, struct orientation orientation, uint32_t width,
		 uint32_t height, uint8_t *const data[4], const int stride[4])
{
	const bool interleaved = picture->format == AV_PIX_FMT_NV12;

	orientation_turn_plane(orientation, picture->data[0], 1, picture->linesize[0], data[0],
			       stride[0], width, height);
	for (unsigned i = 1; i < 3; i++) {
		const unsigned plane = interleaved ? 1 : i;
		const uint8_t *in = picture->data[plane] + (interleaved ? i - 1 : 0);

		orientation_turn_plane(orientation, in, interleaved ? 2 : 1,
				       picture->linesize[plane], data[i], stride[i],
				       (width + 1) / 2, (height + 1) / 2);
	}
}

/* Writes the picture into the slot, in the format of `shown`: the only copy of a picture that was
 * not decoded into a slot, or that must be turned. */
static int write_slot(struct view_decoder *decoder, const AVFrame *picture, unsigned slot,
		      const struct layout *layout, const struct view_picture *shown)
{
	const enum AVPixelFormat pixels = shown->format == VIEW_NV12   ? AV_PIX_FMT_NV12
					  : shown->colour == VIEW_JPEG ? AV_PIX_FMT_YUVJ420P
								       : AV_PIX_FMT_YUV420P;
	const struct orientation orientation = orientation_of(picture);
	uint8_t *data[4] = {0};
	int stride[4] = {0};
	int r;

	point_into(view_ring_data(decoder->ring, slot), layout, data, stride);
	if (!orientation_is_upright(orientation)) {
		r = has_form(picture) ? 0 : convert_aside(decoder, picture, pixels, shown->colour);
		if (!r)
			turn(has_form(picture) ? picture : decoder->converted, orientation,
			     shown->width, shown->height, data, stride);
		return r;
	}
	if (!has_form(picture))
		return convert(decoder, picture, pixels, shown->colour, data, stride);
	av_image_copy(data, stride, (const uint8_t **)(uintptr_t)picture->data, picture->linesize,
		      picture->format, picture->width, picture->height);
	return 0;
}

static int publish_copy(struct view_decoder *decoder, const AVFrame *picture)
{
	struct view_picture shown;
	struct layout layout;
	int slot, r;

	describe(picture, &shown);
	if (!orientation_is_upright(orientation_of(picture)) ||
	    !format_of(picture->format, &shown.format))
		shown.format = VIEW_I420;
	layout = lay_out(shown.format, shown.width, shown.height);
	slot = take_slot(decoder->ring, room_for(shown.format, shown.width, shown.height), false);
	if (slot < 0)
		return slot;
	r = write_slot(decoder, picture, (unsigned)slot, &layout, &shown);
	for (unsigned i = 0; i < 3; i++) {
		shown.offset[i] = (uint32_t)(view_ring_data(decoder->ring, (unsigned)slot) -
					     decoder->ring->shared->area) +
				  layout.offset[i];
		shown.stride[i] = layout.stride[i];
	}
	if (!r)
		view_ring_publish(decoder->ring, (unsigned)slot, &shown);
	view_ring_give_back(decoder->ring, (unsigned)slot);
	return r;
}

/* From the device into a slot, where the device's own layout is NV12 or I420. */
static int download_to_slot(struct view_decoder *decoder, const AVFrame *picture)
{
	const AVHWFramesContext *frames =
		(const AVHWFramesContext *)(const void *)picture->hw_frames_ctx->data;
	AVFrame *to = decoder->download;
	enum view_format format;
	struct layout layout;
	int slot;

	if (!format_of(frames->sw_format, &format))
		return -ENOTSUP;
	layout = lay_out(format, (uint32_t)picture->width, (uint32_t)picture->height);
	slot = take_slot(decoder->ring,
			 room_for(format, (uint32_t)picture->width, (uint32_t)picture->height),
			 false);
	if (slot < 0)
		return slot;
	to->buf[0] = refer_to(decoder->ring, (unsigned)slot);
	if (!to->buf[0])
		return -ENOMEM;
	to->format = frames->sw_format;
	to->width = picture->width;
	to->height = picture->height;
	point_into(to->buf[0]->data, &layout, to->data, to->linesize);
	return error_of(av_hwframe_transfer_data(to, picture, 0));
}

static int publish_from_device(struct view_decoder *decoder, const AVFrame *picture)
{
	AVFrame *to = decoder->download;
	int r = download_to_slot(decoder, picture), slot;

	if (r == -ENOTSUP || r == -EINVAL || r == -ENOSYS) {
		/* The device has its own layout, or a rule for the destination. */
		av_frame_unref(to);
		r = error_of(av_hwframe_transfer_data(to, picture, 0));
	}
	if (!r)
		r = error_of(av_frame_copy_props(to, picture));
	if (!r) {
		slot = view_ring_slot_of(decoder->ring, to->data[0]);
		r = slot >= 0 && is_ready(to) ? publish_in_place(decoder, to, (unsigned)slot)
					      : publish_copy(decoder, to);
	}
	av_frame_unref(to);
	return r;
}

static int publish(struct view_decoder *decoder, const AVFrame *picture)
{
	int slot;

	decoder->used = picture->hw_frames_ctx != NULL;
	if (decoder->used)
		return publish_from_device(decoder, picture);
	if (picture->width > VIEW_PICTURE_MAX || picture->height > VIEW_PICTURE_MAX)
		return -E2BIG;
	slot = view_ring_slot_of(decoder->ring, picture->data[0]);
	return slot >= 0 && is_ready(picture) ? publish_in_place(decoder, picture, (unsigned)slot)
					      : publish_copy(decoder, picture);
}

/* Publishes the pictures that the decoder has finished. */
static int receive(struct view_decoder *decoder, char *why)
{
	int published = 0, r;

	while ((r = avcodec_receive_frame(decoder->codec, decoder->picture)) >= 0) {
		r = publish(decoder, decoder->picture);
		if (r == -E2BIG) {
			snprintf(why, WHY_SIZE, "pictures of %dx%d are too large",
				 decoder->picture->width, decoder->picture->height);
			av_frame_unref(decoder->picture);
			return -ENOTRECOVERABLE;
		}
		av_frame_unref(decoder->picture);
		decoder->starved = r ? decoder->starved + 1 : 0;
		if (!r)
			published++;
		else
			atomic_fetch_add_explicit(&decoder->ring->shared->dropped, 1,
						  memory_order_relaxed);
	}
	if (decoder->starved > STARVED_MAX) {
		snprintf(why, WHY_SIZE, "decoded pictures cannot be stored");
		return -ENOTRECOVERABLE;
	}
	return r == AVERROR(EAGAIN) || r == AVERROR_EOF || published ? published : error_of(r);
}

int view_decoder_decode(struct view_decoder *decoder, const uint8_t *data, size_t len,
			int64_t since_us, bool captured, char *why)
{
	AVPacket *packet = decoder->packet;
	int r, published;

	if (len > INT32_MAX / 2)
		return -E2BIG;
	av_fast_padded_malloc(&decoder->input, &decoder->input_size, len);
	if (!decoder->input)
		return -ENOMEM;
	memcpy(decoder->input, data, len);
	packet->data = decoder->input;
	packet->size = (int)len;
	packet->pts = packet->dts = since_us * 2 + captured;
	r = error_of(avcodec_send_packet(decoder->codec, packet));
	published = receive(decoder, why);
	return published > 0 || published == -ENOTRECOVERABLE || !r ? published : r;
}

void view_decoder_flush(struct view_decoder *decoder)
{
	avcodec_flush_buffers(decoder->codec);
}

const char *view_decoder_name(const struct view_decoder *decoder)
{
	return decoder->used ? decoder->device_name : decoder->name;
}

bool view_decoder_hardware(const struct view_decoder *decoder)
{
	return decoder->device != NULL;
}

/* --- creation --- */

bool view_decoder_knows(const char *hardware)
{
	return strcmp(hardware, "auto") == 0 || strcmp(hardware, "none") == 0 ||
	       av_hwdevice_find_type_by_name(hardware) != AV_HWDEVICE_TYPE_NONE;
}

/* The device's format if the stream can have it; libavcodec asks again without it when the device
 * refuses this stream. */
static enum AVPixelFormat choose_pixels(AVCodecContext *codec, const enum AVPixelFormat *offered)
{
	const struct view_decoder *decoder = codec->opaque;
	enum AVPixelFormat software = AV_PIX_FMT_NONE;

	for (; *offered != AV_PIX_FMT_NONE; offered++) {
		const AVPixFmtDescriptor *description = av_pix_fmt_desc_get(*offered);

		if (decoder->device && *offered == decoder->device_pixels)
			return *offered;
		if (software == AV_PIX_FMT_NONE && !(description->flags & AV_PIX_FMT_FLAG_HWACCEL))
			software = *offered;
	}
	return software;
}

/* Whether to try this type of device. VDPAU is tried only if it is named: libvdpau writes errors to
 * stderr where it has no driver, and machines with a driver have VA-API or NVDEC as well. */
static bool device_wanted(const char *hardware, const char *type)
{
	return strcmp(hardware, "auto") == 0 ? strcmp(type, "vdpau") != 0
					     : strcmp(hardware, type) == 0;
}

/* Opens the first device with which libavcodec can decode this codec, or the named one. */
static void open_device(struct view_decoder *decoder, const AVCodec *codec, const char *hardware)
{
	const AVCodecHWConfig *config;

	if (strcmp(hardware, "none") == 0)
		return;
	for (int i = 0; !decoder->device && (config = avcodec_get_hw_config(codec, i)); i++) {
		const char *type = av_hwdevice_get_type_name(config->device_type);

		if (!(config->methods & AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX) || !type ||
		    !device_wanted(hardware, type))
			continue;
		if (av_hwdevice_ctx_create(&decoder->device, config->device_type, NULL, NULL, 0) <
		    0) {
			decoder->device = NULL;
			continue;
		}
		decoder->device_pixels = config->pix_fmt;
		snprintf(decoder->device_name, sizeof(decoder->device_name), "%s, %s", codec->name,
			 type);
	}
}

static int open_codec(struct view_decoder *decoder, const AVCodec *codec)
{
	AVCodecContext *context = avcodec_alloc_context3(codec);
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (!context)
		return -ENOMEM;
	decoder->codec = context;
	context->opaque = decoder;
	context->get_buffer2 = get_buffer;
	context->get_format = choose_pixels;
	context->flags |= AV_CODEC_FLAG_LOW_DELAY;
	context->max_pixels = VIEW_PIXELS_MAX;
	/* Frame threads would each delay a picture, and get_buffer() would run on them. */
	context->thread_type = FF_THREAD_SLICE;
	context->thread_count = cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (int)cores;
	snprintf(decoder->name, sizeof(decoder->name), "%s, software", codec->name);
	if (decoder->device) {
		context->hw_device_ctx = av_buffer_ref(decoder->device);
		if (!context->hw_device_ctx)
			return -ENOMEM;
	}
	return error_of(avcodec_open2(context, codec, NULL));
}

int view_decoder_create(struct view_decoder **out, enum stream_codec kind, const char *hardware,
			struct view_ring *ring, char *why)
{
	const AVCodec *codec =
		avcodec_find_decoder(kind == STREAM_H264 ? AV_CODEC_ID_H264 : AV_CODEC_ID_MJPEG);
	struct view_decoder *decoder = calloc(1, sizeof(*decoder));
	int r = -ENOMEM;

	/* Suppresses libav's log line for every damaged picture, which may be FATAL. */
	av_log_set_level(AV_LOG_PANIC);
	snprintf(why, WHY_SIZE, "out of memory");
	if (!decoder)
		return r;
	decoder->ring = ring;
	decoder->packet = av_packet_alloc();
	decoder->picture = av_frame_alloc();
	decoder->download = av_frame_alloc();
	if (!decoder->packet || !decoder->picture || !decoder->download)
		goto destroy;
	if (!codec) {
		snprintf(why, WHY_SIZE, "libavcodec has no decoder for %s",
			 kind == STREAM_H264 ? "H.264" : "JPEG");
		r = -ENOTSUP;
		goto destroy;
	}
	open_device(decoder, codec, hardware);
	r = open_codec(decoder, codec);
	if (r) {
		snprintf(why, WHY_SIZE, "the decoder (%s) does not open: %s", decoder->name,
			 strerror(-r));
		goto destroy;
	}
	*out = decoder;
	return 0;

destroy:
	view_decoder_destroy(decoder);
	return r;
}

void view_decoder_destroy(struct view_decoder *decoder)
{
	if (!decoder)
		return;
	/* References to slots go first. */
	av_frame_free(&decoder->converted);
	av_frame_free(&decoder->download);
	av_frame_free(&decoder->picture);
	if (decoder->packet) {
		decoder->packet->data = NULL;
		av_packet_free(&decoder->packet);
	}
	avcodec_free_context(&decoder->codec);
	av_buffer_unref(&decoder->device);
	sws_freeContext(decoder->scaler);
	av_freep(&decoder->input);
	free(decoder);
}
