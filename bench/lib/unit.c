/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/unit.h"

#include <assert.h>
#include <string.h>

#include "camcast/sei.h"

enum { NAL_SLICE = 1, NAL_IDR = 5, NAL_SEI = 6, NAL_SPS = 7, NAL_PPS = 8 };

static uint8_t *put(uint8_t *at, const void *data, size_t len)
{
	memcpy(at, data, len);
	return at + len;
}

static void put_be64(uint8_t *at, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t)(value >> (56 - 8 * i));
}

static uint64_t get_be64(const uint8_t *at)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | at[i];
	return value;
}

size_t unit_build_sei(uint8_t *out, uint64_t seq, int64_t capture_us)
{
	uint8_t *at = out;
	uint8_t payload[CAMCAST_SEI_PAYLOAD_LEN];
	int zeros = 0;

	memcpy(payload, CAMCAST_SEI_UUID, CAMCAST_SEI_UUID_LEN);
	put_be64(payload + 16, seq);
	put_be64(payload + 24, (uint64_t)capture_us);
	put_be64(payload + 32, (uint64_t)capture_us);
	at = put(at, "\0\0\0\1\x06\x05", 6);
	*at++ = sizeof(payload);
	for (size_t i = 0; i < sizeof(payload); i++) {
		if (zeros >= 2 && payload[i] <= 3) {
			*at++ = 3; /* emulation prevention, clause 7.4.1 */
			zeros = 0;
		}
		zeros = payload[i] ? 0 : zeros + 1;
		*at++ = payload[i];
	}
	*at++ = 0x80;
	return (size_t)(at - out);
}

void unit_build(uint8_t *out, size_t size, uint64_t seq, bool key, bool droppable,
		int64_t capture_us)
{
	uint8_t *at = out;

	assert(size >= UNIT_MIN);
	at = put(at, "\0\0\0\1\x09\xf0", 6);
	if (key) {
		at = put(at, "\0\0\0\1\x67\x42\xc0\x1f\xda\x01\x40\x16\xe8", 13);
		at = put(at, "\0\0\0\1\x68\xce\x3c\x80", 8);
	}
	at += unit_build_sei(at, seq, capture_us);
	at = put(at, "\0\0\0\1", 4);
	*at++ = key ? 0x65 : droppable ? 0x01 : 0x41;
	memset(at, 0xa5, (size_t)(out + size - at));
}

/* The byte after the next start code from data[at] on; len if there is none. */
static size_t next_nal(const uint8_t *data, size_t len, size_t at)
{
	while (at + 3 < len) {
		const uint8_t *one = memchr(data + at + 2, 1, len - at - 2);

		if (!one)
			return len;
		if (one[-1] == 0 && one[-2] == 0)
			return (size_t)(one - data) + 1;
		at = (size_t)(one - data) - 1;
	}
	return len;
}

static void parse_sei(const uint8_t *nal, size_t len, struct unit_info *info)
{
	uint8_t payload[3 + CAMCAST_SEI_PAYLOAD_LEN];
	size_t n = 0;
	int zeros = 0;

	for (size_t i = 0; i < len && n < sizeof(payload); i++) {
		if (zeros >= 2 && nal[i] == 3) {
			zeros = 0;
			continue;
		}
		zeros = nal[i] ? 0 : zeros + 1;
		payload[n++] = nal[i];
	}
	if (n < sizeof(payload) || payload[1] != 5 || payload[2] != CAMCAST_SEI_PAYLOAD_LEN ||
	    memcmp(payload + 3, CAMCAST_SEI_UUID, CAMCAST_SEI_UUID_LEN) != 0)
		return;
	info->numbered = true;
	info->seq = get_be64(payload + 19);
	info->capture_us = (int64_t)get_be64(payload + 27);
}

void unit_parse(const uint8_t *data, size_t len, struct unit_info *info)
{
	bool idr = false, sps = false, pps = false, slice = false, reference = false;
	size_t at = 0;

	memset(info, 0, sizeof(*info));
	info->h264 =
		len >= 5 && (memcmp(data, "\0\0\0\1", 4) == 0 || memcmp(data, "\0\0\1", 3) == 0);
	if (!info->h264) {
		info->key = true;
		return;
	}
	while ((at = next_nal(data, len, at)) < len) {
		unsigned type = data[at] & 31, ref_idc = data[at] >> 5 & 3;

		if (type == NAL_SLICE || type == NAL_IDR) {
			slice = true;
			reference |= ref_idc != 0;
			idr |= type == NAL_IDR;
		} else if (type == NAL_SPS) {
			sps = true;
		} else if (type == NAL_PPS) {
			pps = true;
		} else if (type == NAL_SEI && !info->numbered) {
			parse_sei(data + at, len - at, info);
		}
	}
	info->key = idr && sps && pps;
	info->droppable = slice && !reference;
}
