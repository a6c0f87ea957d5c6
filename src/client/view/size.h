/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sizes of pictures that are decoded. A decoder allocates what a stream states, so a stream is
 * refused before a decoder sees it. Any thread.
 */
#ifndef CLIENT_VIEW_SIZE_H
#define CLIENT_VIEW_SIZE_H

#include <stddef.h>
#include <stdint.h>

#include "client/stream/target.h"
#include "client/view/ring.h"

/* Pixels of a picture: three of them fit the ring (view_ring_fit()), and 7680x3840 is one. */
#define VIEW_PIXELS_MAX (VIEW_RING_AREA / 128 * 29)
#define VIEW_SIZE_WHY 160

/*
 * Checks what the headers of an access unit or JPEG state: sides of at most VIEW_PICTURE_MAX,
 * VIEW_PIXELS_MAX in all, and for H.264 reference pictures that the highest level allows (ITU-T
 * H.264 table A-1, MaxDpbMbs of level 6.2). 0; -E2BIG: too large, or -EINVAL: an SPS that cannot be
 * read; then why says so in words.
 */
int view_size_check(enum stream_codec codec, const uint8_t *data, size_t len,
		    char why[VIEW_SIZE_WHY]);

#endif
