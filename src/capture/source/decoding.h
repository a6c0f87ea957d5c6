/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pictures that a source passes on coded, decoded as well: for streams that encode them, and
 * only while one of those is wanted. A thread of its own decodes each picture once, from a key
 * picture on, and delivers frames in the order in which they are shown, each at its time. It never
 * holds up the source: where it cannot keep up, it leaves out pictures up to a key picture.
 */
#ifndef CAPTURE_SOURCE_DECODING_H
#define CAPTURE_SOURCE_DECODING_H

#include "capture/source/decoder.h"
#include "capture/source/source.h"

struct decoding;

/* parameters: of the coded pictures; what they say of a header does not count, because the packets
 * have theirs. All arguments are borrowed for the call; events->frame is called later, on the
 * thread. 0 or -ENOMEM. Main thread. */
int decoding_create(struct decoding **out, const AVCodecParameters *parameters,
		    const struct decoder_options *options, const struct source_events *events);
/* It is stopped, and every frame was released. NULL is allowed. Main thread. */
void decoding_destroy(struct decoding *decoding);

/* What the frames will have, before there is one: width, height, shape of a pixel, rate. */
struct frame_format decoding_format(const struct decoding *decoding);

/* Whether pictures are to be decoded from now on. Main thread. */
void decoding_want(struct decoding *decoding, bool wanted);
/* From now on there may be frames. 0 or -errno. Main thread. */
int decoding_start(struct decoding *decoding);
/* The source delivers nothing any more. No frame comes after it returns. Does nothing if it is not
 * started. Main thread. */
void decoding_stop(struct decoding *decoding);

/* The next picture, in decoding order; it is copied while it is wanted. The source's thread. */
void decoding_take(struct decoding *decoding, const struct packet *packet);

#endif
