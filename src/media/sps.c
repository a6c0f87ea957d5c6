/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/sps.h"

#include <errno.h>
#include <string.h>

#include "media/bits.h"

enum {
	EXTENDED_SAR = 255,
	SIZE_MAX_MBS = 1055, /* clause A.3.1: PicWidthInMbs <= Sqrt(MaxFS * 8), level 6.2 */
	DPB_MAX = 16,	     /* frames */
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

/* What seq_parameter_set_data() says of sizes, as it is coded. */
struct coded_size {
	uint32_t width_mbs_minus1, height_map_units_minus1;
	uint32_t left, right, top, bottom; /* crop offsets */
	unsigned poc_type;
};

/* Reads seq_parameter_set_data() up to and without vui_parameters_present_flag. */
static void read_sps_data(struct bit_reader *r, struct sps *sps, struct coded_size *size)
{
	uint32_t n;

	*sps = (struct sps){.chroma_format_idc = 1};
	*size = (struct coded_size){0};
	sps->profile_idc = read_bits(r, 8);
	sps->constraint_flags = read_bits(r, 8);
	sps->level_idc = read_bits(r, 8);
	sps->id = read_ue(r);
	if (sps->id >= SPS_IDS)
		r->bad = true;
	sps->bit_depth_luma = sps->bit_depth_chroma = 8;
	if (profile_is_high(sps->profile_idc)) {
		sps->chroma_format_idc = read_ue(r);
		if (sps->chroma_format_idc > 3)
			r->bad = true;
		if (sps->chroma_format_idc == 3)
			sps->separate_planes = read_bit(r);
		sps->bit_depth_luma += read_ue(r);
		sps->bit_depth_chroma += read_ue(r);
		read_bit(r); /* qpprime_y_zero_transform_bypass_flag */
		if (read_bit(r)) {
			for (unsigned i = 0; i < (sps->chroma_format_idc != 3 ? 8 : 12); i++) {
				if (read_bit(r))
					skip_scaling_list(r, i < 6 ? 16 : 64);
			}
		}
	}
	sps->frame_num_bits = read_ue(r) + 4; /* log2_max_frame_num_minus4 */
	if (sps->frame_num_bits > 16)
		r->bad = true;
	size->poc_type = read_ue(r);
	switch (size->poc_type) {
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
	sps->max_num_ref_frames = read_ue(r);
	if (sps->max_num_ref_frames > DPB_MAX)
		r->bad = true;
	read_bit(r); /* gaps_in_frame_num_value_allowed_flag */
	size->width_mbs_minus1 = read_ue(r);
	size->height_map_units_minus1 = read_ue(r);
	sps->frame_mbs_only = read_bit(r);
	if (!sps->frame_mbs_only)
		read_bit(r); /* mb_adaptive_frame_field_flag */
	read_bit(r);	     /* direct_8x8_inference_flag */
	if (read_bit(r)) {
		size->left = read_ue(r);
		size->right = read_ue(r);
		size->top = read_ue(r);
		size->bottom = read_ue(r);
	}
}

/* aspect_ratio_info_present_flag and what it announces. */
static void read_vui_shape(struct bit_reader *r, struct sps *sps)
{
	static const uint8_t shapes[][2] = {/* table E-1 */
					    {0, 0},   {1, 1},	{12, 11}, {10, 11},  {16, 11},
					    {40, 33}, {24, 11}, {20, 11}, {32, 11},  {80, 33},
					    {18, 11}, {15, 11}, {64, 33}, {160, 99}, {4, 3},
					    {3, 2},   {2, 1}};
	unsigned idc;

	if (!read_bit(r))
		return;
	idc = read_bits(r, 8);
	if (idc == EXTENDED_SAR) {
		sps->sar_width = read_bits(r, 16);
		sps->sar_height = read_bits(r, 16);
	} else if (idc < sizeof(shapes) / sizeof(*shapes)) {
		sps->sar_width = shapes[idc][0];
		sps->sar_height = shapes[idc][1];
	}
}

/* From after aspect ratio info up to and without timing_info_present_flag. */
static void read_vui_signal(struct bit_reader *r)
{
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

/* timing_info_present_flag and what it announces. */
static void read_vui_timing(struct bit_reader *r, struct sps *sps)
{
	if (!read_bit(r))
		return;
	sps->num_units_in_tick = read_bits(r, 32);
	sps->time_scale = read_bits(r, 32);
	sps->fixed_frame_rate = read_bit(r);
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

/* The fields of bitstream_restriction before max_num_reorder_frames. */
static void skip_vui_limits(struct bit_reader *r)
{
	read_bit(r); /* motion_vectors_over_pic_boundaries_flag */
	for (int i = 0; i < 4; i++)
		read_ue(r);
}

/* bitstream_restriction_flag and what it announces. */
static void read_vui_restriction(struct bit_reader *r, struct sps *sps)
{
	sps->reorder_stated = read_bit(r);
	if (!sps->reorder_stated)
		return;
	skip_vui_limits(r);
	sps->reorder_frames = read_ue(r);
	sps->buffered_frames = read_ue(r);
}

/* --- reading --- */

static void read_vui(struct bit_reader *r, struct sps *sps)
{
	struct sps said = *sps;

	read_vui_shape(r, &said);
	read_vui_signal(r);
	read_vui_timing(r, &said);
	skip_vui_hrd(r);
	read_vui_restriction(r, &said);
	if (r->bad || said.reorder_frames > DPB_MAX)
		return;
	if (said.buffered_frames > DPB_MAX)
		said.buffered_frames = DPB_MAX;
	if (said.sar_width == 0 || said.sar_height == 0)
		said.sar_width = said.sar_height = 0;
	if (said.num_units_in_tick == 0 || said.time_scale == 0)
		said.num_units_in_tick = said.time_scale = 0;
	*sps = said;
}

/* Clause 7.4.2.1.1. */
static int work_out_size(struct sps *sps, const struct coded_size *size)
{
	const unsigned fields = sps->frame_mbs_only ? 1 : 2;
	const unsigned chroma_format = sps->separate_planes ? 0 : sps->chroma_format_idc;
	/* CropUnitX, CropUnitY */
	const unsigned unit_x = chroma_format == 1 || chroma_format == 2 ? 2 : 1;
	const unsigned unit_y = (chroma_format == 1 ? 2 : 1) * fields;
	uint64_t cut_x, cut_y;

	if (size->width_mbs_minus1 >= SIZE_MAX_MBS ||
	    size->height_map_units_minus1 >= SIZE_MAX_MBS / fields)
		return -EINVAL;
	sps->coded_width = (size->width_mbs_minus1 + 1) * 16;
	sps->coded_height = (size->height_map_units_minus1 + 1) * fields * 16;
	cut_x = ((uint64_t)size->left + size->right) * unit_x;
	cut_y = ((uint64_t)size->top + size->bottom) * unit_y;
	if (cut_x >= sps->coded_width || cut_y >= sps->coded_height)
		return -EINVAL;
	sps->width = sps->coded_width - (unsigned)cut_x;
	sps->height = sps->coded_height - (unsigned)cut_y;
	return 0;
}

/* MaxDpbFrames, clause A.3.1. */
static unsigned max_dpb_frames(const struct sps *sps)
{
	static const struct {
		unsigned level_idc, max_dpb_mbs; /* table A-1 */
	} levels[] = {
		{9, 396},     {10, 396},    {11, 900},	  {12, 2376},	{13, 2376},
		{20, 2376},   {21, 4752},   {22, 8100},	  {30, 8100},	{31, 18000},
		{32, 20480},  {40, 32768},  {41, 32768},  {42, 34816},	{50, 110400},
		{51, 184320}, {52, 184320}, {60, 696320}, {61, 696320}, {62, 696320},
	};
	const unsigned mbs = sps->coded_width / 16 * (sps->coded_height / 16);
	unsigned level_idc = sps->level_idc;

	if (level_idc == 11 && sps->constraint_flags & 0x10 && !profile_is_high(sps->profile_idc))
		level_idc = 9; /* level 1b */
	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
		unsigned frames = levels[i].max_dpb_mbs / mbs;

		if (levels[i].level_idc == level_idc)
			return frames < DPB_MAX ? frames : DPB_MAX;
	}
	return DPB_MAX;
}

/* Clause E.2.1: what is inferred where there is no bitstream_restriction. */
static void infer_reorder(struct sps *sps, unsigned poc_type)
{
	bool intra_only;

	switch (sps->profile_idc) {
	case 44:
	case 86:
	case 100:
	case 110:
	case 122:
	case 244:
		intra_only = sps->constraint_flags & 0x10; /* constraint_set3_flag */
		break;
	default:
		intra_only = false;
	}
	sps->buffered_frames = intra_only ? 0 : max_dpb_frames(sps);
	/* With type 2, output order is decoding order (clause 8.2.1.3). */
	sps->reorder_frames = poc_type == 2 ? 0 : sps->buffered_frames;
}

/* The payload of an SPS without emulation prevention, and a reader of it. */
static int open_sps(struct bit_reader *r, const uint8_t *nal, size_t len,
		    uint8_t rbsp[PARAMETER_SET_MAX])
{
	size_t n;

	if (len < 5 || len > PARAMETER_SET_MAX || (nal[0] & 0x9f) != NAL_SPS)
		return -EINVAL;
	n = nal_unescape(nal + 1, len - 1, rbsp, PARAMETER_SET_MAX);
	bit_reader_init(r, rbsp, rbsp_bits(rbsp, n));
	return 0;
}

int sps_read(const uint8_t *nal, size_t len, struct sps *out)
{
	uint8_t rbsp[PARAMETER_SET_MAX];
	struct coded_size size;
	struct bit_reader r;
	int err;

	err = open_sps(&r, nal, len, rbsp);
	if (err < 0)
		return err;
	read_sps_data(&r, out, &size);
	if (r.bad || out->bit_depth_luma - 8 > 6 || out->bit_depth_chroma - 8 > 6)
		return -EINVAL;
	err = work_out_size(out, &size);
	if (err < 0)
		return err;
	if (read_bit(&r))
		read_vui(&r, out);
	if (!out->reorder_stated)
		infer_reorder(out, size.poc_type);
	return 0;
}

/* The first values of a NAL unit after skip bits; all that is asked for is within 32 bytes. */
static void peek(struct bit_reader *r, const struct nal *nal, unsigned skip, uint8_t rbsp[32])
{
	size_t n = nal_unescape(nal->data + 1, nal->len - 1, rbsp, 32);

	bit_reader_init(r, rbsp, n * 8);
	read_bits(r, skip);
}

int sps_read_id(const struct nal *sps)
{
	uint8_t rbsp[32];
	struct bit_reader r;
	uint32_t id;

	peek(&r, sps, 24, rbsp);
	id = read_ue(&r);
	return r.bad || id >= SPS_IDS ? -EINVAL : (int)id;
}

int sps_read_pps_ids(const struct nal *pps, unsigned *sps_id)
{
	uint8_t rbsp[32];
	struct bit_reader r;
	uint32_t id;

	peek(&r, pps, 0, rbsp);
	id = read_ue(&r);
	*sps_id = read_ue(&r);
	return r.bad || id >= PPS_IDS || *sps_id >= SPS_IDS ? -EINVAL : (int)id;
}

int sps_read_slice_pps_id(const struct nal *slice)
{
	uint8_t rbsp[32];
	struct bit_reader r;
	uint32_t id;

	peek(&r, slice, 0, rbsp);
	read_ue(&r); /* first_mb_in_slice */
	read_ue(&r); /* slice_type */
	id = read_ue(&r);
	return r.bad || id >= PPS_IDS ? -EINVAL : (int)id;
}

int sps_read_slice(const struct sps *sps, const struct nal *slice, struct slice_picture *out)
{
	uint8_t rbsp[32];
	struct bit_reader r;

	peek(&r, slice, 0, rbsp);
	read_ue(&r); /* first_mb_in_slice */
	read_ue(&r); /* slice_type */
	read_ue(&r); /* pic_parameter_set_id */
	if (sps->separate_planes)
		read_bits(&r, 2); /* colour_plane_id */
	*out = (struct slice_picture){.frame_num = read_bits(&r, sps->frame_num_bits)};
	if (!sps->frame_mbs_only)
		out->field = read_bit(&r);
	if (out->field)
		out->bottom = read_bit(&r);
	return r.bad ? -EINVAL : 0;
}

int sps_read_active(const uint8_t *unit, size_t len, struct sps *out)
{
	struct nal nal, sets[SPS_IDS] = {0};
	uint8_t sps_of_pps[PPS_IDS];
	unsigned sps_id;
	size_t pos = 0;
	int id;

	memset(sps_of_pps, SPS_IDS, sizeof(sps_of_pps)); /* none */
	while (nal_next(unit, len, &pos, &nal)) {
		if (nal.type == NAL_SPS) {
			id = sps_read_id(&nal);
			if (id >= 0)
				sets[id] = nal;
		} else if (nal.type == NAL_PPS) {
			id = sps_read_pps_ids(&nal, &sps_id);
			if (id >= 0)
				sps_of_pps[id] = (uint8_t)sps_id;
		} else if (nal_is_slice(nal.type)) {
			id = sps_read_slice_pps_id(&nal);
			if (id < 0 || sps_of_pps[id] == SPS_IDS || !sets[sps_of_pps[id]].data)
				return -EINVAL;
			nal = sets[sps_of_pps[id]];
			return sps_read(nal.data, nal.len, out);
		}
	}
	return -EINVAL;
}

/* --- rewriting --- */

/*
 * Why a rewriter of our own: libavcodec's h264_metadata bitstream filter can insert AUDs, set
 * tick_rate and fixed_frame_rate_flag, and delete filler, but it has no option for
 * bitstream_restriction (max_num_reorder_frames, without which many decoders hold back as many
 * pictures as the level's DPB has room for), it does not put parameter sets before an IDR that came
 * without, it takes and gives reference-counted packets (an allocation and a copy of each access
 * unit), and it parses and writes every slice header again. What is needed is one small rewrite for
 * each distinct SPS, so it is done here: all bits up to the VUI and all fields of it that are not
 * ours are copied unchanged.
 */
struct vui_edit {
	uint32_t num_units_in_tick, time_scale; /* 0: leave timing as it is */
	uint32_t sar_width, sar_height;		/* 0: leave the shape as it is */
	uint32_t max_num_ref_frames;
	bool rate_varies, keep_reorder;
};

static void write_shape(struct bit_writer *w, const struct vui_edit *edit)
{
	write_bits(w, 1, 1); /* aspect_ratio_info_present_flag */
	if (edit->sar_width == edit->sar_height) {
		write_bits(w, 8, 1); /* table E-1: square */
		return;
	}
	write_bits(w, 8, EXTENDED_SAR);
	write_bits(w, 16, edit->sar_width);
	write_bits(w, 16, edit->sar_height);
}

/* Copies aspect ratio info, or puts ours in its place. r stands before it. */
static void edit_shape(struct bit_writer *w, struct bit_reader *r, const struct vui_edit *edit)
{
	struct bit_reader old = *r;
	struct sps ignored;

	read_vui_shape(r, &ignored);
	if (edit->sar_width != 0)
		write_shape(w, edit);
	else
		copy_bits(w, &old, r->pos);
}

static void write_timing(struct bit_writer *w, const struct vui_edit *edit)
{
	write_bits(w, 1, 1); /* timing_info_present_flag */
	write_bits(w, 32, edit->num_units_in_tick);
	write_bits(w, 32, edit->time_scale);
	write_bits(w, 1, !edit->rate_varies); /* fixed_frame_rate_flag */
}

/* Copies timing info, or puts ours in its place. r stands before timing_info_present_flag. */
static void edit_timing(struct bit_writer *w, struct bit_reader *r, const struct vui_edit *edit)
{
	struct bit_reader old = *r;
	struct sps ignored;

	read_vui_timing(r, &ignored);
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

		skip_vui_limits(r);
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
	struct bit_reader old;

	edit_shape(w, r, edit);
	old = *r;
	read_vui_signal(r);
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
	if (edit->sar_width != 0)
		write_shape(w, edit);
	else
		write_bits(w, 1, 0);
	write_bits(w, 3, 0); /* overscan, video signal type, chroma location */
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

int sps_rewrite(const uint8_t *nal, size_t len, const struct sps_edit *edit, uint8_t *out,
		size_t out_size)
{
	/* Ours adds less than 32 bytes. */
	uint8_t old_rbsp[PARAMETER_SET_MAX], new_rbsp[PARAMETER_SET_MAX + 32];
	struct vui_edit vui = {
		.rate_varies = edit->rate_varies,
		.keep_reorder = edit->keep_reorder,
	};
	const struct rate rate = edit->rate;
	struct coded_size size;
	struct bit_reader r;
	struct bit_writer w;
	struct sps sps;
	size_t n;

	if (open_sps(&r, nal, len, old_rbsp) < 0)
		return -EINVAL;
	/* Two ticks are a frame (E.2.1: a tick is a field's time). */
	if (rate.num != 0 && rate.den != 0 && rate.num <= UINT32_MAX / 2) {
		vui.num_units_in_tick = rate.den;
		vui.time_scale = rate.num * 2;
	}
	if (edit->sar_width - 1 < UINT16_MAX && edit->sar_height - 1 < UINT16_MAX) {
		vui.sar_width = edit->sar_width;
		vui.sar_height = edit->sar_height;
	}
	bit_writer_init(&w, new_rbsp, sizeof(new_rbsp));

	read_sps_data(&r, &sps, &size);
	if (r.bad)
		return -EINVAL;
	vui.max_num_ref_frames = sps.max_num_ref_frames;
	n = r.pos;
	r.pos = 0;
	copy_bits(&w, &r, n);
	write_bits(&w, 1, 1); /* vui_parameters_present_flag */
	if (read_bit(&r))
		edit_vui(&w, &r, &vui);
	else
		write_vui(&w, &vui);
	n = write_trailing(&w);
	if (r.bad || w.bad)
		return -EINVAL;

	if (out_size < 1)
		return -ENOSPC;
	out[0] = nal[0];
	n = nal_escape(new_rbsp, n, out + 1, out_size - 1);
	return n == 0 ? -ENOSPC : (int)n + 1;
}
