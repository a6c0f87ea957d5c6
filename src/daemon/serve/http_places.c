/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/http_session.h"

#include <string.h>

static bool is_of(const struct http_session *session, const uint64_t host[2])
{
	return memcmp(session->host, host, sizeof session->host) == 0;
}

/* The sessions of an address, each of which counts n more from now on. */
static unsigned count(const struct list *sessions, const uint64_t host[2], int n)
{
	unsigned found = 0;

	for (struct list *pos = sessions->next; pos != sessions; pos = pos->next) {
		struct http_session *session = container_of(pos, struct http_session, link);

		if (is_of(session, host)) {
			session->of_host += (unsigned)n;
			found++;
		}
	}
	return found;
}

void http_take_place(struct http *http, struct http_session *session)
{
	net_peer_host_key(&session->connection->peer, session->host);
	session->http = http;
	session->of_host = count(&http->sessions, session->host, 1) + 1;
	list_append(&http->sessions, &session->link);
}

void http_leave_place(struct http_session *session)
{
	if (list_empty(&session->link))
		return;
	list_remove(&session->link);
	count(&session->http->sessions, session->host, -1);
}

void http_go_last(struct http_session *session)
{
	if (list_empty(&session->link))
		return;
	list_remove(&session->link);
	list_append(&session->http->sessions, &session->link);
}

/* How willingly a session gives its place to a peer whose address has `n` sessions; 0:
 * not at all. */
static unsigned willing(const struct http_session *session, const struct net_peer *peer, unsigned n)
{
	bool local = net_peer_is_loopback(peer);
	bool own_local = net_peer_is_loopback(&session->connection->peer);

	if (own_local && !local)
		return 0;
	if (session->phase == HTTP_LINGERING)
		return 3 * HTTP_CONNECTIONS_MAX + session->of_host;
	if (session->phase == HTTP_READING)
		return 2 * HTTP_CONNECTIONS_MAX + session->of_host;
	if (session->of_host >= n + 2 || (local && !own_local))
		return session->of_host;
	return 0;
}

/* The session that gives its place, or NULL. n: sessions of the peer's address. own: only one of
 * that address. */
static struct http_session *find_place(const struct http *http, const struct net_peer *peer,
				       const uint64_t host[2], unsigned n, bool own)
{
	struct http_session *found = NULL;
	unsigned most = 0;

	for (struct list *pos = http->sessions.next; pos != &http->sessions; pos = pos->next) {
		struct http_session *session = container_of(pos, struct http_session, link);
		unsigned will = willing(session, peer, n);

		if (will > most && (!own || is_of(session, host))) {
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
	uint64_t host[2];
	bool share_taken;
	unsigned n;

	net_peer_host_key(peer, host);
	n = count(&http->sessions, host, 0);
	share_taken = !net_peer_is_loopback(peer) && n >= HTTP_SHARE;
	if (!share_taken && endpoint->quota->used < endpoint->quota->max)
		return true;
	session = find_place(http, peer, host, n, share_taken);
	if (!session)
		return false;
	connection_close(session->connection, session->phase == HTTP_ANSWERING);
	return true;
}
