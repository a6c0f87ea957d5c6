/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Coded pictures of strangers (`copy`) in each framing of H.264. The first byte chooses the framing
 * and how the pictures are turned; the rest is cut into access units at each 0xff 0xff. The boxes
 * of a fragment must add up to the unit, transport packets be whole, and frames of RTP packets fill
 * the unit.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "camcast/rtp.h"
#include "camcast/worker.h"
#include "capture/publish/mux.h"
#include "media/h264_writer.h"
#include "media/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enum config_framing framings[] = {CONFIG_FRAMING_ANNEXB, CONFIG_FRAMING_MP4,
					       CONFIG_FRAMING_MP4_WS, CONFIG_FRAMING_MPEGTS,
					       CONFIG_FRAMING_RTP,    CONFIG_FRAMING_RTP_TS};

/* The boxes fill the data, and the NAL units fill the sample. */
static void check_boxes(const uint8_t *data, size_t len)
{
	while (len > 0) {
		uint32_t size = bytes_get32(data);

		assert(len >= 8 && size >= 8 && size <= len);
		for (size_t at = 8; memcmp(data + 4, "mdat", 4) == 0 && at < size;) {
			assert(size - at > 4 && bytes_get32(data + at) > 0);
			at += 4 + bytes_get32(data + at);
			assert(at <= size);
		}
		data += size;
		len -= size;
	}
}

/* Whole packets of a transport stream in each packet of RTP. */
static void check_ts(const uint8_t *data, size_t len)
{
	assert(len > 0 && len <= CAMCAST_TS_PACKETS * CAMCAST_TS_LEN);
	for (size_t at = 0; at < len; at += CAMCAST_TS_LEN)
		assert(len - at >= CAMCAST_TS_LEN && data[at] == 0x47);
}

static void check_packets(const uint8_t *data, size_t len, bool ts)
{
	struct rtp_head head;

	assert(rtp_read_last(data, len, &head) && head.marker == !ts);
	for (size_t at = 0; at < len;) {
		size_t n = bytes_get16(data + at + 2);

		assert(n <= CAMCAST_RTP_PACKET_LEN);
		if (ts && data[at + 1] == CAMCAST_RTP_CHANNEL)
			check_ts(data + at + RTP_FRAME_HEAD + RTP_HEAD, n - RTP_HEAD);
		at += RTP_FRAME_HEAD + n;
		assert(at <= len);
	}
}

static void check(enum config_framing framing, const uint8_t *data, size_t len)
{
	size_t head = data[0] != 0x82 ? 0 : data[1] < 126 ? 2 : data[1] == 126 ? 4 : 10;

	if (framing == CONFIG_FRAMING_MP4)
		check_boxes(data, len);
	if (framing == CONFIG_FRAMING_MP4_WS)
		check_boxes(data + head, len - head);
	if (framing == CONFIG_FRAMING_RTP || framing == CONFIG_FRAMING_RTP_TS)
		check_packets(data, len, framing == CONFIG_FRAMING_RTP_TS);
	for (size_t at = 0; framing == CONFIG_FRAMING_MPEGTS && at < len; at += 188)
		assert(len - at >= 188 && data[at] == 0x47);
}

static void check_framed(enum config_framing framing, const struct mux_framed *framed)
{
	size_t len = 0, at = 0;
	uint8_t *whole;

	if (framed->preamble_len > 0) {
		assert(framed->preamble_len <= CAMCAST_PREAMBLE_MAX);
		if (framing != CONFIG_FRAMING_RTP)
			check(framing, framed->preamble, framed->preamble_len);
	}
	for (int i = 0; i < framed->iovcnt; i++)
		len += framed->iov[i].iov_len;
	whole = malloc(len + 1);
	assert(whole);
	for (int i = 0; i < framed->iovcnt; i++) {
		memcpy(whole + at, framed->iov[i].iov_base, framed->iov[i].iov_len);
		at += framed->iov[i].iov_len;
	}
	check(framing, whole, len);
	free(whole);
}

static void frame(struct h264_writer *writer, struct mux *mux, enum config_framing framing,
		  const uint8_t *data, size_t len, int64_t us)
{
	struct mux_framed framed;
	struct h264_unit coded;
	static const struct mux_rtp rtp = {1, 2, 65530};
	struct mux_unit unit;

	if (h264_writer_unit(writer, data, len, us, &coded) < 0)
		return;
	unit = (struct mux_unit){
		.iov = coded.iov,
		.iovcnt = coded.iovcnt,
		.len = coded.len,
		.sets = coded.sets,
		.n_sets = coded.n_sets,
		.nals = coded.nals,
		.n_nals = coded.n_nals,
		.key = coded.key,
		.droppable = coded.droppable,
		.dts_us = us,
		.pts_us = us + (len & 1 ? 40000 : 0),
		.rtp = &rtp,
	};
	if (mux_frame(mux, &unit, &framed) == 0)
		check_framed(framing, &framed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct sps_edit edit = {.keep_reorder = true};
	struct mux_options options = {0};
	struct h264_writer *writer;
	struct mux *mux;
	size_t begin = 1;
	int64_t us = 0;

	if (size < 1)
		return 0;
	options.framing = framings[data[0] & 128 ? 5 : data[0] & 64 ? 4 : data[0] & 3];
	options.packet_len = CAMCAST_RTP_PACKET_LEN;
	options.orientation = (struct orientation){data[0] & 4, data[0] & 8, data[0] & 16};
	assert(h264_writer_create(&writer, &edit, data[0] & 32) == 0);
	assert(mux_create(&mux, &options) == 0);
	for (size_t at = 1; at <= size; at++) {
		if (at < size && (at + 2 > size || data[at] != 0xff || data[at + 1] != 0xff))
			continue;
		frame(writer, mux, options.framing, data + begin, at - begin, us += 33333);
		begin = at + 2;
		at++;
	}
	mux_destroy(mux);
	h264_writer_destroy(writer);
	return 0;
}
