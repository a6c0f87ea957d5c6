/* SPDX-License-Identifier: BSD-2-Clause */
/* Any message may be published to the server: answers go only to allowed topics and are limited in
 * number, and a command names an existing object and is within its range. The input is flags, the
 * lengths of topic and response topic, the two topics, and the payload. */
#include <mosquitto.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/discovery/request.h"
#include "mqtt/topic.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RETAINED = 1, HAS_RESPONSE = 2, PREFIX = 4 };

static struct config *config, *with_prefix;
static struct request_limits limits;
static int64_t now_us = 1000000;

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char cameras[] = "[camera c]\nsource = pattern\n"
				      "[stream s]\ncamera = c\nannexb = 1\n";
	static const char plain[] = "[mqtt]\nhome_assistant = yes\nresponse_prefix =\n";
	static const char prefix[] = "[mqtt]\nresponse_prefix = camera/response/\n";
	char text[512];

	(void)argc;
	(void)argv;
	snprintf(text, sizeof text, "%s%s", plain, cameras);
	require(config_parse(&config, "a", text, strlen(text), stderr) == 0);
	snprintf(text, sizeof text, "%s%s", prefix, cameras);
	require(config_parse(&with_prefix, "b", text, strlen(text), stderr) == 0);
	request_limits_init(&limits, 1);
	return 0;
}

/* Takes len bytes of the input as text; libmosquitto never hands over a topic with a 0 in it. */
static char *take(const uint8_t **data, size_t *size, size_t len)
{
	char *text;

	if (len > *size)
		len = *size;
	text = strndup((const char *)*data, len);
	require(text);
	*data += len;
	*size -= len;
	return text;
}

static void check_request(const struct config *used, const struct request_message *message)
{
	struct request request;
	int refusal = request_parse(&request, &used->mqtt, message);
	unsigned granted = 0;
	size_t len;

	require(refusal >= -1 && refusal < REQUEST_REFUSALS);
	require(refusal == -1 || request_refusal_words[refusal]);
	if (refusal >= 0)
		return;
	len = strlen(request.topic);
	require(!message->retained);
	require(len >= 1 && len <= REQUEST_TOPIC_MAX && request.topic[0] != '$');
	require(mosquitto_pub_topic_check2(request.topic, len) == MOSQ_ERR_SUCCESS);
	require(mosquitto_validate_utf8(request.topic, (int)len) == MOSQ_ERR_SUCCESS);
	require(strcmp(request.topic, "commend") != 0);
	require(used == config || strncmp(request.topic, "camera/response/", 16) == 0);
	for (unsigned i = 0; i < 2 * REQUEST_BURST_TOPIC; i++)
		granted += request_limits_take(&limits, request.topic, now_us) == REQUEST_GRANTED;
	require(granted <= REQUEST_BURST_TOPIC);
	now_us += 10000;
}

static void check_command(const struct request_message *message)
{
	struct command command = command_parse(config, "id", message);

	require(command.kind == COMMAND_NONE || !message->retained);
	require(command.kind == COMMAND_NONE || command.index == 0);
	require(command.kind != COMMAND_BITRATE || (command.bitrate_bps >= COMMAND_BITRATE_MIN &&
						    command.bitrate_bps <= COMMAND_BITRATE_MAX));
}

/* Ours of topics agrees with libmosquitto's; a list is read within its bounds, and to its end. */
static void check_topic(const char *text)
{
	size_t len = strlen(text), at = 0;
	bool fine = len > 0 && text[0] != '$' &&
		    mosquitto_validate_utf8(text, (int)len) == MOSQ_ERR_SUCCESS &&
		    mosquitto_pub_topic_check2(text, len) == MOSQ_ERR_SUCCESS;
	const char *list = text, *topic;

	require((mqtt_topic_check(text, len) == MQTT_TOPIC_FINE) == fine);
	while (mqtt_topic_next(&list, &topic, &len)) {
		require(topic >= text + at && topic + len <= text + strlen(text));
		require(!memchr(topic, ',', len));
		at = (size_t)(topic - text) + len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct request_message message = {0};
	char *topic, *response, *payload;
	unsigned flags;

	if (size < 3)
		return 0;
	flags = data[0];
	{
		size_t topic_len = data[1], response_len = data[2];

		data += 3;
		size -= 3;
		topic = take(&data, &size, topic_len);
		response = take(&data, &size, flags & HAS_RESPONSE ? response_len * 2 : 0);
	}
	/* A copy of its exact size, so that a byte read behind its end is found. */
	payload = malloc(size ? size : 1);
	require(payload);
	memcpy(payload, data, size);
	message.topic = topic;
	message.payload = payload;
	message.len = size;
	message.retained = flags & RETAINED;
	message.response_topic = flags & HAS_RESPONSE ? response : NULL;
	message.correlation_len = flags;
	check_request(flags & PREFIX ? with_prefix : config, &message);
	check_command(&message);
	check_topic(topic);
	check_topic(response);
	free(payload);
	free(response);
	free(topic);
	return 0;
}
