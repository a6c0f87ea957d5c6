/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * NAL units of H.264 byte streams (Annex B): what they are, where they begin and end, and emulation
 * prevention. Memory is the caller's. Any thread.
 */
#ifndef MEDIA_NAL_H
#define MEDIA_NAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nal_type { /* table 7-1 */
		NAL_SLICE = 1,
		NAL_PARTITION_A = 2,
		NAL_IDR = 5,
		NAL_SEI = 6,
		NAL_SPS = 7,
		NAL_PPS = 8,
		NAL_AUD = 9,
		NAL_END_SEQ = 10,
		NAL_END_STREAM = 11,
		NAL_FILLER = 12,
		NAL_PREFIX = 14,
		NAL_RESERVED_18 = 18,
};

/* Of a NAL unit's first byte, clause 7.3.1. */
static inline unsigned nal_type(uint8_t header)
{
	return header & 0x1f;
}

static inline unsigned nal_ref_idc(uint8_t header)
{
	return header >> 5 & 3;
}

/* A coded slice, or a partition of one. */
static inline bool nal_is_slice(unsigned type)
{
	return type >= NAL_SLICE && type <= NAL_IDR;
}

struct nal {
	const uint8_t *data; /* the header byte; no start code, no trailing zeros */
	size_t len;	     /* at least 1 */
	unsigned type, ref_idc;
};

/* Whether it begins with a start code, of three or four bytes. */
static inline bool nal_begins(const uint8_t *data, size_t len)
{
	const size_t zero_byte = len >= 4 && data[2] == 0;

	return len >= 3 && data[0] == 0 && data[1] == 0 && data[2 + zero_byte] == 1;
}

/* The offset of the first start code prefix (00 00 01) that begins at pos or later and lies within
 * len bytes, or len. The zero_byte in front of it, if there is one, is not part of it (B.1.1). */
size_t nal_find_start_code(const uint8_t *data, size_t len, size_t pos);

/* The next NAL unit whose start code begins at *pos or later; false at the end. *pos moves behind
 * it. Clause B.1.1. */
bool nal_next(const uint8_t *data, size_t len, size_t *pos, struct nal *nal);

/* Takes the emulation prevention bytes out (clause 7.3.1); stops when out is full. Returns the
 * bytes in out. */
size_t nal_unescape(const uint8_t *data, size_t len, uint8_t *out, size_t out_size);

/* Puts them in (clause 7.4.1.1). Returns the bytes in out, or 0 if it is too small. out_size of
 * len + len / 2 + 1 always does. */
size_t nal_escape(const uint8_t *rbsp, size_t len, uint8_t *out, size_t out_size);

#endif
