/* SPDX-License-Identifier: BSD-2-Clause */
/* A camera that is drawn, an encoder of H.264 with its writer, and libavcodec's decoder, which
 * compares what it gets with what was drawn. One thread. */
#ifndef TESTS_UNIT_ENCODER_RIG_H
#define TESTS_UNIT_ENCODER_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libavcodec/avcodec.h>

#include "capture/encode/encoder.h"
#include "media/h264_writer.h"

enum { SLOTS = 2, UNITS_MAX = 2000 };

/* --- a camera: a moving picture with some noise, the same for each number --- */

struct camera {
	struct frame_format format;
	struct slot_ring *ring;
	struct frame frames[SLOTS];
	unsigned out; /* frames that are not given back */
	bool cut;     /* from now on the scene is another one */
	bool still;   /* nothing moves */
};

/* --- an encoder with its writer, and what came out --- */

struct coded_unit {
	size_t offset, len;
	bool key, droppable;
};

struct recording {
	struct encoder *encoder;
	struct h264_writer *writer;
	struct camera camera;
	unsigned frames;
	struct coded_unit units[UNITS_MAX];
	unsigned n;
	uint8_t *bytes;
	size_t len, cap;
	int64_t capture_us; /* of the last unit */
};

struct shape {
	const struct encoder_ops *ops;
	uint32_t fourcc, width, height;
	struct rate rate;
	uint32_t bitrate, keyframe_interval, layers;
	enum config_profile profile;
	unsigned threads;
	bool sei;
};

/* 320x240 at 30 pictures a second, a key unit each second. */
struct shape usual(const struct encoder_ops *ops);
/* Opens the encoder; to be ended. */
struct recording *record_begin(const struct shape *shape);
/* Encodes the next picture, whose unit must come at once. */
void record(struct recording *rec, bool force_idr);
void record_end(struct recording *rec);

/* --- decoding --- */

struct decoded {
	unsigned pictures, errors;
	double worst_luma, worst_chroma; /* PSNR, dB */
	enum AVColorRange range;
	enum AVColorSpace space;
};

/* Decodes units from `first` on, without those that are droppable if leave_out. */
struct decoded decode(const struct recording *rec, unsigned first, bool leave_out);

#endif
