/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * H.264 in RTP packets (RFC 6184, packetization mode 1): each NAL unit alone in a packet, or, where
 * it is longer, in fragments (FU-A, clause 5.8). No aggregation: clients lose the first packet
 * behind a gap, and with it the parameter sets, if these share one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "camcast/rtp.h"
#include "camcast/worker.h"
#include "capture/publish/rtp_packets.h"
#include "media/h264_writer.h"

#define FU_HEAD 2 /* bytes of the FU indicator and the FU header */

enum { FU_A = 28, FU_START = 0x80, FU_END = 0x40 };

struct rtp {
	struct mux mux;
	struct rtp_packets packets;
	uint8_t preamble[CAMCAST_PREAMBLE_MAX];
};

static size_t count_packets(const struct rtp *rtp, const struct iovec *nals, int n, size_t *len)
{
	const size_t room = rtp->packets.room, fragment = room - FU_HEAD;
	size_t count = 0;

	for (int i = 0; i < n; i++) {
		size_t nal = nals[i].iov_len;

		/* The first byte of a NAL unit in fragments is in their heads. */
		count += nal <= room ? 1 : (nal - 1 + fragment - 1) / fragment;
		*len += nal;
	}
	return count;
}

static void add_fragments(struct rtp *rtp, const uint8_t *nal, size_t len, bool last)
{
	const size_t room = rtp->packets.room - FU_HEAD;
	uint8_t head[FU_HEAD] = {(uint8_t)((nal[0] & 0xe0) | FU_A),
				 (uint8_t)(FU_START | (nal[0] & 0x1f))};
	size_t at = 1;

	while (at < len) {
		size_t n = len - at < room ? len - at : room;

		if (at + n == len)
			head[1] |= FU_END;
		rtp_packets_add(&rtp->packets, head, FU_HEAD, nal + at, n, last && at + n == len);
		head[1] &= (uint8_t)~FU_START;
		at += n;
	}
}

static void add_nals(struct rtp *rtp, const struct iovec *nals, int n, bool last)
{
	for (int i = 0; i < n; i++) {
		bool marker = last && i == n - 1;

		if (nals[i].iov_len <= rtp->packets.room)
			rtp_packets_add(&rtp->packets, NULL, 0, nals[i].iov_base, nals[i].iov_len,
					marker);
		else
			add_fragments(rtp, nals[i].iov_base, nals[i].iov_len, marker);
	}
}

static int make_preamble(struct rtp *rtp, const struct mux_unit *unit, struct mux_framed *out)
{
	size_t at = 0;

	for (int i = 0; i < unit->n_sets; i++) {
		size_t len = unit->sets[i].iov_len;

		if (len > UINT16_MAX || at + 2 + len > sizeof(rtp->preamble))
			return -EMSGSIZE;
		bytes_put16(rtp->preamble + at, (unsigned)len);
		memcpy(rtp->preamble + at + 2, unit->sets[i].iov_base, len);
		at += 2 + len;
	}
	out->preamble = rtp->preamble;
	out->preamble_len = at;
	return 0;
}

static int frame(struct mux *mux, const struct mux_unit *unit, struct mux_framed *out)
{
	struct rtp *rtp = (struct rtp *)mux;
	const struct iovec aud = {.iov_base = (void *)(uintptr_t)(h264_aud + 4),
				  .iov_len = H264_AUD_LEN - 4};
	size_t n = 1, len = aud.iov_len;
	int r = 0;

	if (unit->n_nals == 0)
		return -EINVAL;
	n += count_packets(rtp, unit->sets, unit->n_sets, &len);
	n += count_packets(rtp, unit->nals, unit->n_nals, &len);
	if (RTP_REPORT_LEN + len + n * (RTP_FRAME_HEAD + RTP_HEAD + FU_HEAD) > CAMCAST_UNIT_MAX)
		return -EMSGSIZE;
	if (unit->key)
		r = make_preamble(rtp, unit, out);
	if (r == 0)
		r = rtp_packets_begin(&rtp->packets, unit, n, n * FU_HEAD);
	if (r < 0)
		return r;
	if (unit->key)
		add_nals(rtp, &aud, 1, false);
	add_nals(rtp, unit->sets, unit->n_sets, false);
	add_nals(rtp, unit->nals, unit->n_nals, true);
	rtp_packets_end(&rtp->packets, out);
	return 0;
}

static void destroy(struct mux *mux)
{
	struct rtp *rtp = (struct rtp *)mux;

	rtp_packets_free(&rtp->packets);
	free(rtp);
}

static int create(struct mux **out, const struct mux_options *options)
{
	struct rtp *rtp = calloc(1, sizeof(*rtp));

	if (!rtp)
		return -ENOMEM;
	rtp->packets.type = CAMCAST_RTP_TYPE_H264;
	rtp->packets.room = options->packet_len - RTP_HEAD;
	*out = &rtp->mux;
	return 0;
}

const struct mux_ops mux_rtp = {create, destroy, frame};
