/* SPDX-License-Identifier: BSD-2-Clause */
/* judge_decode(): the verdict of a real decoder. */
#include <libavcodec/avcodec.h>
#include <string.h>

#include "bench/lib/judge.h"
#include "media/nal.h"

/* libavcodec conceals a missing reference and logs it at debug level only. */
static uint64_t decoder_errors;

static void count_decoder_lines(void *context, int level, const char *format, va_list args)
{
	(void)context;
	(void)args;
	if (level <= AV_LOG_ERROR || strncmp(format, "Frame num gap", 13) == 0)
		decoder_errors++;
}

void judge_decode(struct judge *judge)
{
	struct tally *tally = judge->tally;
	const AVCodec *codec = NULL;
	AVCodecContext *context = NULL;
	AVPacket *packet;
	AVFrame *frame;
	size_t at = 0;

	if (judge->kept.len == 0)
		return;
	packet = av_packet_alloc();
	frame = av_frame_alloc();
	av_log_set_callback(count_decoder_lines);
	decoder_errors = 0;
	while (packet && frame && at < judge->kept.len) {
		size_t len;

		memcpy(&len, judge->kept.data + at, sizeof(len));
		at += sizeof(len);
		if (!context) {
			bool h264 = nal_begins(judge->kept.data + at, len);

			codec = avcodec_find_decoder(h264 ? AV_CODEC_ID_H264 : AV_CODEC_ID_MJPEG);
			context = avcodec_alloc_context3(codec);
			if (!context)
				break;
			context->err_recognition = AV_EF_EXPLODE;
			context->thread_count = 1;
			if (avcodec_open2(context, codec, NULL) < 0)
				break;
		}
		if (av_new_packet(packet, (int)len) < 0)
			break;
		memcpy(packet->data, judge->kept.data + at, len);
		at += len;
		if (avcodec_send_packet(context, packet) < 0)
			decoder_errors++;
		while (avcodec_receive_frame(context, frame) == 0)
			tally->pictures++;
		av_packet_unref(packet);
	}
	if (at < judge->kept.len)
		decoder_errors++; /* no decoder or no memory: count an error */
	if (context && avcodec_send_packet(context, NULL) == 0) {
		while (avcodec_receive_frame(context, frame) == 0)
			tally->pictures++;
	}
	tally->decode_errors += decoder_errors;
	avcodec_free_context(&context);
	av_frame_free(&frame);
	av_packet_free(&packet);
	buffer_finish(&judge->kept);
}
