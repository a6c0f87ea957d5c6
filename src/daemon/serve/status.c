/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/status.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double seconds(int64_t us)
{
	return (double)us / 1e6;
}

/* --- JSON --- */

static const char *cursor_state_name(unsigned state)
{
	static const char *const names[] = {
		[CURSOR_WAIT_KEY] = "wait_key",
		[CURSOR_LIVE] = "live",
		[CURSOR_SHED] = "shed",
	};

	return names[state];
}

static void add_string(cJSON *object, const char *name, const char *value)
{
	cJSON_AddStringToObject(object, name, value);
}

/* Exact up to 2^53, which is 285 years of microseconds and 9 petabytes. */
static void add_number(cJSON *object, const char *name, double value)
{
	cJSON_AddNumberToObject(object, name, value);
}

static void add_bool(cJSON *object, const char *name, bool value)
{
	cJSON_AddBoolToObject(object, name, value);
}

static cJSON *append_object(cJSON *array)
{
	cJSON *object = cJSON_CreateObject();

	if (!object || !cJSON_AddItemToArray(array, object)) {
		cJSON_Delete(object);
		return NULL;
	}
	return object;
}

static void add_camera(const struct camera *from, int64_t now, cJSON *cameras)
{
	const struct worker_status *status = worker_status(from->worker);
	const struct camcast_msg_heartbeat *heartbeat = &status->heartbeat;
	int64_t retry_us = status->retry_at_us - now;
	cJSON *camera = append_object(cameras);

	add_string(camera, "name", from->config->name);
	add_string(camera, "state", worker_state_name(status->state));
	add_string(camera, "camera_state", worker_camera_state_name(heartbeat->state));
	add_string(camera, "source", heartbeat->source);
	add_string(camera, "allocator", heartbeat->allocator);
	add_string(camera, "path", heartbeat->path);
	add_number(camera, "width", heartbeat->width);
	add_number(camera, "height", heartbeat->height);
	add_number(camera, "fps", status->pid ? heartbeat->fps_milli / 1e3 : 0);
	add_number(camera, "frames", (double)heartbeat->frames);
	add_number(camera, "dropped", (double)heartbeat->dropped);
	add_number(camera, "pid", status->pid);
	add_number(camera, "restarts", (double)status->restarts);
	add_number(camera, "undead", status->undead);
	if (status->state == WORKER_BACKOFF)
		add_number(camera, "retry_in_ms", retry_us > 0 ? (double)(retry_us / 1000) : 0);
	add_string(camera, "reason", status->reason);
	add_string(camera, "camera_reason", heartbeat->reason);
}

static void add_stream(const struct stream *from, cJSON *streams)
{
	const struct config_stream *config = from->config;
	const struct worker *worker = from->camera->worker;
	const struct camcast_msg_stream *status = worker_stream_status(worker, from->number);
	bool alive = worker_status(worker)->pid != 0;
	cJSON *stream = append_object(streams);

	add_string(stream, "name", config->name);
	add_string(stream, "camera", from->camera->config->name);
	add_string(stream, "codec", config_codec_name(config->codec));
	add_bool(stream, "on_demand", config->on_demand);
	add_bool(stream, "wanted", worker_stream_wanted_us(worker, from->number) != 0);
	add_bool(stream, "active", alive && status->active);
	add_string(stream, "encoder", status->encoder);
	add_string(stream, "detail", status->detail);
	add_number(stream, "fps", alive ? status->fps_milli / 1e3 : 0);
	add_number(stream, "bitrate", alive ? status->bitrate_bps : 0);
	add_number(stream, "target_bitrate", status->target_bps);
	add_number(stream, "encode_us", status->encode_us);
	add_number(stream, "units", (double)status->units);
	add_number(stream, "keys", (double)status->keys);
	add_number(stream, "dropped", (double)status->dropped);
	add_number(stream, "idr_requests", (double)status->idr_requests);
}

static void add_mqtt(const struct status_view *view, cJSON *root)
{
	cJSON *mqtt = cJSON_AddObjectToObject(root, "mqtt"), *part;
	const struct config_mqtt *config = &view->cameras->config->mqtt;
	const struct discovery_status *status;
	int64_t retry_us;

	if (!view->discovery) {
		add_string(mqtt, "state", "off");
		return;
	}
	status = discovery_status(view->discovery);
	retry_us = status->retry_at_us - loop_now_us(view->loop);
	add_string(mqtt, "state", discovery_state_names[status->state]);
	add_string(mqtt, "reason", status->reason);
	if (status->state == DISCOVERY_WAITING)
		add_number(mqtt, "retry_in_ms", retry_us > 0 ? (double)(retry_us / 1000) : 0);
	add_string(mqtt, "broker", config->broker);
	add_string(mqtt, "version",
		   status->version == 5	  ? "5"
		   : status->version == 3 ? "3.1.1"
					  : "");
	add_string(mqtt, "id", discovery_id(view->discovery));
	add_string(mqtt, "address", status->address);
	add_number(mqtt, "connects", (double)status->connects);
	add_number(mqtt, "announcements", (double)status->announcements);
	add_number(mqtt, "requests", (double)status->requests);
	add_number(mqtt, "replies", (double)status->replies);
	part = cJSON_AddObjectToObject(mqtt, "refused");
	for (unsigned i = 0; i < REQUEST_REFUSALS; i++)
		add_number(part, request_refusal_names[i], (double)status->refused[i]);
	part = cJSON_AddObjectToObject(mqtt, "limited");
	add_number(part, "topic", (double)status->limited_topic);
	add_number(part, "total", (double)status->limited_total);
	add_number(part, "busy", (double)status->limited_busy);
	add_number(mqtt, "commands", (double)status->commands);
	add_number(mqtt, "commands_refused", (double)status->commands_refused);
	if (!config_mqtt_spawns(config))
		return;
	add_number(mqtt, "broker_pid", status->broker_pid);
	add_number(mqtt, "broker_restarts", (double)status->broker_restarts);
}

static void add_feed(const struct output *output, int64_t now, cJSON *feeds)
{
	const struct feed_stats *stats = feed_stats(output->feed);
	const struct audience_stats *audience = &stats->audience;
	cJSON *feed = append_object(feeds), *part;

	add_string(feed, "name", output->name);
	add_string(feed, "stream", output->stream->config->name);
	add_string(feed, "framing", config_framing_name(output->config->framing));
	add_number(feed, "port", output->tcp.port);
	add_number(feed, "units", (double)stats->units);
	add_number(feed, "keys", (double)stats->keys);
	add_number(feed, "bytes", (double)stats->bytes);
	if (stats->last_unit_us > 0)
		add_number(feed, "last_unit_ms", (double)((now - stats->last_unit_us) / 1000));
	add_number(feed, "log_bytes", (double)stats->log.bytes);
	add_number(feed, "segments", (double)stats->log.segments);
	add_number(feed, "clients", (double)audience->cursors);
	add_number(feed, "accepted", (double)audience->joined);
	part = cJSON_AddObjectToObject(feed, "refused");
	for (unsigned i = 0; i < ADMISSION_REFUSALS; i++)
		add_number(part, admission_refusal_name(i), (double)output->tcp.quota.refused[i]);
	part = cJSON_AddObjectToObject(feed, "left");
	add_number(part, "peer", (double)audience->left[CURSOR_END_PEER]);
	add_number(part, "stalled", (double)audience->left[CURSOR_END_STALL]);
	add_number(part, "shutdown", (double)audience->left[CURSOR_END_SHUTDOWN]);
	part = cJSON_AddObjectToObject(feed, "dropped");
	add_number(part, "lag", (double)audience->units_dropped);
	add_number(part, "shed", (double)audience->units_shed);
	add_number(part, "gap", (double)stats->units_refused);
	add_number(feed, "resyncs", (double)audience->resyncs);
	add_number(feed, "idr_requests", (double)audience->idr_requests);
	add_number(feed, "sent_bytes", (double)audience->sent_bytes);
	add_number(feed, "sends", (double)audience->sends);
	add_number(feed, "sendfiles", (double)audience->sendfiles);
}

struct client_list {
	cJSON *clients;
	const char *feed;
	unsigned shown;
	uint64_t omitted;
	int64_t realtime_offset_s; /* of CLOCK_REALTIME to the loop's clock */
};

static void add_client(const struct cursor *cursor, void *user)
{
	struct client_list *list = user;
	cJSON *client;
	char since[32], peer[SINK_TEXT_MAX];
	time_t at;
	struct tm tm;

	if (list->shown >= STATUS_CLIENTS_MAX) {
		list->omitted++;
		return;
	}
	list->shown++;
	client = append_object(list->clients);
	cursor->sink->describe(cursor, peer);
	at = (time_t)(cursor->since_s + list->realtime_offset_s);
	gmtime_r(&at, &tm);
	strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", &tm);
	add_string(client, "feed", list->feed);
	add_string(client, "address", peer);
	add_string(client, "state", cursor_state_name(cursor->state));
	add_number(client, "lag_ms", (double)(cursor_lag_us(cursor) / 1000));
	add_number(client, "delay_ms", (double)(cursor_delay_us(cursor) / 1000));
	add_number(client, "sent", (double)cursor->sent_bytes);
	add_number(client, "dropped", (double)cursor->units_dropped);
	add_number(client, "shed", (double)cursor->units_shed);
	add_number(client, "resyncs", cursor->resyncs);
	add_string(client, "since", since);
}

static void add_clients(const struct status_view *view, cJSON *root)
{
	const struct cameras *cameras = view->cameras;
	struct client_list list = {
		.clients = cJSON_AddArrayToObject(root, "clients"),
		.realtime_offset_s = time(NULL) - loop_now_us(view->loop) / 1000000,
	};

	for (size_t i = 0; i < cameras->n_outputs; i++) {
		list.feed = cameras->outputs[i].name;
		feed_for_each_cursor(cameras->outputs[i].feed, add_client, &list);
	}
	add_number(root, "clients_omitted", (double)list.omitted);
}

static void add_loop(const struct status_view *view, cJSON *root)
{
	const struct loop_stats *stats = loop_stats(view->loop);
	cJSON *loop = cJSON_AddObjectToObject(root, "loop");

	add_number(loop, "turns", (double)stats->turns);
	add_number(loop, "sends", (double)stats->sends);
	add_number(loop, "sendfiles", (double)stats->sendfiles);
	add_number(loop, "send_again", (double)stats->send_again);
	add_number(loop, "accept_paused", (double)stats->accept_paused);
	add_number(loop, "bytes_discarded", (double)stats->bytes_discarded);
}

char *status_json(const struct status_view *view)
{
	const struct cameras *cameras = view->cameras;
	const struct config_daemon *config = &cameras->config->daemon;
	int64_t now = loop_now_us(view->loop);
	char why[HEALTH_WHY_MAX];
	cJSON *root = cJSON_CreateObject(), *array;
	char *text;

	/* Without memory the calls below do nothing on NULL; a text with holes is still valid. */
	if (!root)
		return NULL;
	add_string(root, "name", config->name);
	add_string(root, "version", CAMCAST_VERSION);
	add_number(root, "pid", getpid());
	add_number(root, "uptime_s", seconds(now - view->started_us));
	add_string(root, "backend", loop_backend_name(view->loop));
	add_bool(root, "healthy", health_check(cameras, now, why));
	add_string(root, "health_reason", why);
	add_number(root, "clients_total", admission_viewers(view->admission));
	add_number(root, "max_clients", config->max_clients);
	add_number(root, "client_bytes", (double)connection_size());
	add_bool(root, "fds_short", fdreserve_short(view->reserve));
	add_loop(view, root);
	add_mqtt(view, root);
	array = cJSON_AddArrayToObject(root, "cameras");
	for (size_t i = 0; i < cameras->n_cameras; i++)
		add_camera(&cameras->cameras[i], now, array);
	array = cJSON_AddArrayToObject(root, "streams");
	for (size_t i = 0; i < cameras->n_streams; i++)
		add_stream(&cameras->streams[i], array);
	array = cJSON_AddArrayToObject(root, "feeds");
	for (size_t i = 0; i < cameras->n_outputs; i++)
		add_feed(&cameras->outputs[i], now, array);
	add_clients(view, root);
	text = cJSON_PrintUnformatted(root);
	cJSON_Delete(root);
	return text;
}

/* --- over HTTP --- */

static void handle_healthz(const struct status_view *view, struct http_answer *answer)
{
	char why[HEALTH_WHY_MAX];
	bool healthy = health_check(view->cameras, loop_now_us(view->loop), why);
	int len;

	answer->status = healthy ? 200 : 503;
	answer->type = "text/plain; charset=utf-8";
	len = asprintf(&answer->body, "%s\n", healthy ? "ok" : why);
	if (len < 0) {
		answer->body = NULL;
		return;
	}
	answer->len = (size_t)len;
}

static void take_text(struct http_answer *answer, char *text, const char *type)
{
	answer->status = text ? 200 : 500;
	answer->type = type;
	answer->body = text;
	answer->len = text ? strlen(text) : 0;
}

void status_handle(void *user, const char *path, struct http_answer *answer)
{
	const struct status_view *view = user;

	if (strcmp(path, "/status.json") == 0)
		take_text(answer, status_json(view), "application/json");
	else if (strcmp(path, "/metrics") == 0)
		take_text(answer, status_metrics(view), "text/plain; version=0.0.4; charset=utf-8");
	else if (strcmp(path, "/healthz") == 0)
		handle_healthz(view, answer);
}
