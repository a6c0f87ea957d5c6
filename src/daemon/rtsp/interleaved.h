/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frames that a peer sends within its RTSP connection (RFC 2326 clause 10.12): a `$`, a
 * channel, a length of two bytes, and a packet. What comes on the channel of reports is kept until
 * it is whole; all else, and what is longer than a report, is skipped. Any thread.
 */
#ifndef DAEMON_RTSP_INTERLEAVED_H
#define DAEMON_RTSP_INTERLEAVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/rtcp.h"

#define INTERLEAVED_HEAD 4 /* bytes before a packet */

/* A frame, which may come in pieces; zeroed at the beginning. */
struct interleaved {
	uint8_t head[INTERLEAVED_HEAD];
	uint8_t head_len; /* bytes of the head that have come; 0: no frame has begun */
	uint16_t len;	  /* bytes of the packet that have come */
	uint8_t *packet;  /* NULL: it is skipped */
};

/* Takes bytes (at least 1) of a frame that has begun, or begins with them. keeps: whether reports
 * are wanted. Returns how many were taken, at least 1. */
size_t interleaved_take(struct interleaved *frame, bool keeps, const uint8_t *data, size_t len);
/* Whether a frame is whole. Then `packet` is a report of `len` bytes, or NULL, and the frame is to
 * be finished. */
bool interleaved_is_whole(const struct interleaved *frame);
/* No frame has begun now. */
void interleaved_finish(struct interleaved *frame);

#endif
