/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/site/presentations.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "daemon/worker/worker.h"

static struct output *find_framing(const struct stream *stream, enum config_framing framing)
{
	for (size_t i = 0; i < stream->n_outputs; i++)
		if (stream->outputs[i].config->framing == framing)
			return &stream->outputs[i];
	return NULL;
}

static struct output *find_output(const struct stream *stream)
{
	return find_framing(stream, stream->config->codec == CONFIG_CODEC_H264
					    ? CONFIG_FRAMING_RTP
					    : CONFIG_FRAMING_RTP_JPEG);
}

/* The one of this name, or else the first whose name differs from it in capital letters: VLC makes
 * them small. NULL: there is none. */
static struct stream *find_stream(const struct cameras *cameras, const char *name)
{
	struct stream *similar = NULL;

	for (size_t i = 0; i < cameras->n_streams; i++) {
		struct stream *stream = cameras->streams[i];

		if (strcmp(stream->config->name, name) == 0)
			return stream;
		if (!similar && strcasecmp(stream->config->name, name) == 0)
			similar = stream;
	}
	return similar;
}

/* As the worker says, or else the configuration. */
static void describe(struct rtsp_stream *out, struct output *output)
{
	const struct stream *stream = output->stream;
	const struct worker_status *status = stream->camera->status;
	const struct rate *rate = &stream->camera->config->framerate;
	struct output *ts = find_framing(stream, CONFIG_FRAMING_RTP_TS);

	*out = (struct rtsp_stream){
		.name = stream->config->name,
		.feed = output->feed,
		.viewers = &output->rtsp,
		.jpeg = output->config->framing == CONFIG_FRAMING_RTP_JPEG,
		.ssrc = output->rtp_ssrc,
	};
	if (ts) {
		out->ts_feed = ts->feed;
		out->ts_viewers = &ts->rtsp;
		out->ts_ssrc = ts->rtp_ssrc;
	}
	out->bitrate_bps = status->streams[stream->number].target_bps;
	out->rate_milli = status->heartbeat.rate_milli;
	if (out->bitrate_bps == 0 && !out->jpeg && stream->config->encoder != CONFIG_ENCODER_COPY)
		out->bitrate_bps = stream->config->bitrate;
	if (out->rate_milli == 0 && strncmp(stream->camera->config->source, "file:", 5) != 0)
		out->rate_milli = (uint32_t)((uint64_t)rate->num * 1000 / rate->den);
}

static int find(void *user, const struct net_peer *peer, const struct access_who *who,
		const char *name, struct rtsp_stream *out)
{
	const struct presentations *presentations = user;
	const struct stream *stream = find_stream(presentations->cameras, name);
	struct output *output = stream ? find_output(stream) : NULL;

	if (!output)
		return -ENOENT;
	if (!access_may(presentations->access, who, peer, CONFIG_MAY_VIEW, stream->index)) {
		output->quota.refused[ADMISSION_NOT_ALLOWED]++;
		return -EACCES;
	}
	describe(out, output);
	return 0;
}

void presentations_serve(struct rtsp *rtsp, struct output *output)
{
	if (output_is_rtp(output))
		rtsp_init_viewers(&output->rtsp, rtsp, &output->quota);
}

void presentations_init(struct presentations *presentations, struct rtsp *rtsp)
{
	struct cameras *cameras = presentations->cameras;

	rtsp->find = find;
	rtsp->access = presentations->access;
	rtsp->user = presentations;
	for (size_t i = 0; i < cameras->n_outputs; i++)
		presentations_serve(rtsp, cameras->outputs[i]);
}
