/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JPEGs in RTP packets (RFC 2435). Headers are not sent: each packet states size and kind of the
 * picture, and the first one has the quantization tables (Q 255, clause 3.1.8).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "camcast/rtp.h"
#include "camcast/worker.h"
#include "capture/publish/rtp_packets.h"
#include "media/jpeg_baseline.h"

#define SIDE_MAX (255 * 8) /* pixels: both sides are stated in eights, in a byte */
#define MAIN_LEN 8
#define RESTART_LEN 4
#define TABLES_LEN (4 + 2 * JPEG_QUANTIZATION_LEN)

struct rtp_jpeg {
	struct mux mux;
	struct rtp_packets packets;
};

/* Clauses 3.1 and 3.1.7. Returns the length. */
static size_t put_headers(uint8_t *out, const struct jpeg_baseline *jpeg, size_t offset)
{
	const uint8_t type = (jpeg->halved_height ? 1 : 0) + (jpeg->restart_interval ? 64 : 0);
	const uint8_t head[MAIN_LEN + RESTART_LEN] = {
		0,
		(uint8_t)(offset >> 16),
		(uint8_t)(offset >> 8),
		(uint8_t)offset,
		type,
		255,
		(uint8_t)((jpeg->width + 7) / 8),
		(uint8_t)((jpeg->height + 7) / 8),
		(uint8_t)(jpeg->restart_interval >> 8),
		(uint8_t)jpeg->restart_interval,
		0xff, /* the packet is a part of one piece, which is the whole picture */
		0xff,
	};
	size_t len = MAIN_LEN + (jpeg->restart_interval ? RESTART_LEN : 0);

	memcpy(out, head, len);
	return len;
}

/* Clause 3.1.8. */
static size_t put_tables(uint8_t *out, const struct jpeg_baseline *jpeg)
{
	out[0] = 0;
	out[1] = 0; /* 8 bits */
	out[2] = 0;
	out[3] = 2 * JPEG_QUANTIZATION_LEN;
	memcpy(out + 4, jpeg->luma, JPEG_QUANTIZATION_LEN);
	memcpy(out + 4 + JPEG_QUANTIZATION_LEN, jpeg->chroma, JPEG_QUANTIZATION_LEN);
	return TABLES_LEN;
}

static void add_scan(struct rtp_packets *packets, const struct jpeg_baseline *jpeg)
{
	uint8_t own[MAIN_LEN + RESTART_LEN + TABLES_LEN];

	for (size_t at = 0; at < jpeg->scan_len;) {
		size_t own_len = put_headers(own, jpeg, at), n;

		if (at == 0)
			own_len += put_tables(own + own_len, jpeg);
		n = packets->room - own_len;
		if (n > jpeg->scan_len - at)
			n = jpeg->scan_len - at;
		rtp_packets_add(packets, own, own_len, jpeg->scan + at, n,
				at + n == jpeg->scan_len);
		at += n;
	}
}

static int frame(struct mux *mux, const struct mux_unit *unit, struct mux_framed *out)
{
	struct rtp_packets *packets = &((struct rtp_jpeg *)mux)->packets;
	const size_t head_len = MAIN_LEN + RESTART_LEN;
	struct jpeg_baseline jpeg;
	size_t n;
	int r;

	if (unit->iovcnt != 1 ||
	    jpeg_baseline_read(unit->iov[0].iov_base, unit->iov[0].iov_len, &jpeg) < 0 ||
	    jpeg.width > SIDE_MAX || jpeg.height > SIDE_MAX)
		return -EINVAL;
	n = (TABLES_LEN + jpeg.scan_len) / (packets->room - head_len) + 1;
	if (RTP_REPORT_LEN + TABLES_LEN + jpeg.scan_len +
		    n * (RTP_FRAME_HEAD + RTP_HEAD + head_len) >
	    CAMCAST_UNIT_MAX)
		return -EMSGSIZE;
	r = rtp_packets_begin(packets, unit, n, n * head_len + TABLES_LEN);
	if (r < 0)
		return r;
	add_scan(packets, &jpeg);
	rtp_packets_end(packets, out);
	return 0;
}

static void destroy(struct mux *mux)
{
	struct rtp_jpeg *rtp = (struct rtp_jpeg *)mux;

	rtp_packets_free(&rtp->packets);
	free(rtp);
}

static int create(struct mux **out, const struct mux_options *options)
{
	struct rtp_jpeg *rtp = calloc(1, sizeof(*rtp));

	if (!rtp)
		return -ENOMEM;
	rtp->packets.type = CAMCAST_RTP_TYPE_JPEG;
	rtp->packets.room = options->packet_len - RTP_HEAD;
	*out = &rtp->mux;
	return 0;
}

const struct mux_ops mux_rtp_jpeg = {create, destroy, frame};
