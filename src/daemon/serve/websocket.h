/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * WebSocket (RFC 6455): a viewer whose feed's units are frames already. Its own frames are read
 * with bounds: a ping is answered between two units, a close is answered and ends the connection,
 * and messages are thrown away. Extensions and subprotocols are not offered. Loop thread only.
 */
#ifndef DAEMON_SERVE_WEBSOCKET_H
#define DAEMON_SERVE_WEBSOCKET_H

#include "daemon/serve/http.h"

/* Of an endpoint, whose user is the feed. */
extern const struct protocol websocket_protocol;

/*
 * Answers a request to an endpoint of websocket_protocol: 101; or 426 for what is no handshake, and
 * 403 for a page of another site (the Origin of RFC 6454 names another host than the request).
 */
void websocket_answer(struct http_question *question, const struct http_request *request,
		      struct endpoint *endpoint);

#endif
