/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets of a recording as coded pictures that a stream can pass on, in order. Left out are: what
 * is damaged, what an edit list hides, and what needs either. The two fields of a frame are one
 * picture. A picture comes out when the next packet, or the end, shows that it is complete. One
 * thread at a time.
 */
#ifndef CAPTURE_SOURCE_CODED_H
#define CAPTURE_SOURCE_CODED_H

#include <libavformat/avformat.h>

#include "capture/source/source.h"

#define CODED_REORDER_LIVE_US 2000000 /* a live picture that is shown so much later is damaged */

struct coded;

struct coded_options {
	const char *what;	/* "recording", for people; borrowed for ever; NULL: that */
	const AVStream *stream; /* borrowed for the call; its codec is the one of `codec` */
	enum config_codec codec;
	/* The demuxer's parser cut the stream into packets: it marks the packet before the damaged
	 * one as corrupt, because it gives a packet when it sees the next. */
	bool parsed;
	/* Pass on also what an edit list hides: where no IDR picture is shown, it is needed. */
	bool keep_hidden;
	/* Give a picture as soon as its packet is there, without looking at the next one: a live
	 * source delivers whole pictures, and waiting would show each of them one picture late.
	 * Fields wait for each other nevertheless. */
	bool immediate;
};

/* A picture, and its place in the recording. */
struct coded_picture {
	/* Borrowed until the next call. capture_us is left to the caller. */
	struct packet packet;
	int64_t dts, duration;	/* ticks of the stream's time base; AV_NOPTS_VALUE, 0: not known */
	int64_t reorder_us;	/* how much later than it is decoded it is shown */
	unsigned width, height; /* 0: not known */
};

/* 0, or -errno with a text in why[256]. */
int coded_create(struct coded **out, const struct coded_options *options, char *why);
void coded_destroy(struct coded *coded);

/* packet: borrowed; NULL: the end of the recording. Every picture was received. 0 or -ENOMEM. */
int coded_send(struct coded *coded, const AVPacket *packet);
/* The next picture in decoding order. 0, -EAGAIN (send more; after the end: there is none), or
 * -ENOMEM. */
int coded_receive(struct coded *coded, struct coded_picture *picture);
/* The recording begins again; stream as in coded_options. 0 or -ENOMEM. */
int coded_rewind(struct coded *coded, const AVStream *stream);

/* Whether all pictures are left out up to the next key picture. */
bool coded_waits_for_key(const struct coded *coded);
/* Why no picture came so far, for people; why has 256 bytes. */
void coded_trouble(const struct coded *coded, char *why);

#endif
