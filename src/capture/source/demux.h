/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A recording on disk as packets of its video stream, read from its beginning as often as wanted.
 * One thread at a time.
 */
#ifndef CAPTURE_SOURCE_DEMUX_H
#define CAPTURE_SOURCE_DEMUX_H

#include <stdatomic.h>
#include <stdbool.h>

#include <libavformat/avformat.h>

#include "config/config.h"
#include "media/orientation.h"

struct demux;

#define DEMUX_WHY_SIZE 256 /* of the texts for people */

/*
 * url: "file:PATH", as libavformat takes it. rate: for formats without a rate of their own (images,
 * raw streams). stop: borrowed until demux_close(); once it is true, every call ends soon with an
 * error. 0, or -errno with a text in why[DEMUX_WHY_SIZE].
 */
int demux_open(struct demux **out, const char *url, struct rate rate, const atomic_bool *stop,
	       char *why);
void demux_close(struct demux *demux);

/* The video stream; borrowed, valid until the next demux_rewind(). */
const AVStream *demux_stream(const struct demux *demux);
/* Whether the format's clock may jump, as that of MPEG-TS does. */
bool demux_clock_jumps(const struct demux *demux);
/* The rate that the recording states, or `otherwise`. */
struct rate demux_rate(const struct demux *demux, struct rate otherwise);
/* The same of any stream of libavformat. */
struct rate demux_stated_rate(const AVStream *stream, struct rate otherwise);

/* The shape of a coded pixel, in lowest terms, at most 65535 each, as players take it: what the
 * container states, else what the codec does. 0/1: not stated. */
AVRational demux_shape(const struct demux *demux);
/* The same, but only what the container states. */
AVRational demux_container_shape(const struct demux *demux);
/* Any shape in that form. */
AVRational demux_reduce_shape(AVRational shape);
/* How a player turns the decoded pictures. */
struct orientation demux_orientation(const struct demux *demux);

/* When the last picture of the pass that is over ends, in ticks: the end that a list of files
 * states, else that of the last picture, whose duration counts if that of the picture before was
 * true. coded: on the clock of the packets (DTS), and only what a list states; else on that of the
 * pictures (PTS). AV_NOPTS_VALUE: the recording does not state it. */
int64_t demux_end(const struct demux *demux, bool coded);

/* The next packet of the video stream, which the caller unreferences. 0, or -ENODATA at the end,
 * which is also where a damaged file cannot be read any further. */
int demux_read(struct demux *demux, AVPacket *packet);
/* Why the pass that is over ended before the recording did: "Impossible to open 'second.mp4'"; "":
 * it did not, or this is not known. */
const char *demux_trouble(const struct demux *demux);
/* Whether the pass under way began with opening the file, and not with a jump to its beginning. */
bool demux_began_with_opening(const struct demux *demux);
/* Back to the first picture, of the file that is there now. seek_failed: the last jump there led to
 * no picture, so the file is opened again, now and from now on. 0; -ESTALE: there is a recording of
 * another kind now; or -errno. On failure a text is in why[DEMUX_WHY_SIZE], and only demux_close()
 * may follow. */
int demux_rewind(struct demux *demux, bool seek_failed, char *why);

#endif
