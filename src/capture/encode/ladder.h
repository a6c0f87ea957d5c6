/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ladder of encoders of a stream: `encoder = auto` tries hardware first, then software. An
 * encoder that fails while running is opened again once, then the next one is used. When none is
 * left, the stream stops, and the whole ladder is tried again a minute later. A failure is
 * forgotten after a minute of good work. An encoder that was configured by name and never opened is
 * not replaced: the error is reported instead of hidden. One thread.
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
	bool firmware; /* a Raspberry Pi's encoder failed: its firmware may hang */
	int64_t opened_us;
	int64_t retry_us;  /* when to try again after giving up */
	char trouble[256]; /* why rungs[0], or every encoder, is not used; "" */
};

void ladder_init(struct ladder *ladder, const struct config_stream *config);
/* Opens the best encoder left. 0, or -errno when there is none (not again before retry_us): of the
 * last one that was tried, -ESTALE if only the sandbox of this process refuses its device. */
int ladder_open(struct ladder *ladder, const struct encoder_config *config,
		const struct encoder_events *events, int64_t now_us, struct encoder **out);
/* Notes that the encoder from ladder_open() failed; detail: the encoder's. Call it before the next
 * ladder_open(). */
void ladder_failed(struct ladder *ladder, const char *detail, const char *why, int64_t now_us);

#endif
