/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small HTTP/1.1 server for the status: GET and HEAD, one request a connection, everything
 * bounded (16 connections, 8 KiB of request, 10 s). It never blocks the loop. Loop thread only.
 */
#ifndef DAEMON_SERVE_HTTP_H
#define DAEMON_SERVE_HTTP_H

#include "daemon/loop/loop.h"

#define HTTP_CONNECTIONS_MAX 16
#define HTTP_REQUEST_MAX 8192 /* bytes, all headers included */
#define HTTP_PATH_MAX 256     /* terminator included */

struct http;

struct http_answer {
	int status;	  /* 200, 404, 503... */
	const char *type; /* of the body; static */
	char *body;	  /* malloc'ed; taken by the server. NULL: a line with the status */
	size_t len;
};

/* Answers a GET of path (decoded no further than to cut off the query). Preset to 404. */
typedef void http_handler(void *user, const char *path, struct http_answer *answer);

/* Listens on address (all of the host's addresses) and says so in the log. 0 or -errno after a
 * line that says what to do. */
int http_create(struct http **out, struct loop *loop, const struct net_address *address,
		http_handler *handler, void *user);
void http_destroy(struct http *http);

/* Serves a connected socket, as if it had been accepted; takes fd. For tests. */
void http_serve(struct http *http, int fd);
/* Connections now open. */
unsigned http_connections(const struct http *http);

#endif
