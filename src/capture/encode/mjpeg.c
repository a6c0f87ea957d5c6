/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encodes JPEG with libjpeg-turbo, from planes: raw data input, without the library's colour
 * conversion.
 *
 * JFIF means full range and the BT.601 matrix, and every reader assumes this (OpenCV and browsers
 * support nothing else), while cameras mostly deliver limited range and, in HD, BT.709. Such a
 * picture is converted to JFIF's colours while it is copied into the 16 rows that the library takes
 * at a time, which are in the cache then: half a millisecond of the three that a 720p picture
 * takes. A picture with JFIF's colours is passed by pointer.
 */
#include "capture/encode/encoder.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "base/diag.h"
#include "capture/encode/convert.h"

enum {
	MCU = 16, /* luma rows and columns of a minimum coded unit in 4:2:0 */
	OUTPUT_FIRST = 256 * 1024,
};

struct mjpeg {
	struct encoder base;
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_destination_mgr destination;
	bool created; /* jpeg */
	jmp_buf failed;
	uint8_t *output;
	size_t output_cap;

	struct i420_buffer i420; /* for YUYV */
	struct jfif_colour colour;
	uint32_t width;	 /* of a row of whole MCUs */
	bool by_pointer; /* luma rows, and I420's chroma rows, need no conversion */
	uint8_t *rows;	 /* MCU rows of luma, MCU / 2 of Cb, MCU / 2 of Cr */
};

/* --- libjpeg's callbacks --- */

static void handle_error(j_common_ptr jpeg)
{
	struct mjpeg *enc = jpeg->client_data;
	char text[JMSG_LENGTH_MAX];

	jpeg->err->format_message(jpeg, text);
	diag_error("mjpeg: %s", text);
	longjmp(enc->failed, 1);
}

static void handle_message(j_common_ptr jpeg)
{
	char text[JMSG_LENGTH_MAX];

	jpeg->err->format_message(jpeg, text);
	diag_debug("mjpeg: %s", text);
}

static void begin_output(j_compress_ptr jpeg)
{
	struct mjpeg *enc = jpeg->client_data;

	enc->destination.next_output_byte = enc->output;
	enc->destination.free_in_buffer = enc->output_cap;
}

/* The buffer is full, even if free_in_buffer is not 0. It grows to the size of the largest
 * picture. */
static boolean grow_output(j_compress_ptr jpeg)
{
	struct mjpeg *enc = jpeg->client_data;
	size_t used = enc->output_cap;
	uint8_t *grown = realloc(enc->output, used * 2);

	if (!grown) {
		diag_error("mjpeg: out of memory");
		longjmp(enc->failed, 1);
	}
	enc->output = grown;
	enc->output_cap = used * 2;
	enc->destination.next_output_byte = grown + used;
	enc->destination.free_in_buffer = used;
	return TRUE;
}

static void end_output(j_compress_ptr jpeg)
{
	(void)jpeg;
}

/* --- */

static void mjpeg_destroy(struct encoder *encoder)
{
	struct mjpeg *enc = (struct mjpeg *)encoder;

	if (enc->created)
		jpeg_destroy_compress(&enc->jpeg);
	i420_buffer_finish(&enc->i420);
	free(enc->rows);
	free(enc->output);
	free(enc);
}

static int start_jpeg(struct mjpeg *enc, const struct frame_format *format, uint32_t quality)
{
	struct jpeg_compress_struct *jpeg = &enc->jpeg;

	jpeg->err = jpeg_std_error(&enc->errors);
	enc->errors.error_exit = handle_error;
	enc->errors.output_message = handle_message;
	jpeg->client_data = enc;
	if (setjmp(enc->failed))
		return -ENOMEM;
	jpeg_create_compress(jpeg);
	enc->created = true;
	enc->destination = (struct jpeg_destination_mgr){
		.init_destination = begin_output,
		.empty_output_buffer = grow_output,
		.term_destination = end_output,
	};
	jpeg->dest = &enc->destination;
	jpeg->image_width = format->width;
	jpeg->image_height = format->height;
	jpeg->input_components = 3;
	jpeg->in_color_space = JCS_YCbCr;
	jpeg_set_defaults(
		jpeg); /* 4:2:0, JFIF, the standard's Huffman tables (and they are written) */
	/* Without a unit, the densities are the shape of a pixel, as players read them. */
	jpeg->density_unit = 0;
	jpeg->X_density = (UINT16)(format->sar_width ? format->sar_width : 1);
	jpeg->Y_density = (UINT16)(format->sar_width ? format->sar_height : 1);
	jpeg_set_quality(jpeg, (int)quality, TRUE);
	jpeg->raw_data_in = TRUE;
	jpeg->dct_method = JDCT_ISLOW; /* this method has vector code and full precision */
	return 0;
}

static int mjpeg_create(struct encoder **out, const struct encoder_config *config,
			const struct encoder_events *events, char *why)
{
	const struct frame_format *format = &config->format;
	struct mjpeg *enc;
	int rc = -ENOMEM;

	enc = calloc(1, sizeof(*enc));
	if (!enc) {
		snprintf(why, 256, "mjpeg: out of memory");
		return -ENOMEM;
	}
	enc->base.ops = &encoder_mjpeg;
	enc->base.events = *events;
	enc->width = (format->width + MCU - 1) & ~(uint32_t)(MCU - 1);
	jfif_colour_init(&enc->colour, format->colour, format->full_range);
	enc->by_pointer = enc->colour.same && enc->width == format->width;

	enc->output = malloc(OUTPUT_FIRST);
	enc->output_cap = OUTPUT_FIRST;
	enc->rows = aligned_alloc(64, (size_t)enc->width * 2 * MCU);
	if (enc->output && enc->rows)
		rc = i420_buffer_init(&enc->i420, format);
	if (rc == 0)
		rc = start_jpeg(enc, format, config->stream->quality);
	if (rc < 0) {
		snprintf(why, 256, "mjpeg: pictures of format %s: %s",
			 frame_fourcc_name(format->fourcc), strerror(-rc));
		mjpeg_destroy(&enc->base);
		return rc;
	}
	snprintf(enc->base.detail, sizeof(enc->base.detail), "libjpeg-turbo, quality %u, %s%s",
		 config->stream->quality, convert_i420_note(format->fourcc),
		 enc->colour.same ? "" : ", colours converted to JFIF");
	*out = &enc->base;
	return 0;
}

/* Repeats the last of n samples up to len, so that blocks at the edge contain no step. */
static void extend_row(uint8_t *row, uint32_t n, uint32_t len)
{
	if (n < len)
		memset(row + n, row[n - 1], len - n);
}

/* Sets the row pointers of one MCU row of `in`, from luma row `top`, as the library takes them. */
static void make_rows(struct mjpeg *enc, const struct picture *in, uint32_t top, JSAMPROW y[MCU],
		      JSAMPROW cb[MCU / 2], JSAMPROW cr[MCU / 2])
{
	uint32_t chroma_width = in->width / 2;
	uint8_t *luma_rows = enc->rows, *chroma_rows = enc->rows + (size_t)enc->width * MCU;

	for (uint32_t i = 0; i < MCU / 2; i++) {
		/* The picture's last rows are repeated below its end. */
		uint32_t row = top / 2 + i < in->height / 2 ? top / 2 + i : in->height / 2 - 1;
		uint8_t *b = chroma_rows + (size_t)i * (enc->width / 2);
		uint8_t *r = b + (size_t)enc->width / 2 * (MCU / 2);
		const uint8_t *const luma[2] = {
			in->data[0] + (size_t)(2 * row) * in->stride[0],
			in->data[0] + (size_t)(2 * row + 1) * in->stride[0],
		};

		cb[i] = b;
		cr[i] = r;
		if (in->fourcc == FRAME_NV12) {
			convert_split_row(in->data[1] + (size_t)row * in->stride[1], b, r,
					  chroma_width);
		} else if (enc->by_pointer) {
			/* libjpeg declares no const for data that it only reads */
			cb[i] = (JSAMPROW)(uintptr_t)(in->data[1] + (size_t)row * in->stride[1]);
			cr[i] = (JSAMPROW)(uintptr_t)(in->data[2] + (size_t)row * in->stride[2]);
		} else {
			memcpy(b, in->data[1] + (size_t)row * in->stride[1], chroma_width);
			memcpy(r, in->data[2] + (size_t)row * in->stride[2], chroma_width);
		}
		if (enc->by_pointer) {
			y[2 * i] = (JSAMPROW)(uintptr_t)luma[0];
			y[2 * i + 1] = (JSAMPROW)(uintptr_t)luma[1];
			continue;
		}
		y[2 * i] = luma_rows + (size_t)(2 * i) * enc->width;
		y[2 * i + 1] = y[2 * i] + enc->width;
		extend_row(b, chroma_width, enc->width / 2);
		extend_row(r, chroma_width, enc->width / 2);
		if (enc->width == in->width && !enc->colour.same) {
			jfif_colour_rows(&enc->colour, luma, &y[2 * i], b, r, enc->width);
			continue;
		}
		for (int j = 0; j < 2; j++) {
			memcpy(y[2 * i + j], luma[j], in->width);
			extend_row(y[2 * i + j], in->width, enc->width);
		}
		if (!enc->colour.same)
			jfif_colour_rows(&enc->colour, (const uint8_t *const *)&y[2 * i], &y[2 * i],
					 b, r, enc->width);
	}
}

static int code_picture(struct mjpeg *enc, const struct picture *in)
{
	JSAMPROW y[MCU], cb[MCU / 2], cr[MCU / 2];
	JSAMPARRAY planes[3] = {y, cb, cr};

	if (setjmp(enc->failed)) {
		jpeg_abort_compress(&enc->jpeg);
		return -EIO;
	}
	jpeg_start_compress(&enc->jpeg, TRUE);
	for (uint32_t top = 0; top < in->height; top += MCU) {
		make_rows(enc, in, top, y, cb, cr);
		jpeg_write_raw_data(&enc->jpeg, planes, MCU);
	}
	jpeg_finish_compress(&enc->jpeg);
	return 0;
}

static int mjpeg_encode(struct encoder *encoder, struct frame *frame, bool force_idr)
{
	struct mjpeg *enc = (struct mjpeg *)encoder;
	struct access_unit unit = {.capture_us = frame->capture_us, .key = true};
	struct picture picture, i420;
	int rc;

	(void)force_idr; /* every picture is a key picture */
	rc = picture_begin(&picture, frame);
	if (rc < 0) {
		frame_unref(frame);
		return rc;
	}
	if (picture.fourcc == FRAME_YUYV) {
		convert_to_i420(&enc->i420, &picture, &i420);
		picture = i420;
	}
	rc = code_picture(enc, &picture);
	picture_end(frame);
	frame_unref(frame);
	if (rc < 0)
		return rc;
	unit.data = enc->output;
	unit.len = enc->output_cap - enc->destination.free_in_buffer;
	enc->base.events.coded(enc->base.events.user, &unit);
	return 0;
}

const struct encoder_ops encoder_mjpeg = {
	.name = "mjpeg",
	.create = mjpeg_create,
	.encode = mjpeg_encode,
	.destroy = mjpeg_destroy,
};
