/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inner loops have a fixed count, because gcc 12 at -O2 makes vector code of those only
 * (-fvect-cost-model=very-cheap); docs/ENCODERS.md has the figures.
 */
#include "capture/encode/convert.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { BLOCK = 16 };

int picture_begin(struct picture *picture, struct frame *frame)
{
	const struct frame_format *format = frame->format;
	uint8_t *map;
	int rc;

	rc = slot_map(frame->ring, frame->slot, false, &map);
	if (rc < 0)
		return rc;
	rc = slot_begin_access(frame->ring, frame->slot, false);
	if (rc < 0)
		return rc;
	*picture = (struct picture){
		.fourcc = format->fourcc, .width = format->width, .height = format->height};
	for (unsigned i = 0; i < format->n_planes; i++) {
		picture->data[i] = map + format->planes[i].offset;
		picture->stride[i] = format->planes[i].stride;
	}
	return 0;
}

void picture_end(struct frame *frame)
{
	/* It can only fail as the begin of the next access will, and is reported there. */
	(void)slot_end_access(frame->ring, frame->slot, false);
}

int i420_buffer_init(struct i420_buffer *buffer, const struct frame_format *format)
{
	/* Rows begin on cache lines, and encoders' vector loads may run over their ends. */
	uint32_t luma_stride = (format->width + 63) & ~63u;
	uint32_t chroma_stride = (format->width / 2 + 63) & ~63u;
	size_t luma = (size_t)luma_stride * format->height;
	size_t chroma = (size_t)chroma_stride * (format->height / 2);

	*buffer = (struct i420_buffer){.stride = {luma_stride, chroma_stride, chroma_stride}};
	switch (format->fourcc) {
	case FRAME_I420:
		return 0;
	case FRAME_NV12:
		luma = 0;
		break;
	case FRAME_YUYV:
		break;
	default:
		return -EINVAL;
	}
	buffer->memory = aligned_alloc(64, luma + 2 * chroma);
	if (!buffer->memory)
		return -ENOMEM;
	if (luma)
		buffer->data[0] = buffer->memory;
	buffer->data[1] = buffer->memory + luma;
	buffer->data[2] = buffer->memory + luma + chroma;
	return 0;
}

void i420_buffer_finish(struct i420_buffer *buffer)
{
	free(buffer->memory);
	*buffer = (struct i420_buffer){0};
}

void convert_split_row(const uint8_t *restrict cbcr, uint8_t *restrict cb, uint8_t *restrict cr,
		       uint32_t n)
{
	uint32_t i = 0;

	for (; i + BLOCK <= n; i += BLOCK) {
		const uint8_t *in = cbcr + 2 * (size_t)i;
		uint8_t *b = cb + i, *r = cr + i;

		for (int j = 0; j < BLOCK; j++) {
			b[j] = in[2 * j];
			r[j] = in[2 * j + 1];
		}
	}
	for (; i < n; i++) {
		cb[i] = cbcr[2 * i];
		cr[i] = cbcr[2 * i + 1];
	}
}

/* Two rows of YUYV: luma of both, chroma as their mean (4:2:0 has its chroma between the rows). */
static void split_yuyv_rows(const uint8_t *restrict in0, const uint8_t *restrict in1,
			    uint8_t *restrict y0, uint8_t *restrict y1, uint8_t *restrict cb,
			    uint8_t *restrict cr, uint32_t pairs)
{
	for (uint32_t i = 0; i < pairs; i++) {
		const uint8_t *a = in0 + 4 * i, *b = in1 + 4 * i;

		y0[2 * i] = a[0];
		y0[2 * i + 1] = a[2];
		y1[2 * i] = b[0];
		y1[2 * i + 1] = b[2];
		cb[i] = (uint8_t)((a[1] + b[1] + 1) / 2);
		cr[i] = (uint8_t)((a[3] + b[3] + 1) / 2);
	}
}

void convert_to_i420(struct i420_buffer *buffer, const struct picture *in, struct picture *out)
{
	uint32_t chroma_width = in->width / 2;

	*out = *in;
	if (in->fourcc == FRAME_I420)
		return;
	out->fourcc = FRAME_I420;
	for (int i = in->fourcc == FRAME_NV12 ? 1 : 0; i < 3; i++) {
		out->data[i] = buffer->data[i];
		out->stride[i] = buffer->stride[i];
	}
	for (uint32_t row = 0; row < in->height / 2; row++) {
		uint8_t *cb = buffer->data[1] + (size_t)row * buffer->stride[1];
		uint8_t *cr = buffer->data[2] + (size_t)row * buffer->stride[2];

		if (in->fourcc == FRAME_NV12) {
			convert_split_row(in->data[1] + (size_t)row * in->stride[1], cb, cr,
					  chroma_width);
		} else {
			const uint8_t *yuyv = in->data[0] + 2 * (size_t)row * in->stride[0];
			uint8_t *y = buffer->data[0] + 2 * (size_t)row * buffer->stride[0];

			split_yuyv_rows(yuyv, yuyv + in->stride[0], y, y + buffer->stride[0], cb,
					cr, chroma_width);
		}
	}
}

const char *convert_i420_note(uint32_t fourcc)
{
	switch (fourcc) {
	case FRAME_NV12:
		return "NV12 chroma split to I420";
	case FRAME_YUYV:
		return "YUYV converted to I420";
	default:
		return "I420 without conversion";
	}
}

/* --- JFIF colours --- */

static int16_t in_256ths(double value)
{
	return (int16_t)lrint(value * 256);
}

/* The weights of red and blue in luma. False: those of BT.601, as in JFIF. */
static bool luma_weights(enum frame_colour colour, double *kr, double *kb)
{
	switch (colour) {
	case FRAME_COLOUR_REC709:
		*kr = 0.2126;
		*kb = 0.0722;
		return true;
	case FRAME_COLOUR_BT2020:
	case FRAME_COLOUR_BT2020_PQ:
	case FRAME_COLOUR_BT2020_HLG:
		*kr = 0.2627;
		*kb = 0.0593;
		return true;
	default:
		return false;
	}
}

void jfif_colour_init(struct jfif_colour *c, enum frame_colour colour, bool full_range)
{
	/* How much full range is larger, for luma and chroma (BT.601 clause 2.5.1: 219 and 224
	 * steps). */
	double y_gain = full_range ? 1 : 255.0 / 219, c_gain = full_range ? 1 : 255.0 / 224;
	double yu = 0, yv = 0, uu = 1, uv = 0, vu = 0, vv = 1;
	double kr, kb;
	const bool other_matrix = luma_weights(colour, &kr, &kb);

	if (other_matrix) {
		/* R'G'B' by the picture's matrix, Y'CbCr of it by BT.601's. */
		const double kg = 1 - kr - kb;
		const double jr = 0.299, jb = 0.114, jg = 1 - jr - jb;
		double b_of_u = 2 * (1 - kb), r_of_v = 2 * (1 - kr); /* B'-Y', R'-Y' */
		double g_of_u = -b_of_u * kb / kg, g_of_v = -r_of_v * kr / kg;

		yu = jg * g_of_u + jb * b_of_u;
		yv = jr * r_of_v + jg * g_of_v;
		uu = (b_of_u - yu) / (2 * (1 - jb));
		uv = -yv / (2 * (1 - jb));
		vu = -yu / (2 * (1 - jr));
		vv = (r_of_v - yv) / (2 * (1 - jr));
	}
	*c = (struct jfif_colour){
		.same = full_range && !other_matrix,
		.y_offset = full_range ? 0 : 16,
		.yy = in_256ths(y_gain - 1),
		.yu = in_256ths(yu * c_gain),
		.yv = in_256ths(yv * c_gain),
		.uu = in_256ths(uu * c_gain - 1),
		.uv = in_256ths(uv * c_gain),
		.vu = in_256ths(vu * c_gain),
		.vv = in_256ths(vv * c_gain - 1),
	};
}

static inline uint8_t clamp_u8(int16_t value)
{
	value = value < 0 ? 0 : value;
	return (uint8_t)(value > 255 ? 255 : value);
}

/*
 * The coefficients are arguments, not reads of *c: bytes that are written might alias those. The
 * largest sum, (255 - 16) x 43 + 128 x (31 + 57) + 128, is below 2^15.
 */
static inline void colour_luma(int16_t y_offset, int16_t yy, const uint8_t *restrict in,
			       uint8_t *restrict out, const int16_t *restrict from_chroma)
{
	for (int j = 0; j < BLOCK; j++) {
		int16_t y = (int16_t)(in[j] - y_offset);
		int16_t part = (int16_t)(y * yy + from_chroma[j]);

		out[j] = clamp_u8((int16_t)(y + (part >> 8)));
	}
}

void jfif_colour_rows(const struct jfif_colour *c, const uint8_t *const in[2],
		      uint8_t *const out[2], uint8_t *restrict cb, uint8_t *restrict cr,
		      uint32_t width)
{
	const struct jfif_colour k = *c;

	for (uint32_t i = 0; i < width; i += BLOCK) {
		int16_t from_chroma[BLOCK];
		int16_t y_part[BLOCK / 2];
		uint8_t *restrict b = cb + i / 2, *restrict r = cr + i / 2;

		for (int j = 0; j < BLOCK / 2; j++) {
			int16_t u = (int16_t)(b[j] - 128), v = (int16_t)(r[j] - 128);
			int16_t b_part = (int16_t)(u * k.uu + v * k.uv + 128);
			int16_t r_part = (int16_t)(u * k.vu + v * k.vv + 128);

			y_part[j] = (int16_t)(u * k.yu + v * k.yv + 128);
			b[j] = clamp_u8((int16_t)(128 + u + (b_part >> 8)));
			r[j] = clamp_u8((int16_t)(128 + v + (r_part >> 8)));
		}
		for (int j = 0; j < BLOCK / 2; j++)
			from_chroma[2 * j] = from_chroma[2 * j + 1] = y_part[j];
		colour_luma(k.y_offset, k.yy, in[0] + i, out[0] + i, from_chroma);
		colour_luma(k.y_offset, k.yy, in[1] + i, out[1] + i, from_chroma);
	}
}
