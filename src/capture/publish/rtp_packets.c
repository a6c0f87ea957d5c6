/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/publish/rtp_packets.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "camcast/rtp.h"

static int reserve(struct rtp_packets *packets, size_t n_packets, size_t own_bytes)
{
	const size_t room = RTP_REPORT_LEN + n_packets * (RTP_FRAME_HEAD + RTP_HEAD) + own_bytes;
	uint8_t *grown;

	if (room > packets->heads_room) {
		grown = realloc(packets->heads, room);
		if (!grown)
			return -ENOMEM;
		packets->heads = grown;
		packets->heads_room = room;
	}
	return mux_list_reserve(&packets->list, (int)(1 + 2 * n_packets));
}

static void add_report(struct rtp_packets *packets, const struct mux_unit *unit)
{
	const struct rtp_report report = {
		.ssrc = packets->head.ssrc,
		.utc_us = clock_utc_us(unit->pts_us),
		.time = packets->head.time,
		.packets = packets->packets,
		.payload_bytes = packets->payload_bytes,
	};

	packets->at = rtp_put_report(packets->at, CAMCAST_RTCP_CHANNEL, &report);
	mux_list_add(&packets->list, packets->heads, RTP_REPORT_LEN);
	packets->reported_us = unit->pts_us;
}

int rtp_packets_begin(struct rtp_packets *packets, const struct mux_unit *unit, size_t n_packets,
		      size_t own_bytes)
{
	int r = reserve(packets, n_packets, own_bytes);

	if (r < 0)
		return r;
	if (!packets->begun) {
		packets->begun = true;
		packets->head.type = packets->type;
		packets->head.ssrc = unit->rtp->ssrc;
		packets->head.sequence = unit->rtp->sequence;
	}
	packets->head.time = rtp_time(unit->pts_us, unit->rtp->offset);
	packets->at = packets->heads;
	packets->list.n = 0;
	if (unit->key || unit->pts_us - packets->reported_us >= CAMCAST_RTP_REPORT_US)
		add_report(packets, unit);
	return 0;
}

void rtp_packets_add(struct rtp_packets *packets, const uint8_t *own, size_t own_len,
		     const void *data, size_t len, bool marker)
{
	uint8_t *begin = packets->at, *at;

	assert(own_len + len <= packets->room);
	packets->head.marker = marker;
	at = rtp_put_frame(begin, CAMCAST_RTP_CHANNEL, RTP_HEAD + own_len + len);
	at = rtp_put_head(at, &packets->head);
	if (own_len > 0)
		memcpy(at, own, own_len);
	packets->at = at + own_len;
	mux_list_add(&packets->list, begin, (size_t)(packets->at - begin));
	mux_list_add(&packets->list, data, len);
	packets->head.sequence++;
	packets->packets++;
	packets->payload_bytes += (uint32_t)(own_len + len);
}

void rtp_packets_end(const struct rtp_packets *packets, struct mux_framed *out)
{
	out->iov = packets->list.iov;
	out->iovcnt = packets->list.n;
}

void rtp_packets_free(struct rtp_packets *packets)
{
	mux_list_free(&packets->list);
	free(packets->heads);
}
