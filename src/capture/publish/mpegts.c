/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An MPEG transport stream (ISO/IEC 13818-1) of one H.264 stream, by libavformat. Each picture is
 * one PES packet, which comes out at once; SDT, PAT, PMT and PCR stand in front of each key
 * picture.
 *
 * Each picture has an even number of packets. Their continuity counters then begin with an even
 * number and end with an odd one, so that where pictures are left out, the first packet behind the
 * gap does not look like a repetition of the last one before it (clause 2.4.3.3), which players
 * drop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libavformat/avformat.h>
#include <libavutil/opt.h>

#include "camcast/rtp.h"
#include "camcast/worker.h"
#include "capture/publish/mux.h"

#define IO_LEN 65536	/* bytes of libavformat's buffer */
#define TIMESCALE 90000 /* ticks a second */
#define NEVER "86400"	/* seconds: tables come at key pictures only */

/* Clause 2.4.3.2. */
enum { TS_HEAD = 4, TS_BEGINS = 0x40, TS_ADAPTATION = 0x20, TS_PAYLOAD = 0x10 };
enum { PID_VIDEO = 0x100 }; /* that of libavformat's first stream */

struct buffer {
	uint8_t *data;
	size_t len, room;
};

struct mpegts {
	struct mux mux;
	AVFormatContext *format;
	AVPacket *packet;
	struct buffer unit, out;
	struct iovec iov;
	bool begun; /* the header is written */
	int64_t last_dts;
	uint8_t counter; /* continuity_counter of the next packet of a picture */
};

static int reserve(struct buffer *buffer, size_t len)
{
	uint8_t *grown;
	size_t room = len + len / 2;

	if (len <= buffer->room)
		return 0;
	grown = realloc(buffer->data, room);
	if (!grown)
		return -ENOMEM;
	buffer->data = grown;
	buffer->room = room;
	return 0;
}

#if LIBAVFORMAT_VERSION_MAJOR >= 61
static int take_bytes(void *opaque, const uint8_t *data, int len)
#else
static int take_bytes(void *opaque, uint8_t *data, int len)
#endif
{
	struct mpegts *mpegts = opaque;
	struct buffer *out = &mpegts->out;

	if (reserve(out, out->len + (size_t)len) < 0)
		return AVERROR(ENOMEM);
	memcpy(out->data + out->len, data, (size_t)len);
	out->len += (size_t)len;
	return len;
}

/* --- libavformat --- */

/* -errno, also for errors that only libavformat has; 0 for what is none. */
static int system_error(int error)
{
	if (error >= 0)
		return 0;
	return error > -4096 ? error : -EIO;
}

static void close_format(struct mpegts *mpegts)
{
	AVFormatContext *format = mpegts->format;

	mpegts->format = NULL;
	if (!format)
		return;
	/* Without a trailer the muxer leaks; its bytes are of no use. */
	if (mpegts->begun)
		(void)av_write_trailer(format);
	mpegts->begun = false;
	if (format->pb)
		av_freep(&format->pb->buffer);
	avio_context_free(&format->pb);
	avformat_free_context(format);
}

static int open_io(struct mpegts *mpegts)
{
	uint8_t *buffer = av_malloc(IO_LEN);

	if (!buffer)
		return -ENOMEM;
	mpegts->format->pb = avio_alloc_context(buffer, IO_LEN, 1, mpegts, NULL, take_bytes, NULL);
	if (!mpegts->format->pb) {
		av_free(buffer);
		return -ENOMEM;
	}
	mpegts->format->flags |= AVFMT_FLAG_CUSTOM_IO;
	return 0;
}

static int write_header(struct mpegts *mpegts)
{
	AVStream *stream = avformat_new_stream(mpegts->format, NULL);
	AVDictionary *options = NULL;
	int r;

	if (!stream)
		return -ENOMEM;
	stream->codecpar->codec_type = AVMEDIA_TYPE_VIDEO;
	stream->codecpar->codec_id = AV_CODEC_ID_H264;
	av_dict_set(&options, "pes_payload_size", "0", 0);
	/* A player need not wait for the next picture to know that this one is complete. */
	av_dict_set(&options, "omit_video_pes_length", "0", 0);
	av_dict_set(&options, "mpegts_copyts", "1", 0);
	av_dict_set(&options, "pat_period", NEVER, 0);
	av_dict_set(&options, "sdt_period", NEVER, 0);
	r = avformat_write_header(mpegts->format, &options);
	av_dict_free(&options);
	mpegts->begun = r >= 0;
	return system_error(r);
}

static int open_format(struct mpegts *mpegts)
{
	int r = avformat_alloc_output_context2(&mpegts->format, NULL, "mpegts", NULL);

	r = system_error(r);
	if (r >= 0)
		r = open_io(mpegts);
	if (r >= 0)
		r = write_header(mpegts);
	if (r < 0)
		close_format(mpegts);
	return r;
}

/* --- units --- */

static int64_t ticks(int64_t us)
{
	return us * (TIMESCALE / 10000) / 100;
}

/* The unit in one piece, with the padding that libavcodec's parsers read. */
static int gather(struct mpegts *mpegts, const struct mux_unit *unit)
{
	struct buffer *buffer = &mpegts->unit;
	int r = reserve(buffer, unit->len + AV_INPUT_BUFFER_PADDING_SIZE);

	if (r < 0)
		return r;
	buffer->len = 0;
	for (int i = 0; i < unit->iovcnt; i++) {
		memcpy(buffer->data + buffer->len, unit->iov[i].iov_base, unit->iov[i].iov_len);
		buffer->len += unit->iov[i].iov_len;
	}
	memset(buffer->data + buffer->len, 0, AV_INPUT_BUFFER_PADDING_SIZE);
	return 0;
}

static int write_unit(struct mpegts *mpegts, const struct mux_unit *unit)
{
	AVPacket *packet = mpegts->packet;
	const int64_t dts = ticks(unit->dts_us), pts = ticks(unit->pts_us);
	int r = 0;

	packet->data = mpegts->unit.data;
	packet->size = (int)mpegts->unit.len;
	packet->dts = dts > mpegts->last_dts ? dts : mpegts->last_dts + 1;
	packet->pts = pts > packet->dts ? pts : packet->dts;
	packet->flags = unit->key ? AV_PKT_FLAG_KEY : 0;
	mpegts->last_dts = packet->dts;
	if (unit->key)
		r = av_opt_set(mpegts->format->priv_data, "mpegts_flags", "+resend_headers", 0);
	if (r >= 0)
		r = av_write_frame(mpegts->format, packet);
	avio_flush(mpegts->format->pb);
	if (r >= 0 && mpegts->format->pb->error < 0)
		r = mpegts->format->pb->error;
	return system_error(r);
}

/* --- an even number of packets --- */

static bool is_of_picture(const uint8_t *packet)
{
	return ((packet[1] & 0x1f) << 8 | packet[2]) == PID_VIDEO && packet[3] & TS_PAYLOAD;
}

/* Where the payload begins. */
static size_t head_len(const uint8_t *packet)
{
	size_t len = TS_HEAD + (packet[3] & TS_ADAPTATION ? 1u + packet[4] : 0u);

	return len < CAMCAST_TS_LEN ? len : CAMCAST_TS_LEN;
}

/* Gives a packet another payload, shorter than CAMCAST_TS_LEN - head. Before it stand the `head`
 * bytes that the packet begins with, and stuffing in its adaptation field (clause 2.4.3.5). */
static void put_payload(uint8_t *packet, size_t head, const uint8_t *payload, size_t len)
{
	const size_t begin = CAMCAST_TS_LEN - len;

	memcpy(packet + begin, payload, len);
	packet[3] |= TS_ADAPTATION;
	packet[TS_HEAD] = (uint8_t)(begin - TS_HEAD - 1);
	if (head <= TS_HEAD + 1) {
		head = TS_HEAD + 1;
		if (begin > head)
			packet[head++] = 0; /* no flags */
	}
	memset(packet + head, 0xff, begin - head);
}

/* Makes two packets of one with at least two bytes of payload. There is room behind it. */
static void split(uint8_t *packet)
{
	const size_t head = head_len(packet), len = CAMCAST_TS_LEN - head;
	uint8_t payload[CAMCAST_TS_LEN], *second = packet + CAMCAST_TS_LEN;

	memcpy(payload, packet + head, len);
	memcpy(second, packet, TS_HEAD);
	second[1] &= (uint8_t)~TS_BEGINS;
	put_payload(packet, head, payload, len - len / 2);
	put_payload(second, TS_HEAD, payload + len - len / 2, len / 2);
}

/* libavformat's counters are replaced, because it does not know of packets that are added. */
static int even_out(struct mpegts *mpegts)
{
	struct buffer *out = &mpegts->out;
	size_t n = 0, last = 0; /* the last packet that can be split */

	for (size_t at = 0; at < out->len; at += CAMCAST_TS_LEN) {
		if (!is_of_picture(out->data + at))
			continue;
		n++;
		if (head_len(out->data + at) + 2 <= CAMCAST_TS_LEN)
			last = at;
	}
	if (n % 2 != 0) {
		int r = reserve(out, out->len + CAMCAST_TS_LEN);

		if (r < 0)
			return r;
		memmove(out->data + last + 2 * CAMCAST_TS_LEN, out->data + last + CAMCAST_TS_LEN,
			out->len - last - CAMCAST_TS_LEN);
		out->len += CAMCAST_TS_LEN;
		split(out->data + last);
	}
	for (size_t at = 0; at < out->len; at += CAMCAST_TS_LEN)
		if (is_of_picture(out->data + at))
			out->data[at + 3] =
				(uint8_t)((out->data[at + 3] & 0xf0) | (mpegts->counter++ & 15));
	return 0;
}

static int frame(struct mux *mux, const struct mux_unit *unit, struct mux_framed *out)
{
	struct mpegts *mpegts = (struct mpegts *)mux;
	int r;

	if (unit->n_nals == 0)
		return -EINVAL;
	if (unit->len > CAMCAST_UNIT_MAX)
		return -EMSGSIZE;
	r = mpegts->format ? 0 : open_format(mpegts);
	if (r < 0)
		return r;
	r = gather(mpegts, unit);
	if (r < 0)
		return r;
	mpegts->out.len = 0;
	r = write_unit(mpegts, unit);
	if (r == 0)
		r = even_out(mpegts);
	if (r < 0) {
		close_format(mpegts);
		return r;
	}
	mpegts->iov = (struct iovec){.iov_base = mpegts->out.data, .iov_len = mpegts->out.len};
	out->iov = &mpegts->iov;
	out->iovcnt = 1;
	return 0;
}

/* --- life --- */

static void destroy(struct mux *mux)
{
	struct mpegts *mpegts = (struct mpegts *)mux;

	close_format(mpegts);
	av_packet_free(&mpegts->packet);
	free(mpegts->unit.data);
	free(mpegts->out.data);
	free(mpegts);
}

/* libavformat's part is made for the first unit, because most feeds are never watched. */
static int create(struct mux **out, const struct mux_options *options)
{
	struct mpegts *mpegts = calloc(1, sizeof(*mpegts));

	(void)options;
	if (!mpegts)
		return -ENOMEM;
	mpegts->packet = av_packet_alloc();
	if (!mpegts->packet) {
		free(mpegts);
		return -ENOMEM;
	}
	mpegts->last_dts = -1;
	*out = &mpegts->mux;
	return 0;
}

const struct mux_ops mux_mpegts = {create, destroy, frame};
