/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A live stream of MP4 (ISO/IEC 14496-12) as a chain of short ones. libavformat's demuxer keeps
 * an index of every fragment and picture for as long as it is open. So the stream ends for it in
 * front of a fragment (moof) now and then, and goes on for another demuxer, which reads the same
 * description (ftyp and moov) first. A stream that has pictures in front of its first fragment, or
 * a large description, or is no chain of boxes, passes as it is. One thread at a time.
 */
#ifndef CAPTURE_SOURCE_BOXES_H
#define CAPTURE_SOURCE_BOXES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A demuxer gets no more fragments than this, nor, with its last fragment done, more pictures. */
#define BOXES_INDEX_MAX 2000
#define BOXES_HEAD_MAX (1 << 20) /* bytes of a description */

/* As AVIOContext's: bytes, at least one, or an error of libav. */
typedef int boxes_source(void *user, uint8_t *buffer, int size);

/* Zeroed memory with the source set is a valid beginning. */
struct boxes {
	boxes_source *source;
	void *user;

	uint8_t header[16]; /* of the box under way: size, type, and perhaps a larger size */
	size_t header_len, header_pos;
	uint64_t left; /* of its body, in bytes */
	bool kept;     /* it is part of the head */
	bool whole;    /* nothing is cut any more */

	uint8_t *head; /* ftyp and moov */
	size_t head_len, head_pos;
	bool described;	      /* there was a moov */
	uint64_t position;    /* in the stream, of what was delivered of it */
	unsigned n_fragments; /* for this demuxer, */
	unsigned n_pictures;  /* and what it made of them */
	bool filled;	      /* a mdat follows the newest moof */
	bool cut;	      /* the stream ended for this demuxer; not for the next one */
};

/* What the demuxer reads: AVIOContext's read_packet, with the boxes as `user`. A cut is
 * AVERROR_EOF. */
int boxes_read(void *user, uint8_t *buffer, int size);
/* The demuxer gave a picture. */
void boxes_count_picture(struct boxes *boxes);
/* After the demuxer's end: whether the stream goes on for another one. If so, boxes_read() begins
 * again for it. *position: where that demuxer is to begin, in bytes of the stream: positions that
 * fragments state hold for it, too. */
bool boxes_resume(struct boxes *boxes, int64_t *position);
/* Frees what is kept. */
void boxes_finish(struct boxes *boxes);

#endif
