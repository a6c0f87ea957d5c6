/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decodes pictures into the ring with libavcodec, and publishes each as soon as it is decoded. It
 * uses a hardware decoder where libavcodec has one that opens, otherwise software with slice
 * threads, which add no delay. Software decodes directly into the ring's slots if codec and pixel
 * format allow it. A hardware decoder's picture is downloaded into a slot. A picture that is not
 * 8-bit 4:2:0, or that must be turned (a display orientation SEI), is converted into one. One
 * thread.
 */
#ifndef CLIENT_VIEW_DECODER_H
#define CLIENT_VIEW_DECODER_H

#include "client/stream/target.h"
#include "client/view/ring.h"

struct view_decoder;

/* Whether this is a valid value of `hardware` below; the machine may still lack such a device. */
bool view_decoder_knows(const char *hardware);

/* hardware: "auto", "none", or the name of a libavutil device type ("vaapi", "vdpau", "cuda",
 * "drm"). ring: borrowed. On failure -errno with a text in why[256]. */
int view_decoder_create(struct view_decoder **out, enum stream_codec codec, const char *hardware,
			struct view_ring *ring, char *why);
void view_decoder_destroy(struct view_decoder *decoder);

/* Decodes an access unit and publishes the resulting pictures. since_us and captured go with the
 * picture (struct view_picture). Returns the number of pictures published; -errno of a damaged
 * unit: continue with the next; -ENOTRECOVERABLE: start again with a new decoder, *why says what
 * happened. */
int view_decoder_decode(struct view_decoder *decoder, const uint8_t *data, size_t len,
			int64_t since_us, bool captured, char *why);
/* Forgets earlier pictures: the next unit does not refer to them. */
void view_decoder_flush(struct view_decoder *decoder);
/* "h264, software" or "h264, vaapi": codec and decoder of the last picture. */
const char *view_decoder_name(const struct view_decoder *decoder);
/* Whether a device is open. */
bool view_decoder_hardware(const struct view_decoder *decoder);

#endif
