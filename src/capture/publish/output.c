/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/publish/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define BEGINS_US 1500000     /* camcastd asks for an IDR within a second */
#define LOST_LINE_US 10000000 /* at most one line in this time about lost units */

static int feed_init(struct output_feed *feed, const struct output_options *options,
		     const struct config_feed *config)
{
	const struct config_stream *stream = &options->config->streams[config->stream];
	const struct mux_options mux = {
		.framing = config->framing,
		.orientation = options->orientation,
		.packet_len = stream->packet_size,
	};
	int r = mux_create(&feed->mux, &mux);

	if (r < 0)
		return r;
	feed->number = config->number;
	feed->kept = config->kept;
	r = logwriter_create(&feed->log, options->pair, config->number, stream->segment_size);
	if (r < 0)
		mux_destroy(feed->mux);
	return r;
}

static int init_writer(struct output *output, const struct output_options *options, bool sei)
{
	int r = h264_writer_create(&output->writer, &options->edit, sei);

	if (r == 0 && options->turned)
		h264_writer_set_orientation(output->writer, options->orientation);
	return r;
}

int output_init(struct output *output, const struct output_options *options)
{
	const struct config *config = options->config;
	const struct config_stream *s = &config->streams[options->stream];
	int r;

	memset(output, 0, sizeof(*output));
	output->name = s->name;
	output->feeds = calloc(CONFIG_FRAMINGS, sizeof(*output->feeds));
	if (!output->feeds)
		return -ENOMEM;
	if (s->codec == CONFIG_CODEC_H264) {
		r = init_writer(output, options, s->sei);
		if (r < 0)
			goto fail;
	}
	for (size_t i = 0; i < config->n_feeds; i++) {
		if (config->feeds[i].stream != options->stream)
			continue;
		r = feed_init(&output->feeds[output->n_feeds], options, &config->feeds[i]);
		if (r < 0)
			goto fail;
		output->n_feeds++;
	}
	return 0;
fail:
	output_finish(output);
	return r;
}

void output_finish(struct output *output)
{
	for (unsigned i = 0; i < output->n_feeds; i++) {
		mux_destroy(output->feeds[i].mux);
		logwriter_destroy(output->feeds[i].log);
	}
	free(output->feeds);
	h264_writer_destroy(output->writer);
	memset(output, 0, sizeof(*output));
}

/* A full pair (-EAGAIN) is not logged: camcastd is busy or stopped, and counts and logs such losses
 * itself. */
static void tell_loss(struct output *output, struct output_feed *feed, int error)
{
	uint64_t suppressed;

	if (error == -EAGAIN || error == -EPIPE ||
	    !diag_allowed(&feed->limit, clock_now_us(), LOST_LINE_US, &suppressed))
		return;
	diag_error("stream %s: the units up to the next key unit are lost: %s (%llu more since the "
		   "last such line)",
		   output->name,
		   error == -EMSGSIZE ? "it is larger than a unit may be"
		   : error == -EINVAL ? "their framing does not carry such pictures"
				      : strerror(-error),
		   (unsigned long long)suppressed);
}

static void append(struct output *output, struct output_feed *feed, struct mux_unit *unit)
{
	struct logwriter_unit said = {
		.flags = (unit->key ? CAMCAST_UNIT_KEY : 0) |
			 (unit->droppable ? CAMCAST_UNIT_DROPPABLE : 0),
		.pts_us = unit->pts_us,
		.duration_us = unit->duration_us,
	};
	struct mux_framed framed;
	int r;

	if (unit->key)
		feed->begins_until_us = 0;
	unit->gap = logwriter_needs_key(feed->log);
	unit->rtp = &feed->rtp;
	r = mux_frame(feed->mux, unit, &framed);
	said.preamble = framed.preamble;
	said.preamble_len = framed.preamble_len;
	if (r < 0) {
		logwriter_gap(feed->log);
		feed->unframed += r == -EINVAL;
	} else {
		r = logwriter_append(feed->log, framed.iov, framed.iovcnt, &said);
	}
	if (r < 0)
		tell_loss(output, feed, r);
}

int output_find(const struct output *output, unsigned number)
{
	for (unsigned i = 0; i < output->n_feeds; i++) {
		if (output->feeds[i].number == number)
			return (int)i;
	}
	return -1;
}

void output_set_rtp(struct output *output, const struct camcast_msg_want *want)
{
	int i = output_find(output, want->feed);
	struct output_feed *feed = i < 0 ? NULL : &output->feeds[i];

	/* Once the feed is wanted, the stream's thread reads this. */
	if (!feed || feed->rtp_set || !want->wanted)
		return;
	feed->rtp_set = true;
	feed->rtp = (struct mux_rtp){
		.ssrc = want->rtp_ssrc,
		.offset = want->rtp_offset,
		.sequence = (uint16_t)want->rtp_sequence,
	};
}

uint32_t output_kept(const struct output *output)
{
	uint32_t kept = 0;

	for (unsigned i = 0; i < output->n_feeds; i++)
		kept |= output->feeds[i].kept ? 1u << i : 0;
	return kept;
}

void output_set_wanted(struct output *output, uint32_t wanted, uint32_t begun, int64_t now_us)
{
	for (unsigned i = 0; i < output->n_feeds; i++) {
		struct output_feed *feed = &output->feeds[i];

		feed->wanted = wanted & 1u << i;
		if (feed->wanted && begun & 1u << i) {
			logwriter_gap(feed->log);
			feed->begins_until_us = now_us + BEGINS_US;
		}
	}
}

int output_unit(struct output *output, const struct access_unit *unit, int64_t dts_us,
		int64_t pts_us, uint32_t duration_us, struct output_result *result)
{
	/* The data is not written to. */
	union {
		const uint8_t *in;
		void *out;
	} base = {.in = unit->data};
	struct iovec whole = {.iov_base = base.out, .iov_len = unit->len};
	struct h264_unit written = {.iov = &whole, .iovcnt = 1, .len = unit->len, .key = unit->key};
	struct mux_unit framed = {
		.capture_us = unit->capture_us,
		.dts_us = dts_us,
		.pts_us = pts_us,
		.duration_us = duration_us,
	};
	int r;

	if (output->writer && !unit->as_is) {
		r = h264_writer_unit(output->writer, unit->data, unit->len, unit->capture_us,
				     &written);
		if (r < 0)
			return r;
	}
	framed.iov = written.iov;
	framed.iovcnt = written.iovcnt;
	framed.len = written.len;
	framed.sets = written.sets;
	framed.n_sets = written.n_sets;
	framed.nals = written.nals;
	framed.n_nals = written.n_nals;
	framed.key = written.key;
	framed.droppable = written.droppable;
	for (unsigned i = 0; i < output->n_feeds; i++) {
		struct output_feed *feed = &output->feeds[i];

		if (feed->wanted)
			append(output, feed, &framed);
	}
	result->len = written.len;
	result->key = written.key;
	return 0;
}

bool output_needs_key(const struct output *output, int64_t now_us)
{
	for (unsigned i = 0; i < output->n_feeds; i++) {
		const struct output_feed *feed = &output->feeds[i];

		if (feed->wanted && now_us >= feed->begins_until_us &&
		    logwriter_needs_key(feed->log))
			return true;
	}
	return false;
}

void output_gap(struct output *output)
{
	for (unsigned i = 0; i < output->n_feeds; i++)
		logwriter_gap(output->feeds[i].log);
}

void output_losses(const struct output *output, struct output_losses *losses)
{
	*losses = (struct output_losses){0};
	for (unsigned i = 0; i < output->n_feeds; i++) {
		losses->no_space += logwriter_stats(output->feeds[i].log)->no_space;
		losses->unframed += output->feeds[i].unframed;
	}
}

void output_resend_segment(struct output *output, unsigned number, uint32_t segment)
{
	int i = output_find(output, number);

	if (i >= 0)
		logwriter_resend_segment(output->feeds[i].log, segment);
}
