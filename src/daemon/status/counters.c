/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/status/counters.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A field of `structure`, which the function `where` returns. */
#define FIELD(where, structure, field)                                                             \
	.in = (where), .offset = offsetof(structure, field), .size = sizeof((structure *)0)->field
#define IN_LOOP(field) FIELD(in_loop, struct loop_stats, field)
#define IN_MQTT(field) FIELD(in_mqtt, struct discovery_status, field)
#define IN_WORKER(field) FIELD(in_worker, struct worker_status, field)
#define IN_STREAM(field) FIELD(in_stream, struct camcast_msg_stream, field)
#define IN_FEED(field) FIELD(in_feed, struct feed_stats, field)
#define IN_QUOTA(field) FIELD(in_quota, struct quota, field)
#define IN_CURSOR(field) FIELD(in_cursor, struct cursor, field)

#define TEXT .type = COUNTER_TEXT
#define BOOL .type = COUNTER_BOOL
#define GAUGE .type = COUNTER_GAUGE
#define COUNTER .type = COUNTER_COUNTER
#define GROUP .type = COUNTER_GROUP

static double milliseconds(int64_t us)
{
	return us > 0 ? (double)(us / 1000) : 0;
}

/* --- the server --- */

static const void *in_loop(const struct counted *c)
{
	return loop_stats(c->view->loop);
}
static const char *server_name(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->view->cameras->config->daemon.name;
}
static const char *server_version(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)c, (void)buffer;
	return CAMCAST_VERSION;
}
static double server_pid(const struct counted *c)
{
	(void)c;
	return getpid();
}
static double server_uptime(const struct counted *c)
{
	return (double)(c->now_us - c->view->started_us) / 1e6;
}
static const char *server_backend(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return loop_backend_name(c->view->loop);
}
static double server_healthy(const struct counted *c)
{
	return c->healthy;
}
static const char *server_health_reason(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->why;
}
static double server_clients(const struct counted *c)
{
	return admission_viewers(c->view->admission);
}
static double server_max_clients(const struct counted *c)
{
	return c->view->cameras->config->daemon.max_clients;
}
static double server_client_bytes(const struct counted *c)
{
	(void)c;
	return (double)connection_size();
}
static double server_fds_short(const struct counted *c)
{
	return fdreserve_short(c->view->reserve);
}
static double server_clients_omitted(const struct counted *c)
{
	return (double)c->clients_omitted;
}

static const struct counter server[] = {
	{"name", TEXT, .help = "`[daemon] name`.", .text = server_name},
	{"version", TEXT, .help = "The version of camcastd.", .text = server_version},
	{"pid", GAUGE, .help = "The process id of camcastd.", .number = server_pid},
	{"uptime_s", "uptime_seconds", GAUGE, .unit = "s", .help = "Time since the start.",
	 .number = server_uptime},
	{"backend", TEXT, .help = "The event loop's backend: `epoll` or `io_uring`.",
	 .text = server_backend},
	{"healthy", "healthy", BOOL, .help = "Whether pictures flow, as `/healthz` reports it.",
	 .number = server_healthy},
	{"health_reason", TEXT, .help = "Why pictures do not flow; empty while they do.",
	 .text = server_health_reason},
	{"clients_total", GAUGE, .help = "Clients connected to all feeds.",
	 .number = server_clients},
	{"max_clients", "max_clients", GAUGE,
	 .help = "The limit on clients of all feeds: as configured, or lowered at the start to "
		 "what "
		 "RLIMIT_NOFILE allows.",
	 .number = server_max_clients},
	{"client_bytes", "client_bytes", GAUGE, .unit = "bytes",
	 .help = "Fixed memory of one client.", .number = server_client_bytes},
	{"fds_short", "fds_short", BOOL,
	 .help = "Whether the table of file descriptors is full; no client is let in until it has "
		 "room.",
	 .number = server_fds_short},
	{"loop", GROUP, .help = "The event loop."},
	{"loop.turns", "loop_turns_total", COUNTER, .help = "Times that the loop woke up.",
	 IN_LOOP(turns)},
	{"loop.sends", "sends_total", COUNTER,
	 .help = "Calls of `send()` that took bytes; these are copied.", IN_LOOP(sends)},
	{"loop.sendfiles", "sendfiles_total", COUNTER,
	 .help = "Sends of pages by reference that took bytes.", IN_LOOP(sendfiles)},
	{"loop.send_again", "send_again_total", COUNTER,
	 .help = "Sends of both sorts that took nothing, because the socket was full.",
	 IN_LOOP(send_again)},
	{"loop.accept_paused", "accept_paused_total", COUNTER,
	 .help = "Pauses of 100 ms in accepting, for lack of file descriptors or memory.",
	 IN_LOOP(accept_paused)},
	{"loop.bytes_discarded", "discarded_bytes_total", COUNTER, .unit = "bytes",
	 .help = "Input from clients that was read and thrown away.", IN_LOOP(bytes_discarded)},
	{"mqtt", .type = COUNTER_OBJECT, .kind = COUNTERS_MQTT, .help = "Discovery; see below."},
	{"cameras", .type = COUNTER_LIST, .kind = COUNTERS_CAMERA,
	 .help = "All cameras, in the order of the configuration."},
	{"streams", .type = COUNTER_LIST, .kind = COUNTERS_STREAM,
	 .help = "All streams, in the order of the configuration."},
	{"feeds", .type = COUNTER_LIST, .kind = COUNTERS_FEED,
	 .help = "All feeds, in the order of the configuration."},
	{"clients", .type = COUNTER_LIST, .kind = COUNTERS_CLIENT,
	 .help = "The first 1000 clients."},
	{"clients_omitted", GAUGE, .help = "Clients that are not in the list.",
	 .number = server_clients_omitted},
};

/* --- discovery --- */

static const void *in_mqtt(const struct counted *c)
{
	return c->discovery;
}
static bool mqtt_exists(const struct counted *c)
{
	return c->discovery;
}
static bool mqtt_waiting(const struct counted *c)
{
	return c->discovery->state == DISCOVERY_WAITING;
}
static bool mqtt_spawns(const struct counted *c)
{
	return config_mqtt_spawns(&c->view->cameras->config->mqtt);
}
static const char *mqtt_state(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->discovery ? discovery_state_names[c->discovery->state] : "off";
}
static double mqtt_connected(const struct counted *c)
{
	return c->discovery->state == DISCOVERY_CONNECTED;
}
static double mqtt_retry(const struct counted *c)
{
	return milliseconds(c->discovery->retry_at_us - c->now_us);
}
static const char *mqtt_broker(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->view->cameras->config->mqtt.broker;
}
static const char *mqtt_version(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->discovery->version == 5 ? "5" : c->discovery->version == 3 ? "3.1.1" : "";
}
static const char *mqtt_id(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return discovery_id(c->view->discovery);
}

static const struct counter mqtt[] = {
	{"state", TEXT,
	 .help = "`connecting`, `connected`, `waiting` (for the next attempt), or `off`: then the "
		 "other keys are absent.",
	 .text = mqtt_state},
	{NULL, "mqtt_connected", BOOL, .help = "Whether the server is connected to the broker.",
	 .number = mqtt_connected},
	{"reason", TEXT,
	 .help = "Why it is not connected; while it is connected, what the broker denies.",
	 IN_MQTT(reason)},
	{"retry_in_ms", GAUGE, .unit = "ms",
	 .help = "Time until the next attempt; in state `waiting` only.", .number = mqtt_retry,
	 .present = mqtt_waiting},
	{"broker", TEXT, .help = "The broker, as configured.", .text = mqtt_broker},
	{"version", TEXT,
	 .help = "The version of MQTT: `5` or `3.1.1`; empty before the first connection.",
	 .text = mqtt_version},
	{"id", TEXT, .help = "The id of this server in its topics.", .text = mqtt_id},
	{"address", TEXT,
	 .help = "The address in answers to plain-text requests; empty before the first "
		 "connection.",
	 IN_MQTT(address)},
	{"connects", "mqtt_connects_total", COUNTER, .help = "Connections to the broker.",
	 IN_MQTT(connects)},
	{"announcements", "mqtt_announcements_total", COUNTER,
	 .help = "Descriptions of this server published on `camcast/ID/info`.",
	 IN_MQTT(announcements)},
	{"requests", "mqtt_requests_total", COUNTER, .help = "Requests received, answered or not.",
	 IN_MQTT(requests)},
	{"replies", "mqtt_replies_total", COUNTER, .help = "Requests answered.", IN_MQTT(replies)},
	{"refused", "mqtt_refused_total", "reason", GROUP,
	 .help = "Requests not answered because of their content, by reason."},
	{"refused.malformed", COUNTER, .help = "The payload is neither a topic nor a JSON request.",
	 IN_MQTT(refused[REQUEST_MALFORMED])},
	{"refused.not_utf8", COUNTER, .help = "The response topic or the request is not UTF-8.",
	 IN_MQTT(refused[REQUEST_NOT_UTF8])},
	{"refused.too_long", COUNTER,
	 .help = "The response topic is longer than 256 bytes, the JSON request than 4096, or the "
		 "correlation data than 256.",
	 IN_MQTT(refused[REQUEST_TOO_LONG])},
	{"refused.wildcard", COUNTER, .help = "The response topic contains `+` or `#`.",
	 IN_MQTT(refused[REQUEST_WILDCARD])},
	{"refused.dollar", COUNTER,
	 .help = "The response topic begins with `$`: it is the broker's.",
	 IN_MQTT(refused[REQUEST_DOLLAR])},
	{"refused.our_topic", COUNTER,
	 .help = "The response topic is a request topic, or one on which servers announce "
		 "themselves.",
	 IN_MQTT(refused[REQUEST_OUR_TOPIC])},
	{"refused.prefix", COUNTER,
	 .help = "The response topic does not begin with `response_prefix`.",
	 IN_MQTT(refused[REQUEST_PREFIX])},
	{"refused.retained", COUNTER,
	 .help = "The request is a retained message; its sender may be gone.",
	 IN_MQTT(refused[REQUEST_RETAINED])},
	{"limited", "mqtt_limited_total", "limit", GROUP,
	 .help = "Requests not answered because there were too many, by limit."},
	{"limited.topic", COUNTER, .help = "Too many for one response topic.",
	 IN_MQTT(limited_topic)},
	{"limited.total", COUNTER, .help = "Too many in all.", IN_MQTT(limited_total)},
	{"limited.busy", COUNTER, .help = "The broker does not accept the answers fast enough.",
	 IN_MQTT(limited_busy)},
	{"commands", "mqtt_commands_total", COUNTER,
	 .help = "Commands from Home Assistant that were carried out.", IN_MQTT(commands)},
	{"commands_refused", "mqtt_commands_refused_total", COUNTER,
	 .help = "Commands that were invalid, or too many.", IN_MQTT(commands_refused)},
	{"broker_pid", GAUGE,
	 .help = "The process id of camcast's own broker, 0: not running; only with `broker = "
		 "spawn`.",
	 IN_MQTT(broker_pid), .present = mqtt_spawns},
	{"broker_restarts", "mqtt_broker_restarts_total", COUNTER,
	 .help = "Restarts of camcast's own broker; in the JSON only with `broker = spawn`.",
	 IN_MQTT(broker_restarts), .present = mqtt_spawns},
};

/* --- a camera --- */

static const void *in_worker(const struct counted *c)
{
	return c->camera->status;
}
static const char *camera_name(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->camera->config->name;
}
static const char *camera_state(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return worker_state_name(c->camera->status->state);
}
static const char *camera_camera_state(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return worker_camera_state_name(c->camera->status->heartbeat.state);
}
static double camera_up(const struct counted *c)
{
	const struct worker_status *status = c->camera->status;

	return status->state == WORKER_RUNNING && status->heartbeat.state == CAMCAST_CAMERA_RUNNING;
}
static double camera_fps(const struct counted *c)
{
	const struct worker_status *status = c->camera->status;

	return status->pid ? status->heartbeat.fps_milli / 1e3 : 0;
}
static bool camera_waits(const struct counted *c)
{
	return c->camera->status->state == WORKER_BACKOFF;
}
static double camera_retry(const struct counted *c)
{
	return milliseconds(c->camera->status->retry_at_us - c->now_us);
}

static const struct counter cameras[] = {
	{"name", TEXT, .help = "The name of its section.", .text = camera_name},
	{"state", TEXT,
	 .help = "The state of its worker: `starting`, `running`, `backoff` (ended; it will be "
		 "started again), `stopped`.",
	 .text = camera_state},
	{"camera_state", TEXT,
	 .help = "The camera's state as the worker reports it: `starting`, `running`, `silent` (no "
		 "picture for 2 s), `failed`.",
	 .text = camera_camera_state},
	{NULL, "camera_up", BOOL, .help = "Whether the camera delivers pictures.",
	 .number = camera_up},
	{"source", TEXT, .help = "The source in use, such as `libcamera:imx708`.",
	 IN_WORKER(heartbeat.source)},
	{"allocator", TEXT,
	 .help = "The allocator of the frame slots: `dma-heap:system`, `udmabuf`, `memfd`...",
	 IN_WORKER(heartbeat.allocator)},
	{"path", TEXT, .help = "How pictures reach the encoders.", IN_WORKER(heartbeat.path)},
	{"width", GAUGE, .unit = "pixels", .help = "The width of its pictures.",
	 IN_WORKER(heartbeat.width)},
	{"height", GAUGE, .unit = "pixels", .help = "The height of its pictures.",
	 IN_WORKER(heartbeat.height)},
	{"fps", "camera_fps", GAUGE, .help = "Pictures in the last second.", .number = camera_fps},
	{"frames", "camera_frames_total", COUNTER, .help = "Pictures since the worker started.",
	 IN_WORKER(heartbeat.frames)},
	{"dropped", "camera_dropped_total", COUNTER,
	 .help = "Pictures that were not used because no slot or encoder was free.",
	 IN_WORKER(heartbeat.dropped)},
	{"pid", GAUGE, .help = "The process id of the worker; 0: not running.", IN_WORKER(pid)},
	{"restarts", "camera_restarts_total", COUNTER, .help = "Restarts of the worker.",
	 IN_WORKER(restarts)},
	{"undead", "camera_undead_workers", GAUGE,
	 .help = "Workers that were killed and have not ended: a driver is stuck, or a debugger "
		 "holds them.",
	 IN_WORKER(undead)},
	{"retry_in_ms", GAUGE, .unit = "ms",
	 .help = "Time until the next start; in state `backoff` only.", .number = camera_retry,
	 .present = camera_waits},
	{"reason", TEXT,
	 .help = "Why there is no worker, or why the last one ended: its exit status, a signal, a "
		 "hang, or the rule of the protocol that it broke.",
	 IN_WORKER(reason)},
	{"camera_reason", TEXT, .help = "The camera's last trouble, as the worker reports it.",
	 IN_WORKER(heartbeat.reason)},
};

/* --- a stream --- */

static const struct camcast_msg_stream *stream_status(const struct counted *c)
{
	return &c->stream->camera->status->streams[c->stream->number];
}
/* Figures of the last second are 0 without a worker. */
static bool stream_alive(const struct counted *c)
{
	return c->stream->camera->status->pid != 0;
}
static const void *in_stream(const struct counted *c)
{
	return stream_status(c);
}
static const char *stream_name(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->stream->config->name;
}
static const char *stream_camera(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->stream->camera->config->name;
}
static const char *stream_codec(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return config_codec_name(c->stream->config->codec);
}
static double stream_on_demand(const struct counted *c)
{
	return c->stream->config->on_demand;
}
static double stream_wanted(const struct counted *c)
{
	return c->stream->camera->status->wanted_us[c->stream->number] != 0;
}
static double stream_active(const struct counted *c)
{
	return stream_alive(c) && stream_status(c)->active;
}
static double stream_fps(const struct counted *c)
{
	return stream_alive(c) ? stream_status(c)->fps_milli / 1e3 : 0;
}
static double stream_bitrate(const struct counted *c)
{
	return stream_alive(c) ? stream_status(c)->bitrate_bps : 0;
}
static double stream_encode_seconds(const struct counted *c)
{
	return stream_alive(c) ? stream_status(c)->encode_us / 1e6 : 0;
}

static const struct counter streams[] = {
	{"name", TEXT, .help = "The name of its section.", .text = stream_name},
	{"camera", TEXT, .help = "The camera whose pictures it encodes.", .text = stream_camera},
	{"codec", TEXT, .help = "`h264` or `mjpeg`.", .text = stream_codec},
	{"on_demand", BOOL,
	 .help = "Whether it is encoded only while it is watched, as configured.",
	 .number = stream_on_demand},
	{"wanted", "stream_wanted", BOOL,
	 .help = "Whether it is to be encoded: it is watched, or is not on demand.",
	 .number = stream_wanted},
	{"active", "stream_active", BOOL, .help = "Whether it is being encoded.",
	 .number = stream_active},
	{"encoder", TEXT,
	 .help = "The encoder in use: `openh264`, `x264`, `v4l2m2m`, `mjpeg`, `copy`.",
	 IN_STREAM(encoder)},
	{"detail", TEXT,
	 .help = "The encoder's device and conversion, and why a better one is not in use.",
	 IN_STREAM(detail)},
	{"fps", "stream_fps", GAUGE, .help = "Access units in the last second.",
	 .number = stream_fps},
	{"bitrate", "stream_bitrate_bps", GAUGE, .unit = "bit/s",
	 .help = "The bit rate over the last second.", .number = stream_bitrate},
	{"target_bitrate", GAUGE, .unit = "bit/s",
	 .help = "The bit rate that the encoder is set to; 0: none.", IN_STREAM(target_bps)},
	{"encode_us", GAUGE, .unit = "us",
	 .help = "Mean time from picture to access unit, over the last second in which there was a "
		 "worker.",
	 IN_STREAM(encode_us)},
	{NULL, "stream_encode_seconds", GAUGE, .unit = "s",
	 .help = "Mean time from picture to access unit in the last second.",
	 .number = stream_encode_seconds},
	{"units", "stream_units_total", COUNTER, .help = "Access units since the worker started.",
	 IN_STREAM(units)},
	{"keys", "stream_keys_total", COUNTER,
	 .help = "Access units that can be decoded without earlier ones (IDR, JPEG).",
	 IN_STREAM(keys)},
	{"dropped", "stream_dropped_total", COUNTER,
	 .help = "Pictures that the encoder had no room for.", IN_STREAM(dropped)},
	{"idr_requests", "stream_idr_requests_total", COUNTER,
	 .help = "IDRs that were made on request.", IN_STREAM(idr_requests)},
};

/* --- a feed --- */

static const void *in_feed(const struct counted *c)
{
	return feed_stats(c->output->feed);
}
static const void *in_quota(const struct counted *c)
{
	return &c->output->tcp.quota;
}
static const char *feed_label(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->output->name;
}
static const char *feed_stream(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return c->output->stream->config->name;
}
static const char *feed_framing(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	(void)buffer;
	return config_framing_name(c->output->config->framing);
}
static double feed_port(const struct counted *c)
{
	return c->output->tcp.port;
}
static bool feed_begun(const struct counted *c)
{
	return feed_stats(c->output->feed)->last_unit_us > 0;
}
static double feed_last_unit(const struct counted *c)
{
	return (double)((c->now_us - feed_stats(c->output->feed)->last_unit_us) / 1000);
}

static const struct counter feeds[] = {
	{"name", TEXT, .help = "`STREAM/FRAMING`.", .text = feed_label},
	{"stream", TEXT, .help = "The stream of which it is a framing.", .text = feed_stream},
	{"framing", TEXT, .help = "`annexb` or `length_prefixed`.", .text = feed_framing},
	{"port", GAUGE, .help = "The port of its first listener.", .number = feed_port},
	{"units", "feed_units_total", COUNTER, .help = "Units published.", IN_FEED(units)},
	{"keys", "feed_keys_total", COUNTER, .help = "Key units published.", IN_FEED(keys)},
	{"bytes", "feed_bytes_total", COUNTER, .unit = "bytes", .help = "Data published.",
	 IN_FEED(bytes)},
	{"last_unit_ms", GAUGE, .unit = "ms",
	 .help = "Age of the newest unit; absent before the first one.", .number = feed_last_unit,
	 .present = feed_begun},
	{"log_bytes", "feed_log_bytes", GAUGE, .unit = "bytes", .rank = 6,
	 .help = "Published data in the open segments: the size of the log.", IN_FEED(log.bytes)},
	{"segments", "feed_segments", GAUGE, .rank = 5, .help = "Open segments.",
	 IN_FEED(log.segments)},
	{"clients", "feed_clients", GAUGE, .rank = 4, .help = "Connected clients.",
	 IN_FEED(audience.cursors)},
	{"accepted", "feed_accepted_total", COUNTER, .rank = 3, .help = "Clients let in.",
	 IN_FEED(audience.joined)},
	{"refused", "feed_refused_total", "reason", GROUP, .rank = 9,
	 .help = "Clients disconnected at once, by reason."},
	{"refused.max_clients", COUNTER, .help = "`max_clients` of `[daemon]` was reached.",
	 IN_QUOTA(refused[ADMISSION_OVER_TOTAL])},
	{"refused.max_clients_feed", COUNTER, .help = "`max_clients` of the stream was reached.",
	 IN_QUOTA(refused[ADMISSION_OVER_QUOTA])},
	{"refused.max_clients_per_ip", COUNTER,
	 .help = "`max_clients_per_ip` was reached (for IPv6: by a /64).",
	 IN_QUOTA(refused[ADMISSION_OVER_ADDRESS])},
	{"refused.no_fds", COUNTER, .help = "The table of file descriptors was full.",
	 IN_QUOTA(refused[ADMISSION_NO_FDS])},
	{"refused.no_memory", COUNTER,
	 .help = "There was no memory, or the socket could not be set up.",
	 IN_QUOTA(refused[ADMISSION_NO_MEMORY])},
	{"left", "feed_left_total", "reason", GROUP, .rank = 8,
	 .help = "Clients that are gone, by reason."},
	{"left.peer", COUNTER, .help = "The client closed the connection, or it failed.",
	 IN_FEED(audience.left[CURSOR_END_PEER])},
	{"left.stalled", COUNTER,
	 .help = "The client did not finish a unit within `stall_timeout_ms`.",
	 IN_FEED(audience.left[CURSOR_END_STALL])},
	{"left.shutdown", COUNTER, .help = "camcastd stopped.",
	 IN_FEED(audience.left[CURSOR_END_SHUTDOWN])},
	{"dropped", "feed_units_dropped_total", "reason", GROUP, .rank = 7,
	 .help = "Units not sent to a client, or not published (`gap`), by reason."},
	{"dropped.lag", COUNTER,
	 .help = "The client was more than `max_lag_ms` behind, and jumped to a key unit.",
	 IN_FEED(audience.units_dropped)},
	{"dropped.shed", COUNTER,
	 .help = "The unit was droppable, and the client more than `shed_lag_ms` behind.",
	 IN_FEED(audience.units_shed)},
	{"dropped.gap", COUNTER,
	 .help = "An earlier unit was lost on the way from the worker, and no key unit had come "
		 "since.",
	 IN_FEED(units_refused)},
	{"resyncs", "feed_resyncs_total", COUNTER, .rank = 2,
	 .help = "Jumps of slow clients to a key unit.", IN_FEED(audience.resyncs)},
	{"idr_requests", "feed_idr_requests_total", COUNTER, .rank = 2,
	 .help = "IDRs that the feed asked for; at most one a second is passed on.",
	 IN_FEED(audience.idr_requests)},
	{"sent_bytes", "feed_sent_bytes_total", COUNTER, .unit = "bytes", .rank = 1,
	 .help = "Data sent to all clients.", IN_FEED(audience.sent_bytes)},
	{"sends", "feed_sends_total", COUNTER, .rank = 1,
	 .help = "Calls of `send()` for this feed that took bytes; these are copied.",
	 IN_FEED(audience.sends)},
	{"sendfiles", "feed_sendfiles_total", COUNTER, .rank = 1,
	 .help = "Sends of pages by reference for this feed that took bytes.",
	 IN_FEED(audience.sendfiles)},
};

/* --- a client --- */

static const void *in_cursor(const struct counted *c)
{
	return c->cursor;
}
static const char *client_address(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	_Static_assert(COUNTER_TEXT_MAX >= SINK_TEXT_MAX, "a sink's name fits");
	c->cursor->sink->describe(c->cursor, buffer);
	return buffer;
}
static const char *client_state(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	static const char *const names[] = {
		[CURSOR_WAIT_KEY] = "wait_key",
		[CURSOR_LIVE] = "live",
		[CURSOR_SHED] = "shed",
	};

	(void)buffer;
	return names[c->cursor->state];
}
static double client_lag(const struct counted *c)
{
	return (double)(cursor_lag_us(c->cursor) / 1000);
}
static double client_delay(const struct counted *c)
{
	return (double)(cursor_delay_us(c->cursor) / 1000);
}
static const char *client_since(const struct counted *c, char buffer[COUNTER_TEXT_MAX])
{
	time_t at = (time_t)(c->cursor->since_s + c->realtime_offset_s);
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(buffer, COUNTER_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return buffer;
}

static const struct counter clients[] = {
	{"feed", TEXT, .help = "Its feed.", .text = feed_label},
	{"address", TEXT, .help = "Its address and port.", .text = client_address},
	{"state", TEXT,
	 .help = "`wait_key` (it waits for a key unit), `live`, `shed` (droppable units are left "
		 "out).",
	 .text = client_state},
	{"lag_ms", GAUGE, .unit = "ms", .help = "Age of the next unit that it gets.",
	 .number = client_lag},
	{"delay_ms", GAUGE, .unit = "ms",
	 .help = "The part of the lag that a viewer causes by pausing; its `max_lag_ms` counts "
		 "from "
		 "there.",
	 .number = client_delay},
	{"sent", COUNTER, .unit = "bytes", .help = "Data sent to it.", IN_CURSOR(sent_bytes)},
	{"dropped", COUNTER, .help = "Units dropped because of its lag.", IN_CURSOR(units_dropped)},
	{"shed", COUNTER, .help = "Droppable units left out.", IN_CURSOR(units_shed)},
	{"resyncs", COUNTER, .help = "Jumps to a key unit.", IN_CURSOR(resyncs)},
	{"since", TEXT, .help = "When it connected, in UTC.", .text = client_since},
};

/* --- the tables --- */

#define ROWS(array) .rows = (array), .n_rows = sizeof(array) / sizeof(array)[0]

const struct counter_table counter_tables[COUNTER_KINDS] = {
	[COUNTERS_SERVER] = {"", ROWS(server)},
	[COUNTERS_MQTT] = {"mqtt", ROWS(mqtt), .exists = mqtt_exists},
	[COUNTERS_CAMERA] = {"cameras", "camera", ROWS(cameras)},
	[COUNTERS_STREAM] = {"streams", "stream", ROWS(streams)},
	[COUNTERS_FEED] = {"feeds", "feed", ROWS(feeds)},
	[COUNTERS_CLIENT] = {"clients", ROWS(clients)},
};

void counted_init(struct counted *counted, const struct status_view *view)
{
	memset(counted, 0, sizeof *counted);
	counted->view = view;
	counted->now_us = loop_now_us(view->loop);
	counted->realtime_offset_s = time(NULL) - counted->now_us / 1000000;
	counted->healthy = health_check(view->cameras, counted->now_us, counted->why);
	if (view->discovery)
		counted->discovery = discovery_status(view->discovery);
}

bool counted_select(struct counted *counted, enum counter_kind kind, size_t i)
{
	const struct cameras *all = counted->view->cameras;

	switch (kind) {
	case COUNTERS_CAMERA:
		counted->camera = i < all->n_cameras ? &all->cameras[i] : NULL;
		return counted->camera;
	case COUNTERS_STREAM:
		counted->stream = i < all->n_streams ? &all->streams[i] : NULL;
		return counted->stream;
	case COUNTERS_FEED:
		counted->output = i < all->n_outputs ? &all->outputs[i] : NULL;
		return counted->output;
	default:
		return i == 0;
	}
}

const char *counted_name(const struct counted *counted, enum counter_kind kind)
{
	return kind == COUNTERS_CAMERA	 ? counted->camera->config->name
	       : kind == COUNTERS_STREAM ? counted->stream->config->name
					 : counted->output->name;
}

double counter_number(const struct counter *counter, const struct counted *counted)
{
	const char *at;
	uint64_t u64;
	uint32_t u32;

	if (counter->number)
		return counter->number(counted);
	at = (const char *)counter->in(counted) + counter->offset;
	if (counter->size == sizeof u64) {
		memcpy(&u64, at, sizeof u64);
		return (double)u64;
	}
	memcpy(&u32, at, sizeof u32);
	return u32;
}

const char *counter_text(const struct counter *counter, const struct counted *counted,
			 char buffer[COUNTER_TEXT_MAX])
{
	if (counter->text)
		return counter->text(counted, buffer);
	return (const char *)counter->in(counted) + counter->offset;
}

bool counter_grouped(const struct counter *counter)
{
	return counter->path && strchr(counter->path, '.');
}

const char *counter_key(const struct counter *counter)
{
	const char *dot = strchr(counter->path, '.');

	return dot ? dot + 1 : counter->path;
}
