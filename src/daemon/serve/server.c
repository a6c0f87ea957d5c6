/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/diag.h"
#include "net/listen.h"

struct listener {
	struct loop_listener listener;
	struct endpoint *endpoint;
	struct list link;
};

struct server {
	struct loop *loop;
	const struct config_daemon *config;
	struct admission *admission;
	struct list listeners, connections;
	bool destroyed; /* goes with the last connection */
};

/* --- connections --- */

static void refuse(const struct endpoint *endpoint, int fd)
{
	const char *text = endpoint->protocol->refusal;

	if (text)
		(void)!send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static void handle_gone(struct connection *connection)
{
	struct server *server = connection->endpoint->server;
	struct quota *quota = &connection->endpoint->quota;

	admission_leave(server->admission, quota, &connection->peer);
	diag_debug("%s: a client left, %u remain", quota->name, quota->used);
	list_remove(&connection->link);
	if (server->destroyed && list_empty(&server->connections))
		free(server);
}

static void take_over(struct server *server, struct endpoint *endpoint)
{
	endpoint->server = server;
	endpoint->loop = server->loop;
	endpoint->gone = handle_gone;
}

void server_accept(struct server *server, struct endpoint *endpoint, int fd)
{
	const struct config_daemon *config = server->config;
	struct connection *connection;
	struct net_peer peer;

	take_over(server, endpoint);
	if (net_peer_from_fd(&peer, fd) < 0) {
		close(fd); /* already gone */
		return;
	}
	if (!admission_enter(server->admission, &endpoint->quota, &peer)) {
		refuse(endpoint, fd);
		return;
	}
	if (connection_open(&connection, endpoint, fd, &peer, config->send_buffer,
			    config->notsent_lowat) < 0) {
		admission_refuse(server->admission, &endpoint->quota, ADMISSION_NO_MEMORY, &peer);
		admission_leave(server->admission, &endpoint->quota, &peer);
		refuse(endpoint, fd);
		return;
	}
	list_append(&server->connections, &connection->link);
	diag_debug("%s: a client joined, %u now", endpoint->quota.name, endpoint->quota.used);
	if (endpoint->protocol->accepted(connection) < 0)
		connection_close(connection, true);
}

/* --- listening --- */

static void handle_accepted(struct loop_listener *loop_listener, int fd)
{
	struct listener *listener = container_of(loop_listener, struct listener, listener);

	server_accept(listener->endpoint->server, listener->endpoint, fd);
}

static int add_listener(struct server *server, struct endpoint *endpoint, int fd)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int err;

	if (!listener)
		return -ENOMEM;
	listener->endpoint = endpoint;
	listener->listener.fd = fd;
	listener->listener.accepted = handle_accepted;
	err = loop_listener_add(server->loop, &listener->listener);
	if (err < 0) {
		free(listener);
		return err;
	}
	list_append(&server->listeners, &listener->link);
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
	const char *scheme = endpoint->protocol->scheme;
	char text[NET_PEER_TEXT_MAX], where[SERVER_WHERE_MAX];
	struct net_peer local;

	net_peer_local_from_fd(&local, fd);
	net_peer_format(&local, text);
	if (endpoint->port == 0)
		endpoint->port = local.port;
	reach(fd, where);
	diag_info("%s: listening on %s (%s://%s)", endpoint->quota.name, text, scheme, where);
}

int server_listen(struct server *server, struct endpoint *endpoint,
		  const struct net_address *address, const char *key)
{
	int fds[LISTEN_MAX];
	int n = listen_open(address, key, fds);

	take_over(server, endpoint);
	for (int i = 0; i < n; i++) {
		int err = add_listener(server, endpoint, fds[i]);

		if (err < 0) {
			for (; i < n; i++)
				close(fds[i]);
			return err;
		}
		announce(endpoint, fds[i]);
	}
	return n < 0 ? n : 0;
}

bool server_where(const struct server *server, const char *scheme, char where[SERVER_WHERE_MAX])
{
	for (struct list *pos = server->listeners.next; pos != &server->listeners;
	     pos = pos->next) {
		const struct listener *one = container_of(pos, struct listener, link);

		if (strcmp(one->endpoint->protocol->scheme, scheme) == 0) {
			reach(one->listener.fd, where);
			return true;
		}
	}
	return false;
}

void server_stop(struct server *server)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &server->listeners) {
		struct listener *listener = container_of(pos, struct listener, link);

		loop_listener_remove(server->loop, &listener->listener);
		list_remove(&listener->link);
		free(listener);
	}
}

/* --- life --- */

int server_create(struct server **out, struct loop *loop, const struct config_daemon *config,
		  struct admission *admission)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return -ENOMEM;
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
	struct list *pos, *tmp;

	if (!server)
		return;
	server_stop(server);
	server->destroyed = true;
	list_for_each_safe (pos, tmp, &server->connections)
		connection_close(container_of(pos, struct connection, link), true);
	if (list_empty(&server->connections))
		free(server);
}
