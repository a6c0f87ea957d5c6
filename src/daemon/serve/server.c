/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/server.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/diag.h"
#include "daemon/serve/handshakes.h"
#include "net/listen.h"

#define LOG_PERIOD_US 1000000

struct listener {
	struct loop_listener listener;
	struct endpoint *endpoint;
	struct net_address address; /* as configured */
	struct list link;
	struct endpoint *next; /* during server_listen(); NULL: it goes */
};

struct server {
	struct loop *loop;
	const struct config_daemon *config;
	struct admission *admission;
	struct handshakes *handshakes; /* NULL: no TLS */
	struct list listeners;
	struct list connections; /* those that are no viewers; admission lists the viewers */
	size_t n_connections;	 /* all, and those that the kernel has still to close */
	struct pool *places;	 /* of connections without TLS */
	struct diag_limit displaced_log;
	bool destroyed; /* goes with the last connection */
};

/* --- connections --- */

static void refuse(const struct endpoint *endpoint, int fd, struct tls *tls)
{
	const char *text = endpoint->protocol->refusal;

	if (tls) {
		if (text)
			(void)tls_write(tls, (const uint8_t *)text, strlen(text));
		tls_end(tls);
		tls_close(tls);
	} else if (text)
		(void)!send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static void handle_left(struct connection *connection)
{
	struct server *server = connection->endpoint->server;
	struct quota *quota = connection->endpoint->quota;

	list_remove(&connection->link);
	admission_leave(server->admission, quota, &connection->peer);
	diag_debug("%s: a client left, %u remain", quota->name, quota->used);
}

static void destroy(struct server *server)
{
	pool_close(server->places);
	free(server);
}

static void handle_gone(struct connection *connection)
{
	struct server *server = connection->endpoint->server;

	connection->endpoint->connections--;
	server->n_connections--;
	if (server->destroyed && server->n_connections == 0)
		destroy(server);
}

static void take_over(struct server *server, struct endpoint *endpoint)
{
	endpoint->server = server;
	endpoint->loop = server->loop;
	endpoint->places = server->places;
	endpoint->left = handle_left;
	endpoint->gone = handle_gone;
}

static struct connection *of_link(struct list *link)
{
	return container_of(link, struct connection, link);
}

/* Disconnects a viewer whose place another address needs more. */
static void displace(struct server *server, struct connection *connection)
{
	char text[NET_PEER_TEXT_MAX];
	uint64_t suppressed;

	if (diag_allowed(&server->displaced_log, loop_now_us(server->loop), LOG_PERIOD_US,
			 &suppressed)) {
		net_peer_format(&connection->peer, text);
		diag_info("%s: client %s is disconnected: all places (max_clients) are taken, most "
			  "of "
			  "them by its address (%llu others since the last such line)",
			  connection->endpoint->quota->name, text, (unsigned long long)suppressed);
	}
	connection_leave(connection, CURSOR_END_DISPLACED);
	connection_close(connection, true);
}

/* True: the peer has a place; *fellows is the list for its connection. */
static bool let_in(struct server *server, struct endpoint *endpoint, const struct net_peer *peer,
		   struct list **fellows)
{
	const struct protocol *protocol = endpoint->protocol;
	struct list *link =
		admission_find_displaced(server->admission, endpoint->quota, NULL, peer);

	if (protocol->make_room && !protocol->make_room(endpoint, peer)) {
		admission_refuse(server->admission, endpoint->quota, ADMISSION_OVER_QUOTA, peer);
		return false;
	}
	if (link)
		displace(server, of_link(link));
	*fellows = &server->connections;
	return admission_enter(server->admission, endpoint->quota, NULL, peer, fellows);
}

/* Whether a peer may watch by its certificate. */
static bool is_certified(const struct endpoint *endpoint, const struct tls *tls,
			 const struct net_peer *peer)
{
	char name[TLS_NAME_MAX];

	return endpoint->access && tls && tls_client_name(tls, name) &&
	       access_certificate_may(endpoint->access, name, peer, endpoint->stream);
}

bool server_certified(struct connection *connection)
{
	const struct endpoint *endpoint = connection->endpoint;
	char name[TLS_NAME_MAX];

	return endpoint->access && connection_certificate(connection, name) &&
	       access_certificate_may(endpoint->access, name, &connection->peer, endpoint->stream);
}

/* Whether a peer may have a handshake. */
static bool may_shake(const struct endpoint *endpoint, const struct net_peer *peer)
{
	return gate_lets_in(endpoint->access
				    ? access_address_gate(endpoint->access, endpoint->stream)
				    : endpoint->gate,
			    peer);
}

/* Whether a peer may come to the endpoint; else fd is closed. shaken: what TLS may be on this
 * address has been agreed upon. */
static bool may_come(struct server *server, struct endpoint *endpoint, int fd,
		     const struct tls *tls, bool shaken, struct net_peer *peer)
{
	if (net_peer_from_fd(peer, fd) < 0) {
		close(fd); /* already gone */
		return false;
	}
	if (endpoint->closed) {
		close(fd);
		return false;
	}
	if (shaken ? !gate_lets_in(endpoint->gate, peer) && !is_certified(endpoint, tls, peer)
		   : !may_shake(endpoint, peer)) { /* and it is not told why */
		admission_refuse(server->admission, endpoint->quota, ADMISSION_NOT_ALLOWED, peer);
		close(fd);
		return false;
	}
	return true;
}

/* tls: behind its handshake; NULL: plain. Takes fd, and moves or closes *tls. */
static void admit(struct server *server, struct endpoint *endpoint, int fd, struct tls *tls)
{
	const struct config_daemon *config = server->config;
	struct connection *connection;
	struct list *fellows;
	struct net_peer peer;

	take_over(server, endpoint);
	if (!may_come(server, endpoint, fd, tls, true, &peer)) {
		if (tls)
			tls_close(tls);
		return;
	}
	if (!let_in(server, endpoint, &peer, &fellows)) {
		refuse(endpoint, fd, tls);
		return;
	}
	if (connection_open(&connection, endpoint, fd, tls, &peer, config->send_buffer,
			    config->notsent_lowat) < 0) {
		admission_refuse(server->admission, endpoint->quota, ADMISSION_NO_MEMORY, &peer);
		admission_leave(server->admission, endpoint->quota, &peer);
		refuse(endpoint, fd, tls);
		return;
	}
	list_append(fellows, &connection->link);
	endpoint->connections++;
	server->n_connections++;
	diag_debug("%s: a client joined, %u now", endpoint->quota->name, endpoint->quota->used);
	if (endpoint->protocol->accepted(connection) < 0)
		connection_close(connection, true);
}

void server_accept(struct server *server, struct endpoint *endpoint, int fd)
{
	admit(server, endpoint, fd, NULL);
}

int server_move(struct connection *connection, struct endpoint *endpoint)
{
	struct server *server = connection->endpoint->server;
	struct quota *left = connection->endpoint->quota;
	struct list *fellows = &server->connections;
	struct list *displaced;

	take_over(server, endpoint);
	displaced = admission_find_displaced(server->admission, endpoint->quota, left,
					     &connection->peer);
	if (displaced)
		displace(server, of_link(displaced));
	if (!admission_enter(server->admission, endpoint->quota, left, &connection->peer, &fellows))
		return -EBUSY;
	list_remove(&connection->link);
	list_append(fellows, &connection->link);
	admission_leave(server->admission, left, &connection->peer);
	connection->endpoint->connections--;
	endpoint->connections++;
	connection_set_endpoint(connection, endpoint);
	return 0;
}

/* --- listening --- */

static void handle_accepted(struct loop_listener *loop_listener, int fd)
{
	struct listener *listener = container_of(loop_listener, struct listener, listener);

	struct endpoint *endpoint = listener->endpoint;
	struct server *server = endpoint->server;
	struct net_peer peer;

	if (endpoint->tls == CONFIG_TLS_NO)
		server_accept(server, endpoint, fd);
	else if (may_come(server, endpoint, fd, NULL, false, &peer)) /* before anything is read */
		handshakes_take(server->handshakes, endpoint, fd);
}

static void handle_no_fds(struct loop_listener *loop_listener)
{
	struct listener *listener = container_of(loop_listener, struct listener, listener);

	admission_no_fds(listener->endpoint->server->admission, listener->endpoint->quota);
}

static void handle_shaken(void *user, struct endpoint *endpoint, int fd, struct tls *tls)
{
	admit(user, endpoint, fd, tls);
}

int server_enable_tls(struct server *server, struct tls_context *context)
{
	return handshakes_create(&server->handshakes, server->loop, context, handle_shaken, server);
}

const struct handshakes *server_handshakes(const struct server *server)
{
	return server->handshakes;
}

/* Takes fd on success. */
static int add_listener(struct server *server, struct list *list, struct endpoint *endpoint,
			const struct net_address *address, int fd)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int err;

	if (!listener)
		return -ENOMEM;
	listener->endpoint = listener->next = endpoint;
	listener->address = *address;
	listener->listener.fd = fd;
	listener->listener.accepted = handle_accepted;
	listener->listener.no_fds = handle_no_fds;
	err = loop_listener_add(server->loop, &listener->listener);
	if (err < 0) {
		free(listener);
		return err;
	}
	list_append(list, &listener->link);
	return 0;
}

/* Where a peer can reach fd from elsewhere: its own address, or HOST where it is on all. */
static void reach(int fd, char where[SERVER_WHERE_MAX])
{
	struct net_peer local;

	net_peer_local_from_fd(&local, fd);
	if (net_peer_is_any(&local))
		snprintf(where, SERVER_WHERE_MAX, "HOST:%u", local.port);
	else
		net_peer_format(&local, where);
}

static void announce(struct endpoint *endpoint, int fd)
{
	const struct protocol *protocol = endpoint->protocol;
	char text[NET_PEER_TEXT_MAX], where[SERVER_WHERE_MAX];
	struct net_peer local;

	net_peer_local_from_fd(&local, fd);
	net_peer_format(&local, text);
	if (endpoint->port == 0)
		endpoint->port = local.port;
	reach(fd, where);
	diag_info("%s: listening on %s (%s%s%s://%s)", endpoint->quota->name, text,
		  endpoint->tls == CONFIG_TLS_AUTO ? protocol->scheme : "",
		  endpoint->tls == CONFIG_TLS_AUTO ? ":// and " : "",
		  endpoint->tls == CONFIG_TLS_NO ? protocol->scheme : protocol->tls_scheme, where);
}

/* Opens the sockets of an address, and adds their listeners to the list. */
static int open_listeners(struct server *server, struct list *list, struct endpoint *endpoint,
			  const struct net_address *address, const struct listen_hosts *hosts,
			  const char *key)
{
	int fds[LISTEN_MAX];
	int n = hosts ? listen_open_known(address, hosts, key, fds)
		      : listen_open(address, key, fds);

	take_over(server, endpoint);
	for (int i = 0; i < n; i++) {
		int err = add_listener(server, list, endpoint, address, fds[i]);

		if (err < 0) {
			for (; i < n; i++)
				close(fds[i]);
			return err;
		}
		announce(endpoint, fds[i]);
	}
	return n < 0 ? n : 0;
}

static void remove_listener(struct server *server, struct listener *listener)
{
	loop_listener_remove(server->loop, &listener->listener);
	list_remove(&listener->link);
	free(listener);
}

static void remove_listeners(struct server *server, struct list *list)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, list)
		remove_listener(server, container_of(pos, struct listener, link));
}

/* --- another configuration --- */

static bool is_address(const struct listener *listener, const struct net_address *address)
{
	return listener->address.port == address->port &&
	       strcmp(listener->address.host, address->host) == 0;
}

/* Gives the place the listeners that have its address: those of its own endpoint, or those that no
 * other place has taken. False: there are none. */
static bool keep_listeners(struct server *server, const struct server_place *place, bool own)
{
	bool found = false;

	for (struct list *pos = server->listeners.next; pos != &server->listeners;
	     pos = pos->next) {
		struct listener *listener = container_of(pos, struct listener, link);

		if (!is_address(listener, place->address) ||
		    (own ? listener->endpoint != place->endpoint
			 : listener->next || place->address->port == 0))
			continue;
		listener->next = place->endpoint;
		found = true;
	}
	return found;
}

static int open_missing(struct server *server, struct server_place *places, size_t n,
			const struct listen_hosts *hosts, struct list *opened)
{
	for (size_t i = 0; i < n; i++) {
		struct server_place *place = &places[i];
		int err;

		if (keep_listeners(server, place, true) || keep_listeners(server, place, false))
			continue;
		err = open_listeners(server, opened, place->endpoint, place->address, hosts,
				     place->key);
		if (err < 0)
			return err;
	}
	return 0;
}

/* The ports of endpoints are those of their first sockets. */
static void set_ports(struct server *server)
{
	struct net_peer local;

	for (struct list *pos = server->listeners.next; pos != &server->listeners;
	     pos = pos->next) {
		const struct listener *listener = container_of(pos, struct listener, link);

		net_peer_local_from_fd(&local, listener->listener.fd);
		if (listener->endpoint->port == 0)
			listener->endpoint->port = local.port;
	}
}

/* Closes what was opened for nothing, and whose ports were announced already. */
static void drop_opened(struct server *server, struct list *opened)
{
	for (struct list *pos = opened->next; pos != opened; pos = pos->next)
		container_of(pos, struct listener, link)->endpoint->port = 0;
	remove_listeners(server, opened);
	set_ports(server);
}

/* Listeners that no place needs come into the list `gone`. */
static void give_listeners(struct server *server, struct list *gone)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &server->listeners)
		container_of(pos, struct listener, link)->endpoint->port = 0;
	list_for_each_safe (pos, tmp, &server->listeners) {
		struct listener *listener = container_of(pos, struct listener, link);

		if (listener->next) {
			listener->endpoint = listener->next;
			take_over(server, listener->endpoint);
		} else {
			list_remove(pos);
			list_append(gone, pos);
		}
	}
}

int server_listen(struct server *server, struct server_place *places, size_t n,
		  const struct listen_hosts *hosts)
{
	struct list opened, gone;
	int err;

	list_init(&opened);
	list_init(&gone);
	for (struct list *pos = server->listeners.next; pos != &server->listeners; pos = pos->next)
		container_of(pos, struct listener, link)->next = NULL;
	err = open_missing(server, places, n, hosts, &opened);
	if (err < 0) {
		drop_opened(server, &opened);
		return err;
	}
	give_listeners(server, &gone);
	list_splice(&server->listeners, &opened);
	set_ports(server);
	remove_listeners(server, &gone);
	return 0;
}

void server_renew(struct server *server, const struct config_daemon *config)
{
	server->config = config;
}

void server_exchange_tls(struct server *server, struct tls_context *context)
{
	handshakes_exchange(server->handshakes, context);
}

#define CLOSED_AT_ONCE 64
#define LEAVES UINT8_MAX /* as connection_user(): who may not stay, and is nobody any more */

static_assert(CONFIG_USERS_MAX < LEAVES, "it is the number of no user");

struct review {
	bool (*stays)(struct connection *connection, void *user);
	void *user;
	struct connection *leaving[CLOSED_AT_ONCE];
	size_t n;
};

static void for_each_connection(struct server *server, void (*visit)(struct list *link, void *user),
				void *user)
{
	for (struct list *pos = server->connections.next; pos != &server->connections;
	     pos = pos->next)
		visit(pos, user);
	admission_for_each_viewer(server->admission, visit, user);
}

static void review_one(struct list *link, void *user)
{
	struct connection *connection = of_link(link);
	const struct review *review = user;

	if (!review->stays(connection, review->user))
		connection_set_user(connection, LEAVES);
}

static void collect_leaving(struct list *link, void *user)
{
	struct connection *connection = of_link(link);
	struct review *review = user;

	if (review->n < CLOSED_AT_ONCE && connection_user(connection) == LEAVES)
		review->leaving[review->n++] = connection;
}

void server_review(struct server *server, bool (*stays)(struct connection *connection, void *user),
		   void *user)
{
	struct review review = {.stays = stays, .user = user};

	for_each_connection(server, review_one, &review);
	do {
		review.n = 0;
		for_each_connection(server, collect_leaving, &review);
		/* One that goes may take another one with it, whose memory lasts to the end of the
		 * turn. */
		for (size_t i = 0; i < review.n; i++) {
			connection_leave(review.leaving[i], CURSOR_END_NOT_ALLOWED);
			connection_close(review.leaving[i], true);
		}
	} while (review.n == CLOSED_AT_ONCE);
}

static bool speaks(const struct endpoint *endpoint, const char *scheme)
{
	const struct protocol *protocol = endpoint->protocol;

	return (endpoint->tls != CONFIG_TLS_YES && strcmp(protocol->scheme, scheme) == 0) ||
	       (endpoint->tls != CONFIG_TLS_NO && protocol->tls_scheme &&
		strcmp(protocol->tls_scheme, scheme) == 0);
}

bool server_where(const struct server *server, const char *scheme, char where[SERVER_WHERE_MAX])
{
	for (struct list *pos = server->listeners.next; pos != &server->listeners;
	     pos = pos->next) {
		const struct listener *one = container_of(pos, struct listener, link);

		if (speaks(one->endpoint, scheme)) {
			reach(one->listener.fd, where);
			return true;
		}
	}
	return false;
}

void server_stop(struct server *server)
{
	remove_listeners(server, &server->listeners);
}

/* --- life --- */

int server_create(struct server **out, struct loop *loop, const struct config_daemon *config,
		  struct admission *admission)
{
	struct server *server = calloc(1, sizeof(*server));
	int err;

	if (!server)
		return -ENOMEM;
	err = pool_create(&server->places, connection_size());
	if (err < 0) {
		free(server);
		return err;
	}
	server->loop = loop;
	server->config = config;
	server->admission = admission;
	list_init(&server->listeners);
	list_init(&server->connections);
	*out = server;
	return 0;
}

void server_destroy(struct server *server)
{
	struct list *viewer;

	if (!server)
		return;
	server_stop(server);
	handshakes_destroy(server->handshakes);
	while (!list_empty(&server->connections))
		connection_close(of_link(server->connections.next), true);
	while ((viewer = admission_any_viewer(server->admission)))
		connection_close(of_link(viewer), true);
	server->destroyed = true;
	if (server->n_connections == 0)
		destroy(server);
}
