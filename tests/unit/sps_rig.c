/* SPDX-License-Identifier: BSD-2-Clause */
#include "sps_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavutil/opt.h>

/* --- syntax elements of an SPS, by trace_headers --- */

struct element elements[2048];
unsigned n_elements;

/* "8           profile_idc                                     01100100 = 100" */
static void handle_trace(void *avcl, int level, const char *format, va_list args)
{
	char line[512], name[64];
	const char *equals;

	(void)avcl;
	(void)level;
	vsnprintf(line, sizeof(line), format, args);
	equals = strstr(line, " = ");
	if (!equals || sscanf(line, "%*d %63s", name) != 1 || n_elements == 2048)
		return;
	snprintf(elements[n_elements].name, sizeof(name), "%s", name);
	elements[n_elements++].value = strtoll(equals + 3, NULL, 10);
}

void trace_sps(const uint8_t *sps, size_t len)
{
	const AVBitStreamFilter *filter = av_bsf_get_by_name("trace_headers");
	AVPacket *packet = av_packet_alloc();
	AVBSFContext *bsf;

	n_elements = 0;
	assert_non_null(filter);
	assert_int_equal(av_bsf_alloc(filter, &bsf), 0);
	bsf->par_in->codec_id = AV_CODEC_ID_H264;
	assert_int_equal(av_bsf_init(bsf), 0);
	assert_int_equal(av_new_packet(packet, (int)len + 4), 0);
	memcpy(packet->data, "\0\0\0\1", 4);
	memcpy(packet->data + 4, sps, len);
	av_log_set_callback(handle_trace);
	if (av_bsf_send_packet(bsf, packet) != 0 || av_bsf_receive_packet(bsf, packet) != 0)
		fail_msg("libavcodec cannot read the SPS");
	av_log_set_callback(av_log_default_callback);
	av_packet_free(&packet);
	av_bsf_free(&bsf);
	assert_true(n_elements > 10);
}

long long element(const char *name)
{
	for (unsigned i = 0; i < n_elements; i++) {
		if (strcmp(elements[i].name, name) == 0)
			return elements[i].value;
	}
	return -1;
}

/* --- real SPSs: x264's --- */

void x264_code_sized(struct coded *coded, enum AVPixelFormat format, int width, int height,
		     const char *options)
{
	AVCodecContext *codec = avcodec_alloc_context3(avcodec_find_encoder_by_name("libx264"));
	AVFrame *frame = av_frame_alloc();
	AVPacket *packet = av_packet_alloc();

	assert_non_null(codec);
	codec->width = frame->width = width;
	codec->height = frame->height = height;
	codec->pix_fmt = format;
	codec->time_base = (AVRational){1, 25};
	codec->color_primaries = AVCOL_PRI_BT709;
	codec->color_range = AVCOL_RANGE_JPEG;
	codec->sample_aspect_ratio = (AVRational){123, 100};
	codec->bit_rate = codec->rc_max_rate = 500000;
	codec->rc_buffer_size = 500000;
	codec->log_level_offset = 16;
	av_opt_set(codec->priv_data, "preset", "medium", 0);
	av_opt_set(codec->priv_data, "x264-params", options, 0);
	assert_int_equal(avcodec_open2(codec, NULL, NULL), 0);
	frame->format = format;
	assert_int_equal(av_frame_get_buffer(frame, 0), 0);
	for (int p = 0; p < 3 && frame->buf[p]; p++)
		memset(frame->buf[p]->data, 77, frame->buf[p]->size);
	coded->len = 0;
	for (int i = 0; i < 3; i++) {
		frame->pts = i;
		assert_int_equal(avcodec_send_frame(codec, i < 2 ? frame : NULL), 0);
		while (avcodec_receive_packet(codec, packet) == 0) {
			assert_true(coded->len + (size_t)packet->size < sizeof(coded->data));
			memcpy(coded->data + coded->len, packet->data, (size_t)packet->size);
			coded->len += (size_t)packet->size;
			av_packet_unref(packet);
		}
	}
	av_packet_free(&packet);
	av_frame_free(&frame);
	avcodec_free_context(&codec);
}

void x264_code(struct coded *coded, enum AVPixelFormat format, const char *options)
{
	x264_code_sized(coded, format, 322, 244, options);
}
