/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/rtsp/filler.h"

#include <string.h>

#include "base/bytes.h"

void filler_make(uint8_t out[FILLER_LEN], uint32_t ssrc, uint16_t sequence)
{
	static const uint8_t null_head[] = {0x47, 0x1f, 0xff, 0x10};
	const struct rtp_head head = {
		.type = CAMCAST_RTP_TYPE_TS, .sequence = sequence, .ssrc = ssrc};

	memset(out, 0xff, FILLER_LEN);
	memcpy(rtp_put_head(out, &head), null_head, sizeof null_head);
}

uint16_t filler_sequence(const uint8_t *packet, size_t len)
{
	return len < RTP_HEAD ? 0 : bytes_get16(packet + 2);
}
