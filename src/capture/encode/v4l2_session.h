/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The set-up of a stateful V4L2 encoder: device, controls, formats, buffers. v4l2m2m.c does the
 * encoding. One thread at a time.
 */
#ifndef CAPTURE_ENCODE_V4L2_SESSION_H
#define CAPTURE_ENCODE_V4L2_SESSION_H

#include <linux/videodev2.h>

#include "capture/encode/encoder.h"
#include "capture/encode/v4l2.h"

struct v4l2_coded_buffer {
	uint8_t *map; /* NULL: not mapped */
	uint32_t size;
};

struct v4l2_session {
	struct v4l2_device device;
	struct frame_format format;
	struct slot_ring *ring; /* borrowed; OUTPUT buffer i is slot i */
	uint32_t coded_fourcc;
	struct v4l2_coded_buffer coded[VIDEO_MAX_FRAME]; /* CAPTURE */
	unsigned n_coded;
	bool can_force_key;
	bool pictures_on, coded_on; /* STREAMON */
};

/* Opens the device that config->stream asks for and sets it up, until both queues stream and all
 * coded buffers are queued. 0 or -errno with a text in why[V4L2_WHY_MAX]; closed then. */
int v4l2_session_open(struct v4l2_session *session, const struct encoder_config *config, char *why);
/* STREAMOFF, and gives back all that open() took. May block for 2 s a queue. */
void v4l2_session_close(struct v4l2_session *session);

/* Gives coded buffer `index` to the driver. 0 or -errno. */
int v4l2_session_queue_coded(struct v4l2_session *session, unsigned index);

#endif
