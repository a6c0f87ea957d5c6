/* SPDX-License-Identifier: BSD-2-Clause */
/* The JPEGs of a camera that delivers nothing better: passed on, or decoded to frames. One thread
 * at a time. */
#ifndef CAPTURE_SOURCE_JPEG_INPUT_H
#define CAPTURE_SOURCE_JPEG_INPUT_H

#include "capture/source/source.h"
#include "media/orientation.h"

struct jpeg_input;

/*
 * size_max: of a JPEG, bytes. info has width, height and rate; info->coded says whether they are
 * passed on as packets. If they are not, they are decoded into slots of config's allocator and
 * turned by orientation, and info gets the format, allocator and note of those. 0 or -errno with a
 * text in why[256].
 */
int jpeg_input_create(struct jpeg_input **out, size_t size_max, const struct config_camera *config,
		      struct orientation orientation, struct source_info *info, char *why);
/* Every frame must have been released. */
void jpeg_input_destroy(struct jpeg_input *input);

/* Delivers one JPEG of at most size_max bytes. 0, or -EBADMSG: it is damaged. */
int jpeg_input_take(struct jpeg_input *input, const uint8_t *data, size_t len, uint64_t sequence,
		    int64_t capture_us, const struct source_events *events);

#endif
