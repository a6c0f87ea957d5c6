/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VUI of a sequence parameter set, made right for live viewers.
 *
 * libavcodec's h264_metadata bitstream filter was looked at first. It can insert AUDs, set
 * tick_rate and fixed_frame_rate_flag, and delete filler, but it has no option for
 * bitstream_restriction (max_num_reorder_frames, without which many decoders hold back as many
 * pictures as the level's DPB has room for), it does not put parameter sets before an IDR that came
 * without, it takes and gives reference-counted packets (an allocation and a copy of each access
 * unit), and it parses and writes every slice header anew. What is needed is one small rewrite for
 * each distinct SPS, so it is done here: all bits up to the VUI and all fields of it that are not
 * ours are copied as they are.
 */
#include "media/h264_writer.h"

#include <errno.h>

#include "media/bits.h"

enum {
	EXTENDED_SAR = 255,
	MAX_RBSP = H264_PARAMETER_SET_MAX,
};

/* Clause 7.3.2.1.1: profiles whose SPS has chroma_format_idc and what follows it. */
static bool profile_is_high(unsigned profile_idc)
{
	switch (profile_idc) {
	case 100:
	case 110:
	case 122:
	case 244:
	case 44:
	case 83:
	case 86:
	case 118:
	case 128:
	case 134:
	case 135:
	case 138:
	case 139:
		return true;
	default:
		return false;
	}
}

/* scaling_list(), clause 7.3.2.1.1.1 */
static void skip_scaling_list(struct bit_reader *r, unsigned size)
{
	int64_t last = 8, next = 8;

	for (unsigned i = 0; i < size && !r->bad; i++) {
		if (next != 0)
			next = (last + read_se(r)) & 0xff;
		if (next != 0)
			last = next;
	}
}

/* hrd_parameters(), clause E.1.1 */
static void skip_hrd(struct bit_reader *r)
{
	uint32_t cpb_cnt = read_ue(r) + 1;

	if (cpb_cnt > 32) {
		r->bad = true;
		return;
	}
	read_bits(r, 8); /* bit_rate_scale, cpb_size_scale */
	for (uint32_t i = 0; i < cpb_cnt; i++) {
		read_ue(r); /* bit_rate_value_minus1 */
		read_ue(r); /* cpb_size_value_minus1 */
		read_bit(r);
	}
	read_bits(r, 20); /* three delay lengths, time_offset_length */
}

/* Reads seq_parameter_set_data() up to and without vui_parameters_present_flag. */
static void read_sps_data(struct bit_reader *r, uint32_t *max_num_ref_frames)
{
	unsigned profile_idc = read_bits(r, 8);
	uint32_t n;

	read_bits(r, 16); /* constraint flags, level_idc */
	if (read_ue(r) > 31)
		r->bad = true;
	if (profile_is_high(profile_idc)) {
		uint32_t chroma_format_idc = read_ue(r);

		if (chroma_format_idc > 3)
			r->bad = true;
		if (chroma_format_idc == 3)
			read_bit(r); /* separate_colour_plane_flag */
		read_ue(r);	     /* bit depths */
		read_ue(r);
		read_bit(r); /* qpprime_y_zero_transform_bypass_flag */
		if (read_bit(r)) {
			for (unsigned i = 0; i < (chroma_format_idc != 3 ? 8 : 12); i++) {
				if (read_bit(r))
					skip_scaling_list(r, i < 6 ? 16 : 64);
			}
		}
	}
	read_ue(r); /* log2_max_frame_num_minus4 */
	switch (read_ue(r)) {
	case 0:
		read_ue(r); /* log2_max_pic_order_cnt_lsb_minus4 */
		break;
	case 1:
		read_bit(r); /* delta_pic_order_always_zero_flag */
		read_se(r);
		read_se(r);
		n = read_ue(r);
		if (n > 255)
			r->bad = true;
		for (uint32_t i = 0; i < n && !r->bad; i++)
			read_se(r);
		break;
	case 2:
		break;
	default:
		r->bad = true;
	}
	*max_num_ref_frames = read_ue(r);
	if (*max_num_ref_frames > 16)
		r->bad = true;
	read_bit(r); /* gaps_in_frame_num_value_allowed_flag */
	read_ue(r);  /* width, height in macroblocks */
	read_ue(r);
	if (!read_bit(r)) /* frame_mbs_only_flag */
		read_bit(r);
	read_bit(r); /* direct_8x8_inference_flag */
	if (read_bit(r)) {
		for (int i = 0; i < 4; i++)
			read_ue(r); /* crop offsets */
	}
}

/* From after vui_parameters_present_flag up to and without timing_info_present_flag. */
static void skip_vui_head(struct bit_reader *r)
{
	if (read_bit(r)) { /* aspect_ratio_info_present_flag */
		if (read_bits(r, 8) == EXTENDED_SAR)
			read_bits(r, 32);
	}
	if (read_bit(r)) /* overscan_info_present_flag */
		read_bit(r);
	if (read_bit(r)) { /* video_signal_type_present_flag */
		read_bits(r, 4);
		if (read_bit(r)) /* colour_description_present_flag */
			read_bits(r, 24);
	}
	if (read_bit(r)) { /* chroma_loc_info_present_flag */
		read_ue(r);
		read_ue(r);
	}
}

/* From after timing info up to and without bitstream_restriction_flag. */
static void skip_vui_hrd(struct bit_reader *r)
{
	bool nal, vcl;

	nal = read_bit(r);
	if (nal)
		skip_hrd(r);
	vcl = read_bit(r);
	if (vcl)
		skip_hrd(r);
	if (nal || vcl)
		read_bit(r); /* low_delay_hrd_flag */
	read_bit(r);	     /* pic_struct_present_flag */
}

struct vui_edit {
	uint32_t num_units_in_tick, time_scale; /* 0: leave timing as it is */
	uint32_t max_num_ref_frames;
	bool keep_reorder;
};

static void write_timing(struct bit_writer *w, const struct vui_edit *edit)
{
	write_bits(w, 1, 1); /* timing_info_present_flag */
	write_bits(w, 32, edit->num_units_in_tick);
	write_bits(w, 32, edit->time_scale);
	write_bits(w, 1, 1); /* fixed_frame_rate_flag */
}

/* Copies timing info, or puts ours in its place. r stands before timing_info_present_flag. */
static void edit_timing(struct bit_writer *w, struct bit_reader *r, const struct vui_edit *edit)
{
	struct bit_reader old = *r;

	if (read_bit(r)) {
		read_bits(r, 32);
		read_bits(r, 32);
		read_bit(r);
	}
	if (edit->time_scale != 0)
		write_timing(w, edit);
	else
		copy_bits(w, &old, r->pos);
}

/* bitstream_restriction with no reordering. The DPB then needs to hold reference pictures only
 * (clause C.4.5.3), and max_dec_frame_buffering says so, for decoders that wait for a full DPB.
 * r: where the old one's fields begin, or NULL for the values that E.2.1 has inferred. */
static void write_restriction(struct bit_writer *w, struct bit_reader *r,
			      const struct vui_edit *edit)
{
	write_bits(w, 1, 1); /* bitstream_restriction_flag */
	if (r) {
		struct bit_reader old = *r;

		read_bit(r); /* motion_vectors_over_pic_boundaries_flag */
		for (int i = 0; i < 4; i++)
			read_ue(r);
		copy_bits(w, &old, r->pos);
		read_ue(r); /* max_num_reorder_frames */
		read_ue(r); /* max_dec_frame_buffering */
	} else {
		write_bits(w, 1, 1); /* motion_vectors_over_pic_boundaries_flag */
		write_ue(w, 2);	     /* max_bytes_per_pic_denom */
		write_ue(w, 1);	     /* max_bits_per_mb_denom */
		write_ue(w, 15);     /* log2_max_mv_length_horizontal, vertical */
		write_ue(w, 15);
	}
	write_ue(w, 0);
	write_ue(w, edit->max_num_ref_frames);
}

static void edit_vui(struct bit_writer *w, struct bit_reader *r, const struct vui_edit *edit)
{
	struct bit_reader old = *r;

	skip_vui_head(r);
	copy_bits(w, &old, r->pos);
	edit_timing(w, r, edit);
	old = *r;
	skip_vui_hrd(r);
	copy_bits(w, &old, r->pos);
	if (edit->keep_reorder)
		copy_bits(w, r, r->end);
	else
		write_restriction(w, read_bit(r) ? r : NULL, edit);
}

static void write_vui(struct bit_writer *w, const struct vui_edit *edit)
{
	write_bits(w, 4, 0); /* aspect ratio, overscan, video signal type, chroma location */
	if (edit->time_scale != 0)
		write_timing(w, edit);
	else
		write_bits(w, 1, 0);
	write_bits(w, 3, 0); /* no HRDs, no pic_struct */
	if (edit->keep_reorder)
		write_bits(w, 1, 0);
	else
		write_restriction(w, NULL, edit);
}

int h264_rewrite_sps(const uint8_t *sps, size_t len, struct config_rate rate, bool keep_reorder,
		     uint8_t *out, size_t out_size)
{
	/* Ours adds less than 32 bytes. */
	uint8_t old_rbsp[MAX_RBSP], new_rbsp[MAX_RBSP + 32];
	struct vui_edit edit = {.keep_reorder = keep_reorder};
	struct bit_reader r;
	struct bit_writer w;
	size_t n;

	if (len < 5 || len > MAX_RBSP || (sps[0] & 0x9f) != H264_NAL_SPS)
		return -EINVAL;
	/* Two ticks are a frame (E.2.1: a tick is a field's time). */
	if (rate.num != 0 && rate.den != 0 && rate.num <= UINT32_MAX / 2) {
		edit.num_units_in_tick = rate.den;
		edit.time_scale = rate.num * 2;
	}
	n = nal_unescape(sps + 1, len - 1, old_rbsp, sizeof(old_rbsp));
	bit_reader_init(&r, old_rbsp, rbsp_bits(old_rbsp, n));
	bit_writer_init(&w, new_rbsp, sizeof(new_rbsp));

	read_sps_data(&r, &edit.max_num_ref_frames);
	if (r.bad)
		return -EINVAL;
	n = r.pos;
	r.pos = 0;
	copy_bits(&w, &r, n);
	write_bits(&w, 1, 1); /* vui_parameters_present_flag */
	if (read_bit(&r))
		edit_vui(&w, &r, &edit);
	else
		write_vui(&w, &edit);
	n = write_trailing(&w);
	if (r.bad || w.bad)
		return -EINVAL;

	if (out_size < 1)
		return -ENOSPC;
	out[0] = sps[0];
	n = nal_escape(new_rbsp, n, out + 1, out_size - 1);
	return n == 0 ? -ENOSPC : (int)n + 1;
}
