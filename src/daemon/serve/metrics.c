/* SPDX-License-Identifier: BSD-2-Clause */
/* /metrics: the Prometheus text format, version 0.0.4. */
#include "daemon/serve/status.h"

#include <inttypes.h>
#include <stdlib.h>

enum kind { COUNTER, GAUGE };

static void family(FILE *out, const char *name, enum kind kind, const char *help)
{
	fprintf(out, "# HELP camcast_%s %s\n# TYPE camcast_%s %s\n", name, help, name,
		kind == COUNTER ? "counter" : "gauge");
}

static void plain(FILE *out, const char *name, enum kind kind, const char *help, double value)
{
	family(out, name, kind, help);
	fprintf(out, "camcast_%s %.17g\n", name, value);
}

/* A label's value: backslash, quote and newline are escaped. */
static void quote(FILE *out, const char *value)
{
	putc('"', out);
	for (; *value; value++) {
		if (*value == '\n') {
			fputs("\\n", out);
			continue;
		}
		if (*value == '\\' || *value == '"')
			putc('\\', out);
		putc(*value, out);
	}
	putc('"', out);
}

/* One sample with label `kind` = name, and perhaps a second label. */
static void sample(FILE *out, const char *metric, const char *kind, const char *name,
		   const char *label, const char *value, double number)
{
	fprintf(out, "camcast_%s{%s=", metric, kind);
	quote(out, name);
	if (label && value) {
		fprintf(out, ",%s=", label);
		quote(out, value);
	}
	fprintf(out, "} %.17g\n", number);
}

/* --- cameras and streams --- */

static double camera_up(const struct worker_status *s)
{
	return s->state == WORKER_RUNNING && s->heartbeat.state == CAMCAST_CAMERA_RUNNING;
}
static double camera_fps(const struct worker_status *s)
{
	return s->pid ? s->heartbeat.fps_milli / 1e3 : 0;
}
static double camera_restarts(const struct worker_status *s)
{
	return (double)s->restarts;
}
static double camera_undead(const struct worker_status *s)
{
	return s->undead;
}
static double camera_frames(const struct worker_status *s)
{
	return (double)s->heartbeat.frames;
}
static double camera_dropped(const struct worker_status *s)
{
	return (double)s->heartbeat.dropped;
}

static const struct camera_metric {
	const char *name;
	enum kind kind;
	const char *help;
	double (*value)(const struct worker_status *status);
} camera_metrics[] = {
	{"camera_up", GAUGE, "1 while the camera delivers pictures.", camera_up},
	{"camera_fps", GAUGE, "Pictures in the last second.", camera_fps},
	{"camera_frames_total", COUNTER, "Pictures since the worker started.", camera_frames},
	{"camera_dropped_total", COUNTER, "Pictures for which no slot or encoder was free.",
	 camera_dropped},
	{"camera_restarts_total", COUNTER, "Starts of the worker but for the first.",
	 camera_restarts},
	{"camera_undead_workers", GAUGE, "Workers that were killed and have not ended.",
	 camera_undead},
};

/* Which of a STREAM message's figures describe the last second: without a worker they are 0. */
enum { LASTING = 0, MOMENTARY = 1 };

static double stream_active(const struct camcast_msg_stream *s)
{
	return s->active != 0;
}
static double stream_fps(const struct camcast_msg_stream *s)
{
	return s->fps_milli / 1e3;
}
static double stream_bitrate(const struct camcast_msg_stream *s)
{
	return s->bitrate_bps;
}
static double stream_encode(const struct camcast_msg_stream *s)
{
	return s->encode_us / 1e6;
}
static double stream_units(const struct camcast_msg_stream *s)
{
	return (double)s->units;
}
static double stream_keys(const struct camcast_msg_stream *s)
{
	return (double)s->keys;
}
static double stream_dropped(const struct camcast_msg_stream *s)
{
	return (double)s->dropped;
}
static double stream_idrs(const struct camcast_msg_stream *s)
{
	return (double)s->idr_requests;
}

static const struct stream_metric {
	const char *name;
	enum kind kind;
	const char *help;
	int momentary;
	double (*value)(const struct camcast_msg_stream *status);
} stream_metrics[] = {
	{"stream_active", GAUGE, "1 while it is encoded.", MOMENTARY, stream_active},
	{"stream_fps", GAUGE, "Access units in the last second.", MOMENTARY, stream_fps},
	{"stream_bitrate_bps", GAUGE, "Bits in the last second.", MOMENTARY, stream_bitrate},
	{"stream_encode_seconds", GAUGE, "Mean time to encode a picture in the last second.",
	 MOMENTARY, stream_encode},
	{"stream_units_total", COUNTER, "Access units since the worker started.", LASTING,
	 stream_units},
	{"stream_keys_total", COUNTER, "Key units since the worker started.", LASTING, stream_keys},
	{"stream_dropped_total", COUNTER, "Pictures that the encoder had no room for.", LASTING,
	 stream_dropped},
	{"stream_idr_requests_total", COUNTER, "IDRs made because somebody asked.", LASTING,
	 stream_idrs},
};

static void write_cameras(const struct cameras *cameras, FILE *out)
{
	for (size_t m = 0; m < sizeof camera_metrics / sizeof camera_metrics[0]; m++) {
		const struct camera_metric *metric = &camera_metrics[m];

		family(out, metric->name, metric->kind, metric->help);
		for (size_t i = 0; i < cameras->n_cameras; i++)
			sample(out, metric->name, "camera", cameras->cameras[i].config->name, NULL,
			       NULL, metric->value(worker_status(cameras->cameras[i].worker)));
	}
}

static void write_streams(const struct cameras *cameras, FILE *out)
{
	family(out, "stream_wanted", GAUGE, "1 while somebody watches, or it is not on demand.");
	for (size_t i = 0; i < cameras->n_streams; i++) {
		const struct stream *stream = &cameras->streams[i];

		sample(out, "stream_wanted", "stream", stream->config->name, NULL, NULL,
		       worker_stream_wanted_us(stream->camera->worker, stream->number) != 0);
	}
	for (size_t m = 0; m < sizeof stream_metrics / sizeof stream_metrics[0]; m++) {
		const struct stream_metric *metric = &stream_metrics[m];

		family(out, metric->name, metric->kind, metric->help);
		for (size_t i = 0; i < cameras->n_streams; i++) {
			const struct stream *stream = &cameras->streams[i];
			const struct worker *worker = stream->camera->worker;
			bool gone = metric->momentary && worker_status(worker)->pid == 0;

			sample(out, metric->name, "stream", stream->config->name, NULL, NULL,
			       gone ? 0
				    : metric->value(worker_stream_status(worker, stream->number)));
		}
	}
}

/* --- feeds --- */

static const struct feed_counter {
	const char *name, *help;
	size_t offset; /* of the uint64_t in struct feed_stats */
} feed_counters[] = {
	{"feed_units_total", "Units published.", offsetof(struct feed_stats, units)},
	{"feed_keys_total", "Key units published.", offsetof(struct feed_stats, keys)},
	{"feed_bytes_total", "Bytes published.", offsetof(struct feed_stats, bytes)},
	{"feed_sent_bytes_total", "Bytes sent to clients.",
	 offsetof(struct feed_stats, audience.sent_bytes)},
	{"feed_sends_total", "send() calls that took bytes.",
	 offsetof(struct feed_stats, audience.sends)},
	{"feed_sendfiles_total", "Sends of pages by reference that took bytes.",
	 offsetof(struct feed_stats, audience.sendfiles)},
	{"feed_resyncs_total", "Jumps of slow clients to a key unit.",
	 offsetof(struct feed_stats, audience.resyncs)},
	{"feed_idr_requests_total", "IDRs asked for.",
	 offsetof(struct feed_stats, audience.idr_requests)},
	{"feed_accepted_total", "Clients let in.", offsetof(struct feed_stats, audience.joined)},
};

static const struct feed_reason {
	const char *value;
	size_t offset;
} drop_reasons[] =
	{
		{"lag", offsetof(struct feed_stats, audience.units_dropped)},
		{"shed", offsetof(struct feed_stats, audience.units_shed)},
		{"gap", offsetof(struct feed_stats, units_refused)},
},
  leave_reasons[] = {
	  {"peer", offsetof(struct feed_stats, audience.left) + CURSOR_END_PEER * sizeof(uint64_t)},
	  {"stalled",
	   offsetof(struct feed_stats, audience.left) + CURSOR_END_STALL * sizeof(uint64_t)},
	  {"shutdown",
	   offsetof(struct feed_stats, audience.left) + CURSOR_END_SHUTDOWN * sizeof(uint64_t)},
};

static double counter_at(const struct feed_stats *stats, size_t offset)
{
	return (double)*(const uint64_t *)(const void *)((const char *)stats + offset);
}

static void write_reasons(const struct cameras *cameras, FILE *out, const char *name,
			  const char *help, const struct feed_reason *reasons, size_t n)
{
	family(out, name, COUNTER, help);
	for (size_t i = 0; i < cameras->n_outputs; i++) {
		const struct output *output = &cameras->outputs[i];

		for (size_t j = 0; j < n; j++)
			sample(out, name, "feed", output->name, "reason", reasons[j].value,
			       counter_at(feed_stats(output->feed), reasons[j].offset));
	}
}

static double feed_clients(const struct feed_stats *stats)
{
	return (double)stats->audience.cursors;
}
static double feed_segments(const struct feed_stats *stats)
{
	return (double)stats->log.segments;
}
static double feed_log_bytes(const struct feed_stats *stats)
{
	return (double)stats->log.bytes;
}

static const struct feed_gauge {
	const char *name, *help;
	double (*value)(const struct feed_stats *stats);
} feed_gauges[] = {
	{"feed_clients", "Clients now.", feed_clients},
	{"feed_segments", "Segments open now.", feed_segments},
	{"feed_log_bytes", "Published bytes in the open segments.", feed_log_bytes},
};

static void write_feeds(const struct cameras *cameras, FILE *out)
{
	const struct output *outputs = cameras->outputs;

	for (size_t m = 0; m < sizeof feed_counters / sizeof feed_counters[0]; m++) {
		family(out, feed_counters[m].name, COUNTER, feed_counters[m].help);
		for (size_t i = 0; i < cameras->n_outputs; i++)
			sample(out, feed_counters[m].name, "feed", outputs[i].name, NULL, NULL,
			       counter_at(feed_stats(outputs[i].feed), feed_counters[m].offset));
	}
	for (size_t m = 0; m < sizeof feed_gauges / sizeof feed_gauges[0]; m++) {
		family(out, feed_gauges[m].name, GAUGE, feed_gauges[m].help);
		for (size_t i = 0; i < cameras->n_outputs; i++)
			sample(out, feed_gauges[m].name, "feed", outputs[i].name, NULL, NULL,
			       feed_gauges[m].value(feed_stats(outputs[i].feed)));
	}
	write_reasons(cameras, out, "feed_units_dropped_total",
		      "Units not sent to a client, or not published (gap).", drop_reasons,
		      sizeof drop_reasons / sizeof drop_reasons[0]);
	write_reasons(cameras, out, "feed_left_total", "Clients that went.", leave_reasons,
		      sizeof leave_reasons / sizeof leave_reasons[0]);
	family(out, "feed_refused_total", COUNTER, "Clients closed at once.");
	for (size_t i = 0; i < cameras->n_outputs; i++)
		for (unsigned j = 0; j < ADMISSION_REFUSALS; j++)
			sample(out, "feed_refused_total", "feed", outputs[i].name, "reason",
			       admission_refusal_name(j), (double)outputs[i].tcp.quota.refused[j]);
}

static void write_mqtt(const struct status_view *view, FILE *out)
{
	const struct discovery_status *status = discovery_status(view->discovery);

	plain(out, "mqtt_connected", GAUGE, "1 while the broker has let us in.",
	      status->state == DISCOVERY_CONNECTED);
	plain(out, "mqtt_connects_total", COUNTER, "Times that the broker let us in.",
	      (double)status->connects);
	plain(out, "mqtt_announcements_total", COUNTER, "Descriptions of this server published.",
	      (double)status->announcements);
	plain(out, "mqtt_requests_total", COUNTER, "Requests received.", (double)status->requests);
	plain(out, "mqtt_replies_total", COUNTER, "Requests answered.", (double)status->replies);
	family(out, "mqtt_refused_total", COUNTER, "Requests refused.");
	for (unsigned i = 0; i < REQUEST_REFUSALS; i++)
		sample(out, "mqtt_refused_total", "reason", request_refusal_names[i], NULL, NULL,
		       (double)status->refused[i]);
	family(out, "mqtt_limited_total", COUNTER, "Requests not answered for their number.");
	sample(out, "mqtt_limited_total", "limit", "topic", NULL, NULL,
	       (double)status->limited_topic);
	sample(out, "mqtt_limited_total", "limit", "total", NULL, NULL,
	       (double)status->limited_total);
	sample(out, "mqtt_limited_total", "limit", "busy", NULL, NULL,
	       (double)status->limited_busy);
	plain(out, "mqtt_commands_total", COUNTER, "Commands carried out.",
	      (double)status->commands);
	plain(out, "mqtt_commands_refused_total", COUNTER, "Commands refused.",
	      (double)status->commands_refused);
	plain(out, "mqtt_broker_restarts_total", COUNTER,
	      "Starts of our own broker but for the first.", (double)status->broker_restarts);
}

char *status_metrics(const struct status_view *view)
{
	const struct loop_stats *loop = loop_stats(view->loop);
	char why[HEALTH_WHY_MAX];
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	family(out, "info", GAUGE, "Version and event backend; always 1.");
	sample(out, "info", "version", CAMCAST_VERSION, "backend", loop_backend_name(view->loop),
	       1);
	plain(out, "uptime_seconds", GAUGE, "Time since the start.",
	      (double)(loop_now_us(view->loop) - view->started_us) / 1e6);
	plain(out, "healthy", GAUGE, "1 while pictures flow, as /healthz.",
	      health_check(view->cameras, loop_now_us(view->loop), why));
	plain(out, "max_clients", GAUGE, "Most clients in all feeds.",
	      view->cameras->config->daemon.max_clients);
	plain(out, "client_bytes", GAUGE, "Fixed bytes of memory for a client.",
	      (double)connection_size());
	plain(out, "fds_short", GAUGE, "1 while the fd table is full.",
	      fdreserve_short(view->reserve));
	plain(out, "loop_turns_total", COUNTER, "Turns of the event loop.", (double)loop->turns);
	plain(out, "sends_total", COUNTER, "send() calls that took bytes.", (double)loop->sends);
	plain(out, "sendfiles_total", COUNTER, "Sends of pages by reference that took bytes.",
	      (double)loop->sendfiles);
	plain(out, "send_again_total", COUNTER, "Sends that took nothing.",
	      (double)loop->send_again);
	plain(out, "accept_paused_total", COUNTER, "Pauses in accepting for want of fds or memory.",
	      (double)loop->accept_paused);
	plain(out, "discarded_bytes_total", COUNTER, "Bytes that clients sent.",
	      (double)loop->bytes_discarded);
	if (view->discovery)
		write_mqtt(view, out);
	write_cameras(view->cameras, out);
	write_streams(view->cameras, out);
	write_feeds(view->cameras, out);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
