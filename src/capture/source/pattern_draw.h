/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Draws the test pattern: waves of colour that move everywhere, so that a frozen or torn region
 * shows; wall clock and frame number in letters, so that a person sees latency; a block at the
 * bottom that takes one step a picture, so that a person sees drops; a strip at the top that
 * programs can read (camcast/pattern.h). Every byte of the picture is written each time, rows by
 * memcpy() from tables made once.
 */
#ifndef CAPTURE_SOURCE_PATTERN_DRAW_H
#define CAPTURE_SOURCE_PATTERN_DRAW_H

#include "capture/frame.h"

struct pattern;

/* For pictures of this format (I420 only, else -EINVAL), which is copied. label stands under the
 * clock. 0 or -errno. */
int pattern_create(struct pattern **out, const struct frame_format *format, const char *label);
void pattern_destroy(struct pattern *pattern);
/* Draws picture `number` into picture (format.size bytes). utc_us: microseconds of CLOCK_REALTIME
 * to show. One thread at a time. */
void pattern_draw(struct pattern *pattern, uint8_t *picture, uint64_t number, int64_t utc_us);

#endif
