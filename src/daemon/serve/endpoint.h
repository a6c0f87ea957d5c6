/* SPDX-License-Identifier: BSD-2-Clause */
/* An endpoint: the addresses on which one protocol is spoken, and what it serves there. */
#ifndef DAEMON_SERVE_ENDPOINT_H
#define DAEMON_SERVE_ENDPOINT_H

#include "base/diag.h"
#include "daemon/auth/access.h"
#include "daemon/serve/admission.h"
#include "daemon/serve/protocol.h"

struct server;

struct endpoint {
	const struct protocol *protocol;
	void *user;		  /* the protocol's: what it serves here */
	struct quota *quota;	  /* borrowed; endpoints may share one */
	const struct gate *gate;  /* by address; NULL: everybody comes in */
	/* For a protocol that can ask for no user: who may watch `stream` by a certificate, whom
	 * the gate does not let in; NULL: nobody. */
	const struct access *access;
	size_t stream; /* index in the configuration */
	enum config_tls_mode tls; /* on its addresses */
	uint16_t port;		  /* of its first socket; 0: none yet */
	bool foreign_told;	  /* the log says that a peer spoke another protocol */
	struct diag_limit noise_log;
	/* --- below: the server's --- */
	struct server *server;
	struct loop *loop;
	/* The connection is being closed: its place is free. */
	void (*left)(struct connection *connection);
	/* The kernel has closed it, and its memory goes after this call. */
	void (*gone)(struct connection *connection);
};

#endif
