/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/site/site.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "camcast/multipart.h"
#include "daemon/api/api.h"
#include "daemon/api/page.h"
#include "daemon/serve/hls.h"
#include "daemon/serve/websocket.h"
#include "daemon/site/presentations.h"
#include "daemon/site/snapshot.h"
#include "daemon/site/ways.h"

#define LIST_MAX 2048 /* bytes of a list of streams */
#define MAX_AGE_S 3600.0

/* X-Accel-Buffering: a proxy (nginx) that reads ahead would take pictures that its client cannot
 * follow, so that none could be dropped for it. */
#define LIVE_HEADERS "X-Accel-Buffering: no\r\n"

struct site {
	struct site_options options;
};

/* --- what a viewer gets before its first unit --- */

/* By framing; type NULL: its units are not the body of an answer. */
static const struct body {
	const char *type;
	const char *begin; /* what the framing needs before its first unit; NULL: nothing */
} bodies[CONFIG_FRAMINGS] = {
	[CONFIG_FRAMING_ANNEXB] = {"video/h264", NULL},
	[CONFIG_FRAMING_MP4] = {"video/mp4", NULL},
	[CONFIG_FRAMING_MPEGTS] = {"video/mp2t", NULL},
	[CONFIG_FRAMING_MULTIPART] = {CAMCAST_MULTIPART_TYPE, CAMCAST_MULTIPART_FIRST},
	[CONFIG_FRAMING_MULTIPART_EARLY] = {CAMCAST_MULTIPART_TYPE, CAMCAST_MULTIPART_FIRST_EARLY},
};

static struct output *choose_output(const struct cameras *cameras, const struct stream *stream,
				    enum config_framing framing)
{
	const struct config *config = cameras->config;
	const struct config_feed *feed = way_feed(config, stream->config, framing);

	return feed ? cameras->outputs[feed - config->feeds] : NULL;
}

/* --- queries --- */

static bool parameter_is(const struct message *head, const char *name, const char *value)
{
	size_t len;
	const char *found = message_parameter(head, name, &len);

	return found && len == strlen(value) && memcmp(found, value, len) == 0;
}

/* max_age in seconds, as a decimal number, MAX_AGE_S at most; 0: not said, or no number. */
static int64_t max_age_us(const struct message *head)
{
	size_t len;
	const char *value = message_parameter(head, "max_age", &len);
	double seconds = value ? strtod(value, NULL) : 0;

	if (!(seconds > 0))
		return 0;
	return (int64_t)((seconds < MAX_AGE_S ? seconds : MAX_AGE_S) * 1e6);
}

/* --- answers --- */

/* False: the question was answered, because who asks may not watch the stream from its address. */
static bool let_in(const struct site *site, const struct http_request *request,
		   struct http_question *question, const struct stream *stream)
{
	if (access_may(site->options.access, request->who, request->peer, CONFIG_MAY_VIEW,
		       stream->index))
		return true;
	stream->outputs[0].quota.refused[ADMISSION_NOT_ALLOWED]++;
	http_refuse_right(question, request);
	return false;
}

static void watch(struct site *site, const struct http_request *request,
		  struct http_question *question, const struct stream *stream,
		  const struct way *way)
{
	struct http_answer answer = {.status = 200, .headers = LIVE_HEADERS};
	enum config_framing framing = way->framing;
	struct output *output;

	if (!let_in(site, request, question, stream))
		return;
	/* Each picture is followed by the head of the next part. */
	if (framing == CONFIG_FRAMING_MULTIPART &&
	    parameter_is(request->head, "advance_headers", "1"))
		framing = CONFIG_FRAMING_MULTIPART_EARLY;
	output = choose_output(site->options.cameras, stream, framing);
	if (!output) {
		http_reply(question, 404, NULL, NULL, 0);
	} else if (framing == CONFIG_FRAMING_JPEG) {
		question->pictures = &output->quota;
		snapshot_answer(output->snapshot, question, max_age_us(request->head));
	} else if (way_is_hls(way)) {
		http_vouch(question, request, stream->config->name);
		hls_answer_playlist(output->playlist, request, question);
	} else if (framing == CONFIG_FRAMING_MP4_WS) {
		websocket_answer(question, request, &output->http);
	} else {
		answer.type = bodies[framing].type;
		answer.body = bodies[framing].begin;
		answer.len = answer.body ? strlen(answer.body) : 0;
		http_stream(question, &answer, &output->http);
	}
}

/* Names the paths that there are. */
static void answer_not_found(const struct site *site, const struct http_request *request,
			     struct http_question *question)
{
	const struct cameras *cameras = site->options.cameras;
	char text[LIST_MAX], path[WAY_PATH_MAX];
	size_t len = (size_t)snprintf(text, sizeof text, "404 Not Found\nThere are:\n/\n");

	for (size_t i = 0; i < cameras->n_streams; i++) {
		const struct stream *stream = cameras->streams[i];

		if (!access_may(site->options.access, request->who, request->peer, CONFIG_MAY_VIEW,
				i))
			continue;
		for (size_t j = 0; j < n_ways; j++) {
			if (!choose_output(cameras, stream, ways[j].framing) ||
			    len + sizeof path + 1 > sizeof text)
				continue;
			way_path(path, stream->config, &ways[j]);
			len += (size_t)snprintf(text + len, sizeof text - len, "%s\n", path);
		}
	}
	http_reply(question, 404, "text/plain; charset=utf-8", text, len);
}

/* "/NAME.EXTENSION". False: it is no such path. */
static bool handle_stream(struct site *site, const struct http_request *request,
			  struct http_question *question)
{
	const char *name = request->path + 1;
	const char *dot = strrchr(name, '.');
	const struct way *way = dot ? way_find(dot + 1) : NULL;
	const struct stream *stream =
		way ? cameras_find_stream(site->options.cameras, name, (size_t)(dot - name)) : NULL;

	if (stream)
		watch(site, request, question, stream, way);
	return stream != NULL;
}

/* "/NAME.sdp": where the stream is sent by multicast. False: it is no such path. */
static bool handle_sdp(struct site *site, const struct http_request *request,
		       struct http_question *question)
{
	const char *name = request->path + 1;
	const struct stream *stream =
		cameras_find_stream(site->options.cameras, name, strlen(name) - strlen(".sdp"));

	if (stream && let_in(site, request, question, stream))
		presentations_answer(stream, question);
	return stream != NULL;
}

/* "/NAME/...": what a playlist of the stream names. False: it is no such path. */
static bool handle_hls(struct site *site, const struct http_request *request,
		       struct http_question *question)
{
	const char *name = request->path + 1;
	const char *slash = strchr(name, '/');
	const struct stream *stream =
		slash ? cameras_find_stream(site->options.cameras, name, (size_t)(slash - name))
		      : NULL;
	const struct output *output =
		stream ? choose_output(site->options.cameras, stream, CONFIG_FRAMING_MP4) : NULL;

	if (output && let_in(site, request, question, stream))
		hls_answer_object(output->playlist, slash + 1, request, question);
	return output != NULL;
}

/* Paths of mjpg-streamer, uStreamer and motion, which OctoPrint, Mainsail, Home Assistant and
 * others try: the first stream of which there are JPEGs. False: it is no such path. */
static bool handle_usual(struct site *site, const struct http_request *request,
			 struct http_question *question)
{
	static const struct {
		const char *path, *action, *extension;
	} paths[] = {
		{"/", "stream", "mjpg"},    {"/", "snapshot", "jpg"},
		{"/stream", NULL, "mjpg"},  {"/video", NULL, "mjpg"},
		{"/snapshot", NULL, "jpg"}, {"/snapshot.jpg", NULL, "jpg"},
	};
	const struct cameras *cameras = site->options.cameras;

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		const struct way *way = way_find(paths[i].extension);

		if (strcmp(request->path, paths[i].path) != 0 ||
		    (paths[i].action && !parameter_is(request->head, "action", paths[i].action)))
			continue;
		for (size_t j = 0; j < cameras->n_streams; j++) {
			if (!choose_output(cameras, cameras->streams[j], way->framing))
				continue;
			watch(site, request, question, cameras->streams[j], way);
			return true;
		}
	}
	return false;
}

static bool handle_page(struct site *site, const struct http_request *request,
			struct http_question *question)
{
	(void)site;
	return page_handle(request, question);
}

static bool handle_status(struct site *site, const struct http_request *request,
			  struct http_question *question)
{
	return status_handle(site->options.status, request->path, question);
}

static bool handle_api(struct site *site, const struct http_request *request,
		       struct http_question *question)
{
	const struct api api = {
		.loop = site->options.loop,
		.cameras = site->options.cameras,
		.access = site->options.access,
		.pushes = site->options.pushes,
	};

	return api_handle(&api, request, question);
}

static bool refuse_api(struct site *site, const struct http_request *request,
		       struct http_question *question)
{
	(void)site;
	(void)request;
	api_refuse(question, 404, "The API has no such path; docs/API.md lists them.");
	return true;
}

static bool handle_onvif(struct site *site, const struct http_request *request,
			 struct http_question *question)
{
	if (site->options.onvif)
		onvif_handle(site->options.onvif, request, question);
	return site->options.onvif != NULL;
}

/* --- the routes --- */

#define ANYBODY 0x100u /* no right is needed */
#define VIEW CONFIG_MAY_VIEW
#define STATUS CONFIG_MAY_STATUS
#define CONTROL CONFIG_MAY_CONTROL

/* Every path that is served, with the right that it needs for GET and HEAD, and for POST (0: that
 * is refused). A `*` stands for at least one character other than a slash, `...` for any rest. Of
 * the rows that fit, the first whose handler takes the path answers. tests/e2e/test_rights.py reads
 * this table. */
static const struct route {
	const char *pattern;
	unsigned get, post;
	bool (*handle)(struct site *site, const struct http_request *request,
		       struct http_question *question);
} routes[] = {
	{"/page/*", ANYBODY, 0, handle_page},
	{"/login", ANYBODY, 0, handle_page},
	{"/api/login", ANYBODY, ANYBODY, handle_api},
	{"/api/logout", ANYBODY, ANYBODY, handle_api},
	{"/api/cameras", VIEW, VIEW, handle_api},
	{"/api/viewers", STATUS, STATUS, handle_api},
	{"/api/pushes", STATUS, STATUS, handle_api},
	{"/api/cameras/*/controls", VIEW, CONTROL, handle_api},
	{"/api/cameras/*/restart", VIEW, CONTROL, handle_api},
	{"/api/streams/*/bitrate", VIEW, CONTROL, handle_api},
	{"/api/...", VIEW, VIEW, refuse_api},
	/* A request says within its body who sends it, so that rights are checked there. */
	{"/onvif/device_service", VIEW, ANYBODY, handle_onvif},
	{"/onvif/media_service", VIEW, ANYBODY, handle_onvif},
	{"/onvif/imaging_service", VIEW, ANYBODY, handle_onvif},
	{"/status.json", STATUS, 0, handle_status},
	{"/metrics", STATUS, 0, handle_status},
	{"/healthz", STATUS, 0, handle_status},
	{"/", VIEW, 0, handle_usual},
	{"/", VIEW, 0, handle_page},
	{"/stream", VIEW, 0, handle_usual},
	{"/video", VIEW, 0, handle_usual},
	{"/snapshot", VIEW, 0, handle_usual},
	{"/snapshot.jpg", VIEW, 0, handle_usual},
	{"/*.sdp", VIEW, 0, handle_sdp},
	{"/*.*", VIEW, 0, handle_stream},
	{"/*/...", VIEW, 0, handle_hls},
};

/* What is answered where no row fits. */
static const struct route no_route = {.get = VIEW, .post = VIEW};

static bool fits(const char *pattern, const char *path)
{
	for (; *pattern; pattern++) {
		if (strcmp(pattern, "...") == 0)
			return true;
		if (*pattern != '*') {
			if (*pattern != *path++)
				return false;
			continue;
		}
		do {
			if (*path == '\0' || *path == '/')
				return false;
		} while (!fits(pattern + 1, ++path));
		return true;
	}
	return *path == '\0';
}

static bool is_api(const char *path)
{
	return strncmp(path, "/api/", 5) == 0;
}

/* Answers who has not the right that a route needs. */
static void refuse_right(const struct site *site, const struct http_request *request,
			 struct http_question *question, unsigned right)
{
	bool users = access_has_users(site->options.access);

	if (users && !request->who->user && page_send_to_login(request, question))
		return;
	if (!users && right == CONTROL)
		api_refuse_right(site->options.access, question,
				 "Changes are off. Set control = yes in [daemon] to allow them.");
	else if (is_api(request->path) && (!users || request->who->user))
		api_refuse_right(site->options.access, question, "You may not do this.");
	else
		http_refuse_right(question, request);
}

/* The right that a request needs; 0: its method is refused. */
static unsigned right_of(const struct route *route, const struct http_request *request)
{
	return request->head->method == MESSAGE_POST ? route->post : route->get;
}

/* Whether the request may go on to the handler; else it was answered. */
static bool check_right(const struct site *site, const struct route *route,
			const struct http_request *request, struct http_question *question)
{
	unsigned right = right_of(route, request);

	if (right == ANYBODY || request->who->may & right)
		return true;
	if (right == 0)
		http_refuse_method(question, "GET, HEAD");
	else
		refuse_right(site, request, question, right);
	return false;
}

void site_handle(void *user, const struct http_request *request, struct http_question *question)
{
	struct site *site = user;

	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		if (!fits(routes[i].pattern, request->path))
			continue;
		if (!check_right(site, &routes[i], request, question) ||
		    routes[i].handle(site, request, question))
			return;
	}
	if (!check_right(site, &no_route, request, question))
		return;
	if (request->head->method == MESSAGE_POST)
		http_refuse_method(question, "GET, HEAD");
	else
		answer_not_found(site, request, question);
}

/* --- life --- */

static int create_hls(struct site *site, struct output *output)
{
	struct hls_setup setup = {
		.stream = output->stream->config,
		.camera = output->stream->camera->config,
		.feed = output->feed,
		.viewers = &output->hls,
	};

	http_init_viewers(&output->hls, site->options.http, &output->quota);
	return hls_create(&output->playlist, site->options.loop, &setup);
}

int site_serve(struct site *site, struct output *output)
{
	switch (output->config->framing) {
	case CONFIG_FRAMING_MP4:
		return create_hls(site, output);
	case CONFIG_FRAMING_JPEG:
		return snapshot_create(&output->snapshot, site->options.loop, output->feed);
	default:
		return 0;
	}
}

void site_forget(struct output *output)
{
	hls_destroy(output->playlist);
	snapshot_destroy(output->snapshot);
	output->playlist = NULL;
	output->snapshot = NULL;
}

int site_create(struct site **out, const struct site_options *options)
{
	const struct cameras *cameras = options->cameras;
	struct site *site = calloc(1, sizeof *site);
	int err = 0;

	if (!site)
		return -ENOMEM;
	site->options = *options;
	for (size_t i = 0; err == 0 && i < cameras->n_outputs; i++)
		err = site_serve(site, cameras->outputs[i]);
	if (err < 0)
		site_destroy(site);
	else
		*out = site;
	return err;
}

void site_destroy(struct site *site)
{
	if (!site)
		return;
	for (size_t i = 0; i < site->options.cameras->n_outputs; i++)
		site_forget(site->options.cameras->outputs[i]);
	free(site);
}
