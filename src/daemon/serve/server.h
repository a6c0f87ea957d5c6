/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server: endpoints, where peers come in, and all connections. An endpoint says which protocol
 * is spoken on its addresses and with what; each accepted socket asks admission.h once and becomes
 * a connection of that protocol. A peer that is refused is accepted and closed at once: left in the
 * backlog it would only try again. Loop thread only.
 */
#ifndef DAEMON_SERVE_SERVER_H
#define DAEMON_SERVE_SERVER_H

#include "daemon/serve/connection.h"

struct server;
struct tls_context;
struct handshakes;

/* config (send_buffer, notsent_lowat) and admission are borrowed. 0 or -errno. */
int server_create(struct server **out, struct loop *loop, const struct config_daemon *config,
		  struct admission *admission);
/* Stops listening, and resets every connection that is still open. Memory that the kernel uses goes
 * when the loop has closed them, loop_destroy() at the latest. endpoints must last as long. */
void server_destroy(struct server *server);

/* Lets endpoints speak TLS. Takes context on success. To be called before server_listen() with such
 * endpoints. 0 or -errno. */
int server_enable_tls(struct server *server, struct tls_context *context);
/* NULL: it was not. */
const struct handshakes *server_handshakes(const struct server *server);

struct listen_hosts;

/* An address on which an endpoint is to be reached. The endpoint is borrowed until loop_destroy(),
 * the rest for the call. */
struct server_place {
	struct endpoint *endpoint;
	const struct net_address *address;
	char key[CONFIG_NAME_MAX + 64]; /* names the configuration key in messages */
};
/*
 * Listens on exactly these addresses from now on, and says so in the log. Sockets of addresses that
 * stay are kept, also where they come to another endpoint. `port` of every endpoint that was
 * listened for, and that is now, is set again. hosts: of all addresses, so that nothing is waited
 * for (listen_open_known()); NULL: looks them up, and waits up to a second for a port that is
 * taken. 0, or -errno after a line in the log: then nothing has changed.
 */
int server_listen(struct server *server, struct server_place *places, size_t n,
		  const struct listen_hosts *hosts);

/* --- another configuration --- */

/* Other send_buffer and notsent_lowat for connections to come; config is borrowed. */
void server_renew(struct server *server, const struct config_daemon *config);
/* Another certificate for handshakes to come: takes context. After server_enable_tls(). */
void server_exchange_tls(struct server *server, struct tls_context *context);
/* Whether a viewer of an endpoint for one stream may watch by its certificate. */
bool server_certified(struct connection *connection);
/* Asks once for every connection whether it stays, so that stays() may give it the number that its
 * user has from now on; then closes those that do not. stays() closes none. */
void server_review(struct server *server, bool (*stays)(struct connection *connection, void *user),
		   void *user);

#define SERVER_WHERE_MAX NET_PEER_TEXT_MAX /* bytes, terminator included */
/* Writes the host and port at which peers find a protocol of this scheme, "192.0.2.1:8080" or
 * "HOST:8080" for all addresses. False, where it is not listened for: nothing is written. */
bool server_where(const struct server *server, const char *scheme, char where[SERVER_WHERE_MAX]);

/* Listens no more; connections stay. */
void server_stop(struct server *server);

/* Gives a connection a place at another endpoint, which may speak another protocol, instead of its
 * own. What it keeps for its protocol is freed before (connection_set_endpoint()). 0, or -EBUSY:
 * refused and counted, and nothing has changed. */
int server_move(struct connection *connection, struct endpoint *endpoint);

/* A peer that has been accepted elsewhere; takes fd (connected, non-blocking). */
void server_accept(struct server *server, struct endpoint *endpoint, int fd);

#endif
