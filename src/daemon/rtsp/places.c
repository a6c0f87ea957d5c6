/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "daemon/rtsp/session.h"

static struct rtsp_session *of_link(struct list *link)
{
	return container_of(link, struct rtsp_session, link);
}

static bool is_of(const struct rtsp_session *session, const uint64_t host[2])
{
	return memcmp(session->host, host, sizeof session->host) == 0;
}

static unsigned count(const struct rtsp *rtsp, const uint64_t host[2])
{
	unsigned found = 0;

	for (struct list *pos = rtsp->sessions.next; pos != &rtsp->sessions; pos = pos->next)
		found += is_of(of_link(pos), host);
	return found;
}

void rtsp_take_place(struct rtsp_session *session)
{
	net_peer_host_key(&session->connection->peer, session->host);
	list_append(&session->rtsp->sessions, &session->link);
}

void rtsp_leave_place(struct rtsp_session *session)
{
	list_remove(&session->link);
}

/* The oldest session of the address that has most of them, and at least two more than the peer's. A
 * session of this machine stays, except for a peer that is of this machine too. */
static struct rtsp_session *find_place(const struct rtsp *rtsp, const struct net_peer *peer,
				       unsigned n)
{
	struct rtsp_session *found = NULL;
	unsigned most = n + 1;

	for (struct list *pos = rtsp->sessions.next; pos != &rtsp->sessions; pos = pos->next) {
		struct rtsp_session *session = of_link(pos);
		unsigned of_host = count(rtsp, session->host);

		if (net_peer_is_loopback(&session->connection->peer) && !net_peer_is_loopback(peer))
			continue;
		if (of_host > most) {
			most = of_host;
			found = session;
		}
	}
	return found;
}

static struct rtsp_session *find_own(const struct rtsp *rtsp, const uint64_t host[2])
{
	for (struct list *pos = rtsp->sessions.next; pos != &rtsp->sessions; pos = pos->next)
		if (is_of(of_link(pos), host))
			return of_link(pos);
	return NULL;
}

bool rtsp_make_room(struct endpoint *endpoint, const struct net_peer *peer)
{
	struct rtsp *rtsp = endpoint->user;
	struct rtsp_session *session;
	uint64_t host[2];
	unsigned n;

	net_peer_host_key(peer, host);
	n = count(rtsp, host);
	if (!net_peer_is_loopback(peer) && n >= RTSP_SHARE)
		session = find_own(rtsp, host);
	else if (endpoint->quota->used < endpoint->quota->max)
		return true;
	else
		session = find_place(rtsp, peer, n);
	/* Where one address has all places, the oldest of its sessions gives its own. */
	if (!session)
		session = find_own(rtsp, host);
	if (!session)
		return false;
	rtsp->stats.displaced++;
	connection_close(session->connection, true);
	return true;
}
