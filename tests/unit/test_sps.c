/* SPDX-License-Identifier: BSD-2-Clause */
/* Rewriting SPSs is judged by libavcodec's trace_headers, which prints every syntax element. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "media/bits.h"
#include "media/h264_writer.h"
#include "media/sps.h"
#include "nal_samples.h"
#include "sps_rig.h"

static const struct rate rate_30 = {30, 1};
static const struct sps_edit edit_30 = {.rate = {30, 1}};

static bool is_ours(const char *name)
{
	static const char *const names[] = {
		"vui_parameters_present_flag", "timing_info_present_flag",
		"num_units_in_tick",	       "time_scale",
		"fixed_frame_rate_flag",       "bitstream_restriction_flag",
		"max_num_reorder_frames",      "max_dec_frame_buffering",
		"rbsp_stop_one_bit",	       "rbsp_alignment_zero_bit",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

/* Rewrites sps and checks every element of the result. */
static void check_rewrite(const uint8_t *sps, size_t len, struct rate rate)
{
	const struct sps_edit edit = {.rate = rate};
	static struct element before[2048];
	uint8_t out[8192];
	unsigned n_before, next = 0;
	int out_len;

	trace_sps(sps, len);
	n_before = n_elements;
	memcpy(before, elements, sizeof(before));

	out_len = sps_rewrite(sps, len, &edit, out, sizeof(out));
	assert_true(out_len > 0);
	trace_sps(out, (size_t)out_len);
	assert_int_equal(element("vui_parameters_present_flag"), 1);
	assert_int_equal(element("timing_info_present_flag"), 1);
	assert_int_equal(element("num_units_in_tick"), rate.den);
	assert_int_equal(element("time_scale"), 2 * (long long)rate.num);
	assert_int_equal(element("fixed_frame_rate_flag"), 1);
	assert_int_equal(element("bitstream_restriction_flag"), 1);
	assert_int_equal(element("max_num_reorder_frames"), 0);
	assert_int_equal(element("max_dec_frame_buffering"), element("max_num_ref_frames"));
	assert_int_equal(element("rbsp_stop_one_bit"), 1);

	/* All that there was is there still, in the same order. */
	for (unsigned i = 0; i < n_before; i++) {
		if (is_ours(before[i].name))
			continue;
		while (next < n_elements && strcmp(elements[next].name, before[i].name) != 0)
			next++;
		if (next == n_elements)
			fail_msg("%s is lost", before[i].name);
		assert_int_equal(elements[next].value, before[i].value);
		next++;
	}
	/* And it is a fixed point. */
	assert_int_equal(sps_rewrite(out, (size_t)out_len, &edit, out + 4096, 4096), out_len);
	assert_memory_equal(out, out + 4096, out_len);
}

static void sps_of_every_x264_profile_is_rewritten(void **state)
{
	static const struct {
		enum AVPixelFormat format;
		const char *options;
		int profile_idc;
	} cases[] = {
		{AV_PIX_FMT_YUV420P, "8x8dct=0:cabac=0:bframes=0:weightp=0", 66},
		{AV_PIX_FMT_YUV420P, "8x8dct=0", 77},
		{AV_PIX_FMT_YUV420P, "8x8dct=1", 100},
		{AV_PIX_FMT_YUV420P, "8x8dct=1:cqm=jvt", 100},
		{AV_PIX_FMT_YUV420P, "8x8dct=1:nal-hrd=vbr:pic-struct=1:force-cfr=1", 100},
		{AV_PIX_FMT_YUV420P, "8x8dct=1:interlaced=1:chromaloc=2:overscan=show", 100},
		{AV_PIX_FMT_YUV420P10, "", 110},
		{AV_PIX_FMT_YUV422P, "", 122},
		{AV_PIX_FMT_YUV444P, "cqm=jvt", 244},
	};
	static const struct rate rates[] = {{30, 1},  {30000, 1001}, {1, 1},
					    {240, 1}, {1, 600},	     {2147483647, 4294967295u}};
	static struct coded coded;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct nal sps;

		x264_code(&coded, cases[i].format, cases[i].options);
		sps = find(coded.data, coded.len, NAL_SPS);
		assert_int_equal(sps.data[1], cases[i].profile_idc);
		for (unsigned j = 0; j < sizeof(rates) / sizeof(*rates); j++)
			check_rewrite(sps.data, sps.len, rates[j]);
	}
}

/* x264 puts its matrices into the PPS; other encoders into the SPS. Lists of every kind: left out,
 * whole, and ended early by a next scale of 0. */
static void scaling_lists_are_kept(void **state)
{
	(void)state;
	for (unsigned chroma_format_idc = 1; chroma_format_idc <= 3; chroma_format_idc++) {
		uint8_t rbsp[1024], nal[1600];
		struct bit_writer w;

		bit_writer_init(&w, rbsp, sizeof(rbsp));
		write_bits(&w, 24, 244 << 16 | 40);
		write_ue(&w, 31);
		write_ue(&w, chroma_format_idc);
		if (chroma_format_idc == 3)
			write_bits(&w, 1, 0);
		write_ue(&w, 0);
		write_ue(&w, 0);
		write_bits(&w, 2, 1); /* seq_scaling_matrix_present_flag */
		for (unsigned i = 0; i < (chroma_format_idc == 3 ? 12 : 8); i++) {
			write_bits(&w, 1, i % 5 != 2);
			if (i % 5 == 2)
				continue;
			for (unsigned j = 0; j < (i < 6 ? 16 : 64); j++) {
				if (i % 5 == 3 && j == 5) {
					/* 8 + 5 x 7 - 43 = 0 */
					write_ue(&w, 86);
					break;
				}
				write_ue(&w, i % 5 == 3 ? 13 : 1 + j % 2); /* +7; +1, -1 */
			}
		}
		write_ue(&w, 12); /* log2_max_frame_num_minus4 */
		write_ue(&w, 1);  /* pic_order_cnt_type, with a cycle */
		write_bits(&w, 1, 1);
		write_ue(&w, 3);
		write_ue(&w, 4);
		write_ue(&w, 2);
		write_ue(&w, 5);
		write_ue(&w, 6);
		write_ue(&w, 4); /* max_num_ref_frames */
		write_bits(&w, 1, 1);
		write_ue(&w, 19);
		write_ue(&w, 14);
		write_bits(&w, 4, 12); /* frame_mbs_only, direct_8x8; no cropping, no VUI */
		nal[0] = 0x67;
		check_rewrite(nal,
			      1 + nal_escape(rbsp, write_trailing(&w), nal + 1, sizeof(nal) - 1),
			      rate_30);
	}
}

static void sps_without_vui_gets_one(void **state)
{
	const struct sps_edit nothing = {.keep_reorder = true};
	uint8_t nal[64], out[256];
	size_t len;
	int out_len;

	(void)state;
	for (int high = 0; high < 2; high++) {
		len = make_sps(nal, high, 0, false);
		check_rewrite(nal, len, rate_30);
		/* A rate of 0 and keep_reorder: an empty VUI. */
		out_len = sps_rewrite(nal, len, &nothing, out, 256);
		assert_true(out_len > 0);
		trace_sps(out, (size_t)out_len);
		assert_int_equal(element("timing_info_present_flag"), 0);
		assert_int_equal(element("bitstream_restriction_flag"), 0);
	}
}

/* The shape of a sample that the SPS states after it was rewritten with one. */
static void check_shape(const uint8_t *nal, size_t len, uint32_t width, uint32_t height,
			unsigned expected_width, unsigned expected_height)
{
	const struct sps_edit edit = {.rate = rate_30, .sar_width = width, .sar_height = height};
	uint8_t out[512];
	struct sps sps;
	int out_len = sps_rewrite(nal, len, &edit, out, sizeof(out));

	assert_true(out_len > 0);
	trace_sps(out, (size_t)out_len);
	assert_int_equal(element("time_scale"), 60);
	assert_int_equal(element("max_num_reorder_frames"), 0);
	assert_int_equal(sps_read(out, (size_t)out_len, &sps), 0);
	assert_int_equal(sps.sar_width, expected_width);
	assert_int_equal(sps.sar_height, expected_height);
	assert_int_equal(sps.time_scale, 60);
}

static void a_shape_that_is_given_replaces_that_of_the_sps(void **state)
{
	unsigned sar_width, sar_height;
	static struct coded coded;
	uint8_t nal[64];
	struct nal sps;

	(void)state;
	/* An SPS without a VUI, and one that states another shape. */
	check_shape(nal, make_sps(nal, 0, 0, false), 32, 27, 32, 27);
	check_shape(nal, make_sps(nal, 1, 0, false), 1, 1, 1, 1);
	x264_code(&coded, AV_PIX_FMT_YUV420P, "nal-hrd=vbr:colorprim=bt709");
	sps = find(coded.data, coded.len, NAL_SPS);
	trace_sps(sps.data, sps.len);
	sar_width = (unsigned)element("sar_width");
	sar_height = (unsigned)element("sar_height");
	check_shape(sps.data, sps.len, 0, 0, sar_width, sar_height);
	check_shape(sps.data, sps.len, 65535, 65534, 65535, 65534);
	/* More than the VUI has room for is no shape. */
	check_shape(sps.data, sps.len, 65536, 1, sar_width, sar_height);
}

static void keep_reorder_keeps_the_restriction(void **state)
{
	const struct sps_edit edit = {.rate = rate_30, .keep_reorder = true};
	static struct coded coded;
	uint8_t out[512];
	struct nal sps;
	long long reorder, buffering;
	int len;

	(void)state;
	x264_code(&coded, AV_PIX_FMT_YUV420P, "bframes=3:b-pyramid=normal");
	sps = find(coded.data, coded.len, NAL_SPS);
	trace_sps(sps.data, sps.len);
	reorder = element("max_num_reorder_frames");
	buffering = element("max_dec_frame_buffering");
	assert_int_equal(reorder, 2);
	len = sps_rewrite(sps.data, sps.len, &edit, out, sizeof(out));
	assert_true(len > 0);
	trace_sps(out, (size_t)len);
	assert_int_equal(element("max_num_reorder_frames"), reorder);
	assert_int_equal(element("max_dec_frame_buffering"), buffering);
	assert_int_equal(element("time_scale"), 60);
}

static void a_rate_that_varies_is_not_stated_as_fixed(void **state)
{
	const struct sps_edit edit = {.rate = rate_30, .rate_varies = true};
	static struct coded coded;
	uint8_t out[512];
	struct nal sps;
	int len;

	(void)state;
	x264_code(&coded, AV_PIX_FMT_YUV420P, "bframes=0");
	sps = find(coded.data, coded.len, NAL_SPS);
	len = sps_rewrite(sps.data, sps.len, &edit, out, sizeof(out));
	assert_true(len > 0);
	trace_sps(out, (size_t)len);
	assert_int_equal(element("time_scale"), 60);
	assert_int_equal(element("fixed_frame_rate_flag"), 0);
}

static void broken_sps_is_refused_wherever_it_ends(void **state)
{
	static struct coded coded;
	uint8_t out[512], room[512];
	struct nal sps;
	int len, rc;

	(void)state;
	x264_code(&coded, AV_PIX_FMT_YUV420P, "8x8dct=1:cqm=jvt:nal-hrd=vbr:pic-struct=1");
	sps = find(coded.data, coded.len, NAL_SPS);
	len = sps_rewrite(sps.data, sps.len, &edit_30, out, sizeof(out));
	assert_true(len > 0);
	/* Cut: nothing that is shorter than the VUI's end passes unnoticed, but that a 1 bit
	 * inside of it is taken for the stop bit; it never reads or writes out of bounds. */
	for (size_t n = 0; n < 8; n++)
		assert_int_equal(sps_rewrite(sps.data, n, &edit_30, out, sizeof(out)), -EINVAL);
	for (size_t n = 8; n < sps.len; n++) {
		uint8_t *cut = malloc(n);

		memcpy(cut, sps.data, n);
		sps_rewrite(cut, n, &edit_30, out, sizeof(out));
		free(cut);
	}
	for (int n = 0; n < len; n++) {
		memset(room, 0xaa, sizeof(room));
		rc = sps_rewrite(sps.data, sps.len, &edit_30, room, (size_t)n);
		assert_int_equal(rc, -ENOSPC);
		assert_int_equal(room[n], 0xaa);
	}
	/* A PPS is none. */
	memcpy(out, sps.data, sps.len);
	out[0] = 0x68;
	assert_int_equal(sps_rewrite(out, sps.len, &edit_30, room, sizeof(room)), -EINVAL);
}

static void the_writer_sends_the_rewritten_sps(void **state)
{
	static struct coded coded;
	uint8_t head[1024];
	struct h264_writer *writer;
	struct h264_unit unit;
	struct nal sps;

	(void)state;
	x264_code(&coded, AV_PIX_FMT_YUV420P, "bframes=0:keyint=1:slices=3:aud=1");
	assert_int_equal(h264_writer_create(&writer, &edit_30, false), 0);
	assert_int_equal(h264_writer_unit(writer, coded.data, coded.len, 0, &unit), 0);
	assert_true(unit.key);
	assert_true(unit.iov[0].iov_len <= sizeof(head));
	memcpy(head, unit.iov[0].iov_base, unit.iov[0].iov_len);
	sps = find(head, unit.iov[0].iov_len, NAL_SPS);
	trace_sps(sps.data, sps.len);
	assert_int_equal(element("time_scale"), 60);
	assert_int_equal(element("max_num_reorder_frames"), 0);
	h264_writer_destroy(writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sps_of_every_x264_profile_is_rewritten),
		cmocka_unit_test(scaling_lists_are_kept),
		cmocka_unit_test(sps_without_vui_gets_one),
		cmocka_unit_test(a_shape_that_is_given_replaces_that_of_the_sps),
		cmocka_unit_test(keep_reorder_keeps_the_restriction),
		cmocka_unit_test(a_rate_that_varies_is_not_stated_as_fixed),
		cmocka_unit_test(broken_sps_is_refused_wherever_it_ends),
		cmocka_unit_test(the_writer_sends_the_rewritten_sps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
