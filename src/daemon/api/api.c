/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/api/api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "daemon/api/answers.h"

#define PREFIX "/api/"

/* --- answers --- */

/* Deletes body; NULL: no memory. */
static void reply(struct http_question *question, int status, cJSON *body)
{
	char *text = body ? cJSON_PrintUnformatted(body) : NULL;

	cJSON_Delete(body);
	http_reply(question, text ? status : 500, "application/json", text,
		   text ? strlen(text) : 0);
	cJSON_free(text);
}

void api_refuse(struct http_question *question, int status, const char *why)
{
	cJSON *body = cJSON_CreateObject();

	if (!cJSON_AddStringToObject(body, "error", why)) {
		cJSON_Delete(body);
		body = NULL;
	}
	reply(question, status, body);
}

void api_refuse_right(struct access *access, struct http_question *question, const char *why)
{
	access_count_refused(access);
	api_refuse(question, 403, why);
}

/* With the server's clocks, from which a client learns how old a picture is. */
static void reply_now(struct http_question *question, cJSON *body)
{
	cJSON *clock = cJSON_AddObjectToObject(body, "clock");

	cJSON_AddNumberToObject(clock, "monotonic_us", (double)clock_now_us());
	cJSON_AddNumberToObject(clock, "realtime_us", (double)clock_wall_us());
	reply(question, 200, body);
}

/* --- who may change something --- */

static bool is_json(const struct message *head)
{
	static const char json[] = "application/json";
	const char *type = message_header(head, "Content-Type", NULL);

	/* A page of another site cannot send this type without asking the server first, which does
	 * not allow it (Fetch standard, "CORS-safelisted request-header"). */
	return type && strncasecmp(type, json, sizeof json - 1) == 0 &&
	       strchr("; \t", type[sizeof json - 1]);
}

/* The body of a request that changes something; NULL: the question was answered. */
static cJSON *read_body(const struct http_request *request, struct http_question *question)
{
	cJSON *body;

	if (!http_same_origin(request->head)) {
		api_refuse(question, 403, "Pages of other sites may not change anything.");
		return NULL;
	}
	if (!is_json(request->head)) {
		api_refuse(question, 415, "The body must have the type application/json.");
		return NULL;
	}
	body = cJSON_ParseWithLength(request->body, request->body_len);
	if (!cJSON_IsObject(body)) {
		cJSON_Delete(body);
		api_refuse(question, 400, "The body must be a JSON object.");
		return NULL;
	}
	return body;
}

static void reply_set(struct http_question *question, int status, const char *why)
{
	if (status)
		api_refuse(question, status, why);
	else
		reply(question, 200, cJSON_CreateObject());
}

static bool may(const struct api *api, const struct http_request *request, enum config_may right,
		const struct stream *stream)
{
	return access_may(api->access, request->who, request->peer, right, stream->index);
}

/* A camera is its streams: one of them is enough to see it, and a change concerns all. */
static bool may_see(const struct api *api, const struct http_request *request,
		    const struct camera *camera)
{
	for (size_t i = 0; i < camera->n_streams; i++)
		if (may(api, request, CONFIG_MAY_VIEW, camera->streams[i]))
			return true;
	return false;
}

static bool may_change(const struct api *api, const struct http_request *request,
		       const struct camera *camera)
{
	for (size_t i = 0; i < camera->n_streams; i++)
		if (!may(api, request, CONFIG_MAY_CONTROL, camera->streams[i]))
			return false;
	return true;
}

/* --- logins of the page --- */

static void reply_cookie(struct http_question *question, const char *login)
{
	char header[HTTP_COOKIE_MAX];
	struct http_answer answer = {
		.status = 200,
		.type = "application/json",
		.headers = header,
		.body = "{}",
		.len = 2,
	};

	http_cookie(question, login, header);
	http_answer(question, &answer);
}

/* The name and the password came in the header Authorization, and were right. */
static void post_login(const struct api *api, const struct http_request *request,
		       struct http_question *question)
{
	cJSON *body = read_body(request, question);
	char login[ACCESS_LOGIN_MAX];

	if (!body)
		return;
	cJSON_Delete(body);
	if (!request->who->user || request->credentials->kind == CREDENTIALS_LOGIN)
		http_refuse_right(question, request);
	else if (access_log_in(api->access, request->who->user, login) < 0)
		reply(question, 500, NULL);
	else
		reply_cookie(question, login);
}

static void post_logout(const struct api *api, const struct http_request *request,
			struct http_question *question)
{
	cJSON *body = read_body(request, question);

	if (!body)
		return;
	cJSON_Delete(body);
	if (request->credentials->kind == CREDENTIALS_LOGIN)
		access_log_out(api->access, request->credentials->secret);
	reply_cookie(question, NULL);
}

/* --- the paths --- */

static void get_viewers(const struct api *api, const struct http_request *request,
			struct http_question *question)
{
	char stream[CONFIG_NAME_MAX], from[16];
	bool one = message_read_parameter(request->head, "stream", stream, sizeof stream) == 0;
	size_t skip = 0;

	if (message_read_parameter(request->head, "from", from, sizeof from) == 0)
		skip = strtoul(from, NULL, 10);
	if (one && !cameras_find_stream(api->cameras, stream, strlen(stream)))
		api_refuse(question, 404, "There is no stream with this name.");
	else
		reply_now(question, api_viewers(api, one ? stream : NULL, skip));
}

static void handle_controls(const struct camera *camera, const struct http_request *request,
			    struct http_question *question)
{
	char why[API_WHY_MAX];
	cJSON *body;
	int status;

	if (request->head->method != MESSAGE_POST) {
		reply_now(question, api_controls(request, camera));
		return;
	}
	body = read_body(request, question);
	if (!body)
		return;
	status = api_set_controls(camera, body, why);
	cJSON_Delete(body);
	reply_set(question, status, why);
}

static void post_restart(const struct camera *camera, const struct http_request *request,
			 struct http_question *question)
{
	cJSON *body = read_body(request, question);
	char why[API_WHY_MAX];

	if (!body)
		return;
	cJSON_Delete(body);
	reply_set(question, api_restart(camera, why), why);
}

static void post_bitrate(const struct stream *stream, const struct http_request *request,
			 struct http_question *question)
{
	cJSON *body = read_body(request, question);
	char why[API_WHY_MAX];
	int status;

	if (!body)
		return;
	status = api_set_bitrate(stream, body, why);
	cJSON_Delete(body);
	reply_set(question, status, why);
}

enum path { LOGIN, LOGOUT, CAMERAS, VIEWERS, PUSHES, CONTROLS, RESTART, BITRATE, NO_PATH };

/* Which path it is, and the name in it. */
static enum path read_path(const char *path, char name[HTTP_PATH_MAX])
{
	static const struct {
		const char *before, *behind;
	} paths[] = {
		[LOGIN] = {"login", NULL},
		[LOGOUT] = {"logout", NULL},
		[CAMERAS] = {"cameras", NULL},
		[VIEWERS] = {"viewers", NULL},
		[PUSHES] = {"pushes", NULL},
		[CONTROLS] = {"cameras/", "/controls"},
		[RESTART] = {"cameras/", "/restart"},
		[BITRATE] = {"streams/", "/bitrate"},
	};

	for (enum path i = 0; i < NO_PATH; i++) {
		size_t len = strlen(path), before = strlen(paths[i].before);
		size_t behind = paths[i].behind ? strlen(paths[i].behind) : 0;

		if (!paths[i].behind ? strcmp(path, paths[i].before) == 0
				     : len > before + behind &&
					       strncmp(path, paths[i].before, before) == 0 &&
					       strcmp(path + len - behind, paths[i].behind) == 0) {
			snprintf(name, HTTP_PATH_MAX, "%.*s", (int)(len - before - behind),
				 path + before);
			return i;
		}
	}
	return NO_PATH;
}

static bool method_fits(enum path path, enum message_method method, const char **allowed)
{
	bool reads = path == CAMERAS || path == VIEWERS || path == PUSHES;
	bool gets = reads || path == CONTROLS;
	bool posts = !reads;

	*allowed = !posts ? "GET, HEAD" : !gets ? "POST" : "GET, HEAD, POST";
	return method == MESSAGE_POST ? posts : gets;
}

static void answer_camera(const struct api *api, enum path path, const char *name,
			  const struct http_request *request, struct http_question *question)
{
	const struct camera *camera = cameras_find_camera(api->cameras, name);

	if (!camera || !may_see(api, request, camera))
		api_refuse(question, 404, "There is no camera with this name.");
	else if (request->head->method == MESSAGE_POST && !may_change(api, request, camera))
		api_refuse_right(api->access, question, "You may not change this camera.");
	else if (path == CONTROLS)
		handle_controls(camera, request, question);
	else
		post_restart(camera, request, question);
}

static void answer(const struct api *api, enum path path, const char *name,
		   const struct http_request *request, struct http_question *question)
{
	const struct stream *stream = cameras_find_stream(api->cameras, name, strlen(name));

	if (path == LOGIN)
		post_login(api, request, question);
	else if (path == LOGOUT)
		post_logout(api, request, question);
	else if (path == CAMERAS)
		reply_now(question, api_cameras(api, request));
	else if (path == VIEWERS)
		get_viewers(api, request, question);
	else if (path == PUSHES)
		reply_now(question, api_pushes(api));
	else if (path != BITRATE)
		answer_camera(api, path, name, request, question);
	else if (!stream || !may(api, request, CONFIG_MAY_CONTROL, stream))
		api_refuse(question, 404, "There is no stream with this name.");
	else
		post_bitrate(stream, request, question);
}

bool api_handle(const struct api *api, const struct http_request *request,
		struct http_question *question)
{
	char name[HTTP_PATH_MAX];
	const char *allowed;
	enum path path;

	if (strncmp(request->path, PREFIX, strlen(PREFIX)) != 0)
		return false;
	path = read_path(request->path + strlen(PREFIX), name);
	if (path == NO_PATH)
		return false;
	if (!method_fits(path, request->head->method, &allowed))
		http_refuse_method(question, allowed);
	else
		answer(api, path, name, request, question);
	return true;
}
