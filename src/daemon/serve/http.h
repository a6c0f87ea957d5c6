/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/1.0 and 1.1 (RFC 9110, RFC 9112): GET, HEAD and POST. A request is a question, which its
 * handler answers at once or later, in one of three ways: with bytes, with units of a feed's log
 * (a file for the client), or with a feed from now on (a live stream, or a WebSocket). After a
 * finite answer the connection takes the next request, unless one of the two does not want that.
 * Loop thread only.
 *
 * Everything is bounded. A request head has at most MESSAGE_MAX bytes and arrives within 2 s; a
 * body has at most HTTP_BODY_MAX; an answer is taken within 10 s, or, if it is made of units, as
 * the feed's stall_timeout_ms says. A connection without a request is closed after 15 s.
 *
 * There are HTTP_CONNECTIONS_MAX places for questions; viewers have places of their own. A peer
 * that needs a place gets that of a connection that has no question: it is idle, its answer is
 * sent, or its request is not complete (of one address, the one that answered longest ago); then
 * that of an address that has more connections than the peer's. One address has at most HTTP_SHARE
 * places. Neither limits this machine itself, so that local monitoring gets through whatever peers
 * on the network do.
 */
#ifndef DAEMON_SERVE_HTTP_H
#define DAEMON_SERVE_HTTP_H

#include "daemon/auth/access.h"
#include "daemon/serve/server.h"
#include "net/message.h"

/* Many viewers come at once when a camera or a network comes back. Up to 16 are accepted in a turn
 * of the loop, before the requests of those before them are read. */
#define HTTP_CONNECTIONS_MAX 128
#define HTTP_SHARE 64
#define HTTP_PATH_MAX 256   /* bytes, terminator included */
#define HTTP_BODY_MAX 16384 /* bytes */

/* Valid during the call of the handler only. */
struct http_request {
	const struct net_peer *peer;
	const struct access_who *who; /* who asks */
	const struct credentials *credentials;
	const struct message *head; /* method (GET, HEAD or POST), query, headers */
	char path[HTTP_PATH_MAX];   /* decoded, UTF-8 is not checked; "/..." */
	const char *body;	    /* of a POST; body_len bytes */
	size_t body_len;
};

/* A request that waits for its answer. */
struct http_question {
	struct list link; /* the handler's, in whose list it may be; in none at first */
	uint64_t tag;	  /* the handler's */
	/* While it waits for pictures: who watches them is counted here. NULL: it does not. The
	 * handler sets it. */
	struct quota *pictures;
};

/* Answers a request, at once or later. A question whose peer has left before leaves the handler's
 * list by itself. */
typedef void http_handler(void *user, const struct http_request *request,
			  struct http_question *question);

/* Every answer ends the question: its link is in no list any more. */
struct http_answer {
	int status;	     /* 200, 404, 503... */
	const char *type;    /* of the body, without CR and LF */
	const char *cache;   /* Cache-Control; NULL: no-store */
	const char *headers; /* further ones, each with its CRLF; NULL: none */
	const void *body;    /* len bytes, copied; NULL: a line with the status */
	size_t len;
};
#define HTTP_HEADERS_MAX 512 /* bytes of `headers` */

void http_answer(struct http_question *question, const struct http_answer *answer);
/* The same for an answer that must not be cached. */
void http_reply(struct http_question *question, int status, const char *type, const char *body,
		size_t len);

/* `pictures` of the question of a connection of http_init_endpoint(). */
struct quota *http_waits_for(const struct connection *connection);

/* Gives a question this time for its answer and the sending of it, from now on, instead of 10 s. */
void http_allow(struct http_question *question, int64_t us);

/* Answers 405: the path takes only the methods in `allowed`, "GET, HEAD". */
void http_refuse_method(struct http_question *question, const char *allowed);

/* Answers a request of somebody who has not the right: 401 where a user might have it, and 403
 * where this user has it not. */
void http_refuse_right(struct http_question *question, const struct http_request *request);

/* Answers 200 with the units from..until-1 of a feed's log, by reference. body and len of the
 * answer: bytes before them, copied (NULL: none). Units that are not there any more: 404. */
void http_answer_units(struct http_question *question, const struct http_answer *answer,
		       struct feed *feed, uint64_t from, uint64_t until);

/* Answers with a feed from now on: the connection becomes one of the endpoint, whose user is the
 * feed, and whose protocol is live_protocol. The body is what the framing needs first, copied
 * (NULL: nothing). If there is no place for a viewer, the answer is 503. */
void http_stream(struct http_question *question, const struct http_answer *answer,
		 struct endpoint *endpoint);

/* Switches to another protocol after 101 (RFC 9110 clause 15.2.2), as http_stream() does. headers:
 * "Upgrade: ..." and what else belongs to it, each with its CRLF. */
void http_switch(struct http_question *question, const char *headers, struct endpoint *endpoint);

/* Gives the connection of a question a place as a viewer's, for clients that watch by many small
 * requests. endpoint: http_init_viewers(). False: there is none, and 503 was answered. */
bool http_become_viewer(struct http_question *question, struct endpoint *endpoint);

#define HTTP_COOKIE_MAX 256 /* bytes of a header, terminator included */
/* Writes a header Set-Cookie, with CRLF, that makes browsers send a login with each request, or,
 * NULL, forget it. Scripts cannot read it, and pages of other sites cannot use it. */
void http_cookie(const struct http_question *question, const char *login,
		 char header[HTTP_COOKIE_MAX]);

/* Lets a client that sent a name and a password ask without them for what is below the path of a
 * stream, by a cookie in the next answer: VLC sends them with a playlist, and not with what it
 * names. Nothing, where it sent none. */
void http_vouch(struct http_question *question, const struct http_request *request,
		const char *stream);

/* Whether a request comes from a page of this server, or from no page: its Origin (RFC 6454 clause
 * 7), if there is one, names the host and port of the request. Other pages must not be able to read
 * a WebSocket, or to change anything. */
bool http_same_origin(const struct message *head);
/* Whether a page of another site may read the answer: `cors` names its origin. */
bool http_may_read(const struct http_question *question, const struct message *head);

/* Of an endpoint: what it serves. The caller sets the first part. */
struct http {
	http_handler *handler;
	void *user;
	struct access *access; /* NULL: everybody may do everything */
	const char *cors;      /* origins whose pages may read; NULL: none */
	const char *hosts;     /* names of this machine in requests, as hosts_allow() takes them */
	/* --- below: the protocol's --- */
	struct quota quota;
	struct list sessions; /* those with places for questions, the oldest first */
};

/* An endpoint of the protocol; http is borrowed. */
void http_init_endpoint(struct endpoint *endpoint, struct http *http);
/* An endpoint for http_become_viewer(). */
void http_init_viewers(struct endpoint *endpoint, struct http *http, struct quota *quota);

#endif
