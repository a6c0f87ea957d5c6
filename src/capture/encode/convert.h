/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Conversions that an encoder needs: planes that need none are passed by pointer. Any thread.
 */
#ifndef CAPTURE_ENCODE_CONVERT_H
#define CAPTURE_ENCODE_CONVERT_H

#include "capture/frame.h"

/* A raw picture in memory. */
struct picture {
	uint32_t fourcc;
	uint32_t width, height;
	const uint8_t *data[3]; /* planes, as many as the fourcc has */
	uint32_t stride[3];	/* bytes */
};

/* Maps the frame's slot and begins a read access; the planes are valid until picture_end(). 0 or
 * -errno. */
int picture_begin(struct picture *picture, struct frame *frame);
void picture_end(struct frame *frame);

/* A buffer for the planes that are converted when pictures of one format become I420. */
struct i420_buffer {
	uint8_t *memory; /* NULL: pictures are I420 already */
	uint8_t *data[3];
	uint32_t stride[3];
};

/* 0, -ENOMEM, or -EINVAL: unknown fourcc. */
int i420_buffer_init(struct i420_buffer *buffer, const struct frame_format *format);
void i420_buffer_finish(struct i420_buffer *buffer);

/* out: the picture `in` as I420, with planes borrowed from `in` (I420; luma of NV12) and from
 * buffer, until the next call. */
void convert_to_i420(struct i420_buffer *buffer, const struct picture *in, struct picture *out);
/* For the status: "NV12 chroma split to I420"... */
const char *convert_i420_note(uint32_t fourcc);

/* Splits n pairs of CbCr into n Cb and n Cr. */
void convert_split_row(const uint8_t *cbcr, uint8_t *cb, uint8_t *cr, uint32_t n);

/*
 * Colours of a picture to those that JFIF means (BT.601 matrix, full range), in YCbCr: out = base
 * plus a small part of it, in 1/256, so that 16 bits are enough.
 *
 *   Y  = y' + (yy y' + yu u + yv v) / 256    y' = Y - y_offset, u = Cb - 128, v = Cr - 128
 *   Cb = 128 + u + (uu u + uv v) / 256
 *   Cr = 128 + v + (vu u + vv v) / 256
 */
struct jfif_colour {
	bool same; /* nothing to do */
	int16_t y_offset, yy, yu, yv, uu, uv, vu, vv;
};

/* Unknown colours are treated as SMPTE 170M, as JFIF readers do. */
void jfif_colour_init(struct jfif_colour *c, enum frame_colour colour, bool full_range);

/* Converts two rows of luma and the row of chroma between them. width is a multiple of 16; cb and
 * cr in place. */
void jfif_colour_rows(const struct jfif_colour *c, const uint8_t *const in[2],
		      uint8_t *const out[2], uint8_t *cb, uint8_t *cr, uint32_t width);

#endif
