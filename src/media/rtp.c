/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/rtp.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "camcast/rtp.h"

#define VERSION 0x80 /* 2, no padding, no extension, no CSRC */
#define REPORT_LEN 28
#define DESCRIPTION_LEN 28
#define UNIX_EPOCH_S 2208988800u /* 1970 in seconds of NTP, which counts from 1900 */

enum { RTCP_SR = 200, RTCP_SDES = 202, SDES_CNAME = 1 };

uint8_t *rtp_put_frame(uint8_t *out, unsigned channel, size_t len)
{
	assert(len <= UINT16_MAX);
	*out++ = '$';
	*out++ = (uint8_t)channel;
	return bytes_put16(out, (unsigned)len);
}

uint8_t *rtp_put_head(uint8_t *out, const struct rtp_head *head)
{
	*out++ = VERSION;
	*out++ = (uint8_t)((head->marker ? 0x80 : 0) | head->type);
	out = bytes_put16(out, head->sequence);
	out = bytes_put32(out, head->time);
	return bytes_put32(out, head->ssrc);
}

/* A chunk of one item, the canonical name, which is of this source alone (RFC 7022). */
static uint8_t *put_description(uint8_t *out, uint32_t ssrc)
{
	char name[17];
	uint8_t *const end = out + DESCRIPTION_LEN;

	snprintf(name, sizeof name, "camcast-%08x", (unsigned)ssrc);
	memset(out, 0, DESCRIPTION_LEN); /* zeros end the items, and fill the last word */
	*out++ = VERSION | 1;
	*out++ = RTCP_SDES;
	out = bytes_put16(out, DESCRIPTION_LEN / 4 - 1);
	out = bytes_put32(out, ssrc);
	*out++ = SDES_CNAME;
	*out++ = sizeof name - 1;
	memcpy(out, name, sizeof name - 1);
	return end;
}

uint8_t *rtp_put_report(uint8_t *out, unsigned channel, const struct rtp_report *report)
{
	const uint64_t us = (uint64_t)report->utc_us % 1000000;

	out = rtp_put_frame(out, channel, RTP_REPORT_LEN - RTP_FRAME_HEAD);
	*out++ = VERSION;
	*out++ = RTCP_SR;
	out = bytes_put16(out, REPORT_LEN / 4 - 1);
	out = bytes_put32(out, report->ssrc);
	out = bytes_put32(out, (uint32_t)(report->utc_us / 1000000) + UNIX_EPOCH_S);
	out = bytes_put32(out, (uint32_t)((us << 32) / 1000000));
	out = bytes_put32(out, report->time);
	out = bytes_put32(out, report->packets);
	out = bytes_put32(out, report->payload_bytes);
	return put_description(out, report->ssrc);
}

uint32_t rtp_time(int64_t us, uint32_t offset)
{
	/* Split, so that 2^53 us do not overflow; rounded down also before zero. */
	int64_t s = us / 1000000, rest = us % 1000000;

	return (uint32_t)(s * CAMCAST_RTP_CLOCK + rest * (CAMCAST_RTP_CLOCK / 10000) / 100) +
	       offset;
}

/* The packet in the frame at *pos, which moves behind it. 0: the bytes end there; -1: the frame
 * does not lie within them; else the length of the packet at *packet. */
static int next_packet(const uint8_t *data, size_t len, size_t *pos, unsigned *channel,
		       const uint8_t **packet)
{
	size_t left = len - *pos, n;

	if (left == 0)
		return 0;
	if (left < RTP_FRAME_HEAD || data[*pos] != '$')
		return -1;
	n = bytes_get16(data + *pos + 2);
	if (n == 0 || left - RTP_FRAME_HEAD < n)
		return -1;
	*channel = data[*pos + 1];
	*packet = data + *pos + RTP_FRAME_HEAD;
	*pos += RTP_FRAME_HEAD + n;
	return (int)n;
}

static bool read_packet(const uint8_t *data, size_t len, bool last, struct rtp_head *out)
{
	const uint8_t *packet = NULL;
	unsigned channel = 0;
	bool found = false;
	size_t pos = 0;
	int n;

	while ((n = next_packet(data, len, &pos, &channel, &packet)) > 0) {
		if (channel != CAMCAST_RTP_CHANNEL)
			continue;
		if (n < RTP_HEAD)
			return false;
		*out = (struct rtp_head){
			.marker = packet[1] & 0x80,
			.type = packet[1] & 0x7f,
			.sequence = bytes_get16(packet + 2),
			.time = bytes_get32(packet + 4),
			.ssrc = bytes_get32(packet + 8),
		};
		found = true;
		if (!last)
			return true;
	}
	return found && n == 0;
}

bool rtp_read_first(const uint8_t *data, size_t len, struct rtp_head *out)
{
	return read_packet(data, len, false, out);
}

bool rtp_read_last(const uint8_t *data, size_t len, struct rtp_head *out)
{
	return read_packet(data, len, true, out);
}
