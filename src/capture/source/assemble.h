/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets of a recording as pictures on their own: H.264 as an access unit of a byte stream with
 * the newest parameter sets in front of each IDR picture, a JPEG with its tables. One thread at a
 * time.
 */
#ifndef CAPTURE_SOURCE_ASSEMBLE_H
#define CAPTURE_SOURCE_ASSEMBLE_H

#include <libavcodec/avcodec.h>

#include "config/config.h"
#include "media/parameter_sets.h"

struct assembler {
	enum config_codec codec;
	unsigned length_size; /* of lengths in front of NAL units; 0: a byte stream */
	struct parameter_sets sets;
	struct sps sps; /* the one that the newest picture uses, where sps_known */
	int sps_id;	/* its number; -1: none */
	bool sps_known;
	bool set_too_long; /* a parameter set was left out for its length */
};

enum { UNIT_TOP = 1, UNIT_BOTTOM = 2 };

struct bytes {
	uint8_t *data;
	size_t len, size; /* used, allocated */
};

/* A coded picture: a frame, or a field. Its memory is reused from picture to picture. */
struct unit {
	struct bytes coded;
	struct bytes sets;	/* the parameter sets that it needs, where it is no key picture */
	bool ends;		/* a JPEG with its end (EOI) */
	bool key;		/* decoding can begin here */
	bool idr;		/* also one whose parameter sets are not known */
	bool referenced;	/* others may refer to it */
	bool discard;		/* an edit list hides it */
	bool corrupt;		/* the demuxer says so */
	unsigned fields;	/* UNIT_TOP, UNIT_BOTTOM; 0: a frame */
	unsigned frame_num;	/* of fields */
	unsigned width, height; /* 0: not known */
	int64_t pts, dts, duration, pos; /* AVPacket's */
};

void assembler_init(struct assembler *assembler, enum config_codec codec);
void assembler_finish(struct assembler *assembler);
/* The codec's header, as a container has it: it counts from now on, what it does not name stays. 0
 * or -ENOMEM. */
int assembler_take_header(struct assembler *assembler, const uint8_t *data, size_t len);
/* 0, -ENODATA: there is no picture in it, -EBADMSG: it is damaged (unit->referenced is true), or
 * -ENOMEM. */
int assembler_take(struct assembler *assembler, const AVPacket *packet, struct unit *unit);

/* The picture lasts so many ticks longer. Nothing is added of what cannot be true. */
void unit_extend(struct unit *unit, int64_t ticks);
/* Adds a picture's second field. 0 or -ENOMEM. */
int unit_append(struct unit *unit, const struct unit *second);
/* Whether `second`, which follows unit, is its other field (clause 3.30, complementary pairs). */
bool unit_is_pair(const struct unit *unit, const struct unit *second);
/* Whether a picture of H.264 has all its bytes: whole.h. */
bool unit_is_whole(const struct unit *unit);
void unit_finish(struct unit *unit);

#endif
