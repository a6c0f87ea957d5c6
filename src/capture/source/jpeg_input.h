/* SPDX-License-Identifier: BSD-2-Clause */
/* The JPEGs of a camera that delivers nothing better: passed on, and decoded while that is wanted;
 * or only decoded to frames. One thread at a time. */
#ifndef CAPTURE_SOURCE_JPEG_INPUT_H
#define CAPTURE_SOURCE_JPEG_INPUT_H

#include "capture/source/source.h"
#include "media/orientation.h"

struct jpeg_input;

/*
 * size_max: of a JPEG, bytes. info has width, height and rate; info->coded says whether they are
 * passed on as packets. Frames are decoded into slots of config's allocator and turned by
 * orientation. Of packets that are also decoded info gets `decoded`; else it gets the format,
 * allocator and note of the frames. events: borrowed. 0 or -errno with a text in why[256].
 */
int jpeg_input_create(struct jpeg_input **out, size_t size_max, const struct config_camera *config,
		      struct orientation orientation, const struct source_events *events,
		      struct source_info *info, char *why);
/* Every frame must have been released. */
void jpeg_input_destroy(struct jpeg_input *input);

/* Those of decoding.h, for packets; nothing where there are none. Main thread. */
void jpeg_input_want(struct jpeg_input *input, bool wanted);
int jpeg_input_start(struct jpeg_input *input);
void jpeg_input_stop(struct jpeg_input *input);

/* Delivers one JPEG of at most size_max bytes. 0, or -EBADMSG: it is damaged. */
int jpeg_input_take(struct jpeg_input *input, const uint8_t *data, size_t len, uint64_t sequence,
		    int64_t capture_us, const struct source_events *events);

#endif
