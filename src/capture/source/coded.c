/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/source/coded.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/bsf.h>

#include "media/access_unit.h"
#include "media/jpeg.h"

#define REORDER_MAX_US INT64_C(10000000)

struct coded {
	enum config_codec codec;
	AVBSFContext *filter;
	AVPacket *packet;
	uint8_t *joined; /* a packet with parameter sets or tables put into it */
	size_t joined_size;
	bool wait_key; /* after a gap: nothing up to the next key picture */
};

/* --- completing a picture --- */

static int make_room(struct coded *coded, size_t size)
{
	uint8_t *larger;

	if (coded->joined_size >= size)
		return 0;
	larger = realloc(coded->joined, size);
	if (!larger)
		return -ENOMEM;
	coded->joined = larger;
	coded->joined_size = size;
	return 0;
}

/* Puts the parameter sets of the file's header in front of an IDR that has none. */
static int join_sets(struct coded *coded, struct packet *packet)
{
	const AVCodecParameters *parameters = coded->filter->par_out;
	const size_t head = (size_t)parameters->extradata_size;
	int r = make_room(coded, head + packet->len);

	if (r)
		return r;
	memcpy(coded->joined, parameters->extradata, head);
	memcpy(coded->joined + head, packet->data, packet->len);
	packet->data = coded->joined;
	packet->len += head;
	return 0;
}

static int complete_jpeg(struct coded *coded, struct packet *packet)
{
	struct jpeg_header header;
	int r;

	if (jpeg_header_read(packet->data, packet->len, &header) < 0)
		return -EBADMSG;
	packet->key = true;
	if (header.has_tables)
		return 0;
	r = make_room(coded, packet->len + JPEG_TABLES_LEN);
	if (r)
		return r;
	packet->len = jpeg_insert_tables(packet->data, packet->len, header.scan, coded->joined);
	packet->data = coded->joined;
	return 0;
}

/* -EBADMSG: a damaged picture. */
static int complete_packet(struct coded *coded, struct packet *packet)
{
	struct access_unit_head head;

	if (coded->codec == CONFIG_CODEC_MJPEG)
		return complete_jpeg(coded, packet);
	access_unit_read_head(packet->data, packet->len, &head);
	packet->key = head.idr;
	if (head.idr && !head.sps && coded->filter->par_out->extradata_size > 0)
		return join_sets(coded, packet);
	return 0;
}

/* --- times --- */

/* More than REORDER_MAX_US is damage. */
static int64_t reorder_us(const AVPacket *av, AVRational base)
{
	uint64_t ticks = (uint64_t)av->pts - (uint64_t)av->dts;
	int64_t us;

	if (av->pts == AV_NOPTS_VALUE || av->dts == AV_NOPTS_VALUE || av->pts <= av->dts ||
	    ticks > INT64_MAX)
		return 0;
	us = av_rescale_q((int64_t)ticks, base, AV_TIME_BASE_Q);
	return us >= 0 && us <= REORDER_MAX_US ? us : 0;
}

static uint32_t duration_us(const AVPacket *av, AVRational base)
{
	int64_t us = av->duration > 0 ? av_rescale_q(av->duration, base, AV_TIME_BASE_Q) : 0;

	return us > 0 && us <= UINT32_MAX ? (uint32_t)us : 0;
}

/* --- packets in, pictures out --- */

int coded_send(struct coded *coded, AVPacket *packet)
{
	int r = av_bsf_send_packet(coded->filter, packet);

	if (r == AVERROR(ENOMEM))
		return -ENOMEM;
	if (r < 0) {
		/* Damaged: the filter could not make an access unit of it. */
		if (packet)
			av_packet_unref(packet);
		coded->wait_key = true;
	}
	return 0;
}

/* Makes a picture of coded->packet. 0, -EBADMSG (it is left out), -ENOMEM. */
static int take_packet(struct coded *coded, struct coded_picture *picture)
{
	const AVRational base = coded->filter->time_base_out;
	const AVPacket *av = coded->packet;
	struct packet packet = {.data = av->data, .len = (size_t)av->size};
	int r;

	r = av->size <= 0 || av->flags & AV_PKT_FLAG_CORRUPT ? -EBADMSG
							     : complete_packet(coded, &packet);
	if (r == -EBADMSG)
		coded->wait_key = true;
	if (r)
		return r;
	if (coded->wait_key && !packet.key)
		return -EBADMSG;
	coded->wait_key = false;
	packet.duration_us = duration_us(av, base);
	*picture = (struct coded_picture){
		.packet = packet,
		.dts = av->dts,
		.duration = av->duration,
		.reorder_us = reorder_us(av, base),
	};
	return 0;
}

int coded_receive(struct coded *coded, struct coded_picture *picture)
{
	int r;

	do {
		av_packet_unref(coded->packet);
		r = av_bsf_receive_packet(coded->filter, coded->packet);
		if (r < 0)
			return r == AVERROR(ENOMEM) ? -ENOMEM : -EAGAIN;
		r = take_packet(coded, picture);
	} while (r == -EBADMSG);
	return r;
}

void coded_rewind(struct coded *coded)
{
	av_bsf_flush(coded->filter);
	coded->wait_key = true;
}

/* --- life --- */

static int open_filter(struct coded *coded, const AVStream *stream)
{
	const bool h264 = coded->codec == CONFIG_CODEC_H264;
	const AVBitStreamFilter *filter = av_bsf_get_by_name(h264 ? "h264_mp4toannexb" : "null");
	int r = filter ? av_bsf_alloc(filter, &coded->filter) : AVERROR_BSF_NOT_FOUND;

	if (r >= 0)
		r = avcodec_parameters_copy(coded->filter->par_in, stream->codecpar);
	if (r < 0)
		return r;
	coded->filter->time_base_in = stream->time_base;
	return av_bsf_init(coded->filter);
}

int coded_create(struct coded **out, const AVStream *stream, enum config_codec codec, char *why)
{
	struct coded *coded = calloc(1, sizeof(*coded));
	int r = AVERROR(ENOMEM);

	if (coded) {
		coded->codec = codec;
		coded->wait_key = true;
		coded->packet = av_packet_alloc();
		if (coded->packet)
			r = open_filter(coded, stream);
	}
	if (r < 0) {
		coded_destroy(coded);
		snprintf(why, 256, "%s",
			 r == AVERROR(ENOMEM) ? "out of memory"
					      : "its video cannot be passed on as recorded");
		return r == AVERROR(ENOMEM) ? -ENOMEM : -EINVAL;
	}
	*out = coded;
	return 0;
}

void coded_destroy(struct coded *coded)
{
	if (!coded)
		return;
	av_bsf_free(&coded->filter);
	av_packet_free(&coded->packet);
	free(coded->joined);
	free(coded);
}
