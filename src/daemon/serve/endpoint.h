/* SPDX-License-Identifier: BSD-2-Clause */
/* An endpoint: the addresses on which one protocol is spoken, and what it serves there. */
#ifndef DAEMON_SERVE_ENDPOINT_H
#define DAEMON_SERVE_ENDPOINT_H

#include <stdatomic.h>

#include "base/diag.h"
#include "base/pool.h"
#include "daemon/auth/access.h"
#include "daemon/serve/admission.h"
#include "daemon/serve/protocol.h"

struct server;

struct endpoint {
	const struct protocol *protocol;
	void *user;		 /* the protocol's: what it serves here */
	struct quota *quota;	 /* borrowed; endpoints may share one */
	const struct gate *gate; /* by address; NULL: everybody comes in */
	/* For a protocol that can ask for no user: who may watch `stream` by a certificate, whom
	 * the gate does not let in; NULL: nobody. */
	const struct access *access;
	size_t stream;		  /* index in the configuration */
	enum config_tls_mode tls; /* on its addresses */
	uint16_t port;		  /* of its first socket; 0: none yet */
	bool foreign_told;	  /* the log says that a peer spoke another protocol */
	bool closed;		  /* it serves nothing any more: who still comes is disconnected */
	struct diag_limit noise_log;
	/* --- below: the server's --- */
	struct server *server;
	struct loop *loop;
	struct pool *places;  /* of connections without TLS */
	unsigned connections; /* that are its own, also those that the kernel has still to close */
	/* Peers that are with the handshakes. Release: the thread has done with the endpoint;
	 * acquire: endpoint_is_idle(). */
	atomic_uint shaking;
	/* The connection is being closed: its place is free. */
	void (*left)(struct connection *connection);
	/* The kernel has closed it, and its memory goes after this call. */
	void (*gone)(struct connection *connection);
};

/* Nothing refers to the endpoint: with `closed`, its memory may go. Loop thread. */
static inline bool endpoint_is_idle(const struct endpoint *endpoint)
{
	return endpoint->connections == 0 &&
	       atomic_load_explicit(&endpoint->shaking, memory_order_acquire) == 0;
}

#endif
