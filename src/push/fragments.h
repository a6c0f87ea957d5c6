/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the feed `mp4` as camcastd sends it: fragmented MP4 (ISO/IEC 14496-12, 8.8) of one H.264
 * track, one picture a fragment. It comes from a worker that may have been taken over: everything
 * is checked, and memory is bounded by the longest unit. Any thread.
 */
#ifndef PUSH_FRAGMENTS_H
#define PUSH_FRAGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAGMENTS_TIMESCALE 90000 /* ticks a second */
#define FRAGMENTS_SETUP_MAX 4096  /* bytes of a decoder configuration record */

/* What a receiver needs before the first picture. */
struct fragments_setup {
	uint32_t width, height;		   /* pixels */
	uint8_t avcc[FRAGMENTS_SETUP_MAX]; /* AVCDecoderConfigurationRecord, ISO/IEC 14496-15 */
	uint32_t avcc_len;
};

struct fragments_picture {
	const uint8_t *data; /* NAL units behind their lengths; borrowed up to the next call */
	size_t len;
	int64_t dts, pts; /* ticks since the machine was started */
	int64_t duration; /* ticks */
	bool key;
};

enum fragments_event {
	FRAGMENTS_MORE,	 /* more bytes are needed */
	FRAGMENTS_SETUP, /* fragments->setup has been read; it may be the same as before */
	FRAGMENTS_PICTURE,
};

struct fragments {
	struct fragments_setup setup;
	/* --- below: the reader's --- */
	uint8_t *data;
	size_t len, size; /* bytes that are there, and that there is room for */
	size_t done;	  /* bytes at the beginning that were returned */
	bool has_setup, has_head;
	struct fragments_picture head; /* of the picture that follows */
	size_t head_len;	       /* bytes of its data, as the head says */
};

/* Zeroed memory is a reader at the beginning of the stream. */
void fragments_finish(struct fragments *fragments);

/* Room for the next bytes, at least one: *len bytes at *data. 0 or -ENOMEM. */
int fragments_room(struct fragments *fragments, uint8_t **data, size_t *len);
/* len bytes were put there. */
void fragments_add(struct fragments *fragments, size_t len);
/* What comes next: an event, or -EBADMSG for what is no stream of this kind. */
int fragments_next(struct fragments *fragments, struct fragments_picture *picture);

#endif
