/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One stream of a camera: pictures in, access units into the log of each of its feeds.
 *
 * An encoding stream has its own thread, which alone touches the encoder, so that one that blocks
 * (a V4L2 STREAMOFF: 2 s) delays no other thread. The source's thread only queues a frame and wakes
 * the stream's thread; at most two frames wait, and the newest replaces the oldest. While none of
 * its feeds is wanted nothing is encoded, but the encoder is open and the newest frame waits, so
 * that the first client gets a picture at once; an implied stream takes no frame then and has no
 * encoder.
 *
 * A stream that copies coded pictures has no thread: a packet is written into the logs on the
 * source's thread, because that is one pwritev() and a message, less than a hand-over would cost,
 * and the packet need not be copied to outlive the callback.
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
	int notify_fd; /* eventfd, borrowed: written when anything but a counter of the status
			  changed */
};

/* Main thread. 0 or -errno. A stream that cannot work with this source (a copy of raw pictures) is
 * created, and its status has the reason. */
int stream_create(struct stream **out, const struct stream_options *options);
/* Starts the thread: from now on the stream takes frames. Main thread. 0 or -errno. */
int stream_start(struct stream *stream);
/* Ends the thread, closes the encoder (which may block for seconds) and releases every frame. The
 * source must be stopped before. NULL is allowed. Main thread. */
void stream_destroy(struct stream *stream);

/* The thread on which the source delivers frames. frame is borrowed (a reference is taken). */
void stream_frame(struct stream *stream, struct frame *frame);
/* That on which it delivers packets. */
void stream_packet(struct stream *stream, const struct packet *packet);

/* Any thread. Calls with the number of a feed do nothing if it is not a feed of this stream. */
void stream_want(struct stream *stream, unsigned feed, bool wanted);
void stream_request_idr(struct stream *stream);
void stream_set_bitrate(struct stream *stream, uint32_t bitrate_bps);
/* For what output.h allows on the caller's thread. */
struct output *stream_output(struct stream *stream);

/* Calculates the rates since the last call; call it once a second. Main thread. */
void stream_sample(struct stream *stream, int64_t now_us);
/* The status, with the rates of the last sample. Main thread. */
void stream_status(struct stream *stream, struct camcast_msg_stream *out);
/* Whether it encodes, and a feed is wanted. Any thread. */
bool stream_wants_frames(struct stream *stream);
/* Whether the encoder imports the frames' dmabufs instead of reading their mappings. Main
 * thread. */
bool stream_imports(struct stream *stream);
/* Whether no encoder is left, and one has come that only a new worker may open: the sandbox of this
 * one is older. Main thread. */
bool stream_outdated(struct stream *stream);

#endif
