/* SPDX-License-Identifier: BSD-2-Clause */
/* A session of HTTP. Internal to http.c, which talks to the peer, http_who.c, which finds out who
 * that is, and http_places.c, which decides who may have a place. Loop thread only. */
#ifndef DAEMON_SERVE_HTTP_SESSION_H
#define DAEMON_SERVE_HTTP_SESSION_H

#include "daemon/serve/http.h"

#define HTTP_EXTRA_MAX 768 /* bytes of headers for cookies and pages of other sites */

enum http_phase {
	HTTP_READING,	/* a request; `head` is NULL before its first byte */
	HTTP_ANSWERING, /* the question is with its handler, or the answer is being written */
	HTTP_LINGERING, /* what the peer still sends is read, so that no reset overtakes the answer
			 */
};

struct http_session {
	struct connection *connection;
	struct list link; /* http.sessions; in no list: it has a viewer's place */
	/* Of http_places.c, while it is in the list: where that is, the peer's address, and how
	 * many sessions of the list have it. */
	struct http *http;
	uint64_t host[2];
	unsigned of_host;
	struct http_question question;
	struct loop_timer timeout;
	struct message *head; /* of the request that is being read */
	uint8_t *ahead;	      /* a request's body, and requests that came before their turn */
	size_t ahead_len;
	/* While it is found out who asks: the request. */
	uint16_t local_port; /* names the cookie */
	struct access_ask ask;
	struct message *asked;
	uint8_t *asked_body;
	size_t asked_len;
	/* For the next answer: headers, each with its CRLF; NULL: none. */
	char *extra;
	size_t discarded; /* bytes that came after the last request */
	/* The units that follow the head of the answer. */
	struct feed *feed; /* NULL: none */
	uint64_t from, until;
	uint8_t phase; /* enum http_phase */
	bool head_only;
	bool is_private; /* no cache may keep the answer for others */
	bool keep;	 /* another request may follow */
	bool ended;	 /* the peer sends nothing any more */
};

static inline struct http *http_of_endpoint(const struct endpoint *endpoint)
{
	return endpoint->user;
}

/* Finds out who sends a request that is complete, and answers it, now or later. Returns what the
 * caller frees: the head, or NULL. */
struct message *http_begin_request(struct http_session *session, struct message *head,
				   const uint8_t *body, size_t body_len);
/* Answers it through the handler. */
void http_answer_request(struct http_session *session, const struct message *head,
			 const uint8_t *body, size_t body_len,
			 const struct credentials *credentials, const struct access_who *who);
/* Answers with a status alone. */
void http_refuse(struct http_session *session, int status);

/* Adds a new session to the list, and removes it if it is there. */
void http_take_place(struct http *http, struct http_session *session);
void http_leave_place(struct http_session *session);
/* Of the sessions of its address it is now the last one that gives its place. */
void http_go_last(struct http_session *session);

/* Finds a place for a peer, if need be by closing a connection that has no question, or one of an
 * address that has more. False: there is none. */
bool http_make_room(struct endpoint *endpoint, const struct net_peer *peer);

#endif
