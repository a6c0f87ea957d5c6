/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoded pictures into frames of one format, whatever they are: turned upright, in their own shape
 * (with black bars where the format has another one), and in the format's colours. One thread.
 */
#ifndef CAPTURE_SOURCE_FIT_H
#define CAPTURE_SOURCE_FIT_H

#include <libavutil/frame.h>

#include "capture/frame.h"
#include "media/orientation.h"

struct fit;

/* format: with its layout; that of the first picture after it was turned. Pictures that are turned
 * need I420. 0, -ENOMEM. */
int fit_create(struct fit **out, const struct frame_format *format, struct orientation orientation);
void fit_destroy(struct fit *fit);

/* Whether the picture, laid out as the format says, can be delivered without a change. The first
 * picture that this or fit_write() gets has the shape of a pixel that the format states, whatever
 * it says itself: a container may know better. */
bool fit_is_same(struct fit *fit, const AVFrame *picture);
/* Whether the last picture was scaled to the format's size, because it has another one. */
bool fit_was_scaled(const struct fit *fit);
/* Writes the picture into a slot of the format. 0, -EINVAL (it cannot be converted), -ENOMEM. */
int fit_write(struct fit *fit, const AVFrame *picture, uint8_t *map);

#endif
