/* SPDX-License-Identifier: BSD-2-Clause */
/* What a request may change: controls of a camera, the bitrate of a stream; and restarts. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "config/controls.h"
#include "daemon/api/answers.h"
#include "daemon/discovery/request.h"
#include "daemon/worker/worker.h"

#define VALUE_MAX 128 /* bytes of a control's value, terminator included */

bool api_has_controls(const struct camera *camera)
{
	return strncmp(camera->status->heartbeat.source, "libcamera", 9) == 0;
}

/* --- GET --- */

static const char *kind_name(enum config_control_kind kind)
{
	static const char *const names[] = {
		[CONFIG_CONTROL_NUMBER] = "number",
		[CONFIG_CONTROL_NUMBERS] = "numbers",
		[CONFIG_CONTROL_WORD] = "word",
		[CONFIG_CONTROL_RECTANGLE] = "rectangle",
	};

	return names[kind];
}

const char *api_control_value(const struct camera *camera, const char *name)
{
	const char *value = worker_control(camera->worker, name);

	for (size_t i = camera->config->n_controls; !value && i > 0; i--) {
		const struct config_control *control = &camera->config->controls[i - 1];

		if (!control->raw && strcmp(control->name, name) == 0)
			value = control->value;
	}
	return value;
}

static void describe_control(cJSON *object, const struct config_control_info *info,
			     const char *value)
{
	cJSON_AddStringToObject(object, "name", info->name);
	cJSON_AddStringToObject(object, "type", kind_name(info->kind));
	if (info->kind == CONFIG_CONTROL_NUMBER || info->kind == CONFIG_CONTROL_NUMBERS) {
		cJSON_AddNumberToObject(object, "min", info->min);
		cJSON_AddNumberToObject(object, "max", info->max);
	}
	if (info->words) {
		cJSON *words = cJSON_AddArrayToObject(object, "words");

		for (size_t i = 0; info->words[i]; i++)
			cJSON_AddItemToArray(words, cJSON_CreateString(info->words[i]));
	}
	if (info->unit)
		cJSON_AddStringToObject(object, "unit", info->unit);
	cJSON_AddStringToObject(object, "usual", info->example);
	if (value)
		cJSON_AddStringToObject(object, "value", value);
	cJSON_AddStringToObject(object, "help", info->help);
}

cJSON *api_controls(const struct http_request *request, const struct camera *camera)
{
	struct config_control_info info;
	cJSON *body = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(body, "controls");

	cJSON_AddBoolToObject(body, "control", (request->who->may & CONFIG_MAY_CONTROL) != 0);
	for (size_t i = 0; api_has_controls(camera) && config_control_info(i, &info); i++) {
		cJSON *object = cJSON_CreateObject();

		describe_control(object, &info, api_control_value(camera, info.name));
		cJSON_AddItemToArray(list, object);
	}
	return body;
}

/* --- POST --- */

/* A number or a text, as text; false: neither, or too long. */
static bool value_text(const cJSON *item, char text[VALUE_MAX])
{
	int len = -1;

	if (cJSON_IsNumber(item) && isfinite(item->valuedouble))
		len = snprintf(text, VALUE_MAX, "%.10g", item->valuedouble);
	else if (cJSON_IsString(item))
		len = snprintf(text, VALUE_MAX, "%s", item->valuestring);
	return len >= 0 && len < VALUE_MAX;
}

/* Checks a control, and sets it if `apply`. */
static int set_control(const struct camera *camera, const cJSON *item, bool apply,
		       char why[API_WHY_MAX])
{
	char text[VALUE_MAX], wrong[CONFIG_WHY_MAX];
	const char *given;
	int err;

	if (!value_text(item, text)) {
		snprintf(why, API_WHY_MAX, "%.60s: the value must be a number or a short text.",
			 item->string);
		return 400;
	}
	err = config_control_check(item->string, text, &given, wrong);
	if (err < 0) {
		snprintf(why, API_WHY_MAX, "%.60s: %s", item->string, wrong);
		return 400;
	}
	if (!apply)
		return 0;
	err = worker_set_control(camera->worker, item->string, given);
	if (err == 0) {
		diag_info("camera %s: %s = %s requested over HTTP", camera->config->name,
			  item->string, given);
		return 0;
	}
	snprintf(why, API_WHY_MAX, "%.60s: %s", item->string, strerror(-err));
	return 503;
}

int api_set_controls(const struct camera *camera, const cJSON *body, char why[API_WHY_MAX])
{
	const cJSON *item;
	int status = 0;

	if (!api_has_controls(camera)) {
		snprintf(why, API_WHY_MAX, "This camera has no controls.");
		return 409;
	}
	/* All or none. */
	for (int apply = 0; apply < 2; apply++)
		for (item = body->child; item && status == 0; item = item->next)
			status = set_control(camera, item, apply, why);
	return status;
}

bool api_has_bitrate(const struct stream *stream)
{
	const struct camcast_msg_stream *said = &stream->camera->status->streams[stream->number];

	return stream->config->codec == CONFIG_CODEC_H264 && strcmp(said->encoder, "copy") != 0;
}

int api_set_bitrate(const struct stream *stream, const cJSON *body, char why[API_WHY_MAX])
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, "bitrate");
	uint32_t bitrate;

	if (!api_has_bitrate(stream)) {
		snprintf(why, API_WHY_MAX, "This stream has no bitrate that could be set.");
		return 409;
	}
	if (!cJSON_IsNumber(item) || !(item->valuedouble >= COMMAND_BITRATE_MIN) ||
	    !(item->valuedouble <= COMMAND_BITRATE_MAX)) {
		snprintf(why, API_WHY_MAX, "bitrate must be a number from %d to %d, in bit/s.",
			 COMMAND_BITRATE_MIN, COMMAND_BITRATE_MAX);
		return 400;
	}
	bitrate = (uint32_t)item->valuedouble;
	diag_info("stream %s: %u bit/s requested over HTTP", stream->config->name, bitrate);
	worker_set_bitrate(stream->camera->worker, stream->number, bitrate);
	return 0;
}

int api_restart(const struct camera *camera, char why[API_WHY_MAX])
{
	if (worker_restart_asked(camera->worker, "requested over HTTP") < 0) {
		snprintf(why, API_WHY_MAX,
			 "The camera was restarted on request less than a minute ago.");
		return 429;
	}
	diag_info("camera %s: restart requested over HTTP", camera->config->name);
	return 0;
}
