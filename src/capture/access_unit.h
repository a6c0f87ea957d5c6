/* SPDX-License-Identifier: BSD-2-Clause */
/* A coded picture on its way from an encoder, or a source that delivers such, to the logs. */
#ifndef CAPTURE_ACCESS_UNIT_H
#define CAPTURE_ACCESS_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One coded picture as the encoder made it: Annex B NAL units for H.264 (as they come:
 * h264_writer.h puts AUD, parameter sets, VUI right), a JPEG for MJPEG. */
struct access_unit {
	const uint8_t *data; /* borrowed until the event returns */
	size_t len;
	int64_t capture_us;
	bool key;	/* IDR */
	bool droppable; /* nal_ref_idc 0 */
	bool as_is;	/* not H.264 (v4l2_format): h264_writer.h cannot read it, key is all that is
			   known */
};

#endif
