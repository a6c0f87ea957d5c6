/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Coded pictures that are kept because they may have to go into another file. They are numbered in
 * the order in which they were added, from 0 on. Bytes are shared with the packets (AVBufferRef),
 * not copied. Memory is bounded: of more than 32 MiB or 4096 pictures none is kept. One thread.
 */
#ifndef CLIENT_RECORD_KEPT_H
#define CLIENT_RECORD_KEPT_H

#include <stddef.h>
#include <stdint.h>

#include <libavcodec/packet.h>

struct kept_picture {
	AVPacket *packet;
	int64_t at_us; /* of its arrival */
};

/* Zeroed, it is empty. */
struct kept {
	struct kept_picture *pictures; /* the oldest first */
	size_t n, size;
	uint64_t first; /* number of the oldest one, or of the next one to come */
	int64_t bytes;
};

/* Without memory or room, all pictures up to this one are forgotten. */
void kept_add(struct kept *kept, const AVPacket *packet, int64_t at_us);

/* Forgets the pictures with a smaller number. */
void kept_forget(struct kept *kept, uint64_t number);

/* Frees all. */
void kept_destroy(struct kept *kept);

#endif
