/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading and rewriting SPSs is judged by libavcodec: by its decoder, and by trace_headers, which
 * prints every syntax element. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavutil/opt.h>

#include "media/bits.h"
#include "media/h264_writer.h"
#include "media/sps.h"
#include "nal_samples.h"

static const struct rate rate_30 = {30, 1};
static const struct sps_edit edit_30 = {.rate = {30, 1}};

/* --- syntax elements of an SPS, by trace_headers --- */

struct element {
	char name[64];
	long long value;
};

static struct element elements[2048];
static unsigned n_elements;

/* "8           profile_idc                                     01100100 = 100" */
static void handle_trace(void *avcl, int level, const char *format, va_list args)
{
	char line[512], name[64];
	const char *equals;

	(void)avcl;
	(void)level;
	vsnprintf(line, sizeof(line), format, args);
	equals = strstr(line, " = ");
	if (!equals || sscanf(line, "%*d %63s", name) != 1 || n_elements == 2048)
		return;
	snprintf(elements[n_elements].name, sizeof(name), "%s", name);
	elements[n_elements++].value = strtoll(equals + 3, NULL, 10);
}

static void trace_sps(const uint8_t *sps, size_t len)
{
	const AVBitStreamFilter *filter = av_bsf_get_by_name("trace_headers");
	AVPacket *packet = av_packet_alloc();
	AVBSFContext *bsf;

	n_elements = 0;
	assert_non_null(filter);
	assert_int_equal(av_bsf_alloc(filter, &bsf), 0);
	bsf->par_in->codec_id = AV_CODEC_ID_H264;
	assert_int_equal(av_bsf_init(bsf), 0);
	assert_int_equal(av_new_packet(packet, (int)len + 4), 0);
	memcpy(packet->data, "\0\0\0\1", 4);
	memcpy(packet->data + 4, sps, len);
	av_log_set_callback(handle_trace);
	if (av_bsf_send_packet(bsf, packet) != 0 || av_bsf_receive_packet(bsf, packet) != 0)
		fail_msg("libavcodec cannot read the SPS");
	av_log_set_callback(av_log_default_callback);
	av_packet_free(&packet);
	av_bsf_free(&bsf);
	assert_true(n_elements > 10);
}

static long long element(const char *name)
{
	for (unsigned i = 0; i < n_elements; i++) {
		if (strcmp(elements[i].name, name) == 0)
			return elements[i].value;
	}
	return -1;
}

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

/* --- real SPSs: x264's --- */

struct coded {
	uint8_t data[256 * 1024];
	size_t len;
};

/* Two pictures by x264 with these options (x264's own, colon-separated). */
static void x264_code_sized(struct coded *coded, enum AVPixelFormat format, int width, int height,
			    const char *options)
{
	AVCodecContext *codec = avcodec_alloc_context3(avcodec_find_encoder_by_name("libx264"));
	AVFrame *frame = av_frame_alloc();
	AVPacket *packet = av_packet_alloc();

	assert_non_null(codec);
	codec->width = frame->width = width;
	codec->height = frame->height = height;
	codec->pix_fmt = format;
	codec->time_base = (AVRational){1, 25};
	codec->color_primaries = AVCOL_PRI_BT709;
	codec->color_range = AVCOL_RANGE_JPEG;
	codec->sample_aspect_ratio = (AVRational){123, 100};
	codec->bit_rate = codec->rc_max_rate = 500000;
	codec->rc_buffer_size = 500000;
	codec->log_level_offset = 16;
	av_opt_set(codec->priv_data, "preset", "medium", 0);
	av_opt_set(codec->priv_data, "x264-params", options, 0);
	assert_int_equal(avcodec_open2(codec, NULL, NULL), 0);
	frame->format = format;
	assert_int_equal(av_frame_get_buffer(frame, 0), 0);
	for (int p = 0; p < 3 && frame->buf[p]; p++)
		memset(frame->buf[p]->data, 77, frame->buf[p]->size);
	coded->len = 0;
	for (int i = 0; i < 3; i++) {
		frame->pts = i;
		assert_int_equal(avcodec_send_frame(codec, i < 2 ? frame : NULL), 0);
		while (avcodec_receive_packet(codec, packet) == 0) {
			assert_true(coded->len + (size_t)packet->size < sizeof(coded->data));
			memcpy(coded->data + coded->len, packet->data, (size_t)packet->size);
			coded->len += (size_t)packet->size;
			av_packet_unref(packet);
		}
	}
	av_packet_free(&packet);
	av_frame_free(&frame);
	avcodec_free_context(&codec);
}

static void x264_code(struct coded *coded, enum AVPixelFormat format, const char *options)
{
	x264_code_sized(coded, format, 322, 244, options);
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

/* --- reading --- */

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
		cmocka_unit_test(sps_of_every_x264_profile_is_rewritten),
		cmocka_unit_test(scaling_lists_are_kept),
		cmocka_unit_test(sps_without_vui_gets_one),
		cmocka_unit_test(a_shape_that_is_given_replaces_that_of_the_sps),
		cmocka_unit_test(keep_reorder_keeps_the_restriction),
		cmocka_unit_test(a_rate_that_varies_is_not_stated_as_fixed),
		cmocka_unit_test(broken_sps_is_refused_wherever_it_ends),
		cmocka_unit_test(the_writer_sends_the_rewritten_sps),
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
