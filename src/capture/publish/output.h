/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The output of a stream: an access unit is normalised once (h264_writer.h), then framed for each
 * wanted feed and written into its log. One thread at a time, except where a function says
 * otherwise.
 */
#ifndef CAPTURE_PUBLISH_OUTPUT_H
#define CAPTURE_PUBLISH_OUTPUT_H

#include "base/diag.h"
#include "camcast/worker.h"
#include "capture/access_unit.h"
#include "capture/publish/logwriter.h"
#include "capture/publish/mux.h"
#include "media/h264_writer.h"

struct output_feed {
	unsigned number; /* config_feed.number */
	bool kept;	 /* config_feed.kept */
	bool wanted;
	/* Set when the feed becomes wanted: until this time camcastd asks for its first IDR, at
	 * most one a second. After it, the output asks itself, in case the request failed. 0: the
	 * key unit was written. */
	int64_t begins_until_us;
	struct mux *mux;
	uint64_t unframed;
	struct mux_rtp rtp; /* unused by other framings */
	bool rtp_set;	    /* output_set_rtp() was called */
	struct logwriter *log;
	struct diag_limit limit; /* of the line about lost units */
};

struct output {
	const char *name;	    /* the stream's, borrowed */
	struct h264_writer *writer; /* NULL: MJPEG */
	struct output_feed *feeds;
	unsigned n_feeds;
};

struct output_losses {
	uint64_t no_space; /* memory was short */
	uint64_t unframed; /* a framing does not carry such a picture */
};

struct output_result {
	size_t len; /* of the access unit, without framing */
	bool key;
};

struct output_options {
	const struct config *config;
	unsigned stream;      /* index in the configuration */
	struct sps_edit edit; /* of the SPSs of H.264 */
	/* The pictures are to be turned, which their bits may not state. */
	bool turned;
	struct orientation orientation; /* upright unless turned */
	int pair;
};

/* 0 or -errno. */
int output_init(struct output *output, const struct output_options *options);
void output_finish(struct output *output);
/* The place of a feed in `feeds`, or -1 if it is not of this stream. number: config_feed.number.
 * Any thread. */
int output_find(const struct output *output, unsigned number);
/* What camcastd says about the RTP packets of a feed, before the feed becomes wanted for the first
 * time; later calls do nothing. Main thread. */
void output_set_rtp(struct output *output, const struct camcast_msg_want *want);
/* The feeds that are written all the time: bit 1 << i for feeds[i]. Any thread. */
uint32_t output_kept(const struct output *output);
/* Sets which feeds are written from now_us (CLOCK_MONOTONIC) on: bit 1 << i for feeds[i]. Feeds
 * that are also in `begun` have become wanted since the last call, and begin with a key unit.
 * Initially no feed is wanted. */
void output_set_wanted(struct output *output, uint32_t wanted, uint32_t begun, int64_t now_us);
/* Writes one access unit into the log of every wanted feed. A log without room drops and counts it.
 * dts_us: when it is decoded, CLOCK_MONOTONIC; pts_us: when it is shown, not before that;
 * duration_us: 0: not known. 0, -EINVAL (parameter sets without a picture), -ENOMEM. */
int output_unit(struct output *output, const struct access_unit *unit, int64_t dts_us,
		int64_t pts_us, uint32_t duration_us, struct output_result *result);
/* Whether a wanted feed's log waits for a key unit that camcastd does not request. */
bool output_needs_key(const struct output *output, int64_t now_us);
/* Notes that units were skipped: every log continues at a key unit. */
void output_gap(struct output *output);
/* Units lost since the start. */
void output_losses(const struct output *output, struct output_losses *losses);
/* Any thread. */
void output_resend_segment(struct output *output, unsigned number, uint32_t segment);

#endif
