/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JPEGs that RFC 2435 can carry: baseline (ITU-T T.81), 8 bits, Y with half the width, or half of
 * both width and height, for Cb and Cr, the standard's Huffman tables, one scan. A receiver makes
 * all headers again from what stands here. Any thread.
 */
#ifndef MEDIA_JPEG_BASELINE_H
#define MEDIA_JPEG_BASELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JPEG_QUANTIZATION_LEN 64 /* bytes of a table, in zigzag order */

struct jpeg_baseline {
	unsigned width, height;
	bool halved_height;	      /* of Cb and Cr (4:2:0); false: 4:2:2 */
	unsigned restart_interval;    /* MCUs between two restart markers; 0: there are none */
	const uint8_t *luma, *chroma; /* quantization tables; borrowed */
	const uint8_t *scan; /* coded data, without the header of the scan and without EOI */
	size_t scan_len;
};

/* Reads a JPEG. 0, -EINVAL (it is none, or cut off before its scan), or -ENOTSUP (another kind). */
int jpeg_baseline_read(const uint8_t *data, size_t len, struct jpeg_baseline *out);

#endif
