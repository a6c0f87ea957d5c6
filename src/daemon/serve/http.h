/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/1.1 for the status: GET and HEAD, one request a connection, everything bounded (16
 * connections, MESSAGE_MAX bytes of request within 2 s, 10 s for the answer). Loop thread only.
 *
 * A peer that needs a place gets that of a connection that has its answer already, or whose request
 * is not complete; then that of an address that has more connections than the peer's. One address
 * has at most HTTP_SHARE places. Neither limits this machine itself, so that local monitoring gets
 * through whatever peers on the network do.
 */
#ifndef DAEMON_SERVE_HTTP_H
#define DAEMON_SERVE_HTTP_H

#include "daemon/serve/server.h"

#define HTTP_CONNECTIONS_MAX 16
#define HTTP_SHARE 8
#define HTTP_PATH_MAX 256 /* terminator included */

/* A request that waits for its answer. */
struct http_question {
	struct list link; /* the handler's, in whose list it may be; in none at first */
};

/* Answers a GET of path (decoded no further than to cut off the query) with http_reply(), at once
 * or later. A question that is over before leaves the handler's list by itself. */
typedef void http_handler(void *user, const char *path, struct http_question *question);

/* Answers, and ends the question: its link is in no list any more. status: 200, 404, 503...; type:
 * of the body, without CR and LF; body: len bytes, copied; NULL: a line with the status. */
void http_reply(struct http_question *question, int status, const char *type, const char *body,
		size_t len);

/* Of an endpoint: what it serves. The caller sets the first part. */
struct http {
	http_handler *handler;
	void *user;
	const char *hosts; /* names of this machine in requests, as hosts_allow() takes them */
	/* --- below: the protocol's --- */
	struct list sessions; /* the oldest first */
};

/* An endpoint of the protocol; http is borrowed. */
void http_init_endpoint(struct endpoint *endpoint, struct http *http);

#endif
