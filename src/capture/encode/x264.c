/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x264 through libavcodec (5.1 and later). A picture in is an access unit out: zerolatency.
 * Settings by measurement: docs/ENCODERS.md.
 */
#include "capture/encode/encoder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/opt.h>

#include "base/diag.h"
#include "capture/encode/convert.h"

#define PRESET "superfast"

struct x264 {
	struct encoder base;
	AVCodecContext *codec;
	AVFrame *input;
	AVPacket *packet;
	struct i420_buffer i420;
	enum AVPixelFormat pixel_format;
	int64_t next_pts; /* pictures */
};

static const char *error_text(int error)
{
	static _Thread_local char text[AV_ERROR_MAX_STRING_SIZE];

	av_strerror(error, text, sizeof(text));
	return text;
}

/*
 * The mean is bitrate, and a link that carries just that never lags more than half a second (the
 * VBV's size) behind, which is less than shed_lag_ms. It also bounds an IDR. x264 takes kbit/s.
 */
static void set_rate(AVCodecContext *codec, uint32_t bitrate_bps)
{
	codec->bit_rate = bitrate_bps < 1000 ? 1000 : bitrate_bps;
	codec->rc_max_rate = codec->bit_rate;
	codec->rc_buffer_size =
		codec->bit_rate / 2 > INT32_MAX ? INT32_MAX : (int)(codec->bit_rate / 2);
}

static const char *profile_name(enum config_profile profile)
{
	switch (profile) {
	case CONFIG_PROFILE_BASELINE:
		return "baseline";
	case CONFIG_PROFILE_MAIN:
		return "main";
	case CONFIG_PROFILE_HIGH:
		break;
	}
	return "high";
}

static int set_options(struct x264 *enc, const struct encoder_config *config)
{
	const struct config_stream *stream = config->stream;
	const struct frame_format *format = &config->format;
	struct encoder_colour colour = encoder_vui_colour(format->colour);
	const char *preset = config->effort ? config->effort : PRESET;
	AVCodecContext *codec = enc->codec;
	int rc;

	codec->log_level_offset = 16; /* its informations are debugging to us */
	codec->width = (int)format->width;
	codec->height = (int)format->height;
	codec->pix_fmt = enc->pixel_format;
	codec->time_base = (AVRational){(int)format->rate.den, (int)format->rate.num};
	codec->framerate = (AVRational){(int)format->rate.num, (int)format->rate.den};
	codec->color_range = format->full_range ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
	codec->color_primaries = (enum AVColorPrimaries)colour.primaries;
	codec->color_trc = (enum AVColorTransferCharacteristic)colour.transfer;
	codec->colorspace = (enum AVColorSpace)colour.matrix;
	codec->gop_size = (int)stream->keyframe_interval;
	codec->keyint_min = (int)stream->keyframe_interval;
	codec->max_b_frames = 0;
	codec->thread_count = (int)encoder_threads(config);
	codec->thread_type = FF_THREAD_SLICE; /* frame threads would delay a picture for each */
	set_rate(codec, stream->bitrate);

	rc = av_opt_set(codec->priv_data, "preset", preset, 0);
	if (rc >= 0)
		rc = av_opt_set(codec->priv_data, "tune", "zerolatency", 0);
	if (rc >= 0)
		rc = av_opt_set(codec->priv_data, "profile", profile_name(stream->profile), 0);
	if (rc >= 0 && encoder_level_idc(stream->level) != 0)
		rc = av_opt_set(codec->priv_data, "level", stream->level, 0);
	if (rc >= 0)
		rc = av_opt_set(codec->priv_data, "forced-idr", "1", 0);
	/* A key picture at a cut would move all the following ones. */
	if (rc >= 0)
		rc = av_opt_set(codec->priv_data, "sc_threshold", "0", 0);
	return rc;
}

static void x264_destroy(struct encoder *encoder)
{
	struct x264 *enc = (struct x264 *)encoder;

	av_packet_free(&enc->packet);
	av_frame_free(&enc->input);
	avcodec_free_context(&enc->codec); /* gives back a picture that it still refers to */
	i420_buffer_finish(&enc->i420);
	free(enc);
}

static int x264_create(struct encoder **out, const struct encoder_config *config,
		       const struct encoder_events *events, char *why)
{
	const struct frame_format *format = &config->format;
	const AVCodec *codec = avcodec_find_encoder_by_name("libx264");
	struct x264 *enc;
	int rc;

	if (!codec) {
		snprintf(why, 256, "x264: this libavcodec has no libx264");
		return -ENOENT;
	}
	enc = calloc(1, sizeof(*enc));
	if (!enc) {
		snprintf(why, 256, "x264: out of memory");
		return -ENOMEM;
	}
	enc->base.ops = &encoder_x264;
	enc->base.events = *events;
	enc->pixel_format = AV_PIX_FMT_NV12;
	if (format->fourcc != FRAME_NV12) {
		enc->pixel_format = AV_PIX_FMT_YUV420P;
		rc = i420_buffer_init(&enc->i420, format);
		if (rc < 0) {
			snprintf(why, 256, "x264: pictures of format %s: %s",
				 frame_fourcc_name(format->fourcc), strerror(-rc));
			goto destroy;
		}
	}
	enc->codec = avcodec_alloc_context3(codec);
	enc->input = av_frame_alloc();
	enc->packet = av_packet_alloc();
	if (!enc->codec || !enc->input || !enc->packet) {
		snprintf(why, 256, "x264: out of memory");
		rc = -ENOMEM;
		goto destroy;
	}
	rc = set_options(enc, config);
	if (rc >= 0)
		rc = avcodec_open2(enc->codec, codec, NULL);
	if (rc < 0) {
		snprintf(why, 256, "x264: refuses %ux%u, %u bit/s, level %s: %s", format->width,
			 format->height, config->stream->bitrate,
			 config->stream->level ? config->stream->level : "auto", error_text(rc));
		rc = -EINVAL;
		goto destroy;
	}
	snprintf(enc->base.detail, sizeof(enc->base.detail), "libavcodec %u.%u libx264, %s, %s",
		 avcodec_version() >> 16, avcodec_version() >> 8 & 0xff,
		 config->effort ? config->effort : PRESET,
		 format->fourcc == FRAME_NV12 ? "NV12 without conversion"
					      : convert_i420_note(format->fourcc));
	*out = &enc->base;
	return 0;

destroy:
	x264_destroy(&enc->base);
	return rc;
}

/* The last reference that libavcodec had on the picture is gone. Its threads are ours or end before
 * the call that we are in. */
static void handle_picture_done(void *opaque, uint8_t *data)
{
	struct frame *frame = opaque;

	(void)data;
	picture_end(frame);
	frame_unref(frame);
}

/* Wraps the frame's memory, so that avcodec_send_frame() takes a reference instead of a copy. Takes
 * over the caller's reference of frame, on failure too. */
static int wrap_frame(struct x264 *enc, struct frame *frame)
{
	struct picture picture, i420;
	AVFrame *input = enc->input;
	int rc;

	rc = picture_begin(&picture, frame);
	if (rc < 0) {
		frame_unref(frame);
		return rc;
	}
	input->buf[0] = av_buffer_create((uint8_t *)(uintptr_t)picture.data[0], frame->format->size,
					 handle_picture_done, frame, AV_BUFFER_FLAG_READONLY);
	if (!input->buf[0]) {
		picture_end(frame);
		frame_unref(frame);
		return -ENOMEM;
	}
	if (enc->pixel_format != AV_PIX_FMT_NV12) {
		convert_to_i420(&enc->i420, &picture, &i420);
		picture = i420;
	}
	for (int i = 0; i < 3; i++) {
		/* AVFrame has no const; the buffer is marked as read-only */
		input->data[i] = (uint8_t *)(uintptr_t)picture.data[i];
		input->linesize[i] = (int)picture.stride[i];
	}
	input->format = enc->pixel_format;
	input->width = (int)picture.width;
	input->height = (int)picture.height;
	input->color_range = enc->codec->color_range;
	return 0;
}

static int x264_encode(struct encoder *encoder, struct frame *frame, bool force_idr)
{
	struct x264 *enc = (struct x264 *)encoder;
	int64_t capture_us = frame->capture_us;
	int rc;

	rc = wrap_frame(enc, frame);
	if (rc < 0)
		return rc;
	enc->input->pts = enc->next_pts++;
	enc->input->pict_type = force_idr ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
	rc = avcodec_send_frame(enc->codec, enc->input);
	av_frame_unref(enc->input);
	if (rc < 0) {
		diag_error("x264: avcodec_send_frame: %s", error_text(rc));
		return -EIO;
	}
	while ((rc = avcodec_receive_packet(enc->codec, enc->packet)) == 0) {
		struct access_unit unit = {
			.data = enc->packet->data,
			.len = (size_t)enc->packet->size,
			.capture_us = capture_us,
			.key = enc->packet->flags & AV_PKT_FLAG_KEY,
			/* x264 makes such pictures only together with B pictures */
			.droppable = false,
		};

		enc->base.events.coded(enc->base.events.user, &unit);
		av_packet_unref(enc->packet);
	}
	if (rc != AVERROR(EAGAIN)) {
		diag_error("x264: avcodec_receive_packet: %s", error_text(rc));
		return -EIO;
	}
	return 0;
}

/* libavcodec's wrapper compares these with x264's and reconfigures it at the next picture. */
static int x264_set_bitrate(struct encoder *encoder, uint32_t bitrate_bps)
{
	set_rate(((struct x264 *)encoder)->codec, bitrate_bps);
	return 0;
}

const struct encoder_ops encoder_x264 = {
	.name = "x264",
	.create = x264_create,
	.encode = x264_encode,
	.set_bitrate = x264_set_bitrate,
	.destroy = x264_destroy,
};
