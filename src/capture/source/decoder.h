/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Coded pictures into frames, by libavcodec. It decodes straight into the frame slots where codec,
 * pixel format and orientation allow; other pictures are converted into a slot once (fit.h). One
 * thread at a time; frames may be released by any.
 */
#ifndef CAPTURE_SOURCE_DECODER_H
#define CAPTURE_SOURCE_DECODER_H

#include <libavcodec/avcodec.h>

#include "capture/frame.h"
#include "media/orientation.h"

struct decoder;

struct decoder_options {
	const struct config_camera *camera; /* its name, allocator, buffers; borrowed */
	struct rate rate;		    /* goes into the format */
	struct orientation orientation;	    /* how the pictures are turned */
	AVRational shape;		    /* of a coded pixel; 0: square, or not known */
};

/* parameters, options: borrowed for the call. On failure -errno with a text in why[256]. */
int decoder_create(struct decoder **out, const AVCodecParameters *parameters,
		   const struct decoder_options *options, char *why);
/* Every frame must have been released. */
void decoder_destroy(struct decoder *decoder);

/* What the frames of such a decoder have: width, height, shape of a pixel, rate. */
struct frame_format decoder_outline(const AVCodecParameters *parameters,
				    const struct decoder_options *options);

const struct frame_format *decoder_format(const struct decoder *decoder);
const char *decoder_allocator(const struct decoder *decoder);
/* "decoded from msmpeg4v3", "decoded from mjpeg, yuvj422p converted to I420" */
const char *decoder_note(const struct decoder *decoder);

/* packet: borrowed; NULL: the end, give what is left. 0, -EAGAIN (receive first), or -errno (a
 * damaged packet: go on). */
int decoder_send(struct decoder *decoder, const AVPacket *packet);
/* The next picture in presentation order: *frame has one reference, *timestamp is its best known
 * one, in the packets' time base, or AV_NOPTS_VALUE. 0, -EAGAIN (send more), -ENODATA (the end),
 * -ENOBUFS (a picture was dropped, every slot is in use), or -errno. */
int decoder_receive(struct decoder *decoder, struct frame **frame, int64_t *timestamp);
/* After a jump to another place, also to leave the end. */
void decoder_flush(struct decoder *decoder);

#endif
