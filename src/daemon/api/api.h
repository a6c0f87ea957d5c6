/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON over HTTP, for the page and for programs (docs/API.md): the cameras with their streams and
 * URLs, their viewers and pushes, and, with `control = yes` in [daemon], controls of cameras,
 * bitrates and restarts. Loop thread only.
 */
#ifndef DAEMON_API_API_H
#define DAEMON_API_API_H

#include "daemon/auth/access.h"
#include "daemon/cameras.h"
#include "daemon/push/push.h"
#include "daemon/serve/http.h"

/* All borrowed; the cameras have their workers and feeds. */
struct api {
	struct loop *loop;
	const struct cameras *cameras;
	struct access *access;
	const struct pushes *pushes; /* NULL: there are none */
};

/* Answers a request for a path of the API, of somebody who has the right that the path needs; what
 * concerns a camera or a stream is asked for here. False: the path is another one. */
bool api_handle(const struct api *api, const struct http_request *request,
		struct http_question *question);
/* Answers 403 with a sentence, and counts. */
void api_refuse_right(struct access *access, struct http_question *question, const char *why);
/* Answers with a status and a sentence. */
void api_refuse(struct http_question *question, int status, const char *why);

#endif
