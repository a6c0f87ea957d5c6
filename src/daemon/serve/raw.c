/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/raw.h"

#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "daemon/serve/noise.h"
#include "daemon/serve/server.h"

static int raw_accepted(struct connection *connection)
{
	return connection_watch(connection, connection->endpoint->user);
}

/* The bytes with which peers of other protocols begin, as far as a video recorder or a browser
 * tries them. A text stands before each other one with which it begins. TLS 1.x begins with a
 * record of type handshake, version 3.x (RFC 8446 clause 5.1). */
static const struct greeting {
	const char *text;
	const char *protocol, *scheme; /* its name, and its scheme in URLs */
} greetings[] = {
	{"OPTIONS rtsp", "RTSP", "rtsp"}, {"OPTIONS * RTSP", "RTSP", "rtsp"},
	{"DESCRIBE ", "RTSP", "rtsp"},	  {"OPTIONS ", "HTTP", "http"},
	{"GET ", "HTTP", "http"},	  {"HEAD ", "HTTP", "http"},
	{"POST ", "HTTP", "http"},	  {"\x16\x03", "TLS", "https"},
};

#define N_GREETINGS (sizeof greetings / sizeof *greetings)

/* What a peer has sent so far: the first `len` bytes of greetings[row].text. The low 16 bits of
 * connection->state keep it in this form; noise.h has the others. */
struct heard {
	uint8_t row, len;
};

static struct heard heard_from_state(uint64_t state)
{
	return (struct heard){.row = (uint8_t)(state >> 8), .len = (uint8_t)state};
}

static uint64_t heard_to_state(uint64_t state, struct heard heard)
{
	return (state & ~(uint64_t)0xffff) | (uint64_t)heard.row << 8 | heard.len;
}

/* Adds a byte. False: no greeting goes on with it, and *heard stays. */
static bool hear(struct heard *heard, uint8_t byte)
{
	const char *so_far = greetings[heard->row].text;

	if (byte == '\0')
		return false;
	for (size_t i = 0; i < N_GREETINGS; i++) {
		const char *text = greetings[i].text;

		if (strncmp(text, so_far, heard->len) == 0 && (uint8_t)text[heard->len] == byte) {
			*heard = (struct heard){.row = (uint8_t)i, .len = heard->len + 1};
			return true;
		}
	}
	return false;
}

/* The greeting with which what was heard begins; NULL: there is none. */
static const struct greeting *recognise(const struct heard *heard)
{
	for (size_t i = 0; i < N_GREETINGS; i++) {
		size_t len = strlen(greetings[i].text);

		if (len <= heard->len &&
		    memcmp(greetings[i].text, greetings[heard->row].text, len) == 0)
			return &greetings[i];
	}
	return NULL;
}

static void log_foreign(const struct connection *connection, const struct greeting *greeting)
{
	const struct endpoint *endpoint = connection->endpoint;
	char peer[NET_PEER_TEXT_MAX], where[SERVER_WHERE_MAX], served[SERVER_WHERE_MAX + 64];

	net_peer_format(&connection->peer, peer);
	if (server_where(endpoint->server, greeting->scheme, where))
		snprintf(served, sizeof served, "%s is served at %s://%s", greeting->protocol,
			 greeting->scheme, where);
	else
		snprintf(served, sizeof served, "%s is not served", greeting->protocol);
	diag_info("%s: client %s speaks %s and is disconnected: this port serves plain TCP "
		  "(tcp://HOST:%u), %s; further clients of this kind are only counted",
		  endpoint->quota->name, peer, greeting->protocol, endpoint->port, served);
}

static void raw_ignored(struct connection *connection, size_t len)
{
	(void)noise_exceeded(connection, &connection->state, len);
}

/* A peer that speaks first, and in another protocol, is no viewer: a video recorder that looks for
 * cameras, or a player with the wrong URL. Anything else that a peer sends is ignored. */
static void raw_input(struct connection *connection, const uint8_t *data, size_t len)
{
	struct heard heard = heard_from_state(connection->state);
	const struct greeting *greeting;
	size_t n = 0;

	while (n < len && hear(&heard, data[n]))
		n++;
	if (n == len && greetings[heard.row].text[heard.len] != '\0') {
		connection->state = heard_to_state(connection->state, heard); /* it may go on */
		return;
	}
	greeting = recognise(&heard);
	if (!greeting) {
		connection_ignore_input(connection);
		raw_ignored(connection, len);
		return;
	}
	if (!connection->endpoint->foreign_told) {
		connection->endpoint->foreign_told = true;
		log_foreign(connection, greeting);
	}
	cursor_end(&connection->cursor, CURSOR_END_FOREIGN);
	connection_close(connection, false);
}

const struct protocol live_protocol = {
	.scheme = "http",
	.tls_scheme = "https",
	.accepted = raw_accepted,
	.ignored = raw_ignored,
};

const struct protocol raw_protocol = {
	.scheme = "tcp",
	.tls_scheme = "tls",
	.silent_peers = true,
	.accepted = raw_accepted,
	.input = raw_input,
	.ignored = raw_ignored,
};
