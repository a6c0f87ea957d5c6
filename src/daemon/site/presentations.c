/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/site/presentations.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/diag.h"
#include "daemon/rtsp/sap.h"
#include "daemon/worker/worker.h"

static struct output *find_output(const struct stream *stream)
{
	return stream_output(stream, stream->config->codec == CONFIG_CODEC_H264
					     ? CONFIG_FRAMING_RTP
					     : CONFIG_FRAMING_RTP_JPEG);
}

/* What is sent to the group of a stream; NULL: it cannot have one. */
static struct output *find_sent(const struct stream *stream)
{
	return stream->config->multicast_ts ? stream_output(stream, CONFIG_FRAMING_RTP_TS)
					    : find_output(stream);
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
	struct output *ts = stream_output(stream, CONFIG_FRAMING_RTP_TS);

	*out = (struct rtsp_stream){
		.name = stream->config->name,
		.feed = output->feed,
		.viewers = &output->rtsp,
		.multicast = output->multicast,
		.jpeg = output->config->framing == CONFIG_FRAMING_RTP_JPEG,
		.in_ts = output->config->framing == CONFIG_FRAMING_RTP_TS,
		.ssrc = output->rtp_ssrc,
	};
	if (ts) {
		out->ts_feed = ts->feed;
		out->ts_viewers = &ts->rtsp;
		out->ts_ssrc = ts->rtp_ssrc;
		out->ts_multicast = ts->multicast;
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

/* --- the description of a group --- */

/* 0 or -errno: there is no picture yet, or no way to the group. */
static int write_group(struct output *output, char sdp[SDP_MAX])
{
	struct rtsp_stream presentation;
	struct net_peer local;
	struct sdp_options options = {
		.stream = &presentation,
		.local = &local,
		.group = multicast_settings(output->multicast),
		.id = output->rtp_ssrc,
	};

	if (!multicast_source(output->multicast, &local))
		return -ENETUNREACH;
	describe(&presentation, output);
	return sdp_write_version(sdp, &options, &output->description);
}

static bool describe_group(void *user, char sdp[SDP_MAX])
{
	return write_group(user, sdp) == 0;
}

/* --- groups --- */

/* False: the stream has none. */
static bool read_settings(const struct config *config, const struct config_stream *stream,
			  struct multicast_settings *out)
{
	*out = (struct multicast_settings){0};
	if (net_group_parse(&out->group, stream->multicast) < 0)
		return false;
	out->ttl = (uint8_t)config->daemon.multicast_ttl;
	out->always = stream->multicast_always || stream->sap;
	snprintf(out->interface, sizeof out->interface, "%s", config->daemon.multicast_interface);
	return true;
}

/* A group that could not be sent to has said so. */
static void say_group(const struct output *output)
{
	const struct multicast_settings *settings = multicast_settings(output->multicast);
	char text[NET_PEER_TEXT_MAX];
	struct net_peer source;

	if (settings->always && !multicast_source(output->multicast, &source))
		return;
	net_peer_format(&settings->group, text);
	diag_info(
		"stream %s: multicast to %s%s, TTL %u, %s; everybody on the network can receive it",
		output->stream->config->name, text,
		output->stream->config->multicast_ts ? " as a transport stream" : "", settings->ttl,
		settings->always ? "all the time" : "while somebody asks for it over RTSP");
}

static void create_group(const struct presentations *presentations, struct output *output,
			 const struct multicast_settings *settings)
{
	const struct multicast_options options = {
		.loop = presentations->loop,
		.feed = output->feed,
		.name = output->stream->config->name,
		.ssrc = output->rtp_ssrc,
		.settings = *settings,
	};

	if (multicast_create(&output->multicast, &options) < 0)
		diag_error("stream %s: no multicast: out of memory", options.name);
	else
		say_group(output);
}

static void retract(struct output *output)
{
	sap_destroy(output->sap);
	output->sap = NULL;
}

static void renew_announcement(const struct presentations *presentations, struct output *output)
{
	const struct sap_options options = {
		.loop = presentations->loop,
		.group = output->multicast,
		.describe = describe_group,
		.user = output,
	};
	bool wanted = output->stream->config->sap && output->multicast;

	if (wanted && !output->sap && sap_create(&output->sap, &options) < 0)
		diag_error("stream %s: no announcement: out of memory",
			   output->stream->config->name);
}

static void renew_group(const struct presentations *presentations, struct output *output)
{
	struct multicast_settings settings;
	bool has = read_settings(presentations->cameras->config, output->stream->config, &settings);

	if (!output->stream->config->sap) /* while it is still sent to */
		retract(output);
	if (!output->multicast || !has || !multicast_is_set(output->multicast, &settings)) {
		presentations_forget(output);
		if (has)
			create_group(presentations, output, &settings);
	} else if (multicast_settings(output->multicast)->always != settings.always) {
		multicast_set_always(output->multicast, settings.always);
		say_group(output);
	}
}

void presentations_renew(const struct presentations *presentations)
{
	const struct cameras *cameras = presentations->cameras;

	for (size_t i = 0; i < cameras->n_outputs; i++) {
		struct output *output = cameras->outputs[i];

		if (output != find_sent(output->stream))
			presentations_forget(output);
	}
	for (size_t i = 0; i < cameras->n_streams; i++) {
		struct output *output = find_sent(cameras->streams[i]);

		if (!output)
			continue;
		renew_group(presentations, output);
		renew_announcement(presentations, output);
	}
}

void presentations_forget(struct output *output)
{
	if (output->multicast)
		diag_info("stream %s: multicast ends", output->stream->config->name);
	retract(output);
	multicast_destroy(output->multicast);
	output->multicast = NULL;
}

void presentations_retract(const struct presentations *presentations)
{
	const struct cameras *cameras = presentations->cameras;

	for (size_t i = 0; i < cameras->n_outputs; i++)
		retract(cameras->outputs[i]);
}

void presentations_finish(const struct presentations *presentations)
{
	const struct cameras *cameras = presentations->cameras;

	for (size_t i = 0; cameras && i < cameras->n_outputs; i++)
		presentations_forget(cameras->outputs[i]);
}

/* --- over HTTP --- */

static void refuse(struct http_question *question, const struct stream *stream, int status,
		   const char *why)
{
	char text[512];
	int len = snprintf(text, sizeof text, "%s\n%s [stream %s]\n",
			   status == 404 ? "404 Not Found" : "503 Service Unavailable", why,
			   stream->config->name);

	http_reply(question, status, "text/plain; charset=utf-8", text, (size_t)len);
}

void presentations_answer(const struct stream *stream, struct http_question *question)
{
	struct output *output = find_sent(stream);
	const struct multicast *group = output ? output->multicast : NULL;
	char sdp[SDP_MAX];

	if (!group) {
		refuse(question, stream, 404,
		       "It is not sent by multicast; with multicast = GROUP:PORT and "
		       "multicast_always = yes or sap = yes it is.");
		return;
	}
	if (!multicast_settings(group)->always) {
		refuse(question, stream, 404,
		       "It is sent by multicast only while a player asks for it over RTSP; with "
		       "multicast_always = yes or sap = yes it is sent all the time.");
		return;
	}
	if (write_group(output, sdp) < 0)
		refuse(question, stream, 503, "There is no picture yet, or no way to the group.");
	else
		http_reply(question, 200, "application/sdp", sdp, strlen(sdp));
}
