/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/discovery/info.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/site/ways.h"
#include "mqtt/signed.h"
#include "daemon/worker/worker.h"

#define URL_MAX (NET_HOST_PORT_MAX + 16)
#define HTTP_KEY "http" /* of the streams' URLs */
/* Bytes of an info that clients read (client/find/server.h). A longer one is published without the
 * URLs of HTTP_KEY, which /api/cameras has too. */
#define INFO_MAX (64u << 10)

struct discovery_snapshot *discovery_snapshot_create(const struct config *config)
{
	struct discovery_snapshot *snapshot =
		calloc(1, sizeof *snapshot + config->n_cameras * sizeof *snapshot->cameras +
				  config->n_streams * sizeof *snapshot->streams +
				  pushes_configured(config) * sizeof *snapshot->pushes);

	if (!snapshot)
		return NULL;
	snapshot->cameras = (struct discovery_camera *)(void *)(snapshot + 1);
	snapshot->streams =
		(struct discovery_stream *)(void *)(snapshot->cameras + config->n_cameras);
	snapshot->pushes = (struct discovery_push *)(void *)(snapshot->streams + config->n_streams);
	return snapshot;
}

void discovery_snapshot_copy(struct discovery_snapshot *to, const struct discovery_snapshot *from,
			     const struct config *config)
{
	memcpy(to->cameras, from->cameras, config->n_cameras * sizeof *to->cameras);
	memcpy(to->streams, from->streams, config->n_streams * sizeof *to->streams);
	memcpy(to->pushes, from->pushes, pushes_configured(config) * sizeof *to->pushes);
}

struct discovery_snapshot *discovery_snapshot_take(const struct cameras *cameras,
						   const struct pushes *pushes)
{
	struct discovery_snapshot *snapshot = discovery_snapshot_create(cameras->config);

	if (!snapshot)
		return NULL;
	for (size_t i = 0; i < cameras->n_cameras; i++) {
		const struct worker_status *status = cameras->cameras[i]->status;
		struct discovery_camera *camera = &snapshot->cameras[i];

		camera->state = status->state == WORKER_RUNNING
					? worker_camera_state_name(status->heartbeat.state)
					: worker_state_name(status->state);
		camera->width = status->heartbeat.width;
		camera->height = status->heartbeat.height;
		camera->rate_milli = status->heartbeat.rate_milli;
		camera->fps_milli = status->pid ? status->heartbeat.fps_milli : 0;
	}
	for (size_t i = 0; i < cameras->n_streams; i++) {
		const struct stream *stream = cameras->streams[i];
		const struct worker_status *worker = stream->camera->status;
		const struct camcast_msg_stream *status = &worker->streams[stream->number];
		bool alive = worker->pid != 0;
		struct discovery_stream *shot = &snapshot->streams[i];

		shot->target_bps = status->target_bps;
		shot->fps_milli = alive ? status->fps_milli : 0;
		shot->bitrate_bps = alive ? status->bitrate_bps : 0;
		shot->viewers = (uint32_t)stream_viewers(stream);
	}
	for (size_t i = 0; i < pushes_count(pushes) && i < pushes_configured(cameras->config); i++)
		snapshot->pushes[i].state = pushes_status(pushes, i)->state;
	return snapshot;
}

/* --- addresses --- */

/* Whether a client that connects to `address` reaches a listener on `host`. */
static bool reaches(const char *address, const char *host)
{
	int family = net_host_family(address);

	if (strcmp(host, "0.0.0.0") == 0)
		return family != AF_INET6;
	if (strcmp(host, "::") == 0)
		return family != AF_INET;
	return host[0] == '\0' || strcmp(address, host) == 0;
}

/* The listener of a feed with an address that is announced: one on all addresses, else the first
 * that is not for this machine only, else the first. */
static unsigned choose_listener(const struct config_feed *feed)
{
	for (unsigned i = 0; i < feed->n_listen; i++)
		if (net_host_is_any(feed->listen[i].host))
			return i;
	for (unsigned i = 0; i < feed->n_listen; i++)
		if (!net_host_is_loopback(feed->listen[i].host))
			return i;
	return 0;
}

static const struct net_address *told_listener(const struct config_feed *feed)
{
	return &feed->listen[choose_listener(feed)];
}

void discovery_choose_addresses(struct net_host_list *told, const struct config *config,
				const struct net_host_list *found)
{
	told->n = 0;
	if (config->mqtt.advertise[0]) {
		net_host_list_add(told, config->mqtt.advertise);
		return;
	}
	for (unsigned i = 0; i < found->n; i++)
		for (size_t j = 0; j < config->n_feeds; j++)
			if (config->feeds[j].n_listen > 0 &&
			    reaches(found->text[i], told_listener(&config->feeds[j])->host))
				net_host_list_add(told, found->text[i]);
	/* Feeds on one address only: those of others first. */
	for (int loopback = 0; loopback < 2; loopback++)
		for (size_t j = 0; j < config->n_feeds; j++) {
			const char *host = told_listener(&config->feeds[j])->host;

			if (config->feeds[j].n_listen > 0 && !net_host_is_any(host) &&
			    net_host_is_loopback(host) == loopback)
				net_host_list_add(told, host);
		}
	if (told->n == 0)
		net_host_list_add(told, found->n ? found->text[0] : "127.0.0.1");
}

const char *discovery_plain_address(const struct net_host_list *told)
{
	for (unsigned i = 0; i < told->n; i++)
		if (net_host_family(told->text[i]) != AF_INET6)
			return told->text[i];
	return told->text[0];
}

static const char *feed_host(const struct discovery_info *info, const struct net_address *listen)
{
	const struct net_host_list *told = info->addresses;

	if (info->config->mqtt.advertise[0])
		return told->text[0];
	if (!net_host_is_any(listen->host))
		return listen->host;
	for (unsigned i = 0; i < told->n; i++)
		if (reaches(told->text[i], listen->host))
			return told->text[i];
	return told->text[0];
}

static void write_url(char url[URL_MAX], const char *scheme, const char *host, unsigned port)
{
	char where[NET_HOST_PORT_MAX];

	net_format_host_port(where, host, (uint16_t)port);
	snprintf(url, URL_MAX, "%s://%s", scheme, where);
}

/* --- camcast/ID/info --- */

/* Whether the pictures have a rate and a size of their own. */
static bool is_recording(const struct config_camera *camera)
{
	return config_source_kind(camera->source, NULL) == CONFIG_SOURCE_FILE ||
	       config_source_is_live(camera->source);
}

/* As the worker says. Before it does, an encoder has what is configured; a recording may be copied
 * by `auto` as well. */
static uint32_t target_bps(const struct discovery_info *info, unsigned index)
{
	const struct config_stream *stream = &info->config->streams[index];
	const bool may_copy = stream->encoder == CONFIG_ENCODER_COPY ||
			      (stream->encoder == CONFIG_ENCODER_AUTO &&
			       is_recording(&info->config->cameras[stream->camera]));

	if (info->snapshot && info->snapshot->streams[index].target_bps)
		return info->snapshot->streams[index].target_bps;
	return stream->codec == CONFIG_CODEC_H264 && !may_copy ? stream->bitrate : 0;
}

/* Size and rate as the worker knows them. Before it does, a camera has what it is asked for; a
 * recording has its own. */
static void add_shape(const struct discovery_info *info, unsigned index, cJSON *object)
{
	const struct config_camera *config = &info->config->cameras[index];
	const struct discovery_camera *camera =
		info->snapshot ? &info->snapshot->cameras[index] : NULL;
	const bool own = is_recording(config);
	uint32_t width = own ? 0 : config->size.width, height = own ? 0 : config->size.height;
	double rate = own ? 0 : (double)config->framerate.num / config->framerate.den;

	if (camera && camera->width) {
		width = camera->width;
		height = camera->height;
	}
	if (camera && camera->rate_milli)
		rate = camera->rate_milli / 1e3;
	cJSON_AddNumberToObject(object, "width", width);
	cJSON_AddNumberToObject(object, "height", height);
	cJSON_AddNumberToObject(object, "framerate", rate);
}

static void add_feed(const struct discovery_info *info, unsigned index, cJSON *streams)
{
	static const char *const schemes[2][2] = {{"tcp+length", "tcp"}, {"tls+length", "tls"}};
	const struct config_feed *feed = &info->config->feeds[index];
	const struct config_stream *stream = &info->config->streams[feed->stream];
	const struct config_camera *camera = &info->config->cameras[stream->camera];
	const struct net_address *listen = told_listener(feed);
	bool annexb = feed->framing == CONFIG_FRAMING_ANNEXB;
	/* Where the kernel chose the port, that of the first listener is known. */
	unsigned port = listen->port ? listen->port : info->ports[index];
	cJSON *object = cJSON_CreateObject();
	char url[URL_MAX];

	if (!object || !cJSON_AddItemToArray(streams, object)) {
		cJSON_Delete(object);
		return;
	}
	cJSON_AddStringToObject(object, "name", stream->name);
	cJSON_AddStringToObject(object, "camera", camera->name);
	cJSON_AddStringToObject(object, "codec", config_codec_name(stream->codec));
	add_shape(info, (unsigned)stream->camera, object);
	cJSON_AddNumberToObject(object, "bitrate", target_bps(info, feed->stream));
	cJSON_AddStringToObject(object, "framing", config_framing_name(feed->framing));
	cJSON_AddNumberToObject(object, "port", port);
	write_url(url, schemes[stream->tls == CONFIG_TLS_YES][annexb], feed_host(info, listen),
		  port);
	cJSON_AddStringToObject(object, "url", url);
}

/* Adds the URL of a stream over RTSP where others reach it. */
static void add_rtsp(const struct discovery_info *info, const struct config_stream *stream,
		     cJSON *urls)
{
	const struct config_daemon *daemon = &info->config->daemon;
	char server[URL_MAX], url[URL_MAX + CONFIG_STREAM_NAME_MAX + 1];

	for (size_t i = 0; i < daemon->n_rtsp; i++) {
		const struct net_address *listen = &daemon->rtsp[i];

		if (net_host_is_loopback(listen->host) || listen->port == 0)
			continue;
		write_url(server, daemon->tls == CONFIG_TLS_YES ? "rtsps" : "rtsp",
			  feed_host(info, listen), listen->port);
		snprintf(url, sizeof url, "%s/%s", server, stream->name);
		cJSON_AddStringToObject(urls, "rtsp", url);
		return;
	}
}

/* Where others reach the web page and the status: not if HTTP is for this machine only. */
static bool http_url(const struct discovery_info *info, char url[URL_MAX])
{
	const struct config_daemon *daemon = &info->config->daemon;

	for (size_t i = 0; i < daemon->n_http; i++) {
		const struct net_address *listen = &daemon->http[i];

		if (net_host_is_loopback(listen->host) || listen->port == 0)
			continue;
		write_url(url, daemon->tls == CONFIG_TLS_YES ? "https" : "http",
			  feed_host(info, listen), listen->port);
		return true;
	}
	return false;
}

/* The URLs of a stream under that of the server. */
static void add_http_stream(const struct discovery_info *info, const struct config_stream *stream,
			    const char *server, cJSON *streams)
{
	const struct config *config = info->config;
	cJSON *object = cJSON_CreateObject(), *urls;
	char url[URL_MAX + WAY_PATH_MAX], path[WAY_PATH_MAX];

	if (!object || !cJSON_AddItemToArray(streams, object)) {
		cJSON_Delete(object);
		return;
	}
	cJSON_AddStringToObject(object, "name", stream->name);
	cJSON_AddStringToObject(object, "camera", config->cameras[stream->camera].name);
	cJSON_AddStringToObject(object, "codec", config_codec_name(stream->codec));
	urls = cJSON_AddObjectToObject(object, "urls");
	for (size_t i = 0; i < n_ways; i++) {
		if (!way_feed(config, stream, ways[i].framing))
			continue;
		way_path(path, stream, &ways[i]);
		/* "wss" as "https" */
		snprintf(url, sizeof url, "%s%s%s",
			 ways[i].framing == CONFIG_FRAMING_MP4_WS ? "ws" : "http",
			 server + strlen("http"), path);
		cJSON_AddStringToObject(urls, ways[i].key, url);
	}
	add_rtsp(info, stream, urls);
}

static void add_http(const struct discovery_info *info, cJSON *root)
{
	char server[URL_MAX], page[URL_MAX + 1];
	cJSON *streams;

	if (!http_url(info, server))
		return;
	cJSON_AddStringToObject(root, "status_url", server);
	snprintf(page, sizeof page, "%s/", server);
	cJSON_AddStringToObject(root, "page_url", page);
	streams = cJSON_AddArrayToObject(root, HTTP_KEY);
	for (size_t i = 0; streams && i < info->config->n_streams; i++)
		if (!info->config->streams[i].implied)
			add_http_stream(info, &info->config->streams[i], server, streams);
}

/* Calls each for every push, in the order of pushes_status(). */
static void for_each_push(const struct config *config,
			  void (*each)(void *user, const struct config_stream *stream,
				       const char *name, const char *url),
			  void *user)
{
	for (size_t i = 0; i < config->n_streams; i++) {
		const char *list = config->streams[i].push;
		char url[PUSH_URL_MAX], name[PUSH_NAME_MAX];

		for (unsigned number = 1; push_url_next(&list, url) > 0; number++) {
			push_name(name, &config->streams[i], number);
			each(user, &config->streams[i], name, url);
		}
	}
}

struct push_list {
	cJSON *list;			   /* or an object */
	const struct discovery_push *next; /* NULL: not known yet */
};

static void add_push(void *user, const struct config_stream *stream, const char *name,
		     const char *url)
{
	struct push_list *pushes = user;
	cJSON *object = cJSON_CreateObject();
	char shown[PUSH_URL_SHOWN_MAX];

	if (!object || !cJSON_AddItemToArray(pushes->list, object)) {
		cJSON_Delete(object);
		return;
	}
	push_url_redact(url, shown);
	cJSON_AddStringToObject(object, "name", name);
	cJSON_AddStringToObject(object, "stream", stream->name);
	cJSON_AddStringToObject(object, "url", shown);
	cJSON_AddBoolToObject(object, "live", pushes->next && pushes->next->state == PUSH_LIVE);
	if (pushes->next)
		pushes->next++;
}

static void add_push_state(void *user, const struct config_stream *stream, const char *name,
			   const char *url)
{
	struct push_list *pushes = user;
	cJSON *object = cJSON_AddObjectToObject(pushes->list, name);

	(void)stream;
	(void)url;
	cJSON_AddStringToObject(object, "state", push_state_name(pushes->next++->state));
}

/* Adds the pushes to root as an array or, by name, as an object; if there are none, nothing. */
static void add_pushes(const struct discovery_info *info, cJSON *root, bool states)
{
	struct push_list pushes = {.next = info->snapshot ? info->snapshot->pushes : NULL};

	if (pushes_configured(info->config) == 0)
		return;
	pushes.list = states ? cJSON_AddObjectToObject(root, "pushes")
			     : cJSON_AddArrayToObject(root, "pushes");
	for_each_push(info->config, states ? add_push_state : add_push, &pushes);
}

char *discovery_info_json(const struct discovery_info *info)
{
	const struct config *config = info->config;
	cJSON *root = cJSON_CreateObject(), *array;
	char *text;

	cJSON_AddNumberToObject(root, "camcast", 1);
	cJSON_AddStringToObject(root, "id", info->id);
	cJSON_AddStringToObject(root, "name", config->daemon.name);
	cJSON_AddStringToObject(root, "version", CAMCAST_VERSION);
	array = cJSON_AddArrayToObject(root, "addresses");
	for (unsigned i = 0; i < info->addresses->n; i++)
		cJSON_AddItemToArray(array, cJSON_CreateString(info->addresses->text[i]));
	add_http(info, root);
	array = cJSON_AddArrayToObject(root, "streams");
	for (unsigned i = 0; array && i < config->n_feeds; i++)
		if (config->feeds[i].n_listen > 0)
			add_feed(info, i, array);
	add_pushes(info, root, false);
	text = cJSON_PrintUnformatted(root);
	if (text && strlen(text) > INFO_MAX - SIGNED_EXTRA_MAX) {
		free(text);
		cJSON_DeleteItemFromObject(root, HTTP_KEY);
		text = cJSON_PrintUnformatted(root);
	}
	cJSON_Delete(root);
	return text;
}

/* --- Home Assistant --- */

char *discovery_state_json(const struct discovery_info *info)
{
	const struct config *config = info->config;
	cJSON *root = cJSON_CreateObject(), *group, *object;
	char *text;

	group = cJSON_AddObjectToObject(root, "cameras");
	for (unsigned i = 0; i < config->n_cameras; i++) {
		const struct discovery_camera *camera = &info->snapshot->cameras[i];

		object = cJSON_AddObjectToObject(group, config->cameras[i].name);
		cJSON_AddStringToObject(object, "state", camera->state);
		cJSON_AddNumberToObject(object, "fps", camera->fps_milli / 1e3);
	}
	group = cJSON_AddObjectToObject(root, "streams");
	for (unsigned i = 0; i < config->n_streams; i++) {
		const struct discovery_stream *stream = &info->snapshot->streams[i];

		if (config->streams[i].implied)
			continue;
		object = cJSON_AddObjectToObject(group, config->streams[i].name);
		cJSON_AddNumberToObject(object, "viewers", stream->viewers);
		cJSON_AddNumberToObject(object, "fps", stream->fps_milli / 1e3);
		cJSON_AddNumberToObject(object, "bitrate", stream->bitrate_bps);
		cJSON_AddNumberToObject(object, "target_bitrate", target_bps(info, i));
	}
	add_pushes(info, root, true);
	text = cJSON_PrintUnformatted(root);
	cJSON_Delete(root);
	return text;
}

bool discovery_state_differs(const struct config *config, const struct discovery_snapshot *a,
			     const struct discovery_snapshot *b)
{
	for (unsigned i = 0; i < config->n_cameras; i++)
		if (strcmp(a->cameras[i].state, b->cameras[i].state) != 0)
			return true;
	for (unsigned i = 0; i < config->n_streams; i++)
		if (a->streams[i].viewers != b->streams[i].viewers ||
		    a->streams[i].target_bps != b->streams[i].target_bps)
			return true;
	for (size_t i = 0; i < pushes_configured(config); i++)
		if (a->pushes[i].state != b->pushes[i].state)
			return true;
	return false;
}
