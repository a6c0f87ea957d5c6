/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/whole.h"

#include <string.h>

#include <libavcodec/avcodec.h>

static AVPacket *copy_of(const uint8_t *data, size_t len)
{
	AVPacket *packet = av_packet_alloc();

	if (packet && (len > INT32_MAX || av_new_packet(packet, (int)len) < 0))
		av_packet_free(&packet);
	if (packet)
		memcpy(packet->data, data, len);
	return packet;
}

static AVCodecContext *open_decoder(void)
{
	const AVCodec *decoder = avcodec_find_decoder(AV_CODEC_ID_H264);
	AVCodecContext *context = decoder ? avcodec_alloc_context3(decoder) : NULL;

	if (!context)
		return NULL;
	/* One thread: errors must be known when the picture comes out. */
	context->thread_count = 1;
	context->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
	context->flags2 |= AV_CODEC_FLAG2_SHOW_ALL;
	if (avcodec_open2(context, decoder, NULL) < 0)
		avcodec_free_context(&context);
	return context;
}

static bool decodes(AVCodecContext *context, const AVPacket *packet, AVFrame *frame)
{
	unsigned pictures = 0;
	int errors = 0;

	if (avcodec_send_packet(context, packet) < 0)
		return false;
	(void)avcodec_send_packet(context, NULL);
	while (avcodec_receive_frame(context, frame) >= 0) {
		pictures++;
		errors |= frame->decode_error_flags;
	}
	return pictures > 0 && !errors;
}

bool whole_picture(const uint8_t *data, size_t len)
{
	AVCodecContext *context = open_decoder();
	AVPacket *packet = copy_of(data, len);
	AVFrame *frame = av_frame_alloc();
	bool whole = true;

	if (context && packet && frame)
		whole = decodes(context, packet, frame);
	av_frame_free(&frame);
	av_packet_free(&packet);
	avcodec_free_context(&context);
	return whole;
}
