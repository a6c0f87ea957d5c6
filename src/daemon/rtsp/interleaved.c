/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/rtsp/interleaved.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "camcast/rtp.h"

static size_t packet_len(const struct interleaved *frame)
{
	return bytes_get16(frame->head + 2);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t interleaved_take(struct interleaved *frame, bool keeps, const uint8_t *data, size_t len)
{
	size_t n;

	if (frame->head_len < INTERLEAVED_HEAD) {
		n = least(len, INTERLEAVED_HEAD - frame->head_len);
		memcpy(frame->head + frame->head_len, data, n);
		frame->head_len += (uint8_t)n;
		return n;
	}
	if (frame->len == 0 && keeps && frame->head[1] == CAMCAST_RTCP_CHANNEL &&
	    packet_len(frame) <= RTCP_MAX)
		frame->packet = malloc(packet_len(frame)); /* without memory it is skipped */
	n = least(len, packet_len(frame) - frame->len);
	if (frame->packet)
		memcpy(frame->packet + frame->len, data, n);
	frame->len += (uint16_t)n;
	return n;
}

bool interleaved_is_whole(const struct interleaved *frame)
{
	return frame->head_len == INTERLEAVED_HEAD && frame->len == packet_len(frame);
}

void interleaved_finish(struct interleaved *frame)
{
	free(frame->packet);
	*frame = (struct interleaved){0};
}
