/* SPDX-License-Identifier: BSD-2-Clause */
/* The SEI message of camcast/sei.h: a picture's number and when it was taken. Any thread. */
#ifndef MEDIA_SEI_H
#define MEDIA_SEI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEI_CAPTURE_MAX 72 /* bytes of the NAL unit, start code and emulation prevention included */

struct sei_capture {
	uint64_t sequence;
	int64_t monotonic_us, utc_us; /* of the camera's machine */
};

/* Writes it as a NAL unit of its own, with a start code of four bytes. Returns its length. */
size_t sei_write_capture(uint8_t out[SEI_CAPTURE_MAX], const struct sei_capture *capture);

/* Finds it in front of the slices of an access unit (Annex B); false: there is none. */
bool sei_find_capture(const uint8_t *unit, size_t len, struct sei_capture *out);

#endif
