/* SPDX-License-Identifier: BSD-2-Clause */
/* SEI messages (H.264, clause 7.3.2.3): that of camcast/sei.h, a picture's number and when it was
 * taken; and the display orientation. Any thread. */
#ifndef MEDIA_SEI_H
#define MEDIA_SEI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/orientation.h"

/* Bytes of the NAL units, start code and emulation prevention included. */
#define SEI_CAPTURE_MAX 72
#define SEI_ORIENTATION_MAX 16

struct sei_capture {
	uint64_t sequence;
	int64_t monotonic_us, utc_us; /* of the camera's machine */
};

/* Writes it as a NAL unit of its own, with a start code of four bytes. Returns its length. */
size_t sei_write_capture(uint8_t out[SEI_CAPTURE_MAX], const struct sei_capture *capture);

/* Finds it in front of the slices of an access unit (Annex B); false: there is none. */
bool sei_find_capture(const uint8_t *unit, size_t len, struct sei_capture *out);

/* Writes a display orientation message (clauses D.1.26, D.2.26), as sei_write_capture() does. It
 * holds for the picture and those that follow it, up to the next IDR picture or message. */
size_t sei_write_orientation(uint8_t out[SEI_ORIENTATION_MAX], struct orientation orientation);

/* Finds the last one of an access unit (Annex B) in front of its slices; false: there is none. An
 * angle between two quarter turns counts as the nearer one. A message that cancels is upright. */
bool sei_find_orientation(const uint8_t *unit, size_t len, struct orientation *out);

#endif
