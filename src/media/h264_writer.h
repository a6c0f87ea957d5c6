/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * H.264 byte streams (Annex B): finding NAL units, and making an access unit out of what an encoder
 * gives: an AUD first, SPS and PPS before every IDR, VUI timing and max_num_reorder_frames = 0 in
 * every SPS, an optional SEI. No thread affinity; a struct h264_writer belongs to one thread.
 */
#ifndef MEDIA_H264_WRITER_H
#define MEDIA_H264_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "config/config.h"

enum {
	H264_NAL_SLICE = 1,
	H264_NAL_IDR = 5,
	H264_NAL_SEI = 6,
	H264_NAL_SPS = 7,
	H264_NAL_PPS = 8,
	H264_NAL_AUD = 9,
	H264_NAL_END_SEQ = 10,
	H264_NAL_END_STREAM = 11,
	H264_NAL_FILLER = 12,
	H264_NAL_PREFIX = 14,
};

/* The longest SPS or PPS that is accepted, bytes. One with every scaling list and HRD has about
 * 1.5 KB. */
#define H264_PARAMETER_SET_MAX 4096

struct h264_nal {
	const uint8_t *data; /* the header byte; no start code, no trailing zeros */
	size_t len;	     /* at least 1 */
	unsigned type, ref_idc;
};

/* The next NAL unit whose start code is at or after *pos in an Annex B stream; false at the end.
 * *pos moves behind it. Clause B.1.1. */
bool h264_next_nal(const uint8_t *data, size_t len, size_t *pos, struct h264_nal *nal);

/* Rewrites an SPS (NAL unit with header, emulation prevention in place): VUI with timing_info for
 * rate (time_scale = 2 x num, num_units_in_tick = den, fixed_frame_rate_flag 1; a rate of 0 leaves
 * it as it is) and bitstream_restriction with max_num_reorder_frames 0 and max_dec_frame_buffering
 * = max_num_ref_frames; everything else stays. Clauses 7.3.2.1.1, E.1.1. keep_reorder: leave
 * bitstream_restriction as it is (a file with B pictures). out gets at most out_size bytes (len +
 * 64 and half as much again always does); returns the length or -EINVAL (not a well-formed SPS),
 * -ENOSPC. */
int h264_rewrite_sps(const uint8_t *sps, size_t len, struct config_rate rate, bool keep_reorder,
		     uint8_t *out, size_t out_size);

struct h264_writer;

/* rate goes into the VUI; sei: add the SEI of camcast/sei.h. */
int h264_writer_create(struct h264_writer **out, struct config_rate rate, bool sei,
		       bool keep_reorder);
void h264_writer_destroy(struct h264_writer *writer);

struct h264_unit {
	const struct iovec *iov; /* the access unit, in order; borrowed from the writer and from
				    data until the next call */
	int iovcnt;		 /* may exceed IOV_MAX for a picture of very many slices */
	size_t len;
	bool key;		     /* contains an IDR, and SPS and PPS */
	bool droppable;		     /* every slice has nal_ref_idc 0 */
	bool parameter_sets_missing; /* an IDR came before any SPS or PPS was seen: not a key unit
				      */
};

/*
 * Puts one access unit right. data is borrowed until the next call. capture_us: CLOCK_MONOTONIC,
 * for the SEI. Parameter sets in it are remembered even if there is no slice (an encoder may give
 * its header alone, first). 0, -EINVAL (no slice in it), -ENOMEM.
 *
 * Order: AUD; parameter sets (before an IDR: the SPS that it uses and all PPSs that go with it;
 * else those that came in this unit); whatever else came before the slices, such as the encoder's
 * SEI; our SEI; slices. The encoder's AUDs, filler data, and ends of sequence and stream are left
 * out. No allocation once units of the same shape have been seen.
 */
int h264_writer_unit(struct h264_writer *writer, const uint8_t *data, size_t len,
		     int64_t capture_us, struct h264_unit *out);

#endif
