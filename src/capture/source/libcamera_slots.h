/* SPDX-License-Identifier: BSD-2-Clause */
/* The buffers of a configured libcamera camera as a ring of frame slots. */
#ifndef CAPTURE_SOURCE_LIBCAMERA_SLOTS_H
#define CAPTURE_SOURCE_LIBCAMERA_SLOTS_H

#include "capture/frame.h"
#include "wrapper/camera.h"

/*
 * Slots of our own, imported into libcamera, come first: its own are likely uncached for the CPU.
 * `auto` goes on to libcamera's where the machine has no dmabufs or the camera takes none, and last
 * to plain memory, which only a camera that is all software takes. format is laid out already (for
 * a coded camera it has no planes) and gets libcamera's plane offsets where the buffers are its
 * own. name: of the camera in log lines. 0 or -errno; camera_error() may have a text.
 */
int libcamera_make_slots(struct slot_ring **out, struct camera *camera, const char *name,
			 const char *allocator, const struct camera_format *got,
			 struct frame_format *format);

#endif
