/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/changes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"

/* What a change of a key means. */
enum effect {
	LIVE,	   /* it is in force at once */
	ANNOUNCED, /* that, and clients learn of it */
	WORKER,	   /* the worker of the camera starts again with it, and clients learn of it */
	LATER,	   /* it waits for the next start */
};

static const enum effect defaults[OPTION_SECTIONS] = {
	[OPTION_DAEMON] = LATER,  [OPTION_TLS] = LIVE,	[OPTION_MQTT] = ANNOUNCED,
	[OPTION_ONVIF] = LIVE,	  [OPTION_USER] = LIVE, [OPTION_CAMERA] = WORKER,
	[OPTION_STREAM] = WORKER,
};

static const struct {
	enum option_section section;
	enum effect effect;
	const char *key;
} exceptions[] = {
	{OPTION_DAEMON, ANNOUNCED, "name"},
	{OPTION_DAEMON, ANNOUNCED, "http"},
	{OPTION_DAEMON, ANNOUNCED, "rtsp"},
	{OPTION_DAEMON, ANNOUNCED, "tls"},
	{OPTION_DAEMON, LIVE, "http_hosts"},
	{OPTION_DAEMON, LIVE, "allow"},
	{OPTION_DAEMON, LIVE, "deny"},
	{OPTION_DAEMON, LIVE, "control"},
	{OPTION_DAEMON, LIVE, "anonymous"},
	{OPTION_DAEMON, LIVE, "cors"},
	{OPTION_DAEMON, LIVE, "rtsp_digest"},
	{OPTION_DAEMON, LIVE, "rtsp_udp"},
	{OPTION_DAEMON, LIVE, "satip"},
	{OPTION_DAEMON, LIVE, "multicast_ttl"},
	{OPTION_DAEMON, LIVE, "multicast_interface"},
	{OPTION_DAEMON, LIVE, "mdns"},
	{OPTION_DAEMON, LIVE, "max_clients"},
	{OPTION_DAEMON, LIVE, "max_clients_per_ip"},
	{OPTION_DAEMON, LIVE, "send_buffer"},
	{OPTION_DAEMON, LIVE, "notsent_lowat"},
	{OPTION_ONVIF, LATER, "discovery"},
	{OPTION_STREAM, ANNOUNCED, "annexb"},
	{OPTION_STREAM, ANNOUNCED, "length_prefixed"},
	{OPTION_STREAM, ANNOUNCED, "tls"},
	{OPTION_STREAM, LIVE, "on_demand"},
	{OPTION_STREAM, LIVE, "linger_ms"},
	{OPTION_STREAM, LIVE, "allow"},
	{OPTION_STREAM, LIVE, "deny"},
	{OPTION_STREAM, ANNOUNCED, "push"},
	{OPTION_STREAM, LIVE, "max_clients"},
	{OPTION_STREAM, LIVE, "join_burst_ms"},
	{OPTION_STREAM, LIVE, "shed_lag_ms"},
	{OPTION_STREAM, LIVE, "max_lag_ms"},
	{OPTION_STREAM, LIVE, "stall_timeout_ms"},
	{OPTION_STREAM, LIVE, "history_ms"},
	{OPTION_STREAM, LIVE, "history_max"},
	{OPTION_STREAM, LIVE, "multicast"},
	{OPTION_STREAM, LIVE, "multicast_ts"},
	{OPTION_STREAM, LIVE, "multicast_always"},
	{OPTION_STREAM, LIVE, "sap"},
};

static enum effect effect_of(const struct option *option)
{
	for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++)
		if (exceptions[i].section == option->section &&
		    strcmp(exceptions[i].key, option->key) == 0)
			return exceptions[i].effect;
	return defaults[option->section];
}

/* --- one value --- */

static bool equal_addresses(const struct net_address *a, size_t n_a, const struct net_address *b,
			    size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (strcmp(a[i].host, b[i].host) != 0 || a[i].port != b[i].port)
			return false;
	return true;
}

enum storage { STORED_NOT, STORED_TEXT, STORED_BYTES, STORED_HTTP, STORED_RTSP };

/* How the value of an option stands in its structure; *size: of STORED_BYTES. */
static enum storage storage_of(const struct option *option, size_t *size)
{
	if (option_is_text(option))
		return STORED_TEXT;
	switch (option->type) {
	case OPTION_WORD:
		*size = sizeof(enum config_encoder);
		return STORED_BYTES;
	case OPTION_WORD_NUMBER:
	case OPTION_NUMBER:
		*size = sizeof(uint32_t);
		return STORED_BYTES;
	case OPTION_BOOL:
		*size = sizeof(bool);
		return STORED_BYTES;
	case OPTION_SIZE:
		*size = sizeof(struct config_size);
		return STORED_BYTES;
	case OPTION_RATE:
		*size = sizeof(struct rate);
		return STORED_BYTES;
	case OPTION_MAY:
		*size = sizeof(unsigned);
		return STORED_BYTES;
	case OPTION_HTTP:
		return STORED_HTTP;
	case OPTION_RTSP:
		return STORED_RTSP;
	default: /* compared with what else a camera and a stream have */
		return STORED_NOT;
	}
}

static bool is_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

/* Of two structures of the option's section. */
static bool is_equal(const struct option *option, const void *a, const void *b)
{
	const char *at_a = (const char *)a + option->offset;
	const char *at_b = (const char *)b + option->offset;
	const struct config_daemon *daemon_a = a, *daemon_b = b;
	size_t size = 0;

	switch (storage_of(option, &size)) {
	case STORED_TEXT:
		return is_text(*(char *const *)(const void *)at_a,
			       *(char *const *)(const void *)at_b);
	case STORED_BYTES:
		return memcmp(at_a, at_b, size) == 0;
	case STORED_HTTP:
		return equal_addresses(daemon_a->http, daemon_a->n_http, daemon_b->http,
				       daemon_b->n_http);
	case STORED_RTSP:
		return equal_addresses(daemon_a->rtsp, daemon_a->n_rtsp, daemon_b->rtsp,
				       daemon_b->n_rtsp);
	default:
		return true;
	}
}

/* Gives `to` the value that `from` has. No key that waits is a list of addresses. 0 or -ENOMEM. */
static int keep(const struct option *option, void *to, const void *from)
{
	char *at = (char *)to + option->offset;
	const char *source = (const char *)from + option->offset;
	size_t size = 0;
	char *text;

	if (storage_of(option, &size) == STORED_BYTES) {
		memcpy(at, source, size);
		return 0;
	}
	text = strdup(*(char *const *)(const void *)source);
	if (!text)
		return -ENOMEM;
	free(*(char **)(void *)at);
	*(char **)(void *)at = text;
	return 0;
}

/* Whether all keys of a section with at least this effect are the same. */
static bool is_same(enum option_section section, enum effect effect, const void *a, const void *b)
{
	for (size_t i = 0; i < n_options; i++)
		if (options[i].section == section && effect_of(&options[i]) >= effect &&
		    !is_equal(&options[i], a, b))
			return false;
	return true;
}

/* --- cameras and streams --- */

static bool same_controls(const struct config_camera *a, const struct config_camera *b)
{
	if (a->n_controls != b->n_controls)
		return false;
	for (size_t i = 0; i < a->n_controls; i++)
		if (!is_text(a->controls[i].name, b->controls[i].name) ||
		    !is_text(a->controls[i].value, b->controls[i].value) ||
		    a->controls[i].raw != b->controls[i].raw)
			return false;
	return true;
}

/* The stream of a camera with this number. */
static const struct config_stream *stream_of(const struct config *config, size_t camera,
					     unsigned number)
{
	for (size_t i = 0; i < config->n_streams; i++)
		if (config->streams[i].camera == camera && config->streams[i].number == number)
			return &config->streams[i];
	return NULL;
}

/* Whether the worker of the old camera need not know of the new one. */
static bool same_camera(const struct config *old, size_t old_index, const struct config *next,
			size_t index)
{
	const struct config_camera *a = &old->cameras[old_index], *b = &next->cameras[index];

	if (!is_text(a->name, b->name) || a->n_streams != b->n_streams ||
	    a->n_feeds != b->n_feeds || !same_controls(a, b) ||
	    !is_same(OPTION_CAMERA, WORKER, a, b))
		return false;
	for (unsigned i = 0; i < a->n_streams; i++) {
		const struct config_stream *of_a = stream_of(old, old_index, i);
		const struct config_stream *of_b = stream_of(next, index, i);

		if (!of_a || !of_b || !is_text(of_a->name, of_b->name) ||
		    of_a->implied != of_b->implied || !is_same(OPTION_STREAM, WORKER, of_a, of_b))
			return false;
	}
	return true;
}

static int find_camera(const struct config *old, const struct config *next, size_t index)
{
	for (size_t i = 0; i < old->n_cameras; i++)
		if (same_camera(old, i, next, index))
			return (int)i;
	return -1;
}

static int find_stream(const struct config *old, const struct config_stream *stream)
{
	for (size_t i = 0; i < old->n_streams; i++)
		if (is_text(old->streams[i].name, stream->name) &&
		    old->streams[i].codec == stream->codec)
			return (int)i;
	return -1;
}

/* --- what is announced --- */

static bool same_feeds(const struct config *a, const struct config *b)
{
	if (a->n_feeds != b->n_feeds)
		return false;
	for (size_t i = 0; i < a->n_feeds; i++)
		if (!equal_addresses(a->feeds[i].listen, a->feeds[i].n_listen, b->feeds[i].listen,
				     b->feeds[i].n_listen))
			return false;
	return true;
}

static bool is_announced_as_before(const struct config_changes *changes, const struct config *old,
				   const struct config *next)
{
	if (!is_same(OPTION_DAEMON, ANNOUNCED, &old->daemon, &next->daemon) ||
	    !is_same(OPTION_MQTT, ANNOUNCED, &old->mqtt, &next->mqtt) ||
	    old->mqtt.on != next->mqtt.on || old->n_cameras != next->n_cameras ||
	    old->n_streams != next->n_streams || !same_feeds(old, next))
		return false;
	for (size_t i = 0; i < next->n_cameras; i++)
		if (changes->same_camera[i] != (int)i)
			return false;
	for (size_t i = 0; i < next->n_streams; i++)
		if (changes->same_stream[i] != (int)i ||
		    !is_same(OPTION_STREAM, ANNOUNCED, &old->streams[i], &next->streams[i]))
			return false;
	return true;
}

/* --- the whole --- */

/* Of one section, whose structures are old and next. */
static int keep_section(enum option_section section, const void *old, void *next,
			void (*later)(void *user, const char *key), void *user)
{
	for (size_t i = 0; i < n_options; i++) {
		const struct option *option = &options[i];
		char key[64];

		if (option->section != section || effect_of(option) != LATER ||
		    is_equal(option, old, next))
			continue;
		snprintf(key, sizeof key, "%s in [%s]", option->key, option_section_words[section]);
		later(user, key);
		if (keep(option, next, old) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int keep_for_later(const struct config *old, struct config *next,
			  void (*later)(void *user, const char *key), void *user)
{
	if (old->onvif.on != next->onvif.on) {
		later(user, "section [onvif]");
		next->onvif.on = old->onvif.on;
	}
	if (keep_section(OPTION_DAEMON, &old->daemon, &next->daemon, later, user) < 0)
		return -ENOMEM;
	return keep_section(OPTION_ONVIF, &old->onvif, &next->onvif, later, user);
}

int config_compare(struct config_changes **out, const struct config *old, struct config *next,
		   void (*later)(void *user, const char *key), void *user)
{
	struct config_changes *changes = calloc(1, sizeof *changes);

	if (!changes)
		return -ENOMEM;
	changes->same_camera = calloc(next->n_cameras + 1, sizeof *changes->same_camera);
	changes->same_stream = calloc(next->n_streams + 1, sizeof *changes->same_stream);
	if (!changes->same_camera || !changes->same_stream ||
	    keep_for_later(old, next, later, user) < 0) {
		config_changes_free(changes);
		return -ENOMEM;
	}
	for (size_t i = 0; i < next->n_cameras; i++)
		changes->same_camera[i] = find_camera(old, next, i);
	for (size_t i = 0; i < next->n_streams; i++)
		changes->same_stream[i] = find_stream(old, &next->streams[i]);
	changes->announced = !is_announced_as_before(changes, old, next);
	*out = changes;
	return 0;
}

void config_changes_free(struct config_changes *changes)
{
	if (!changes)
		return;
	free(changes->same_camera);
	free(changes->same_stream);
	free(changes);
}
