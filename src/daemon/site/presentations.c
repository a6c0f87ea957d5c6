/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/site/presentations.h"

#include <errno.h>
#include <string.h>

#include "daemon/worker/worker.h"

static struct output *find_output(const struct stream *stream)
{
	for (size_t i = 0; i < stream->n_outputs; i++)
		if (output_is_rtp(&stream->outputs[i]))
			return &stream->outputs[i];
	return NULL;
}

/* As the worker says, or else the configuration. */
static void describe(struct rtsp_stream *out, struct output *output)
{
	const struct stream *stream = output->stream;
	const struct worker_status *status = stream->camera->status;
	const struct rate *rate = &stream->camera->config->framerate;

	*out = (struct rtsp_stream){
		.name = stream->config->name,
		.feed = output->feed,
		.viewers = &output->rtsp,
		.jpeg = output->config->framing == CONFIG_FRAMING_RTP_JPEG,
		.ssrc = output->rtp_ssrc,
	};
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
	struct cameras *cameras = presentations->cameras;

	for (size_t i = 0; i < cameras->n_streams; i++) {
		struct output *output;

		if (strcmp(cameras->streams[i]->config->name, name) != 0)
			continue;
		output = find_output(cameras->streams[i]);
		if (!output)
			return -ENOENT;
		if (!access_may(presentations->access, who, peer, CONFIG_MAY_VIEW, i)) {
			output->quota.refused[ADMISSION_NOT_ALLOWED]++;
			return -EACCES;
		}
		describe(out, output);
		return 0;
	}
	return -ENOENT;
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
