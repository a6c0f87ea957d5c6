/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Framings: the bytes around an access unit in a feed's log. One mux per feed, on its stream's
 * thread.
 */
#ifndef CAPTURE_PUBLISH_MUX_H
#define CAPTURE_PUBLISH_MUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "config/config.h"

struct mux {
	enum config_framing framing;
	uint8_t prefix[4]; /* length_prefixed: bytes that follow, big-endian, as this project's
			      predecessor framed its JPEGs */
	struct iovec *iov;
	int room; /* elements of iov */
};

void mux_init(struct mux *mux, enum config_framing framing);
void mux_finish(struct mux *mux);
/* Frames the access unit `in` of len bytes: *out borrows from the mux and from in until the next
 * call. 0, -ENOMEM, -EMSGSIZE (len does not fit the framing). */
int mux_frame(struct mux *mux, const struct iovec *in, int in_count, size_t len,
	      const struct iovec **out, int *out_count);

#endif
