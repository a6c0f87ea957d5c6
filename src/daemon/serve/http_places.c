/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/http_session.h"

#include <string.h>

static bool is_of(const struct http_session *session, const uint64_t key[2])
{
	uint64_t own[2];

	net_peer_host_key(&session->connection->peer, own);
	return memcmp(own, key, sizeof own) == 0;
}

static unsigned count_of(const struct http *http, const uint64_t key[2])
{
	unsigned n = 0;

	for (struct list *pos = http->sessions.next; pos != &http->sessions; pos = pos->next)
		n += is_of(container_of(pos, struct http_session, link), key);
	return n;
}

/* How willingly a session gives its place to a peer whose address has `n` sessions; 0:
 * not at all. */
static unsigned willing(const struct http *http, const struct http_session *session,
			const struct net_peer *peer, unsigned n)
{
	bool local = net_peer_is_loopback(peer);
	uint64_t key[2];
	unsigned others;

	if (net_peer_is_loopback(&session->connection->peer) && !local)
		return 0;
	net_peer_host_key(&session->connection->peer, key);
	others = count_of(http, key);
	if (session->phase == HTTP_LINGERING)
		return 3 * HTTP_CONNECTIONS_MAX + others;
	if (session->phase == HTTP_READING)
		return 2 * HTTP_CONNECTIONS_MAX + others;
	if (others >= n + 2 || (local && !net_peer_is_loopback(&session->connection->peer)))
		return others;
	return 0;
}

/* The session that gives its place, or NULL. own: only one of the peer's address. */
static struct http_session *find_place(const struct http *http, const struct net_peer *peer,
				       bool own)
{
	struct http_session *found = NULL;
	unsigned most = 0, n;
	uint64_t key[2];

	net_peer_host_key(peer, key);
	n = count_of(http, key);
	for (struct list *pos = http->sessions.next; pos != &http->sessions; pos = pos->next) {
		struct http_session *session = container_of(pos, struct http_session, link);
		unsigned will = willing(http, session, peer, n);

		if (will > most && (!own || is_of(session, key))) {
			most = will;
			found = session;
		}
	}
	return found;
}

bool http_make_room(struct endpoint *endpoint, const struct net_peer *peer)
{
	const struct http *http = http_of_endpoint(endpoint);
	struct http_session *session;
	uint64_t key[2];
	bool share_taken;

	net_peer_host_key(peer, key);
	share_taken = !net_peer_is_loopback(peer) && count_of(http, key) >= HTTP_SHARE;
	if (!share_taken && endpoint->quota->used < endpoint->quota->max)
		return true;
	session = find_place(http, peer, share_taken);
	if (!session)
		return false;
	connection_close(session->connection, session->phase == HTTP_ANSWERING);
	return true;
}
