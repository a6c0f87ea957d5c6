/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection to a live source, as packets of its video stream: bytes that a program or a pipe
 * delivers, or a URL that libavformat reads. What the bytes are is seen from the first of them:
 * libavformat's probes would guess among all of its formats. One thread at a time.
 */
#ifndef CAPTURE_SOURCE_INTAKE_H
#define CAPTURE_SOURCE_INTAKE_H

#include <stdatomic.h>
#include <stdbool.h>

#include <libavformat/avformat.h>

#include "config/config.h"

#define INTAKE_WHY_SIZE 256 /* of the texts for people */

struct intake;

struct intake_options {
	int fd;			 /* non-blocking, borrowed until intake_close(); -1: url is read */
	const char *url;	 /* source_url_parse() takes it; borrowed until intake_close() */
	const char *url_options; /* NAME=VALUE for words_split(), or ""; borrowed for the call */
	const atomic_bool *stop; /* borrowed; once it is true, every call ends soon */
	uint32_t silence_ms;	 /* without a packet for so long, a read fails; 0: it waits */
};

/* Waits for the first pictures, and for the size in them. 0; -ECANCELED (stopped); -ENODATA (the
 * end came first); -ETIMEDOUT; or another -errno. On failure a text is in why[INTAKE_WHY_SIZE],
 * without a secret of the URL. */
int intake_open(struct intake **out, const struct intake_options *options, char *why);
void intake_close(struct intake *intake);

/* The video stream; borrowed. */
const AVStream *intake_stream(const struct intake *intake);
/* Whether packets have timestamps of a clock; else their times are made up. */
bool intake_has_clock(const struct intake *intake);
/* The rate that the stream states, or `otherwise`. */
struct rate intake_rate(const struct intake *intake, struct rate otherwise);
/* Whether a parser cut the stream into packets: coded_options'. */
bool intake_is_parsed(const struct intake *intake);
/* The shape of a coded pixel, as players take it, and what the container states of it. */
AVRational intake_shape(const struct intake *intake, bool container);

/* The next packet of the video stream, which the caller unreferences. 0, or as intake_open(). */
int intake_read(struct intake *intake, AVPacket *packet, char *why);

#endif
