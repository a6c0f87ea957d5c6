/* SPDX-License-Identifier: BSD-2-Clause */
/* What there is: cameras, their streams and URLs, viewers, and pushes. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "daemon/api/answers.h"
#include "daemon/serve/hls.h"
#include "daemon/site/ways.h"
#include "daemon/worker/worker.h"

/* --- cameras --- */

/* One word for the states of the worker and of the camera. */
static const char *state_of(const struct worker_status *status)
{
	return status->state == WORKER_RUNNING ? worker_camera_state_name(status->heartbeat.state)
					       : worker_state_name(status->state);
}

/* The camera knows better than the supervisor of its process why it failed. */
static const char *problem_of(const struct worker_status *status)
{
	if (status->heartbeat.reason[0])
		return status->heartbeat.reason;
	return status->state == WORKER_RUNNING ? "" : status->reason;
}

/* "avc1.PPCCLL" (RFC 6381 clause 3.3), from the head of the MP4 feed: the three bytes behind the
 * version in its avcC box (ISO/IEC 14496-15 clause 5.3.3.1). Without a head it is not known. */
static void add_codec_string(cJSON *object, const struct stream *stream)
{
	const struct output *output = stream_output(stream, CONFIG_FRAMING_MP4);
	const struct log *log = output ? feed_log(output->feed) : NULL;
	const struct segment *head = log ? log_preamble(log, log->preamble) : NULL;
	const unsigned char *at = head ? memmem(head->pages.map, head->size, "avcC", 4) : NULL;
	char text[16];

	if (!at || (size_t)(at - (const unsigned char *)head->pages.map) + 8 > head->size)
		return;
	snprintf(text, sizeof text, "avc1.%02x%02x%02x", at[5], at[6], at[7]);
	cJSON_AddStringToObject(object, "codec_string", text);
}

static void add_urls(cJSON *object, const struct api *api, const struct stream *stream)
{
	cJSON *urls = cJSON_AddObjectToObject(object, "urls");
	char path[WAY_PATH_MAX];

	for (size_t i = 0; i < n_ways; i++) {
		if (!way_feed(api->cameras->config, stream->config, ways[i].framing))
			continue;
		way_path(path, stream->config, &ways[i]);
		cJSON_AddStringToObject(urls, ways[i].key, path);
	}
}

/* Addresses of raw TCP. */
static void add_tcp(cJSON *object, const struct stream *stream)
{
	cJSON *list = cJSON_AddArrayToObject(object, "tcp");

	for (size_t i = 0; i < stream->n_outputs; i++) {
		const struct output *output = &stream->outputs[i];
		cJSON *one;

		if (output->config->n_listen == 0)
			continue;
		one = cJSON_CreateObject();
		cJSON_AddStringToObject(one, "framing",
					config_framing_name(output->config->framing));
		cJSON_AddStringToObject(one, "address", output->config->listen[0].host);
		cJSON_AddNumberToObject(one, "port", output->tcp.port);
		cJSON_AddStringToObject(one, "scheme",
					output->tcp.tls == CONFIG_TLS_YES ? "tls" : "tcp");
		cJSON_AddItemToArray(list, one);
	}
}

static void add_rtsp(cJSON *object, const struct api *api, const struct stream *stream)
{
	const struct cameras *cameras = api->cameras;
	char path[WAY_PATH_MAX];
	cJSON *rtsp;

	if (cameras->rtsp_port == 0)
		return;
	rtsp = cJSON_AddObjectToObject(object, "rtsp");
	snprintf(path, sizeof path, "/%s", stream->config->name);
	cJSON_AddStringToObject(rtsp, "scheme",
				cameras->config->daemon.tls == CONFIG_TLS_YES ? "rtsps" : "rtsp");
	cJSON_AddNumberToObject(rtsp, "port", cameras->rtsp_port);
	cJSON_AddStringToObject(rtsp, "path", path);
}

static cJSON *describe_stream(const struct api *api, const struct stream *stream)
{
	const struct worker_status *status = stream->camera->status;
	const struct camcast_msg_stream *said = &status->streams[stream->number];
	const struct config_stream *config = stream->config;
	const struct rate *rate = &stream->camera->config->framerate;
	bool alive = status->pid != 0;
	cJSON *object = cJSON_CreateObject();

	cJSON_AddStringToObject(object, "name", config->name);
	cJSON_AddStringToObject(object, "codec", config_codec_name(config->codec));
	add_codec_string(object, stream);
	cJSON_AddNumberToObject(object, "framerate", (double)rate->num / rate->den);
	cJSON_AddBoolToObject(object, "on_demand", config->on_demand);
	cJSON_AddBoolToObject(object, "active", alive && said->active);
	cJSON_AddStringToObject(object, "encoder", said->encoder);
	cJSON_AddStringToObject(object, "detail", said->detail);
	cJSON_AddNumberToObject(object, "fps", alive ? said->fps_milli / 1e3 : 0);
	cJSON_AddNumberToObject(object, "bitrate", alive ? said->bitrate_bps : 0);
	cJSON_AddNumberToObject(object, "target_bitrate", said->target_bps);
	cJSON_AddBoolToObject(object, "can_set_bitrate", api_has_bitrate(stream));
	cJSON_AddNumberToObject(object, "encode_us", alive ? said->encode_us : 0);
	cJSON_AddNumberToObject(object, "viewers", (double)stream_viewers(stream));
	add_urls(object, api, stream);
	add_tcp(object, stream);
	add_rtsp(object, api, stream);
	return object;
}

static cJSON *describe_camera(const struct api *api, const struct camera *camera)
{
	const struct worker_status *status = camera->status;
	cJSON *object = cJSON_CreateObject();
	size_t viewers = 0;

	cJSON_AddStringToObject(object, "name", camera->config->name);
	cJSON_AddStringToObject(object, "state", state_of(status));
	cJSON_AddStringToObject(object, "problem", problem_of(status));
	if (status->state == WORKER_BACKOFF) {
		int64_t us = status->retry_at_us - loop_now_us(api->loop);

		cJSON_AddNumberToObject(object, "retry_in_ms", us > 0 ? (double)(us / 1000) : 0);
	}
	cJSON_AddStringToObject(object, "source", status->heartbeat.source);
	cJSON_AddNumberToObject(object, "width", status->heartbeat.width);
	cJSON_AddNumberToObject(object, "height", status->heartbeat.height);
	cJSON_AddNumberToObject(object, "fps", status->pid ? status->heartbeat.fps_milli / 1e3 : 0);
	cJSON_AddNumberToObject(object, "restarts", (double)status->restarts);
	for (size_t i = 0; i < camera->n_streams; i++)
		viewers += stream_viewers(camera->streams[i]);
	cJSON_AddNumberToObject(object, "viewers", (double)viewers);
	return object;
}

static bool may_view(const struct api *api, const struct http_request *request,
		     const struct stream *stream)
{
	return access_may(api->access, request->who, request->peer, CONFIG_MAY_VIEW, stream->index);
}

/* Adds the camera with those of its streams that may be watched, if there are any. */
static void add_camera(cJSON *list, const struct api *api, const struct http_request *request,
		       const struct camera *camera)
{
	cJSON *streams = cJSON_CreateArray(), *object;

	for (size_t i = 0; i < camera->n_streams; i++)
		if (may_view(api, request, camera->streams[i]))
			cJSON_AddItemToArray(streams, describe_stream(api, camera->streams[i]));
	if (cJSON_GetArraySize(streams) == 0) {
		cJSON_Delete(streams);
		return;
	}
	object = describe_camera(api, camera);
	cJSON_AddItemToObject(object, "streams", streams);
	cJSON_AddItemToArray(list, object);
}

/* What the page tells about who may watch. */
static void add_rights(cJSON *server, const struct api *api, const struct access_who *who)
{
	cJSON *may = cJSON_AddArrayToObject(server, "may");

	if (who->may & CONFIG_MAY_VIEW)
		cJSON_AddItemToArray(may, cJSON_CreateString("view"));
	if (who->may & CONFIG_MAY_STATUS)
		cJSON_AddItemToArray(may, cJSON_CreateString("status"));
	if (who->may & CONFIG_MAY_CONTROL)
		cJSON_AddItemToArray(may, cJSON_CreateString("control"));
	cJSON_AddStringToObject(server, "user", who->user ? who->user->name : "");
	cJSON_AddBoolToObject(server, "users", access_has_users(api->access));
	cJSON_AddStringToObject(server, "open_to", access_open_to(api->access));
	cJSON_AddBoolToObject(server, "control", (who->may & CONFIG_MAY_CONTROL) != 0);
}

cJSON *api_cameras(const struct api *api, const struct http_request *request)
{
	const struct config_daemon *config = &api->cameras->config->daemon;
	cJSON *body = cJSON_CreateObject();
	cJSON *server = cJSON_AddObjectToObject(body, "server");
	cJSON *list = cJSON_AddArrayToObject(body, "cameras");

	cJSON_AddStringToObject(server, "name", config->name);
	cJSON_AddStringToObject(server, "version", CAMCAST_VERSION);
	add_rights(server, api, request->who);
	for (size_t i = 0; i < api->cameras->n_cameras; i++)
		add_camera(list, api, request, api->cameras->cameras[i]);
	return body;
}

/* --- viewers --- */

/* at_s: on CLOCK_MONOTONIC. */
static void add_since(cJSON *object, int64_t at_s)
{
	time_t at = (time_t)(at_s + (clock_wall_us() - clock_now_us()) / 1000000);
	char text[32];
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	cJSON_AddStringToObject(object, "since", text);
}

struct listing {
	cJSON *list;
	const struct output *output;
	int64_t now_us;
	size_t skip, n, omitted;
};

/* Whether the next viewer has a place in the list. */
static bool is_listed(struct listing *listing)
{
	if (listing->skip > 0) {
		listing->skip--;
		return false;
	}
	if (listing->n == API_VIEWERS_MAX) {
		listing->omitted++;
		return false;
	}
	listing->n++;
	return true;
}

/* cursor: its numbers. */
static void add_viewer(const struct listing *listing, const struct cursor *cursor,
		       const char *transport, const char *address, int64_t lag_us)
{
	static const char *const states[] = {
		[CURSOR_WAIT_KEY] = "wait_key",
		[CURSOR_LIVE] = "live",
		[CURSOR_SHED] = "shed",
	};
	cJSON *object = cJSON_CreateObject();

	cJSON_AddStringToObject(object, "stream", listing->output->stream->config->name);
	cJSON_AddStringToObject(object, "transport", transport);
	cJSON_AddStringToObject(object, "framing",
				config_framing_name(listing->output->config->framing));
	cJSON_AddStringToObject(object, "address", address);
	cJSON_AddStringToObject(object, "state", states[cursor->state]);
	cJSON_AddNumberToObject(object, "lag_ms", (double)(lag_us / 1000));
	cJSON_AddNumberToObject(object, "dropped", (double)cursor->units_dropped);
	cJSON_AddNumberToObject(object, "shed", (double)cursor->units_shed);
	cJSON_AddNumberToObject(object, "resyncs", cursor->resyncs);
	cJSON_AddNumberToObject(object, "sent", (double)cursor->sent_bytes);
	add_since(object, cursor->since_s);
	cJSON_AddItemToArray(listing->list, object);
}

static void list_cursor(const struct cursor *cursor, void *user)
{
	struct listing *listing = user;
	char address[SINK_TEXT_MAX];

	if (!cursor_is_viewer(cursor) || !is_listed(listing))
		return;
	cursor->sink->describe(cursor, address);
	add_viewer(listing, cursor, way_transport(cursor, listing->output->config), address,
		   cursor_lag_us(cursor));
}

static void list_player(const struct hls_player *player, void *user)
{
	struct listing *listing = user;
	struct cursor numbers;
	char address[NET_PEER_TEXT_MAX];

	if (!is_listed(listing))
		return;
	way_player(&numbers, player);
	net_peer_format(&player->peer, address);
	add_viewer(listing, &numbers, WAY_HLS, address, way_player_lag_us(player, listing->now_us));
}

cJSON *api_viewers(const struct api *api, const char *stream, size_t from)
{
	cJSON *body = cJSON_CreateObject();
	struct listing listing = {
		.list = cJSON_AddArrayToObject(body, "viewers"),
		.now_us = loop_now_us(api->loop),
		.skip = from,
	};

	for (size_t i = 0; i < api->cameras->n_outputs; i++) {
		listing.output = api->cameras->outputs[i];
		if (stream && strcmp(listing.output->stream->config->name, stream) != 0)
			continue;
		feed_for_each_cursor(listing.output->feed, list_cursor, &listing);
		hls_players_for_each(hls_players_of(listing.output->playlist), list_player,
				     &listing);
	}
	cJSON_AddNumberToObject(body, "omitted", (double)listing.omitted);
	return body;
}

/* --- pushes --- */

cJSON *api_pushes(const struct api *api)
{
	cJSON *body = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(body, "pushes");

	for (size_t i = 0; i < pushes_count(api->pushes); i++) {
		const struct push_status *push = pushes_status(api->pushes, i);
		cJSON *object = cJSON_CreateObject();

		cJSON_AddStringToObject(object, "name", push->name);
		cJSON_AddStringToObject(object, "stream", push->stream->config->name);
		cJSON_AddStringToObject(object, "url", push->url);
		cJSON_AddStringToObject(object, "state", push_state_name(push->state));
		add_since(object, push->since_us / 1000000);
		if (push->state == PUSH_WAITING) {
			int64_t us = push->retry_at_us - loop_now_us(api->loop);

			cJSON_AddNumberToObject(object, "retry_in_ms",
						us > 0 ? (double)(us / 1000) : 0);
		}
		cJSON_AddNumberToObject(object, "units", (double)push->units);
		cJSON_AddNumberToObject(object, "sent", (double)push->bytes);
		cJSON_AddNumberToObject(object, "dropped", (double)push_dropped(push));
		cJSON_AddNumberToObject(object, "restarts", (double)push->restarts);
		cJSON_AddStringToObject(object, "error", push->error);
		cJSON_AddItemToArray(list, object);
	}
	return body;
}
