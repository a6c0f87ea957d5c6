/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MQTT discovery of Home Assistant (home-assistant.io, "MQTT", "MQTT Discovery"): one retained
 * message for each entity, all of one device. Templates name cameras and streams in quotes, which
 * their names cannot contain.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/discovery/info.h"
#include "daemon/discovery/request.h"

#define TEXT_MAX 512

struct writer {
	const struct discovery_info *info;
	void (*each)(void *user, const char *topic, const char *payload);
	void *user;
	int err;
};

/* What an entity is about: a camera or a stream. */
struct subject {
	const char *kind, *kinds; /* "camera", "cameras" */
	const char *name;
};

/*
 * An object id has letters, digits, "-" and "_" only, and different names have different ids. A dot
 * between other characters becomes "--". Two or more dots and hyphens in a row become "---", one
 * letter each ("d" for a dot, "m" for a hyphen), and "-".
 */
static void write_object_id(char out[TEXT_MAX], const struct subject *subject, const char *what)
{
	size_t len = (size_t)snprintf(out, TEXT_MAX, "%s_", subject->kind);
	const char *c = subject->name;

	while (*c && len < TEXT_MAX / 2) {
		const size_t run = strspn(c, ".-");

		if (run >= 2) {
			len += (size_t)snprintf(out + len, TEXT_MAX - len, "---");
			for (size_t i = 0; i < run; i++)
				out[len++] = c[i] == '.' ? 'd' : 'm';
			out[len++] = '-';
			c += run;
		} else {
			out[len++] = *c == '.' ? '-' : *c;
			if (*c == '.')
				out[len++] = '-';
			c++;
		}
	}
	snprintf(out + len, TEXT_MAX - len, "_%s", what);
}

static void add_device(const struct discovery_info *info, cJSON *entity)
{
	cJSON *device = cJSON_AddObjectToObject(entity, "device"), *ids;
	char id[TEXT_MAX];

	snprintf(id, sizeof id, "camcast_%s", info->id);
	ids = cJSON_AddArrayToObject(device, "identifiers");
	cJSON_AddItemToArray(ids, cJSON_CreateString(id));
	cJSON_AddStringToObject(device, "name", info->config->daemon.name);
	cJSON_AddStringToObject(device, "manufacturer", "camcast");
	cJSON_AddStringToObject(device, "sw_version", CAMCAST_VERSION);
}

static cJSON *begin(const struct writer *writer, const struct subject *subject, const char *what,
		    const char *label)
{
	const char *id = writer->info->id;
	cJSON *entity = cJSON_CreateObject();
	char object_id[TEXT_MAX], text[2 * TEXT_MAX];

	write_object_id(object_id, subject, what);
	snprintf(text, sizeof text, "%s %s", subject->name, label);
	cJSON_AddStringToObject(entity, "name", text);
	snprintf(text, sizeof text, "camcast_%s_%s", id, object_id);
	cJSON_AddStringToObject(entity, "unique_id", text);
	snprintf(text, sizeof text, "camcast/%s/status", id);
	cJSON_AddStringToObject(entity, "availability_topic", text);
	add_device(writer->info, entity);
	return entity;
}

/* Reads `key` of the subject in camcast/ID/state. */
static void add_value(const struct writer *writer, const struct subject *subject, cJSON *entity,
		      const char *key)
{
	char text[TEXT_MAX];

	snprintf(text, sizeof text, "camcast/%s/state", writer->info->id);
	cJSON_AddStringToObject(entity, "state_topic", text);
	snprintf(text, sizeof text, "{{ value_json['%s']['%s']['%s'] }}", subject->kinds,
		 subject->name, key);
	cJSON_AddStringToObject(entity, "value_template", text);
}

/* Takes entity. */
static void end(struct writer *writer, const struct subject *subject, const char *component,
		const char *what, cJSON *entity)
{
	char object_id[TEXT_MAX], topic[2 * TEXT_MAX];
	char *payload = cJSON_PrintUnformatted(entity);

	write_object_id(object_id, subject, what);
	snprintf(topic, sizeof topic, "%s/%s/camcast_%s/%s/config",
		 writer->info->config->mqtt.home_assistant_prefix, component, writer->info->id,
		 object_id);
	if (payload)
		writer->each(writer->user, topic, payload);
	else
		writer->err = -ENOMEM;
	free(payload);
	cJSON_Delete(entity);
}

static void write_sensor(struct writer *writer, const struct subject *subject, const char *key,
			 const char *label, const char *unit, const char *icon)
{
	cJSON *entity = begin(writer, subject, key, label);

	add_value(writer, subject, entity, key);
	if (unit) {
		cJSON_AddStringToObject(entity, "unit_of_measurement", unit);
		cJSON_AddStringToObject(entity, "state_class", "measurement");
	}
	cJSON_AddStringToObject(entity, "icon", icon);
	end(writer, subject, "sensor", key, entity);
}

static void write_restart_control(struct writer *writer, const struct subject *camera)
{
	cJSON *entity = begin(writer, camera, "restart", "restart");
	char topic[TEXT_MAX];

	snprintf(topic, sizeof topic, "camcast/%s/camera/%s/restart", writer->info->id,
		 camera->name);
	cJSON_AddStringToObject(entity, "command_topic", topic);
	cJSON_AddStringToObject(entity, "device_class", "restart");
	end(writer, camera, "button", "restart", entity);
}

static void write_bitrate_control(struct writer *writer, const struct subject *stream)
{
	cJSON *entity = begin(writer, stream, "target_bitrate", "target bitrate");
	char topic[TEXT_MAX];

	add_value(writer, stream, entity, "target_bitrate");
	snprintf(topic, sizeof topic, "camcast/%s/stream/%s/bitrate/set", writer->info->id,
		 stream->name);
	cJSON_AddStringToObject(entity, "command_topic", topic);
	cJSON_AddNumberToObject(entity, "min", COMMAND_BITRATE_MIN);
	cJSON_AddNumberToObject(entity, "max", COMMAND_BITRATE_MAX);
	cJSON_AddNumberToObject(entity, "step", 10000);
	cJSON_AddStringToObject(entity, "mode", "box");
	cJSON_AddStringToObject(entity, "unit_of_measurement", "bit/s");
	end(writer, stream, "number", "target_bitrate", entity);
}

int discovery_home_assistant(const struct discovery_info *info,
			     void (*each)(void *user, const char *topic, const char *payload),
			     void *user)
{
	struct writer writer = {.info = info, .each = each, .user = user};
	const struct config *config = info->config;
	const bool controls = config_mqtt_takes_commands(&config->mqtt);

	for (size_t i = 0; i < config->n_cameras; i++) {
		const struct subject camera = {"camera", "cameras", config->cameras[i].name};

		write_sensor(&writer, &camera, "state", "state", NULL, "mdi:camera");
		if (controls)
			write_restart_control(&writer, &camera);
	}
	for (size_t i = 0; i < config->n_streams; i++) {
		const struct config_stream *stream = &config->streams[i];
		const struct subject subject = {"stream", "streams", stream->name};

		if (stream->implied)
			continue;
		write_sensor(&writer, &subject, "viewers", "viewers", "viewers", "mdi:eye");
		write_sensor(&writer, &subject, "fps", "fps", "fps", "mdi:filmstrip");
		write_sensor(&writer, &subject, "bitrate", "bitrate", "bit/s", "mdi:speedometer");
		if (controls && stream->codec == CONFIG_CODEC_H264 &&
		    stream->encoder != CONFIG_ENCODER_COPY)
			write_bitrate_control(&writer, &subject);
	}
	return writer.err;
}
