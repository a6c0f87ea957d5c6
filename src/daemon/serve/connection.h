/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection: a TCP peer, the session of a protocol with it, and the cursor of what it watches.
 * It is the cursor's sink. The bytes of a session and those of a cursor never mix: a session writes
 * while its cursor is held, or when it has none. Loop thread only.
 */
#ifndef DAEMON_SERVE_CONNECTION_H
#define DAEMON_SERVE_CONNECTION_H

#include <sys/uio.h>

#include "daemon/log/feed.h"
#include "daemon/serve/endpoint.h"
#include "daemon/serve/tls.h"
#include "net/address.h"

struct connection {
	struct loop_conn conn;
	struct cursor cursor;	   /* audience NULL: it watches nothing */
	struct endpoint *endpoint; /* where it came in */
	union {			   /* the protocol's; zero at first */
		void *session;
		uint64_t state; /* where that is all that it keeps */
	};
	struct outgoing *outgoing; /* being written; NULL: nothing */
	struct list link;	   /* the server's; in no list once it is closing */
	struct net_peer peer;
};

/* As whom the peer came, as access_number() says it; the protocol sets it. 0 at first. */
static inline unsigned connection_user(const struct connection *connection)
{
	return connection->conn.tag;
}
static inline void connection_set_user(struct connection *connection, unsigned user)
{
	connection->conn.tag = (uint8_t)user;
}

/* Takes fd (connected, non-blocking) on success, and moves *tls, behind its handshake (NULL: the
 * bytes are the socket's own). Units that wait for the peer wait in the log, where they can still
 * be dropped, and not in the kernel: send_buffer and notsent_lowat are bytes, 0: leave. *out is the
 * caller's to put into a list; it frees itself after the close. 0 or -errno. */
int connection_open(struct connection **out, struct endpoint *endpoint, int fd, struct tls *tls,
		    const struct net_peer *peer, uint32_t send_buffer, uint32_t notsent_lowat);
/* Closes at once, and with reset so that what is queued is let go; finished() is called from here.
 * A second call does nothing. */
void connection_close(struct connection *connection, bool reset);
bool connection_closing(const struct connection *connection);

/* Watches a feed from now on. Only while it watches nothing. 0 or -ESHUTDOWN. */
int connection_watch(struct connection *connection, struct feed *feed);
/* The same after a pause; had: of connection_unwatch(). */
int connection_watch_again(struct connection *connection, struct feed *feed, uint64_t had);
/* The same for units from..until-1 of its log; held() is called at the end. Also -ERANGE: `from` is
 * beyond the log's head. */
int connection_watch_range(struct connection *connection, struct feed *feed, uint64_t from,
			   uint64_t until);
bool connection_watches(const struct connection *connection);
/* Stops its cursor between two units. True: it stands now; false: held() will be called. */
bool connection_hold(struct connection *connection);
/* Lets a held cursor go on. */
void connection_go_on(struct connection *connection);
/* Ends the cursor of its viewer, if there is one; the caller closes the connection then. */
void connection_leave(struct connection *connection, enum cursor_end why);
/* Ends the watching of a held cursor. Returns cursor_had(). */
uint64_t connection_unwatch(struct connection *connection);

/* Copies n pieces (at least a byte) and sends them; written() is called when the kernel has them
 * all. Only while nothing is being written and nothing watched but by a held cursor; a cursor that
 * begins to watch while bytes are being written follows behind them. 0 or -ENOMEM. */
int connection_write(struct connection *connection, const struct iovec *pieces, int n);
/* Tells the peer that nothing more will come. */
void connection_end_output(struct connection *connection);

/* Becomes a connection of another endpoint; what it kept for its protocol has been freed. It
 * watches and writes nothing. server_move() calls it. */
void connection_set_endpoint(struct connection *connection, struct endpoint *endpoint);

/* From the next call of input() on: there is none, and what the peer sends is thrown away. */
void connection_ignore_input(struct connection *connection);

/* Whether it speaks TLS. */
bool connection_secure(const struct connection *connection);
/* Whether the peer has presented a certificate, which is valid then, and its name: as
 * tls_client_name(). */
bool connection_certificate(struct connection *connection, char name[TLS_NAME_MAX]);
struct loop *connection_loop(const struct connection *connection);
/* Fixed bytes of memory for a connection, its cursor included. */
size_t connection_size(void);

#endif
