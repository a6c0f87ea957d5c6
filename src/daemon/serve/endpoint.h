/* SPDX-License-Identifier: BSD-2-Clause */
/* An endpoint: the addresses on which one protocol is spoken, and what it serves there. */
#ifndef DAEMON_SERVE_ENDPOINT_H
#define DAEMON_SERVE_ENDPOINT_H

#include "daemon/serve/admission.h"
#include "daemon/serve/protocol.h"

struct server;

struct endpoint {
	const struct protocol *protocol;
	void *user; /* the protocol's: what it serves here */
	struct quota quota;
	uint16_t port;	   /* of its first socket; 0: none yet */
	bool foreign_told; /* the log says that a peer spoke another protocol */
	/* --- below: the server's --- */
	struct server *server;
	struct loop *loop;
	/* The connection has been closed, and its memory goes after this call. */
	void (*gone)(struct connection *connection);
};

#endif
