/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One stream of a camera: pictures in, access units into the log of each of its feeds.
 *
 * An encoding stream has its own thread, which alone touches the encoder, so that one that blocks
 * (a V4L2 STREAMOFF: 2 s) delays nobody else. The source's thread only queues a frame and wakes it;
 * at most two frames wait, the newest wins. While none of its feeds is wanted nothing is encoded,
 * but the encoder is open and the newest frame waits, so that the first client has a picture at
 * once.
 *
 * A stream of a source that delivers coded pictures has no thread: a packet is written into the
 * logs on the source's thread, because that is one pwritev() and a message, less than a hand-over
 * would cost, and the packet need not be copied to outlive the callback.
 */
#ifndef CAPTURE_ENCODE_STREAM_H
#define CAPTURE_ENCODE_STREAM_H

#include "camcast/worker.h"
#include "capture/source/source.h"

struct stream;

struct stream_options {
	const struct config *config;	/* borrowed */
	unsigned stream;		/* index */
	const struct source_info *info; /* borrowed until destroy */
	int pair;			/* borrowed */
	int notify_fd; /* eventfd, borrowed: written when anything but a counter of the status changed */
};

/* Main thread. 0 or -errno. A stream that cannot work with this source (copy of raw pictures) is
 * created and says so in its status. */
int stream_create(struct stream **out, const struct stream_options *options);
/* Begins to take frames: starts the thread. Main thread. 0 or -errno. */
int stream_start(struct stream *stream);
/* Ends the thread, closes the encoder (may block as long as that does) and gives back every frame.
 * The source is stopped before. NULL: nothing. Main thread. */
void stream_destroy(struct stream *stream);

/* The source's thread. frame is borrowed (a reference is taken). */
void stream_frame(struct stream *stream, struct frame *frame);
void stream_packet(struct stream *stream, const struct packet *packet);

/* Any thread. In what concerns a feed (by its number), nothing happens if it is not one of this
 * stream's. */
void stream_want(struct stream *stream, unsigned feed, bool wanted);
void stream_request_idr(struct stream *stream);
void stream_set_bitrate(struct stream *stream, uint32_t bitrate_bps);
/* Answers GET_SEGMENT. */
void stream_resend_segment(struct stream *stream, unsigned feed, uint32_t segment);

/* Takes the rates since the last call; once a second. Main thread. */
void stream_sample(struct stream *stream, int64_t now_us);
/* The status, with the rates of the last sample. Main thread. */
void stream_status(struct stream *stream, struct camcast_msg_stream *out);
/* The encoder imports the frames' dmabufs instead of reading their mappings. Main thread. */
bool stream_imports(struct stream *stream);

#endif
