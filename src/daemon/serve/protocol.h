/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A protocol: what is spoken with a peer, as a row of functions; a connection of it is a session. A
 * new protocol is a row like these, and an endpoint that names it (server.h). All of them run on
 * the loop thread, and may close the connection; nothing more is called for it then but finished().
 */
#ifndef DAEMON_SERVE_PROTOCOL_H
#define DAEMON_SERVE_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/log/cursor.h"

struct connection;
struct endpoint;
struct net_peer;

struct protocol {
	const char *scheme;	/* of its URLs, "tcp" */
	const char *tls_scheme; /* over TLS, "tls"; NULL: it is not spoken over TLS */
	bool silent_peers;	/* they need not speak first */
	/* What is sent to a peer that speaks plain where TLS is needed; NULL: nothing. */
	const char *needs_tls;
	/* What is sent to a peer that is refused, before it is closed; NULL: nothing. */
	const char *refusal;
	/* A peer asks for a place: the protocol may close a connection that is of less use. False:
	 * the peer is refused. NULL: admission alone decides. */
	bool (*make_room)(struct endpoint *endpoint, const struct net_peer *peer);
	/* The connection is let in and open. 0, or -errno: it is closed. */
	int (*accepted)(struct connection *connection);
	/* The peer sent len bytes; they are gone after the call. NULL: they are thrown away. */
	void (*input)(struct connection *connection, const uint8_t *data, size_t len);
	/* len bytes of the peer were thrown away, after connection_ignore_input(). NULL: nothing is
	 * to be done. */
	void (*ignored)(struct connection *connection, size_t len);
	/* The peer sends nothing any more; it may still be sent to. NULL: it goes on. */
	void (*input_ended)(struct connection *connection);
	/* Its cursor stands between two units, as connection_hold() asked, or at its end. No
	 * timeout but the protocol's own ends that. NULL: it neither holds nor watches ranges. */
	void (*held)(struct connection *connection);
	/* All that connection_write() took has gone to the kernel; how long that may take is the
	 * protocol's to say. NULL: it does not write. */
	void (*written)(struct connection *connection);
	/* The configuration is another one, and connection_user() the number that the user
	 * has in it. False: the peer may not go on. NULL: it may. */
	bool (*review)(struct connection *connection);
	/* As of struct sink, of a connection that watches. NULL: peers report nothing. */
	bool (*report)(const struct connection *connection, struct sink_report *out);
	/* It does not watch, and is to be closed for this reason: the cursor of its viewer ends, if
	 * that is elsewhere. NULL: it is nowhere. */
	void (*leaving)(struct connection *connection, enum cursor_end why);
	/* The connection is over: connection->session, if there is one, is to be freed. NULL:
	 * nothing is to be done. */
	void (*finished)(struct connection *connection);
};

#endif
