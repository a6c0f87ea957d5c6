/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which encoder a stream has, and which one it gets when that one fails: `encoder = auto` begins
 * with hardware, then software. An encoder that fails while running is opened again once, then the
 * next one is taken, and when there is none left the stream stands still and the whole ladder is
 * tried again a minute later. An encoder that ran well for a minute is forgiven its failure.
 * An encoder that was asked for by name and does not open at all is not replaced: that is a mistake
 * to be reported, not to be hidden. One thread.
 */
#ifndef CAPTURE_ENCODE_LADDER_H
#define CAPTURE_ENCODE_LADDER_H

#include "capture/encode/encoder.h"

#define LADDER_RETRY_US (60 * 1000000ll)   /* from giving up to the next try */
#define LADDER_FORGIVE_US (60 * 1000000ll) /* of good work */

struct ladder {
	const struct encoder_ops *rungs[3];
	unsigned n, at;
	bool strict;   /* rungs[0] was asked for by name, and never opened yet */
	bool reopened; /* rungs[at] failed before */
	bool firmware; /* a Raspberry Pi's encoder failed: what its driver talks to may hang */
	int64_t opened_us;
	int64_t retry_us;  /* when to try again after giving up */
	char trouble[256]; /* why not rungs[0], or why none; "" */
};

void ladder_init(struct ladder *ladder, const struct config_stream *config);
/* Opens the best encoder left. 0, or -errno when there is none (not again before retry_us). */
int ladder_open(struct ladder *ladder, const struct encoder_config *config,
		const struct encoder_events *events, int64_t now_us, struct encoder **out);
/* The encoder that ladder_open() gave failed, with `detail` as it told about itself. Call before
 * the next ladder_open(). */
void ladder_failed(struct ladder *ladder, const char *detail, const char *why, int64_t now_us);

#endif
