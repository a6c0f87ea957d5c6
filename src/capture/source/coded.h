/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets of a recording as coded pictures that a stream can pass on: H.264 as a byte stream with
 * the parameter sets in it, JPEGs with their tables. Damaged packets are left out. One thread at a
 * time.
 */
#ifndef CAPTURE_SOURCE_CODED_H
#define CAPTURE_SOURCE_CODED_H

#include <libavformat/avformat.h>

#include "capture/source/source.h"

struct coded;

/* A picture, and its place in the recording. */
struct coded_picture {
	/* Borrowed until the next call. capture_us is left to the caller. */
	struct packet packet;
	int64_t dts, duration; /* ticks of the stream's time base; AV_NOPTS_VALUE, 0: not known */
	int64_t reorder_us;    /* how much later than it is decoded it is shown */
};

/* stream: borrowed for the call; its codec is the one of `codec`. 0, or -errno with a text in
 * why[256]. */
int coded_create(struct coded **out, const AVStream *stream, enum config_codec codec, char *why);
void coded_destroy(struct coded *coded);

/* packet: taken over (it is blank afterwards); NULL: the end of the recording. Every picture of the
 * packet before was received. 0 or -ENOMEM. */
int coded_send(struct coded *coded, AVPacket *packet);
/* The next picture in decoding order. 0, -EAGAIN (send more; after the end: there is none), or
 * -ENOMEM. */
int coded_receive(struct coded *coded, struct coded_picture *picture);
/* The recording begins again. */
void coded_rewind(struct coded *coded);

#endif
