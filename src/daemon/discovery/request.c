/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/discovery/request.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mqtt/topic.h"

const char *const request_refusal_words[REQUEST_REFUSALS] = {
	[REQUEST_MALFORMED] = "it is neither a topic nor a JSON request",
	[REQUEST_NOT_UTF8] = "its response topic is not valid UTF-8",
	[REQUEST_TOO_LONG] = "it is too long",
	[REQUEST_WILDCARD] = "its response topic contains a wildcard",
	[REQUEST_DOLLAR] = "its response topic begins with $",
	[REQUEST_OUR_TOPIC] = "its response topic is one that camcast uses itself",
	[REQUEST_PREFIX] = "its response topic does not begin with response_prefix",
	[REQUEST_RETAINED] = "it is retained, so its sender may be gone",
};

static bool begins_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* camcast/ID/info, camcast/ID/status and all that is below camcast/ID: an answer there would be
 * taken for what some server says of itself. Two levels (camcast/reply-1) are anybody's. */
static bool is_announcement(const char *topic)
{
	static const char root[] = "camcast/";

	return begins_with(topic, root) && strchr(topic + sizeof root - 1, '/');
}

bool request_is_topic(const struct config_mqtt *config, const char *topic)
{
	const char *list = config->request_topic;
	char own[CONFIG_TOPIC_MAX];

	while (config_next_topic(&list, own))
		if (strcmp(own, topic) == 0)
			return true;
	return false;
}

static bool is_ours(const struct config_mqtt *config, const char *topic)
{
	if (config->home_assistant && begins_with(topic, config->home_assistant_prefix) &&
	    topic[strlen(config->home_assistant_prefix)] == '/')
		return true;
	return request_is_topic(config, topic) || is_announcement(topic);
}

/* Returns -1 (fine) or the refusal; copies the topic. */
static int take_topic(char *out, const struct config_mqtt *config, const char *topic, size_t len)
{
	static const int refusals[] = {
		[MQTT_TOPIC_FINE] = -1,
		[MQTT_TOPIC_EMPTY] = REQUEST_MALFORMED,
		[MQTT_TOPIC_TOO_LONG] = REQUEST_TOO_LONG,
		[MQTT_TOPIC_NOT_UTF8] = REQUEST_NOT_UTF8,
		[MQTT_TOPIC_WILDCARD] = REQUEST_WILDCARD,
		[MQTT_TOPIC_DOLLAR] = REQUEST_DOLLAR,
	};
	int refusal =
		len > REQUEST_TOPIC_MAX ? REQUEST_TOO_LONG : refusals[mqtt_topic_check(topic, len)];

	if (refusal >= 0)
		return refusal;
	memcpy(out, topic, len);
	out[len] = '\0';
	if (is_ours(config, out))
		return REQUEST_OUR_TOPIC;
	if (!begins_with(out, config->response_prefix))
		return REQUEST_PREFIX;
	return -1;
}

/* Reads a JSON request; *reply_to is borrowed from *root, which the caller deletes. */
static int parse_json(const struct request_message *message, cJSON **root, const char **reply_to,
		      enum request_format *format)
{
	const cJSON *item;

	if (message->len > REQUEST_JSON_MAX)
		return REQUEST_TOO_LONG;
	/* Of its texts only one is passed on, which is checked as a topic. */
	*root = cJSON_ParseWithLength(message->payload, message->len);
	if (!cJSON_IsObject(*root))
		return REQUEST_MALFORMED;
	item = cJSON_GetObjectItemCaseSensitive(*root, "format");
	if (item && !cJSON_IsString(item))
		return REQUEST_MALFORMED;
	if (!item || strcmp(item->valuestring, "json") == 0)
		*format = REQUEST_JSON;
	else if (strcmp(item->valuestring, "text") == 0)
		*format = REQUEST_TEXT;
	else
		return REQUEST_MALFORMED;
	item = cJSON_GetObjectItemCaseSensitive(*root, "reply_to");
	if (item && !cJSON_IsString(item))
		return REQUEST_MALFORMED;
	*reply_to = item ? item->valuestring : NULL;
	return -1;
}

static bool looks_like_json(const struct request_message *message)
{
	const char *text = message->payload;
	size_t i = 0;

	while (i < message->len && isspace((unsigned char)text[i]))
		i++;
	return i < message->len && text[i] == '{';
}

int request_parse(struct request *out, const struct config_mqtt *config,
		  const struct request_message *message)
{
	const char *reply_to = NULL;
	cJSON *root = NULL;
	int refusal = -1;

	if (message->retained)
		return REQUEST_RETAINED;
	if (message->correlation_len > REQUEST_CORRELATION_MAX)
		return REQUEST_TOO_LONG;
	out->format = REQUEST_TEXT;
	if (looks_like_json(message))
		refusal = parse_json(message, &root, &reply_to, &out->format);
	if (refusal >= 0)
		goto done;
	if (message->response_topic)
		refusal = take_topic(out->topic, config, message->response_topic,
				     strlen(message->response_topic));
	else if (root)
		refusal = take_topic(out->topic, config, reply_to ? reply_to : "",
				     reply_to ? strlen(reply_to) : 0);
	else
		refusal = take_topic(out->topic, config, message->payload, message->len);
done:
	cJSON_Delete(root);
	return refusal;
}

/* --- limits --- */

void request_limits_init(struct request_limits *limits, uint64_t seed)
{
	memset(limits, 0, sizeof *limits);
	limits->seed = seed;
}

static void refill(struct request_bucket *bucket, uint32_t rate, uint32_t burst, int64_t now_us)
{
	int64_t full = (int64_t)burst * 1000;
	int64_t tokens = full;

	if (bucket->used && now_us - bucket->at_us < full * 1000 / rate)
		tokens = bucket->tokens_milli + (now_us - bucket->at_us) * rate / 1000;
	/* Time that is too short for a thousandth of a token still counts the next time. */
	if (bucket->used && tokens == bucket->tokens_milli)
		return;
	bucket->used = true;
	bucket->tokens_milli = (uint32_t)(tokens < full ? tokens : full);
	bucket->at_us = now_us;
}

static uint64_t hash(const char *text, uint64_t seed)
{
	uint64_t h = seed ^ UINT64_C(0xcbf29ce484222325); /* FNV-1a, seeded and mixed */

	for (; *text; text++) {
		h ^= (unsigned char)*text;
		h *= UINT64_C(0x100000001b3);
		h ^= h >> 29;
	}
	return h ^ h >> 32;
}

enum request_grant request_limits_take(struct request_limits *limits, const char *topic,
				       int64_t now_us)
{
	struct request_bucket *bucket =
		&limits->topics[hash(topic, limits->seed) % REQUEST_BUCKETS];

	/* The topic first: a flood to one of them leaves the others their share. */
	refill(bucket, REQUEST_RATE_TOPIC, REQUEST_BURST_TOPIC, now_us);
	if (bucket->tokens_milli < 1000)
		return REQUEST_LIMITED_TOPIC;
	refill(&limits->total, REQUEST_RATE_TOTAL, REQUEST_BURST_TOTAL, now_us);
	if (limits->total.tokens_milli < 1000)
		return REQUEST_LIMITED_TOTAL;
	bucket->tokens_milli -= 1000;
	limits->total.tokens_milli -= 1000;
	return REQUEST_GRANTED;
}

/* --- commands --- */

/* Digits only, within the range. */
static bool parse_bitrate(const struct request_message *message, uint32_t *out)
{
	const char *text = message->payload;
	uint64_t n = 0;

	if (message->len == 0 || message->len > 9)
		return false;
	for (size_t i = 0; i < message->len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
		n = n * 10 + (uint64_t)(text[i] - '0');
	}
	*out = (uint32_t)n;
	return n >= COMMAND_BITRATE_MIN && n <= COMMAND_BITRATE_MAX;
}

struct command command_parse(const struct config *config, const char *id,
			     const struct request_message *message)
{
	struct command command = {.kind = COMMAND_NONE};
	char topic[CONFIG_MQTT_ID_MAX + CONFIG_NAME_MAX + 40];

	if (message->retained)
		return command;
	for (unsigned i = 0; i < config->n_cameras; i++) {
		snprintf(topic, sizeof topic, "camcast/%s/camera/%s/restart", id,
			 config->cameras[i].name);
		if (strcmp(topic, message->topic) != 0)
			continue;
		if (message->len == 5 && memcmp(message->payload, "PRESS", 5) == 0)
			command = (struct command){.kind = COMMAND_RESTART, .index = i};
		return command;
	}
	for (unsigned i = 0; i < config->n_streams; i++) {
		snprintf(topic, sizeof topic, "camcast/%s/stream/%s/bitrate/set", id,
			 config->streams[i].name);
		if (strcmp(topic, message->topic) != 0)
			continue;
		if (parse_bitrate(message, &command.bitrate_bps)) {
			command.kind = COMMAND_BITRATE;
			command.index = i;
		}
		return command;
	}
	return command;
}
