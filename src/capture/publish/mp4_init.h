/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The initialization segment of a fragmented MP4 (ISO/IEC 14496-12: ftyp, moov) of one H.264 track,
 * with the parameter sets of a key unit (ISO/IEC 14496-15: avc1, avcC). Any thread.
 */
#ifndef CAPTURE_PUBLISH_MP4_INIT_H
#define CAPTURE_PUBLISH_MP4_INIT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "media/orientation.h"

#define MP4_TRACK 1
#define MP4_TIMESCALE 90000 /* ticks a second */

/*
 * Writes it to out. sets: n_sets NAL units without start codes, of which the first SPS is the one
 * that the pictures use. Returns the length, -EINVAL (there is no SPS, or no well-formed one), or
 * -EMSGSIZE (it is longer than size bytes).
 */
int mp4_init_write(uint8_t *out, size_t size, const struct iovec *sets, int n_sets,
		   struct orientation orientation);

#endif
