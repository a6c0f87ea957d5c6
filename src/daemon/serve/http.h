/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/1.1 for the status: GET and HEAD, one request a connection, everything bounded (16
 * connections, MESSAGE_MAX bytes of request, 10 s). Loop thread only.
 */
#ifndef DAEMON_SERVE_HTTP_H
#define DAEMON_SERVE_HTTP_H

#include "daemon/serve/server.h"

#define HTTP_CONNECTIONS_MAX 16
#define HTTP_PATH_MAX 256 /* terminator included */

struct http_answer {
	int status;	  /* 200, 404, 503... */
	const char *type; /* of the body; static */
	char *body;	  /* malloc'ed; taken by the server. NULL: a line with the status */
	size_t len;
};

/* Answers a GET of path (decoded no further than to cut off the query). Preset to 404. */
typedef void http_handler(void *user, const char *path, struct http_answer *answer);

/* Of an endpoint: what it serves. */
struct http {
	http_handler *handler;
	void *user;
};

/* An endpoint of the protocol; http is borrowed. */
void http_init_endpoint(struct endpoint *endpoint, struct http *http);

#endif
