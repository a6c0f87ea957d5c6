/* SPDX-License-Identifier: BSD-2-Clause */
/* SPS rewriting is judged by libavcodec's trace_headers, which prints every syntax element. */
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

#include "camcast/sei.h"
#include "capture/h264.h"
#include "capture/h264_bits.h"

static const struct config_rate rate_30 = {30, 1};

/* --- allocations, counted: see test_h264.mk --- */

static unsigned allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	allocations++;
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	allocations++;
	return __real_realloc(memory, size);
}

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
static void check_rewrite(const uint8_t *sps, size_t len, struct config_rate rate)
{
	static struct element before[2048];
	uint8_t out[8192];
	unsigned n_before, next = 0;
	int out_len;

	trace_sps(sps, len);
	n_before = n_elements;
	memcpy(before, elements, sizeof(before));

	out_len = h264_rewrite_sps(sps, len, rate, false, out, sizeof(out));
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
	assert_int_equal(h264_rewrite_sps(out, (size_t)out_len, rate, false, out + 4096, 4096),
			 out_len);
	assert_memory_equal(out, out + 4096, out_len);
}

/* --- real SPSs: x264's --- */

struct coded {
	uint8_t data[256 * 1024];
	size_t len;
};

/* Two pictures by x264 with these options (x264's own, colon-separated). */
static void x264_code(struct coded *coded, enum AVPixelFormat format, const char *options)
{
	AVCodecContext *codec = avcodec_alloc_context3(avcodec_find_encoder_by_name("libx264"));
	AVFrame *frame = av_frame_alloc();
	AVPacket *packet = av_packet_alloc();

	assert_non_null(codec);
	codec->width = frame->width = 322;
	codec->height = frame->height = 244;
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

static struct h264_nal find(const uint8_t *data, size_t len, unsigned type)
{
	struct h264_nal nal;
	size_t pos = 0;

	while (h264_next_nal(data, len, &pos, &nal)) {
		if (nal.type == type)
			return nal;
	}
	fail_msg("no NAL unit of type %u", type);
	return nal;
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
	static const struct config_rate rates[] = {
		{30, 1}, {30000, 1001}, {1, 1}, {240, 1}, {1, 600}, {2147483647, 4294967295u}};
	static struct coded coded;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct h264_nal sps;

		x264_code(&coded, cases[i].format, cases[i].options);
		sps = find(coded.data, coded.len, H264_NAL_SPS);
		assert_int_equal(sps.data[1], cases[i].profile_idc);
		for (unsigned j = 0; j < sizeof(rates) / sizeof(*rates); j++)
			check_rewrite(sps.data, sps.len, rates[j]);
	}
}

/* As the Pi's firmware and OpenH264 write it: no VUI. profile 0: 1080p Constrained Baseline with
 * picture order count type 2, else High, type 0. */
static size_t make_sps(uint8_t *nal, bool high, unsigned id, bool vui)
{
	uint8_t rbsp[64];
	struct bit_writer w;

	bit_writer_init(&w, rbsp, sizeof(rbsp));
	write_bits(&w, 8, high ? 100 : 66);
	write_bits(&w, 8, high ? 0 : 0xc0);
	write_bits(&w, 8, 40);
	write_ue(&w, id);
	if (high) {
		write_ue(&w, 1); /* 4:2:0 */
		write_ue(&w, 0);
		write_ue(&w, 0);
		write_bits(&w, 2, 0);
	}
	write_ue(&w, 0); /* log2_max_frame_num_minus4 */
	write_ue(&w, high ? 0 : 2);
	if (high)
		write_ue(&w, 2);
	write_ue(&w, 1); /* max_num_ref_frames */
	write_bits(&w, 1, 0);
	write_ue(&w, 119);
	write_ue(&w, 67);
	write_bits(&w, 3, 7); /* frame_mbs_only, direct_8x8, cropping */
	write_ue(&w, 0);
	write_ue(&w, 0);
	write_ue(&w, 0);
	write_ue(&w, 4);
	write_bits(&w, 1, vui);
	if (vui)
		write_bits(&w, 9, 0);
	nal[0] = 0x27;
	return 1 + nal_escape(rbsp, write_trailing(&w), nal + 1, 63);
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
	uint8_t nal[64], out[256];
	size_t len;
	int out_len;

	(void)state;
	for (int high = 0; high < 2; high++) {
		len = make_sps(nal, high, 0, false);
		check_rewrite(nal, len, rate_30);
		/* A rate of 0 and keep_reorder: an empty VUI. */
		out_len = h264_rewrite_sps(nal, len, (struct config_rate){0, 1}, true, out, 256);
		assert_true(out_len > 0);
		trace_sps(out, (size_t)out_len);
		assert_int_equal(element("timing_info_present_flag"), 0);
		assert_int_equal(element("bitstream_restriction_flag"), 0);
	}
}

static void keep_reorder_keeps_the_restriction(void **state)
{
	static struct coded coded;
	uint8_t out[512];
	struct h264_nal sps;
	long long reorder, buffering;
	int len;

	(void)state;
	x264_code(&coded, AV_PIX_FMT_YUV420P, "bframes=3:b-pyramid=normal");
	sps = find(coded.data, coded.len, H264_NAL_SPS);
	trace_sps(sps.data, sps.len);
	reorder = element("max_num_reorder_frames");
	buffering = element("max_dec_frame_buffering");
	assert_int_equal(reorder, 2);
	len = h264_rewrite_sps(sps.data, sps.len, rate_30, true, out, sizeof(out));
	assert_true(len > 0);
	trace_sps(out, (size_t)len);
	assert_int_equal(element("max_num_reorder_frames"), reorder);
	assert_int_equal(element("max_dec_frame_buffering"), buffering);
	assert_int_equal(element("time_scale"), 60);
}

static void broken_sps_is_refused_wherever_it_ends(void **state)
{
	static struct coded coded;
	uint8_t out[512], room[512];
	struct h264_nal sps;
	int len, rc;

	(void)state;
	x264_code(&coded, AV_PIX_FMT_YUV420P, "8x8dct=1:cqm=jvt:nal-hrd=vbr:pic-struct=1");
	sps = find(coded.data, coded.len, H264_NAL_SPS);
	len = h264_rewrite_sps(sps.data, sps.len, rate_30, false, out, sizeof(out));
	assert_true(len > 0);
	/* Cut: nothing that is shorter than the VUI's end passes unnoticed, but that a 1 bit
	 * inside of it is taken for the stop bit; it never reads or writes out of bounds. */
	for (size_t n = 0; n < 8; n++)
		assert_int_equal(h264_rewrite_sps(sps.data, n, rate_30, false, out, sizeof(out)),
				 -EINVAL);
	for (size_t n = 8; n < sps.len; n++) {
		uint8_t *cut = __real_malloc(n);

		memcpy(cut, sps.data, n);
		h264_rewrite_sps(cut, n, rate_30, false, out, sizeof(out));
		free(cut);
	}
	for (int n = 0; n < len; n++) {
		memset(room, 0xaa, sizeof(room));
		rc = h264_rewrite_sps(sps.data, sps.len, rate_30, false, room, (size_t)n);
		assert_int_equal(rc, -ENOSPC);
		assert_int_equal(room[n], 0xaa);
	}
	/* A PPS is none. */
	memcpy(out, sps.data, sps.len);
	out[0] = 0x68;
	assert_int_equal(h264_rewrite_sps(out, sps.len, rate_30, false, room, sizeof(room)),
			 -EINVAL);
}

/* --- NAL units --- */

static void nal_units_are_found_as_annex_b_says(void **state)
{
	static const uint8_t data[] = {0, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3,
				       0, 0, 0, 0, 1, 0,    0, 1, 0, 0, 1, 0x65, 0,
				       0, 3, 1, 0, 0, 0,    0, 0, 1, 9, 0, 0,	 1};
	static const struct {
		unsigned type, ref_idc;
		size_t len;
	} expected[] = {{7, 3, 3}, {8, 3, 2}, {5, 3, 5}, {9, 0, 1}};
	struct h264_nal nal;
	size_t pos = 0;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		assert_true(h264_next_nal(data, sizeof(data), &pos, &nal));
		assert_int_equal(nal.type, expected[i].type);
		assert_int_equal(nal.ref_idc, expected[i].ref_idc);
		assert_int_equal(nal.len, expected[i].len);
	}
	assert_false(h264_next_nal(data, sizeof(data), &pos, &nal));
	assert_false(h264_next_nal(data, sizeof(data), &pos, &nal));
	pos = 0;
	assert_false(h264_next_nal(data, 0, &pos, &nal));
	pos = 0;
	assert_false(h264_next_nal((const uint8_t *)"\0\0\2\0\0", 5, &pos, &nal));
}

static void start_codes_are_found_at_every_alignment(void **state)
{
	uint8_t data[64];

	(void)state;
	for (size_t at = 0; at < 40; at++) {
		struct h264_nal nal;
		size_t pos = 0;

		memset(data, 0x55, sizeof(data));
		memcpy(data + at, "\0\0\1\x65", 4);
		assert_true(h264_next_nal(data, sizeof(data), &pos, &nal));
		assert_ptr_equal(nal.data, data + at + 3);
		assert_int_equal(nal.len, sizeof(data) - at - 3);
	}
}

/* --- the writer --- */

struct bytes {
	uint8_t data[8192];
	size_t len;
};

static void add(struct bytes *bytes, const void *nal, size_t len)
{
	memcpy(bytes->data + bytes->len, "\0\0\0\1", 4);
	memcpy(bytes->data + bytes->len + 4, nal, len);
	bytes->len += 4 + len;
}

static void add_sps(struct bytes *bytes, unsigned id, bool vui)
{
	uint8_t nal[64];

	add(bytes, nal, make_sps(nal, true, id, vui));
}

/* With tag in it, to tell one from the other. */
static void add_pps(struct bytes *bytes, unsigned id, unsigned sps_id, unsigned tag)
{
	uint8_t nal[32] = {0x68};
	struct bit_writer w;

	bit_writer_init(&w, nal + 1, 31);
	write_ue(&w, id);
	write_ue(&w, sps_id);
	write_ue(&w, tag);
	add(bytes, nal, 1 + write_trailing(&w));
}

static void add_slice(struct bytes *bytes, unsigned type, unsigned ref_idc, unsigned pps_id)
{
	uint8_t nal[32] = {(uint8_t)(ref_idc << 5 | type)};
	struct bit_writer w;

	bit_writer_init(&w, nal + 1, 31);
	write_ue(&w, 0);
	write_ue(&w, 7);
	write_ue(&w, pps_id);
	write_bits(&w, 32, 0x12345678);
	add(bytes, nal, 1 + write_trailing(&w));
}

static struct bytes flat;

/* "a7812": AUD, SPS (by id, as upper-case letter), PPS (lower-case letter), other types as digits,
 * x for SEI. Fills flat. */
static const char *order_of(const struct h264_unit *unit)
{
	static char order[600];
	struct h264_nal nal;
	size_t pos = 0, n = 0;

	flat.len = 0;
	for (int i = 0; i < unit->iovcnt; i++) {
		assert_true(flat.len + unit->iov[i].iov_len <= sizeof(flat.data));
		memcpy(flat.data + flat.len, unit->iov[i].iov_base, unit->iov[i].iov_len);
		flat.len += unit->iov[i].iov_len;
	}
	assert_int_equal(flat.len, unit->len);
	while (h264_next_nal(flat.data, flat.len, &pos, &nal)) {
		struct bit_reader r;

		assert_true(n < sizeof(order) - 1);
		bit_reader_init(&r, nal.data + 1, (nal.len - 1) * 8);
		switch (nal.type) {
		case H264_NAL_SPS:
			read_bits(&r, 24);
			order[n++] = (char)('A' + read_ue(&r));
			break;
		case H264_NAL_PPS:
			order[n++] = (char)('a' + read_ue(&r));
			break;
		case H264_NAL_AUD:
			assert_int_equal(nal.data[1], 0xf0);
			order[n++] = '|';
			break;
		case H264_NAL_SEI:
			order[n++] = '*';
			break;
		default:
			order[n++] = (char)(nal.type < 10 ? '0' + nal.type : '?');
		}
	}
	order[n] = '\0';
	return order;
}

static struct h264_unit put(struct h264_writer *writer, const struct bytes *in)
{
	struct h264_unit unit;

	assert_int_equal(h264_writer_unit(writer, in->data, in->len, 5, &unit), 0);
	return unit;
}

static void parameter_sets_come_back_before_every_idr(void **state)
{
	struct bytes first = {.len = 0}, idr = {.len = 0}, p = {.len = 0};
	struct h264_writer *writer;
	struct h264_unit unit;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, rate_30, false, false), 0);
	add(&first, "\x09\x10", 2);
	add_sps(&first, 0, false);
	add_pps(&first, 0, 0, 1);
	add_slice(&first, 5, 3, 0);
	add_slice(&first, 5, 3, 0);
	unit = put(writer, &first);
	assert_string_equal(order_of(&unit), "|Aa55");
	assert_memory_equal(flat.data, "\0\0\0\1\x09\xf0\0\0\0\1\x27", 11);
	assert_true(unit.key);
	assert_false(unit.droppable);
	/* Two pieces: what is ours, and both slices as they stand in the encoder's memory. */
	assert_int_equal(unit.iovcnt, 2);
	assert_in_range((uintptr_t)unit.iov[1].iov_base, (uintptr_t)first.data,
			(uintptr_t)first.data + first.len);

	add_slice(&p, 1, 2, 0);
	unit = put(writer, &p);
	assert_string_equal(order_of(&unit), "|1");
	assert_false(unit.key);
	add_slice(&idr, 5, 3, 0);
	unit = put(writer, &idr);
	assert_string_equal(order_of(&unit), "|Aa5");
	assert_true(unit.key);
	h264_writer_destroy(writer);
}

static void rewritten_sps_is_sent(void **state)
{
	struct bytes in = {.len = 0};
	struct h264_writer *writer;
	struct h264_unit unit;
	struct h264_nal sps;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, rate_30, false, false), 0);
	add_sps(&in, 0, false);
	add_pps(&in, 0, 0, 1);
	add_slice(&in, 5, 3, 0);
	unit = put(writer, &in);
	order_of(&unit);
	sps = find(flat.data, flat.len, H264_NAL_SPS);
	trace_sps(sps.data, sps.len);
	assert_int_equal(element("time_scale"), 60);
	assert_int_equal(element("max_num_reorder_frames"), 0);
	h264_writer_destroy(writer);
}

static void only_sets_that_the_idr_can_use_are_sent(void **state)
{
	struct bytes in = {.len = 0}, idr0 = {.len = 0}, idr1 = {.len = 0};
	struct h264_writer *writer;
	struct h264_unit unit;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, rate_30, false, false), 0);
	add_sps(&in, 0, false);
	add_sps(&in, 1, true);
	add_pps(&in, 0, 0, 1);
	add_pps(&in, 1, 1, 1);
	add_pps(&in, 2, 0, 1);
	add_slice(&in, 5, 3, 0);
	unit = put(writer, &in);
	assert_string_equal(order_of(&unit), "|Aac5");
	add_slice(&idr1, 5, 3, 1);
	unit = put(writer, &idr1);
	assert_string_equal(order_of(&unit), "|Bb5");
	add_slice(&idr0, 5, 3, 2);
	unit = put(writer, &idr0);
	assert_string_equal(order_of(&unit), "|Aac5");
	h264_writer_destroy(writer);
}

static void changes_in_band_are_followed(void **state)
{
	struct bytes in = {.len = 0}, pps = {.len = 0}, sps = {.len = 0}, idr = {.len = 0};
	struct h264_writer *writer;
	struct h264_unit unit;
	struct h264_nal nal;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, rate_30, false, false), 0);
	add_sps(&in, 0, false);
	add_pps(&in, 0, 0, 1);
	add_pps(&in, 1, 0, 1);
	add_slice(&in, 5, 3, 0);
	unit = put(writer, &in);
	assert_string_equal(order_of(&unit), "|Aab5");
	/* A PPS within the GOP goes out at once, and before the next IDR. */
	add_pps(&pps, 0, 0, 9);
	add_slice(&pps, 1, 2, 0);
	unit = put(writer, &pps);
	assert_string_equal(order_of(&unit), "|a1");
	add_slice(&idr, 5, 3, 0);
	unit = put(writer, &idr);
	assert_string_equal(order_of(&unit), "|Aab5");
	nal = find(flat.data, flat.len, H264_NAL_PPS);
	assert_memory_equal(nal.data, pps.data + 4, nal.len);
	/* Another SPS of the same id takes its PPSs with it, as in a decoder. */
	add_sps(&sps, 0, true);
	add_pps(&sps, 0, 0, 1);
	add_slice(&sps, 5, 3, 0);
	unit = put(writer, &sps);
	assert_string_equal(order_of(&unit), "|Aa5");
	h264_writer_destroy(writer);
}

static void a_header_that_comes_alone_is_kept(void **state)
{
	struct bytes header = {.len = 0}, idr = {.len = 0};
	struct h264_writer *writer;
	struct h264_unit unit;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, rate_30, false, false), 0);
	add_sps(&header, 0, false);
	add_pps(&header, 0, 0, 1);
	assert_int_equal(h264_writer_unit(writer, header.data, header.len, 0, &unit), -EINVAL);
	add_slice(&idr, 5, 3, 0);
	unit = put(writer, &idr);
	assert_string_equal(order_of(&unit), "|Aa5");
	assert_true(unit.key);
	h264_writer_destroy(writer);
}

static void an_idr_without_parameter_sets_is_no_key_unit(void **state)
{
	struct bytes in = {.len = 0}, idr = {.len = 0};
	struct h264_writer *writer;
	struct h264_unit unit;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, rate_30, false, false), 0);
	add_slice(&idr, 5, 3, 0);
	unit = put(writer, &idr);
	assert_string_equal(order_of(&unit), "|5");
	assert_false(unit.key);
	assert_true(unit.parameter_sets_missing);
	/* A PPS alone is not enough, and the SPS of another one neither. */
	add_pps(&in, 0, 3, 1);
	add_sps(&in, 0, false);
	add_slice(&in, 5, 3, 0);
	unit = put(writer, &in);
	assert_true(unit.parameter_sets_missing);
	h264_writer_destroy(writer);
}

static void filler_and_ends_are_left_out(void **state)
{
	struct bytes in = {.len = 0};
	struct h264_writer *writer;
	struct h264_unit unit;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, rate_30, false, false), 0);
	add(&in, "\x09\x10", 2);
	add_slice(&in, 1, 2, 0);
	add(&in, "\x0c\xff\xff\xff\x80", 5);
	add_slice(&in, 1, 2, 0);
	add(&in, "\x0c\xff\xff\xff\x80", 5);
	add(&in, "\x0a", 1);
	add(&in, "\x0b", 1);
	unit = put(writer, &in);
	assert_string_equal(order_of(&unit), "|11");
	h264_writer_destroy(writer);
}

static void a_unit_is_droppable_if_all_its_slices_are(void **state)
{
	struct bytes none = {.len = 0}, one = {.len = 0};
	struct h264_writer *writer;
	struct h264_unit unit;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, rate_30, false, false), 0);
	add_slice(&none, 1, 0, 0);
	add_slice(&none, 1, 0, 0);
	unit = put(writer, &none);
	assert_true(unit.droppable);
	add_slice(&one, 1, 0, 0);
	add_slice(&one, 1, 1, 0);
	unit = put(writer, &one);
	assert_false(unit.droppable);
	one.len = 0;
	add_slice(&one, 1, 1, 0);
	add_slice(&one, 1, 0, 0);
	unit = put(writer, &one);
	assert_false(unit.droppable);
	h264_writer_destroy(writer);
}

static uint64_t be64(const uint8_t *p)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | p[i];
	return value;
}

static void sei_comes_back_with_every_value(void **state)
{
	/* Values full of zeros, which must be escaped, and full of the bytes that follow them. */
	static const int64_t times[] = {
		0, 1, 3, 256, 0x000001000003, 0x0300000200000100, 1234567890123};
	struct h264_writer *writer;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, rate_30, true, false), 0);
	for (unsigned i = 0; i < 300; i++) {
		int64_t time = times[i % 7], skew = -1;
		struct bytes in = {.len = 0};
		struct h264_unit unit;
		struct h264_nal sei;
		uint8_t rbsp[128];
		size_t n;

		if (i == 0) {
			add_sps(&in, 0, false);
			add_pps(&in, 0, 0, 1);
		}
		add(&in, "\x06\x01\x01\xaa\x80", 5); /* the encoder's own comes first */
		add_slice(&in, i ? 1 : 5, 2, 0);
		assert_int_equal(h264_writer_unit(writer, in.data, in.len, time, &unit), 0);
		assert_string_equal(order_of(&unit), i ? "|**1" : "|Aa**5");
		/* The second one. */
		sei = find(flat.data, flat.len, H264_NAL_SEI);
		n = (size_t)(sei.data + sei.len - flat.data);
		sei = find(flat.data + n, flat.len - n, H264_NAL_SEI);
		n = nal_unescape(sei.data + 1, sei.len - 1, rbsp, sizeof(rbsp));
		assert_int_equal(n, 2 + CAMCAST_SEI_PAYLOAD_LEN + 1);
		assert_memory_equal(rbsp, "\x05\x28" CAMCAST_SEI_UUID, 2 + CAMCAST_SEI_UUID_LEN);
		assert_int_equal(be64(rbsp + 18), i);
		assert_int_equal(be64(rbsp + 26), time);
		/* UTC runs beside it. */
		skew = (int64_t)be64(rbsp + 34) - time;
		assert_true(skew > 1600000000 * (int64_t)1000000);
		assert_int_equal(rbsp[42], 0x80);
		/* No start code inside. */
		for (size_t j = 0; j + 2 < sei.len; j++)
			assert_false(sei.data[j] == 0 && sei.data[j + 1] == 0 &&
				     sei.data[j + 2] < 3);
	}
	h264_writer_destroy(writer);
}

static void units_cost_no_allocation_after_the_first(void **state)
{
	struct bytes idr = {.len = 0}, many = {.len = 0};
	struct h264_writer *writer;

	(void)state;
	assert_int_equal(h264_writer_create(&writer, rate_30, true, false), 0);
	add_sps(&idr, 0, false);
	add_pps(&idr, 0, 0, 1);
	add_slice(&idr, 5, 3, 0);
	for (int i = 0; i < 60; i++) {
		add_slice(&many, 1, 2, 0);
		add(&many, "\x0c\xff\x80", 3);
	}
	for (int round = 0; round < 50; round++) {
		struct h264_unit unit;

		if (round == 2)
			allocations = 0;
		assert_int_equal(h264_writer_unit(writer, idr.data, idr.len, round, &unit), 0);
		assert_int_equal(h264_writer_unit(writer, many.data, many.len, round, &unit), 0);
		assert_int_equal(unit.iovcnt, 62);
	}
	assert_int_equal(allocations, 0);
	h264_writer_destroy(writer);
}

static void x264_stream_goes_through_whole(void **state)
{
	static struct coded coded;
	struct h264_writer *writer;
	struct h264_unit unit;

	(void)state;
	x264_code(&coded, AV_PIX_FMT_YUV420P, "slices=3:bframes=0:keyint=1:aud=1");
	assert_int_equal(h264_writer_create(&writer, rate_30, false, false), 0);
	/* Both pictures at once: what is put right is the same. */
	assert_int_equal(h264_writer_unit(writer, coded.data, coded.len, 0, &unit), 0);
	assert_string_equal(order_of(&unit), "|Aa*555555");
	h264_writer_destroy(writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sps_of_every_x264_profile_is_rewritten),
		cmocka_unit_test(scaling_lists_are_kept),
		cmocka_unit_test(sps_without_vui_gets_one),
		cmocka_unit_test(keep_reorder_keeps_the_restriction),
		cmocka_unit_test(broken_sps_is_refused_wherever_it_ends),
		cmocka_unit_test(nal_units_are_found_as_annex_b_says),
		cmocka_unit_test(start_codes_are_found_at_every_alignment),
		cmocka_unit_test(parameter_sets_come_back_before_every_idr),
		cmocka_unit_test(rewritten_sps_is_sent),
		cmocka_unit_test(only_sets_that_the_idr_can_use_are_sent),
		cmocka_unit_test(changes_in_band_are_followed),
		cmocka_unit_test(a_header_that_comes_alone_is_kept),
		cmocka_unit_test(an_idr_without_parameter_sets_is_no_key_unit),
		cmocka_unit_test(filler_and_ends_are_left_out),
		cmocka_unit_test(a_unit_is_droppable_if_all_its_slices_are),
		cmocka_unit_test(sei_comes_back_with_every_value),
		cmocka_unit_test(units_cost_no_allocation_after_the_first),
		cmocka_unit_test(x264_stream_goes_through_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
