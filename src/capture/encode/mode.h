/* SPDX-License-Identifier: BSD-2-Clause */
/* What a stream does with the pictures that a source delivers. */
#ifndef CAPTURE_ENCODE_MODE_H
#define CAPTURE_ENCODE_MODE_H

#include "capture/source/source.h"
#include "media/h264_writer.h"

enum stream_mode {
	STREAM_ENCODES,
	STREAM_COPIES,
	STREAM_REFUSES, /* it gets no pictures that it can use */
};

/* detail (size bytes): says for people what it copies, or why it refuses; unchanged if it
 * encodes. */
enum stream_mode stream_mode(const struct config_stream *config, const struct source_info *info,
			     char *detail, size_t size);

/* What the SPSs of a stream of H.264 are to say. */
struct sps_edit stream_mode_edit(enum stream_mode mode, const struct source_info *info);

#endif
