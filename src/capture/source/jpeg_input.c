/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/jpeg_input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <libavcodec/avcodec.h>

#include "capture/source/decoder.h"
#include "capture/source/decoding.h"
#include "media/jpeg.h"

struct jpeg_input {
	uint8_t *joined;	   /* room for a JPEG with tables put into it */
	struct decoder *decoder;   /* NULL: passed on */
	struct decoding *decoding; /* of what is passed on; NULL: not */
	AVPacket *packet;
};

/* NULL: out of memory. */
static AVCodecParameters *parameters_of(const struct source_info *info)
{
	AVCodecParameters *parameters = avcodec_parameters_alloc();

	if (!parameters)
		return NULL;
	parameters->codec_type = AVMEDIA_TYPE_VIDEO;
	parameters->codec_id = AV_CODEC_ID_MJPEG;
	parameters->width = (int)info->format.width;
	parameters->height = (int)info->format.height;
	parameters->format = AV_PIX_FMT_YUVJ422P; /* what nearly all of them have */
	return parameters;
}

static int open_decoding(struct jpeg_input *input, const struct decoder_options *options,
			 const struct source_events *events, struct source_info *info)
{
	AVCodecParameters *parameters = parameters_of(info);
	int r = parameters ? decoding_create(&input->decoding, parameters, options, events)
			   : -ENOMEM;

	avcodec_parameters_free(&parameters);
	if (!r)
		info->decoded = decoding_format(input->decoding);
	return r;
}

static int open_decoder(struct jpeg_input *input, const struct decoder_options *options,
			struct source_info *info, char *why)
{
	AVCodecParameters *parameters = parameters_of(info);
	int r;

	if (!parameters)
		return -ENOMEM;
	r = decoder_create(&input->decoder, parameters, options, why);
	avcodec_parameters_free(&parameters);
	if (r)
		return r;
	info->format = *decoder_format(input->decoder);
	snprintf(info->allocator, sizeof(info->allocator), "%s", decoder_allocator(input->decoder));
	if (!*info->note)
		snprintf(info->note, sizeof(info->note), "%s", decoder_note(input->decoder));
	return 0;
}

int jpeg_input_create(struct jpeg_input **out, size_t size_max, const struct config_camera *config,
		      struct orientation orientation, const struct source_events *events,
		      struct source_info *info, char *why)
{
	const struct decoder_options options = {
		.camera = config, .rate = config->framerate, .orientation = orientation};
	struct jpeg_input *input = calloc(1, sizeof(*input));
	int r = -ENOMEM;

	snprintf(why, 256, "out of memory");
	if (!input)
		return r;
	input->joined = malloc(size_max + JPEG_TABLES_LEN);
	input->packet = av_packet_alloc();
	if (!input->joined || !input->packet)
		goto destroy;
	r = info->coded ? open_decoding(input, &options, events, info)
			: open_decoder(input, &options, info, why);
	if (r)
		goto destroy;
	*why = '\0';
	*out = input;
	return 0;

destroy:
	jpeg_input_destroy(input);
	return r;
}

void jpeg_input_destroy(struct jpeg_input *input)
{
	if (!input)
		return;
	decoder_destroy(input->decoder);
	decoding_destroy(input->decoding);
	av_packet_free(&input->packet);
	free(input->joined);
	free(input);
}

static int decode(struct jpeg_input *input, const uint8_t *data, size_t len, uint64_t sequence,
		  int64_t capture_us, const struct source_events *events)
{
	struct frame *frame;
	int64_t timestamp;
	int r;

	/* no buffer of its own: libavcodec copies it, with the padding that it needs */
	input->packet->data = (uint8_t *)(uintptr_t)data;
	input->packet->size = (int)len;
	r = decoder_send(input->decoder, input->packet);
	while (!decoder_receive(input->decoder, &frame, &timestamp)) {
		frame->sequence = sequence;
		frame->capture_us = capture_us;
		events->frame(events->user, frame);
	}
	return r ? -EBADMSG : 0;
}

int jpeg_input_take(struct jpeg_input *input, const uint8_t *data, size_t len, uint64_t sequence,
		    int64_t capture_us, const struct source_events *events)
{
	struct packet packet = {
		.data = data,
		.len = len,
		.pts_us = capture_us,
		.capture_us = capture_us,
		.key = true,
	};
	struct jpeg_header header;

	if (jpeg_header_read(data, len, &header) < 0)
		return -EBADMSG;
	if (input->decoder) /* it knows the tables that are meant */
		return decode(input, data, len, sequence, capture_us, events);
	if (!header.has_tables) {
		packet.len = jpeg_insert_tables(data, len, header.scan, input->joined);
		packet.data = input->joined;
	}
	events->packet(events->user, &packet);
	decoding_take(input->decoding, &packet);
	return 0;
}

void jpeg_input_want(struct jpeg_input *input, bool wanted)
{
	if (input->decoding)
		decoding_want(input->decoding, wanted);
}

int jpeg_input_start(struct jpeg_input *input)
{
	return input->decoding ? decoding_start(input->decoding) : 0;
}

void jpeg_input_stop(struct jpeg_input *input)
{
	if (input->decoding)
		decoding_stop(input->decoding);
}
