/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Coded pictures into the ring, by libavcodec, each shown as soon as it is decoded. A hardware
 * decoder where libavcodec offers one that opens, else software with slice threads, which add no
 * delay. Software decodes straight into the ring's slots where codec and pixel format allow; what
 * comes from a hardware decoder is downloaded into one, and what is not 8-bit 4:2:0, or is to be
 * turned (a display orientation SEI), is converted into one, once. One thread.
 */
#ifndef CLIENT_VIEW_DECODER_H
#define CLIENT_VIEW_DECODER_H

#include "client/find/servers.h"
#include "client/view/ring.h"

struct view_decoder;

/* Whether `hardware` below can be that, on a machine that has it. */
bool view_decoder_knows(const char *hardware);

/* hardware: "auto", "none", or the name of a libavutil device type ("vaapi", "vdpau", "cuda",
 * "drm"). ring: borrowed. On failure -errno with a text in why[256]. */
int view_decoder_create(struct view_decoder **out, enum stream_codec codec, const char *hardware,
			struct view_ring *ring, char *why);
void view_decoder_destroy(struct view_decoder *decoder);

/* Decodes an access unit and publishes what comes of it. since_us and captured go with the picture
 * (struct view_picture). Returns the number of pictures published; -errno of a damaged unit: go on;
 * -ENOTRECOVERABLE: start again with a new decoder, *why says what happened. */
int view_decoder_decode(struct view_decoder *decoder, const uint8_t *data, size_t len,
			int64_t since_us, bool captured, char *why);
/* What comes next does not refer to what was. */
void view_decoder_flush(struct view_decoder *decoder);
/* "h264, software" or "h264, vaapi": what the last picture came from. */
const char *view_decoder_name(const struct view_decoder *decoder);
/* Whether a device is open. */
bool view_decoder_hardware(const struct view_decoder *decoder);

#endif
