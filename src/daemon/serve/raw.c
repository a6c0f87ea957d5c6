/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/raw.h"

#include <string.h>

#include "base/diag.h"
#include "daemon/serve/connection.h"

/* TLS 1.x: a record of type handshake (22), version 3.x (RFC 8446 clause 5.1). */
#define TLS_HANDSHAKE 22
#define TLS_MAJOR 3

static int raw_accepted(struct connection *connection)
{
	return connection_watch(connection, connection->endpoint->user);
}

/* The methods with which peers of HTTP and RTSP begin, as far as a video recorder or a browser tries
 * them. */
static const struct {
	const char *text, *protocol;
} greetings[] = {
	{"GET ", "HTTP"},	  {"HEAD ", "HTTP"},	      {"POST ", "HTTP"},
	{"OPTIONS rtsp", "RTSP"}, {"OPTIONS * RTSP", "RTSP"}, {"DESCRIBE ", "RTSP"},
	{"OPTIONS ", "HTTP"},
};

/* What the peer speaks instead of listening; NULL: nothing that is known. */
static const char *protocol_of(const uint8_t *data, size_t len)
{
	if (len >= 2 && data[0] == TLS_HANDSHAKE && data[1] == TLS_MAJOR)
		return "TLS";
	for (size_t i = 0; i < sizeof greetings / sizeof *greetings; i++) {
		size_t n = strlen(greetings[i].text);

		if (len >= n && memcmp(data, greetings[i].text, n) == 0)
			return greetings[i].protocol;
	}
	return NULL;
}

/* A peer that speaks first, and in another protocol, is no viewer: a video recorder that looks for
 * cameras, or a player with the wrong URL. Anything else that a peer sends is ignored. */
static void raw_input(struct connection *connection, const uint8_t *data, size_t len)
{
	struct endpoint *endpoint = connection->endpoint;
	const char *protocol = protocol_of(data, len);
	char peer[NET_PEER_TEXT_MAX];

	if (!protocol) {
		connection_ignore_input(connection);
		return;
	}
	if (!endpoint->foreign_told) {
		endpoint->foreign_told = true;
		net_peer_format(&connection->peer, peer);
		diag_info(
			"%s: client %s speaks %s and is disconnected: this port serves plain TCP "
			"(tcp://HOST:%u), and `http` in [daemon] is the status over HTTP; further "
			"clients of this kind are only counted",
			endpoint->quota.name, peer, protocol, endpoint->port);
	}
	cursor_end(&connection->cursor, CURSOR_END_FOREIGN);
	connection_close(connection, false);
}

const struct protocol raw_protocol = {
	.scheme = "tcp",
	.accepted = raw_accepted,
	.input = raw_input,
};
