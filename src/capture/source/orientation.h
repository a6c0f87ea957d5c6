/* SPDX-License-Identifier: BSD-2-Clause */
/* How a picture is turned before it is shown: one of the eight ways that keep its axes. Any thread.
 */
#ifndef CAPTURE_SOURCE_ORIENTATION_H
#define CAPTURE_SOURCE_ORIENTATION_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

/* Rows become columns first, then the result is mirrored. */
struct orientation {
	bool transpose;
	bool hflip, vflip; /* left and right, top and bottom */
};

/* The orientation of a display matrix (ISO/IEC 14496-12, clause 8.2.2: nine numbers), NULL for
 * none. An angle between two quarter turns counts as the nearer one. */
struct orientation orientation_of_matrix(const int32_t *matrix);
/* `orientation`, and then what the configuration asks for: hflip, vflip, rotation. */
struct orientation orientation_then_configured(struct orientation orientation,
					       const struct config_camera *config);

static inline bool orientation_is_upright(struct orientation orientation)
{
	return !orientation.transpose && !orientation.hflip && !orientation.vflip;
}

/* "turned by 90 degrees" (clockwise), "mirrored"...; "upright". */
const char *orientation_name(struct orientation orientation);

#endif
