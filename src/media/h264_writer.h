/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes an access unit of an H.264 byte stream (Annex B) out of what an encoder gives: an AUD
 * first, SPS and PPS before every IDR, VUI timing and max_num_reorder_frames = 0 in every SPS, an
 * optional SEI. No thread affinity; a struct h264_writer belongs to one thread.
 */
#ifndef MEDIA_H264_WRITER_H
#define MEDIA_H264_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "media/orientation.h"
#include "media/sps.h"

struct h264_writer;

/* Bytes of an access unit delimiter with its start code, and the delimiter that the writer makes:
 * primary_pic_type 7, slices of any type (table 7-5), so that one does for every picture. */
#define H264_AUD_LEN 6
extern const uint8_t h264_aud[H264_AUD_LEN];

/* edit: of every SPS; copied. sei: add the SEI of camcast/sei.h. 0 or -ENOMEM. */
int h264_writer_create(struct h264_writer **out, const struct sps_edit *edit, bool sei);
/* Adds a display orientation SEI to every unit from now on. One would do for an IDR picture and
 * those that follow it (D.2.26), but libavcodec takes it for its own picture only. */
void h264_writer_set_orientation(struct h264_writer *writer, struct orientation orientation);
void h264_writer_destroy(struct h264_writer *writer);

struct h264_unit {
	const struct iovec *iov; /* the access unit, in order; borrowed from the writer and from
				    data until the next call */
	int iovcnt;		 /* may exceed IOV_MAX for a picture of very many slices */
	size_t len;
	/* The NAL units of the same without start codes and without the AUD, borrowed likewise: the
	 * parameter sets, then all others. */
	const struct iovec *sets, *nals;
	int n_sets, n_nals;
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
 * SEI; our SEI, orientation first; slices. The encoder's AUDs, filler data, and ends of sequence
 * and stream are left out. No allocation once units of the same shape have been seen.
 */
int h264_writer_unit(struct h264_writer *writer, const uint8_t *data, size_t len,
		     int64_t capture_us, struct h264_unit *out);

#endif
