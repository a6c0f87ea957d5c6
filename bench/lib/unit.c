/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/unit.h"

#include <assert.h>
#include <string.h>

#include "media/access_unit.h"
#include "media/nal.h"

static uint8_t *put(uint8_t *at, const void *data, size_t len)
{
	memcpy(at, data, len);
	return at + len;
}

size_t unit_build_sei(uint8_t out[SEI_CAPTURE_MAX], uint64_t seq, int64_t capture_us)
{
	return sei_write_capture(out, &(struct sei_capture){seq, capture_us, capture_us});
}

void unit_build(uint8_t *out, size_t size, uint64_t seq, bool key, bool droppable,
		int64_t capture_us)
{
	uint8_t *at = out;

	assert(size >= UNIT_MIN);
	at = put(at, "\0\0\0\1\x09\xf0", 6);
	if (key) {
		at = put(at, "\0\0\0\1\x67\x42\xc0\x1f\xda\x01\x40\x16\xe4", 13);
		at = put(at, "\0\0\0\1\x68\xce\x3c\x80", 8);
	}
	if (capture_us >= 0)
		at += unit_build_sei(at, seq, capture_us);
	at = put(at, "\0\0\0\1", 4);
	*at++ = key ? 0x65 : droppable ? 0x01 : 0x41;
	/* slice_header() (clause 7.3.3): macroblock 0, an I or P slice, PPS 0 */
	at = put(at, key ? "\x88\x84" : "\x9a\x00", 2);
	memset(at, 0xa5, (size_t)(out + size - at));
}

void unit_parse(const uint8_t *data, size_t len, struct unit_info *info)
{
	struct access_unit_head head;
	struct sei_capture capture;

	memset(info, 0, sizeof(*info));
	info->h264 = nal_begins(data, len);
	if (!info->h264) {
		info->key = true;
		return;
	}
	access_unit_read_head(data, len, &head);
	info->key = access_unit_is_key(&head);
	info->droppable = head.slice && !head.referenced;
	info->numbered = sei_find_capture(data, len, &capture);
	if (info->numbered) {
		info->seq = capture.sequence;
		info->capture_us = capture.monotonic_us;
	}
}
