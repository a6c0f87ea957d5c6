/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Access units of H.264 byte streams (Annex B): where they end, and what is in them. Memory is the
 * caller's. Any thread.
 */
#ifndef MEDIA_ACCESS_UNIT_H
#define MEDIA_ACCESS_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the NAL units up to the first slice say. All slices of a picture have the same idr and
 * referenced (clause 7.4.1, nal_ref_idc and nal_unit_type). */
struct access_unit_head {
	bool sps, pps;
	bool slice;	 /* there is a picture in it */
	bool idr;	 /* it is an IDR picture */
	bool referenced; /* others may refer to it: nal_ref_idc is not 0 */
};

/* data: an access unit, or its beginning. */
void access_unit_read_head(const uint8_t *data, size_t len, struct access_unit_head *head);

/* Whether decoding can begin at it. */
static inline bool access_unit_is_key(const struct access_unit_head *head)
{
	return head->idr && head->sps && head->pps;
}

/* Whether a NAL unit that comes after a picture's slices begins the next access unit: clause
 * 7.4.1.2.3. A slice does if it begins a picture (first_mb_in_slice is 0). header: its first byte
 * and the one behind it. */
bool access_unit_begins(const uint8_t header[2]);

/* The newest SPS of a stream, which tells the two fields of a frame from two frames (clause
 * 7.4.1.2.4); zeroed at the beginning of the stream. */
struct access_unit_fields {
	bool possible; /* the SPS allows fields; the others are valid only then */
	bool separate_planes;
	unsigned frame_num_bits;
};

/* A search for the end of one access unit, in as many pieces as it comes; zeroed at its beginning,
 * except for `fields`. */
struct access_unit_search {
	size_t done; /* bytes that need not be looked at again */
	struct access_unit_head head;
	/* Borrowed: the second field of a frame belongs to the unit of the first one, as viewers
	 * and files want it. NULL: it begins a unit. */
	struct access_unit_fields *fields;
	size_t sps_at, slice_at; /* of NAL units in the data; 0: none yet */
	bool paired;		 /* both fields are there */
};

/*
 * The length of the access unit that data begins with, known as soon as five bytes or so of the
 * next one are there; 0: go on with the same search when data has grown. data is all of the unit so
 * far, perhaps with noise in front. The zero_byte before the next start code is not part of the
 * unit. In a stream with fields the first slice of the next picture is waited for.
 */
size_t access_unit_find_end(struct access_unit_search *search, const uint8_t *data, size_t len);

#endif
