/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/rtcp.h"

#include "base/bytes.h"

#define HEAD 4	       /* bytes of a packet's beginning */
#define SENDER 4       /* its SSRC */
#define SENDER_INFO 20 /* of a sender report */
#define BLOCK 24       /* of a report about one source */

enum { RTCP_SR = 200, RTCP_RR = 201 };

static void read_block(const uint8_t *at, struct rtcp_report *out)
{
	uint32_t lost = bytes_get32(at + 4) & 0xffffff;

	out->fraction = at[4];
	out->lost = lost & 0x800000 ? (int32_t)lost - 0x1000000 : (int32_t)lost;
	out->jitter = bytes_get32(at + 12);
}

/* One packet of len bytes. False: its blocks do not fit. */
static bool read_packet(const uint8_t *at, size_t len, uint32_t ssrc, struct rtcp_report *about,
			bool *found)
{
	size_t blocks = at[0] & 0x1f, begin = HEAD + SENDER;

	if (at[1] != RTCP_SR && at[1] != RTCP_RR)
		return true;
	if (at[1] == RTCP_SR)
		begin += SENDER_INFO;
	if (len < begin + blocks * BLOCK)
		return false;
	for (size_t i = 0; i < blocks; i++) {
		if (bytes_get32(at + begin + i * BLOCK) != ssrc)
			continue;
		read_block(at + begin + i * BLOCK, about);
		*found = true;
	}
	return true;
}

bool rtcp_read(const uint8_t *data, size_t len, uint32_t ssrc, struct rtcp_report *about,
	       bool *found)
{
	*found = false;
	/* Version 2, no padding, and a report first. */
	if (len < HEAD || (data[0] & 0xe0) != 0x80 || (data[1] != RTCP_SR && data[1] != RTCP_RR))
		return false;
	for (size_t at = 0; at < len;) {
		size_t n;

		if (len - at < HEAD || (data[at] & 0xc0) != 0x80)
			return false;
		n = (size_t)bytes_get16(data + at + 2) * 4 + HEAD;
		if (n > len - at || !read_packet(data + at, n, ssrc, about, found))
			return false;
		at += n;
	}
	return true;
}

bool rtcp_is_of_receiver(const uint8_t *data, size_t len, uint32_t ssrc)
{
	return len >= HEAD + SENDER && data[1] == RTCP_RR && bytes_get32(data + HEAD) != ssrc;
}
