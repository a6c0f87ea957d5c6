/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/diag.h"
#include "net/listen.h"

#define LOG_PERIOD_US 1000000

/* How many clients one address has. */
struct ip {
	struct list link; /* in its bucket */
	uint64_t key[2];
	unsigned clients;
};

struct socket {
	struct loop_listener listener;
	struct listeners *listeners;
	struct output *output;
	struct list link;
};

/* One client that is in, as we account for it. */
struct guest {
	struct feed_client_owner owner;
	struct list link;
	struct listeners *listeners;
	struct output *output;
	struct ip *ip; /* NULL: addresses are not limited */
};

struct listeners {
	struct loop *loop;
	const struct config *config;
	struct fdreserve *reserve;
	struct list sockets, guests;
	unsigned clients;
	struct diag_limit log;
	uint64_t hash_key; /* so that nobody chooses addresses that share a bucket */
	size_t n_buckets;  /* power of two; 0: addresses are not limited */
	struct list *buckets;
};

/* --- clients by address --- */

static void ip_key(const struct sockaddr_storage *peer, uint64_t key[2])
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	key[0] = peer->ss_family;
	key[1] = 0;
	if (peer->ss_family == AF_INET6) {
		memcpy(&in6, peer, sizeof in6);
		memcpy(&key[1], &in6.sin6_addr, sizeof key[1]);
	} else if (peer->ss_family == AF_INET) {
		memcpy(&in, peer, sizeof in);
		key[1] = in.sin_addr.s_addr;
	}
}

static struct list *ip_bucket(const struct listeners *listeners, const uint64_t key[2])
{
	uint64_t hash = (key[1] ^ key[0] << 56 ^ listeners->hash_key) * 0x9e3779b97f4a7c15u;

	hash ^= hash >> 32;
	hash *= 0xd6e8feb86659fd93u;
	return &listeners->buckets[(hash >> 32) & (listeners->n_buckets - 1)];
}

/* The entry of an address, made if need be; NULL: no memory. */
static struct ip *ip_find(struct listeners *listeners, const struct sockaddr_storage *peer)
{
	uint64_t key[2];
	struct list *bucket, *pos, *tmp;
	struct ip *ip;

	ip_key(peer, key);
	bucket = ip_bucket(listeners, key);
	list_for_each_safe (pos, tmp, bucket) {
		ip = container_of(pos, struct ip, link);
		if (ip->key[0] == key[0] && ip->key[1] == key[1])
			return ip;
	}
	ip = calloc(1, sizeof *ip);
	if (!ip)
		return NULL;
	memcpy(ip->key, key, sizeof ip->key);
	list_append(bucket, &ip->link);
	return ip;
}

static void ip_release(struct ip *ip)
{
	if (ip && ip->clients == 0) {
		list_remove(&ip->link);
		free(ip);
	}
}

/* --- letting in --- */

static void dismiss(struct guest *guest)
{
	struct listeners *listeners = guest->listeners;

	listeners->clients--;
	guest->output->clients--;
	if (guest->ip) {
		guest->ip->clients--;
		ip_release(guest->ip);
	}
	list_remove(&guest->link);
	free(guest);
}

static void handle_gone(struct feed_client_owner *owner, const struct client *client)
{
	struct guest *guest = container_of(owner, struct guest, owner);
	const struct output *output = guest->output;

	(void)client;
	dismiss(guest);
	diag_debug("feed %s: a client left, %u remain", output->name, output->clients);
}

static void refuse(struct listeners *listeners, struct output *output, enum output_refusal why,
		   const char *peer)
{
	uint64_t suppressed;

	output->refused[why]++;
	if (diag_allowed(&listeners->log, loop_now_us(listeners->loop), LOG_PERIOD_US, &suppressed))
		diag_warn("feed %s: client %s refused (%s), and %llu others since the last such "
			  "line",
			  output->name, peer, output_refusal_name(why),
			  (unsigned long long)suppressed);
}

/* What a new client of output would be over, or -1. */
static int over_limit(const struct listeners *listeners, const struct output *output,
		      const struct ip *ip)
{
	const struct config *config = listeners->config;
	uint32_t of_feed = output->stream->config->max_clients;

	if (fdreserve_short(listeners->reserve))
		return OUTPUT_NO_FDS;
	if (listeners->clients >= config->daemon.max_clients)
		return OUTPUT_OVER_TOTAL;
	if (of_feed > 0 && output->clients >= of_feed)
		return OUTPUT_OVER_FEED;
	if (ip && ip->clients >= config->daemon.max_clients_per_ip)
		return OUTPUT_OVER_IP;
	return -1;
}

/* Takes fd on success. Returns -1, or why not. */
static int let_in(struct listeners *listeners, struct output *output, int fd, const char *peer,
		  struct ip *ip)
{
	struct guest *guest = calloc(1, sizeof *guest);
	int err;

	if (!guest)
		return OUTPUT_NO_MEMORY;
	guest->owner.gone = handle_gone;
	guest->listeners = listeners;
	guest->output = output;
	guest->ip = ip;
	list_append(&listeners->guests, &guest->link);
	listeners->clients++;
	output->clients++;
	if (ip)
		ip->clients++;
	err = feed_add_client(output->feed, fd, peer, &guest->owner);
	if (err == 0) {
		diag_debug("feed %s: client %s joined, %u now", output->name, peer,
			   output->clients);
		return -1;
	}
	guest->ip = NULL; /* the caller's */
	if (ip)
		ip->clients--;
	dismiss(guest);
	return OUTPUT_NO_MEMORY;
}

static void handle_accepted(struct loop_listener *listener, int fd)
{
	struct socket *socket = container_of(listener, struct socket, listener);
	struct listeners *listeners = socket->listeners;
	struct sockaddr_storage peer = {0};
	socklen_t len = sizeof peer;
	char text[LISTEN_TEXT_MAX];
	struct ip *ip = NULL;
	int why;

	if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0) {
		close(fd); /* already gone */
		return;
	}
	listen_format_address(&peer, text);
	if (listeners->n_buckets > 0) {
		ip = ip_find(listeners, &peer);
		if (!ip) {
			refuse(listeners, socket->output, OUTPUT_NO_MEMORY, text);
			close(fd);
			return;
		}
	}
	why = over_limit(listeners, socket->output, ip);
	if (why < 0)
		why = let_in(listeners, socket->output, fd, text, ip);
	if (why >= 0) {
		refuse(listeners, socket->output, (enum output_refusal)why, text);
		close(fd);
		ip_release(ip);
	}
}

/* --- listening --- */

static int add_socket(struct listeners *listeners, struct output *output, int fd)
{
	struct socket *socket = calloc(1, sizeof *socket);
	int err;

	if (!socket)
		return -ENOMEM;
	socket->listeners = listeners;
	socket->output = output;
	socket->listener.fd = fd;
	socket->listener.accepted = handle_accepted;
	err = loop_listener_add(listeners->loop, &socket->listener);
	if (err < 0) {
		free(socket);
		return err;
	}
	list_append(&listeners->sockets, &socket->link);
	return 0;
}

/* Where a player can reach fd from elsewhere: its own address, or HOST where it is on all. */
static void announce(const struct output *output, int fd)
{
	char text[LISTEN_TEXT_MAX];
	const char *port;

	listen_format_local(fd, text);
	port = strrchr(text, ':');
	if (strncmp(text, "0.0.0.0:", 8) == 0 || strncmp(text, "[::]:", 5) == 0)
		diag_info("feed %s: listening on %s (tcp://HOST%s)", output->name, text, port);
	else
		diag_info("feed %s: listening on %s (tcp://%s)", output->name, text, text);
}

static uint16_t port_of(int fd)
{
	char text[LISTEN_TEXT_MAX];
	const char *port;

	listen_format_local(fd, text);
	port = strrchr(text, ':');
	return port ? (uint16_t)strtoul(port + 1, NULL, 10) : 0;
}

static int listen_for(struct listeners *listeners, struct output *output)
{
	const struct config_feed *config = output->config;
	char key[CONFIG_NAME_MAX + 64];
	int fds[LISTEN_MAX];
	int err;

	snprintf(key, sizeof key, "%s in [stream %s]", config_framing_name(config->framing),
		 output->stream->config->name);
	for (size_t i = 0; i < config->n_listen; i++) {
		int n = listen_open(&config->listen[i], key, fds);

		if (n < 0)
			return n;
		for (int j = 0; j < n; j++) {
			err = add_socket(listeners, output, fds[j]);
			if (err < 0) {
				for (; j < n; j++)
					close(fds[j]);
				return err;
			}
			if (output->port == 0)
				output->port = port_of(fds[j]);
			announce(output, fds[j]);
		}
	}
	return 0;
}

static int create_buckets(struct listeners *listeners)
{
	if (listeners->config->daemon.max_clients_per_ip == 0)
		return 0;
	if (getrandom(&listeners->hash_key, sizeof listeners->hash_key, 0) < 0)
		return -errno;
	listeners->n_buckets = 64;
	while (listeners->n_buckets < listeners->config->daemon.max_clients)
		listeners->n_buckets *= 2;
	listeners->buckets = calloc(listeners->n_buckets, sizeof *listeners->buckets);
	if (!listeners->buckets)
		return -ENOMEM;
	for (size_t i = 0; i < listeners->n_buckets; i++)
		list_init(&listeners->buckets[i]);
	return 0;
}

int listeners_create(struct listeners **out, struct loop *loop, struct cameras *cameras,
		     struct fdreserve *reserve)
{
	struct listeners *listeners = calloc(1, sizeof *listeners);
	int err;

	if (!listeners)
		return -ENOMEM;
	listeners->loop = loop;
	listeners->config = cameras->config;
	listeners->reserve = reserve;
	list_init(&listeners->sockets);
	list_init(&listeners->guests);
	err = create_buckets(listeners);
	if (err < 0)
		goto fail;
	for (size_t i = 0; i < cameras->n_outputs; i++) {
		err = listen_for(listeners, &cameras->outputs[i]);
		if (err < 0)
			goto fail;
	}
	*out = listeners;
	return 0;

fail:
	listeners_destroy(listeners);
	return err;
}

void listeners_stop(struct listeners *listeners)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &listeners->sockets) {
		struct socket *socket = container_of(pos, struct socket, link);

		loop_listener_remove(listeners->loop, &socket->listener);
		list_remove(&socket->link);
		free(socket);
	}
}

void listeners_destroy(struct listeners *listeners)
{
	struct list *pos, *tmp;

	if (!listeners)
		return;
	listeners_stop(listeners);
	list_for_each_safe (pos, tmp, &listeners->guests)
		dismiss(container_of(pos, struct guest, link));
	free(listeners->buckets);
	free(listeners);
}

unsigned listeners_clients(const struct listeners *listeners)
{
	return listeners->clients;
}
