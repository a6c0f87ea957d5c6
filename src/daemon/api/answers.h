/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The answers of the API, one function for each; api.c finds out which one a request wants. Each
 * returns a JSON object that the caller deletes, or NULL: no memory. Loop thread only.
 */
#ifndef DAEMON_API_ANSWERS_H
#define DAEMON_API_ANSWERS_H

#include <cjson/cJSON.h>

#include "daemon/api/api.h"

#define API_WHY_MAX 1280 /* bytes of a text that says what is wrong, terminator included */

/* GET /api/cameras */
cJSON *api_cameras(const struct api *api, const struct http_request *request);

#define API_VIEWERS_MAX 200 /* in one answer */
/* GET /api/viewers. stream: of this stream only; NULL: of all. from: so many viewers are left out
 * at the beginning. */
cJSON *api_viewers(const struct api *api, const char *stream, size_t from);

/* Cameras other than those of libcamera have no controls. */
bool api_has_controls(const struct camera *camera);
/* What was set over HTTP, else in the configuration; NULL: nothing was. Borrowed, until the control
 * is set. */
const char *api_control_value(const struct camera *camera, const char *name);

/* GET /api/pushes */
cJSON *api_pushes(const struct api *api);

/* GET /api/cameras/NAME/controls */
cJSON *api_controls(const struct http_request *request, const struct camera *camera);

/* The setting functions take the body of the request. They return 0, or a status of HTTP, with a
 * sentence in why. */
int api_set_controls(const struct camera *camera, const cJSON *body, char why[API_WHY_MAX]);
int api_set_bitrate(const struct stream *stream, const cJSON *body, char why[API_WHY_MAX]);
int api_restart(const struct camera *camera, char why[API_WHY_MAX]);

/* Whether a bitrate can be set: the stream is encoded, as H.264. */
bool api_has_bitrate(const struct stream *stream);

#endif
