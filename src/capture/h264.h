/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * H.264 byte streams (Annex B): finding NAL units, and making an access unit out of what an encoder
 * gives: an AUD first, SPS and PPS before every IDR, VUI timing and max_num_reorder_frames = 0 in
 * every SPS, an optional SEI. No thread affinity; a struct h264_writer belongs to one thread.
 */
#ifndef H264_H
#define H264_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/config.h"

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
};

struct h264_nal {
	const uint8_t *data; /* the header byte; no start code, no trailing zeros */
	size_t len;
	unsigned type, ref_idc;
};

/* The next NAL unit at or after *pos in an Annex B stream; false at the end. Clause B.1.1. */
bool h264_next_nal(const uint8_t *data, size_t len, size_t *pos, struct h264_nal *nal);

/* Rewrites an SPS (NAL unit with header, emulation prevention in place): VUI with timing_info for
 * rate (time_scale = 2 x num, num_units_in_tick = den, fixed_frame_rate_flag 1) and
 * bitstream_restriction with max_num_reorder_frames 0; everything else stays. Clauses 7.3.2.1.1,
 * E.1.1. keep_reorder: leave bitstream_restriction as it is (a file with B pictures). out gets at
 * most out_size bytes; returns the length or -EINVAL (not an SPS), -ENOSPC. */
int h264_rewrite_sps(const uint8_t *sps, size_t len, struct config_rate rate, bool keep_reorder,
		     uint8_t *out, size_t out_size);

struct h264_writer;

/* rate goes into the VUI; sei: add the SEI of camcast/sei.h. */
int h264_writer_create(struct h264_writer **out, struct config_rate rate, bool sei,
		       bool keep_reorder);
void h264_writer_destroy(struct h264_writer *writer);

struct h264_unit {
	const struct iovec
		*iov; /* the access unit, in order; borrowed from the writer and from data */
	int iovcnt;
	size_t len;
	bool key;		     /* contains an IDR, and SPS and PPS */
	bool droppable;		     /* every slice has nal_ref_idc 0 */
	bool parameter_sets_missing; /* an IDR came before any SPS or PPS was seen: not a key unit
				      */
};

/* Puts one access unit right. data is borrowed until the next call. capture_us: CLOCK_MONOTONIC,
 * for the SEI. 0, -EINVAL (no slice in it), -ENOMEM. */
int h264_writer_unit(struct h264_writer *writer, const uint8_t *data, size_t len,
		     int64_t capture_us, struct h264_unit *out);

#endif
