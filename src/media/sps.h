/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sequence parameter sets (H.264 clauses 7.3.2.1.1, E.1.1): reading what a player, a recorder or a
 * session description must know, and making the VUI right for live viewers. Also the ids by which
 * slices and parameter sets refer to each other. Any thread.
 */
#ifndef MEDIA_SPS_H
#define MEDIA_SPS_H

#include "base/rate.h"
#include "media/nal.h"

/* The longest SPS or PPS that is accepted, bytes. One with every scaling list and HRD has about
 * 1.5 KB. */
#define PARAMETER_SET_MAX 4096

#define SPS_IDS 32 /* clause 7.4.2.1.1 */
#define PPS_IDS 256

struct sps {
	unsigned profile_idc, level_idc;
	unsigned constraint_flags; /* the byte between them: constraint_set0_flag is bit 7 */
	unsigned id;
	unsigned chroma_format_idc; /* 0: monochrome, 1: 4:2:0, 2: 4:2:2, 3: 4:4:4 */
	unsigned bit_depth_luma, bit_depth_chroma;
	unsigned coded_width, coded_height; /* whole macroblocks */
	unsigned width, height;		    /* what is shown of them: after cropping */
	bool frame_mbs_only;		    /* false: there may be fields */
	bool separate_planes;		    /* separate_colour_plane_flag */
	unsigned frame_num_bits;	    /* of frame_num in a slice header: 4..16 */
	unsigned max_num_ref_frames;

	/* How many pictures precede one in decoding order and follow it in output order, and how
	 * many a decoder must store (max_num_reorder_frames, max_dec_frame_buffering). Where the
	 * SPS does not say, the limits that follow from profile, level and size, which an encoder
	 * hardly ever makes use of. */
	bool reorder_stated;
	unsigned reorder_frames, buffered_frames; /* 0..16 */

	unsigned sar_width, sar_height; /* of a sample; 0: not stated */
	/* Frames a second are time_scale / (2 * num_units_in_tick); 0: not stated. */
	uint32_t num_units_in_tick, time_scale;
	bool fixed_frame_rate;
};

/*
 * Reads an SPS (NAL unit with header, emulation prevention in place). 0, or -EINVAL: not a
 * well-formed one, or of a size that no level allows. A VUI that is cut short or states nonsense
 * counts as none: cameras send such, and decoders play them.
 */
int sps_read(const uint8_t *nal, size_t len, struct sps *out);

/* Reads the SPS that the picture of an access unit (Annex B) uses, which stands with its PPS in
 * front of the first slice. 0, or -EINVAL: they do not, or as above. */
int sps_read_active(const uint8_t *unit, size_t len, struct sps *out);

/* What sps_rewrite() changes in the VUI of an SPS. */
struct sps_edit {
	/* timing_info: time_scale = 2 x num, num_units_in_tick = den, fixed_frame_rate_flag 1, or 0
	 * where the rate varies (it is the highest one then). A rate of 0 leaves the timing of the
	 * SPS. */
	struct rate rate;
	bool rate_varies;
	/* The shape of a sample, at most 65535 each, in lowest terms. 0: the SPS's own stays. */
	uint32_t sar_width, sar_height;
	/* Leave bitstream_restriction (a file with B pictures). Otherwise max_num_reorder_frames
	 * becomes 0 and max_dec_frame_buffering max_num_ref_frames. */
	bool keep_reorder;
};

/*
 * Rewrites an SPS (as above); everything that the edit does not name stays. out gets at most
 * out_size bytes (len + 64 and half as much again always does). Returns the length, -EINVAL (not a
 * well-formed SPS) or -ENOSPC.
 */
int sps_rewrite(const uint8_t *nal, size_t len, const struct sps_edit *edit, uint8_t *out,
		size_t out_size);

/* The id of an SPS: below SPS_IDS, or -EINVAL. */
int sps_read_id(const struct nal *sps);
/* The id of a PPS, below PPS_IDS, and in *sps_id that of its SPS; or -EINVAL. */
int sps_read_pps_ids(const struct nal *pps, unsigned *sps_id);
/* The id of the PPS that a slice (slice_header(), clause 7.3.3) uses: below PPS_IDS, or -EINVAL. */
int sps_read_slice_pps_id(const struct nal *slice);

/* What a slice header says of its picture. */
struct slice_picture {
	unsigned frame_num;
	bool field, bottom; /* a field, and which one */
};

/* sps: the one that the slice uses. 0, or -EINVAL. */
int sps_read_slice(const struct sps *sps, const struct nal *slice, struct slice_picture *out);

#endif
