/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * H.264 as files store it (ISO/IEC 14496-15): NAL units behind their lengths, and the decoder
 * configuration record ("avcC") that holds the parameter sets. Memory is the caller's. Any thread.
 */
#ifndef MEDIA_AVCC_H
#define MEDIA_AVCC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/nal.h"

struct avcc {
	unsigned length_size; /* bytes of the length in front of a NAL unit: 1, 2 or 4 */

	/* avcc_next()'s */
	const uint8_t *data;
	size_t len, pos;
	unsigned left; /* parameter sets in the current list */
	bool in_pps;
};

/* Whether data is a decoder configuration record, and no byte stream. */
bool avcc_begins(const uint8_t *data, size_t len);
/* Reads the head of AVCDecoderConfigurationRecord, clause 5.3.3.1. data is borrowed by out. 0, or
 * -EINVAL. */
int avcc_open(struct avcc *out, const uint8_t *data, size_t len);
/* The next SPS or PPS of the record; false: there is no more, or the record is cut short. */
bool avcc_next(struct avcc *avcc, struct nal *nal);

/* The next NAL unit of a sample from *pos on (clause 5.3.4.2); *pos moves behind it. Empty NAL
 * units are passed over. 1, 0 at the end, or -EBADMSG: a length leaves the sample. */
int avcc_next_nal(unsigned length_size, const uint8_t *data, size_t len, size_t *pos,
		  struct nal *nal);

#endif
