/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading SPSs is judged by libavcodec: by its decoder, and by trace_headers, which prints every
 * syntax element. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libavcodec/avcodec.h>

#include "media/bits.h"
#include "media/sps.h"
#include "nal_samples.h"
#include "sps_rig.h"

/* The fields that libavcodec's decoder reads from the parameter sets and the first picture. */
static AVCodecContext *decode(const struct coded *coded)
{
	AVCodecContext *codec = avcodec_alloc_context3(avcodec_find_decoder(AV_CODEC_ID_H264));
	AVPacket *packet = av_packet_alloc();

	assert_int_equal(avcodec_open2(codec, NULL, NULL), 0);
	assert_int_equal(av_new_packet(packet, (int)coded->len), 0);
	memcpy(packet->data, coded->data, coded->len);
	av_log_set_level(AV_LOG_QUIET); /* it is given two pictures as one */
	assert_int_equal(avcodec_send_packet(codec, packet), 0);
	av_log_set_level(AV_LOG_INFO);
	av_packet_free(&packet);
	return codec;
}

static long long either(const char *name, long long otherwise)
{
	long long value = element(name);

	return value < 0 ? otherwise : value;
}

/* Everything that was read is what trace_headers says. */
static void check_read(const struct sps *sps)
{
	const unsigned fields = sps->frame_mbs_only ? 1 : 2;

	assert_int_equal(sps->profile_idc, element("profile_idc"));
	assert_int_equal(sps->level_idc, element("level_idc"));
	assert_int_equal(sps->constraint_flags >> 7, element("constraint_set0_flag"));
	assert_int_equal(sps->constraint_flags >> 4 & 1, element("constraint_set3_flag"));
	assert_int_equal(sps->id, element("seq_parameter_set_id"));
	assert_int_equal(sps->chroma_format_idc, either("chroma_format_idc", 1));
	assert_int_equal(sps->bit_depth_luma, 8 + either("bit_depth_luma_minus8", 0));
	assert_int_equal(sps->bit_depth_chroma, 8 + either("bit_depth_chroma_minus8", 0));
	assert_int_equal(sps->frame_mbs_only, element("frame_mbs_only_flag"));
	assert_int_equal(sps->coded_width, (element("pic_width_in_mbs_minus1") + 1) * 16);
	assert_int_equal(sps->coded_height,
			 (element("pic_height_in_map_units_minus1") + 1) * 16 * fields);
	assert_int_equal(sps->max_num_ref_frames, element("max_num_ref_frames"));
	assert_int_equal(sps->num_units_in_tick, either("num_units_in_tick", 0));
	assert_int_equal(sps->time_scale, either("time_scale", 0));
	assert_int_equal(sps->fixed_frame_rate, either("fixed_frame_rate_flag", 0));
	assert_int_equal(sps->reorder_stated, either("bitstream_restriction_flag", 0));
	if (sps->reorder_stated) {
		assert_int_equal(sps->reorder_frames, element("max_num_reorder_frames"));
		assert_int_equal(sps->buffered_frames, element("max_dec_frame_buffering"));
	}
}

static void what_is_read_is_what_a_decoder_reads(void **state)
{
	static const struct {
		enum AVPixelFormat format;
		int width, height;
		const char *options;
	} cases[] = {
		{AV_PIX_FMT_YUV420P, 320, 240, "8x8dct=0:cabac=0:bframes=0:weightp=0"},
		{AV_PIX_FMT_YUV420P, 322, 244, "8x8dct=0:bframes=2"},
		{AV_PIX_FMT_YUV420P, 1920, 1080, "bframes=3:b-pyramid=normal:ref=4"},
		{AV_PIX_FMT_YUV420P, 322, 244, "cqm=jvt:nal-hrd=vbr:pic-struct=1:force-cfr=1"},
		{AV_PIX_FMT_YUV420P, 722, 584, "interlaced=1:chromaloc=2:overscan=show:bframes=2"},
		{AV_PIX_FMT_YUV420P, 722, 580, "fake-interlaced=1:bframes=0"},
		{AV_PIX_FMT_YUV420P10, 322, 242, "keyint=1"},
		{AV_PIX_FMT_YUV422P, 322, 242, "interlaced=1"},
		{AV_PIX_FMT_YUV444P, 323, 241, "cqm=jvt"},
		{AV_PIX_FMT_GRAY8, 323, 241, "bframes=1"},
	};
	static struct coded coded;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		AVCodecContext *codec;
		struct nal nal;
		struct sps sps;

		x264_code_sized(&coded, cases[i].format, cases[i].width, cases[i].height,
				cases[i].options);
		nal = find(coded.data, coded.len, NAL_SPS);
		assert_int_equal(sps_read(nal.data, nal.len, &sps), 0);
		assert_int_equal(sps_read_id(&nal), sps.id);
		trace_sps(nal.data, nal.len);
		check_read(&sps);
		/* x264 leaves it to what is inferred for profiles of intra pictures only. */
		assert_int_equal(sps.reorder_stated, i != 6);

		codec = decode(&coded);
		assert_int_equal(sps.width, cases[i].width);
		assert_int_equal(sps.height, cases[i].height);
		assert_int_equal(sps.width, codec->width);
		assert_int_equal(sps.height, codec->height);
		assert_int_equal(sps.reorder_frames, codec->has_b_frames);
		assert_int_equal(sps.level_idc, codec->level);
		assert_int_equal(
			av_cmp_q((AVRational){(int)sps.time_scale, 2 * (int)sps.num_units_in_tick},
				 (AVRational){25, 1}),
			0);
		assert_int_equal(av_cmp_q((AVRational){(int)sps.sar_width, (int)sps.sar_height},
					  codec->sample_aspect_ratio),
				 0);
		avcodec_free_context(&codec);
	}
}

/* As a decoder cuts them: in units of chroma samples, and of two lines where there may be fields.
 */
static void cropping_counts_in_units_of_the_chroma_format(void **state)
{
	static const struct {
		unsigned chroma, separate, frame_mbs_only, width, height;
	} cases[] = {
		/* offsets 1 + 2 and 3 + 4, of 160 x 96 */
		{0, 0, 1, 157, 89}, {1, 0, 1, 154, 82},	 {2, 0, 1, 154, 89},  {3, 0, 1, 157, 89},
		{3, 1, 1, 157, 89}, {1, 0, 0, 154, 164}, {2, 0, 0, 154, 178},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t rbsp[64], nal[96] = {0x67};
		struct bit_writer w;
		struct sps sps;
		size_t len;

		bit_writer_init(&w, rbsp, sizeof(rbsp));
		write_bits(&w, 24, 244 << 16 | 40);
		write_ue(&w, 0);
		write_ue(&w, cases[i].chroma);
		if (cases[i].chroma == 3)
			write_bits(&w, 1, cases[i].separate);
		write_ue(&w, 0);
		write_ue(&w, 0);
		write_bits(&w, 2, 0);
		write_ue(&w, 0);
		write_ue(&w, 2); /* pic_order_cnt_type */
		write_ue(&w, 1);
		write_bits(&w, 1, 0);
		write_ue(&w, 9);
		write_ue(&w, 5);
		write_bits(&w, 1, cases[i].frame_mbs_only);
		if (!cases[i].frame_mbs_only)
			write_bits(&w, 1, 0);
		write_bits(&w, 2, 3); /* direct_8x8, cropping */
		for (unsigned j = 1; j <= 4; j++)
			write_ue(&w, j);
		write_bits(&w, 1, 0);
		len = 1 + nal_escape(rbsp, write_trailing(&w), nal + 1, sizeof(nal) - 1);
		assert_int_equal(sps_read(nal, len, &sps), 0);
		assert_int_equal(sps.width, cases[i].width);
		assert_int_equal(sps.height, cases[i].height);
		trace_sps(nal, len);
		check_read(&sps);
	}
}

/* 1920x1080 of this profile and level, without a VUI. */
static size_t make_plain_sps(uint8_t nal[64], unsigned profile_idc, unsigned flags, unsigned level,
			     unsigned poc_type, unsigned width_mbs, unsigned height_mbs)
{
	uint8_t rbsp[48];
	struct bit_writer w;

	bit_writer_init(&w, rbsp, sizeof(rbsp));
	write_bits(&w, 24, profile_idc << 16 | flags << 8 | level);
	write_ue(&w, 0);
	if (profile_idc >= 100) {
		write_ue(&w, 1);
		write_ue(&w, 0);
		write_ue(&w, 0);
		write_bits(&w, 2, 0);
	}
	write_ue(&w, 0);
	write_ue(&w, poc_type);
	if (poc_type == 0)
		write_ue(&w, 2);
	write_ue(&w, 1);
	write_bits(&w, 1, 0);
	write_ue(&w, width_mbs - 1);
	write_ue(&w, height_mbs - 1);
	write_bits(&w, 4, 12); /* frame_mbs_only, direct_8x8; no cropping, no VUI */
	nal[0] = 0x67;
	return 1 + nal_escape(rbsp, write_trailing(&w), nal + 1, 63);
}

static void without_a_restriction_level_and_size_bound_the_reordering(void **state)
{
	static const struct {
		unsigned profile_idc, flags, level_idc, poc_type, width_mbs, height_mbs;
		unsigned reorder, buffered;
	} cases[] = {
		{100, 0, 40, 0, 120, 68, 4, 4},	   /* 1080p at level 4: table A-1 */
		{77, 0, 31, 0, 80, 45, 5, 5},	   /* 720p at 3.1 */
		{66, 0xc0, 30, 0, 20, 15, 16, 16}, /* never more than 16 */
		{66, 0xc0, 40, 2, 120, 68, 0, 4},  /* output order is decoding order */
		{66, 0x10, 11, 0, 11, 9, 4, 4},	   /* level 1b */
		{66, 0, 11, 0, 11, 9, 9, 9},
		{110, 0x10, 40, 0, 120, 68, 0, 0}, /* High 10 Intra */
		{77, 0, 99, 0, 120, 68, 16, 16},   /* no such level */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t nal[64];
		struct sps sps;
		size_t len = make_plain_sps(nal, cases[i].profile_idc, cases[i].flags,
					    cases[i].level_idc, cases[i].poc_type,
					    cases[i].width_mbs, cases[i].height_mbs);

		assert_int_equal(sps_read(nal, len, &sps), 0);
		assert_int_equal(sps.width, cases[i].width_mbs * 16);
		assert_int_equal(sps.height, cases[i].height_mbs * 16);
		assert_false(sps.reorder_stated);
		assert_int_equal(sps.reorder_frames, cases[i].reorder);
		assert_int_equal(sps.buffered_frames, cases[i].buffered);
		assert_int_equal(sps.sar_width, 0);
		assert_int_equal(sps.time_scale, 0);
	}
}

static void sizes_that_no_level_allows_are_refused(void **state)
{
	uint8_t nal[64];
	struct sps sps;

	(void)state;
	assert_int_equal(sps_read(nal, make_plain_sps(nal, 100, 0, 62, 0, 1055, 1055), &sps), 0);
	assert_int_equal(sps_read(nal, make_plain_sps(nal, 100, 0, 62, 0, 1056, 1), &sps), -EINVAL);
	assert_int_equal(sps_read(nal, make_plain_sps(nal, 100, 0, 62, 0, 1, 0xffffffff), &sps),
			 -EINVAL);
	assert_int_equal(sps_read(nal, make_sps(nal, true, 3, false), &sps), 0);
	assert_int_equal(sps.id, 3);
	assert_int_equal(sps.height, 1080);
}

static void a_vui_that_is_cut_short_counts_as_none(void **state)
{
	static struct coded coded;
	struct nal nal;
	struct sps whole, sps;
	bool refused = true, without = false;

	(void)state;
	x264_code(&coded, AV_PIX_FMT_YUV420P, "bframes=2:nal-hrd=vbr");
	nal = find(coded.data, coded.len, NAL_SPS);
	assert_int_equal(sps_read(nal.data, nal.len, &whole), 0);
	for (size_t n = 0; n < nal.len; n++) {
		uint8_t *cut = malloc(n + 1);
		int r;

		memcpy(cut, nal.data, n);
		r = sps_read(cut, n, &sps);
		free(cut);
		assert_true(r == 0 || (r == -EINVAL && refused));
		if (r < 0)
			continue;
		refused = false; /* what is longer holds the size as well */
		assert_int_equal(sps.width, whole.width);
		assert_int_equal(sps.height, whole.height);
		without |= sps.time_scale == 0 && !sps.reorder_stated && sps.sar_width == 0;
	}
	assert_true(without);
}

static void a_reordering_that_cannot_be_counts_as_none(void **state)
{
	static const struct {
		unsigned reorder, buffered;
		bool stated;
		unsigned read_reorder, read_buffered;
	} cases[] = {
		{0, 1, true, 0, 1},   {16, 16, true, 16, 16}, {2, 1, true, 2, 1},
		{1, 99, true, 1, 16}, {17, 17, false, 4, 4},  {0xfffffffe, 0, false, 4, 4},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t rbsp[96], nal[128], plain[64];
		size_t len = make_plain_sps(plain, 100, 0, 40, 0, 120, 68);
		struct bit_writer w;
		struct bit_reader r;
		struct sps sps;

		bit_reader_init(&r, plain + 1, rbsp_bits(plain + 1, len - 1));
		bit_writer_init(&w, rbsp, sizeof(rbsp));
		copy_bits(&w, &r, r.end - 1);
		write_bits(&w, 1, 1);  /* vui_parameters_present_flag */
		write_bits(&w, 10, 3); /* bitstream_restriction_flag, motion vectors */
		for (unsigned j = 0; j < 4; j++)
			write_ue(&w, j);
		write_ue(&w, cases[i].reorder);
		write_ue(&w, cases[i].buffered);
		nal[0] = 0x67;
		len = 1 + nal_escape(rbsp, write_trailing(&w), nal + 1, sizeof(nal) - 1);
		assert_int_equal(sps_read(nal, len, &sps), 0);
		assert_int_equal(sps.reorder_stated, cases[i].stated);
		assert_int_equal(sps.reorder_frames, cases[i].read_reorder);
		assert_int_equal(sps.buffered_frames, cases[i].read_buffered);
	}
}

static void slices_and_parameter_sets_tell_their_ids(void **state)
{
	static const struct {
		uint32_t pps, sps;
		bool valid;
	} cases[] = {{0, 0, true},    {1, 2, true},   {255, 31, true},
		     {256, 0, false}, {0, 32, false}, {0xfffffffe, 0, false}};
	uint8_t data[64];
	struct nal nal = {.data = data};
	unsigned sps_id;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bit_writer w;
		int expected = cases[i].valid ? (int)cases[i].pps : -EINVAL;

		data[0] = 0x68;
		bit_writer_init(&w, data + 1, sizeof(data) - 1);
		write_ue(&w, cases[i].pps);
		write_ue(&w, cases[i].sps);
		nal.len = 1 + write_trailing(&w);
		assert_int_equal(sps_read_pps_ids(&nal, &sps_id), expected);
		if (cases[i].valid)
			assert_int_equal(sps_id, cases[i].sps);
		nal.len = 1;
		assert_int_equal(sps_read_pps_ids(&nal, &sps_id), -EINVAL);

		data[0] = 0x65;
		bit_writer_init(&w, data + 1, sizeof(data) - 1);
		write_ue(&w, 8159); /* first_mb_in_slice */
		write_ue(&w, 7);
		write_ue(&w, cases[i].pps);
		nal.len = 1 + write_trailing(&w);
		expected = cases[i].pps < PPS_IDS ? (int)cases[i].pps : -EINVAL;
		assert_int_equal(sps_read_slice_pps_id(&nal), expected);

		nal.len = make_sps(data, true, cases[i].sps, false);
		expected = cases[i].sps < SPS_IDS ? (int)cases[i].sps : -EINVAL;
		assert_int_equal(sps_read_id(&nal), expected);
	}
}

static void of_several_sps_the_one_that_the_slice_uses_is_read(void **state)
{
	uint8_t unit[512], nal[64];
	size_t n = 0, len, without_pps;
	struct bit_writer w;
	struct sps sps;

	(void)state;
	for (unsigned id = 0; id < 3; id++) { /* SPS 0 to 2, and PPS 7 to 9 that use them */
		memcpy(unit + n, "\0\0\1", 3);
		n += 3 + make_sps(unit + n + 3, id == 1, id, false);
	}
	without_pps = n;
	for (unsigned id = 0; id < 3; id++) {
		bit_writer_init(&w, nal, sizeof(nal));
		write_ue(&w, 7 + id);
		write_ue(&w, id);
		len = write_trailing(&w);
		memcpy(unit + n, "\0\0\1\x68", 4);
		memcpy(unit + n + 4, nal, len);
		n += 4 + len;
	}
	for (unsigned id = 0; id < 4; id++) {
		bit_writer_init(&w, nal, sizeof(nal));
		write_ue(&w, 0);
		write_ue(&w, 7);
		write_ue(&w, 7 + id);
		len = write_trailing(&w);
		memcpy(unit + n, "\0\0\1\x65", 4);
		memcpy(unit + n + 4, nal, len);
		if (id == 3) { /* there is no PPS 10 */
			assert_int_equal(sps_read_active(unit, n + 4 + len, &sps), -EINVAL);
			break;
		}
		assert_int_equal(sps_read_active(unit, n + 4 + len, &sps), 0);
		assert_int_equal(sps.id, id);
		assert_int_equal(sps.profile_idc, id == 1 ? 100 : 66);
	}
	assert_int_equal(sps_read_active(unit, n, &sps), -EINVAL); /* no slice */
	memcpy(unit + without_pps, unit + n, 4 + len);
	assert_int_equal(sps_read_active(unit, without_pps + 4 + len, &sps), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_is_what_a_decoder_reads),
		cmocka_unit_test(cropping_counts_in_units_of_the_chroma_format),
		cmocka_unit_test(without_a_restriction_level_and_size_bound_the_reordering),
		cmocka_unit_test(sizes_that_no_level_allows_are_refused),
		cmocka_unit_test(a_vui_that_is_cut_short_counts_as_none),
		cmocka_unit_test(a_reordering_that_cannot_be_counts_as_none),
		cmocka_unit_test(slices_and_parameter_sets_tell_their_ids),
		cmocka_unit_test(of_several_sps_the_one_that_the_slice_uses_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
