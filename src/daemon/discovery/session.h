/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection to a broker: made, kept, lost. Never reused: libmosquitto gives up for good after
 * some errors (TLS, authorization, protocol) and carries queues from one connection to the next, so
 * each attempt is a new one. It is polled by its owner, nothing in it blocks but the resolver.
 * Discovery thread only.
 */
#ifndef DAEMON_DISCOVERY_SESSION_H
#define DAEMON_DISCOVERY_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct discovery_session;
struct mqtt5__property;

#define SESSION_WHY_MAX 224

struct session_message {
	const char *topic;
	const void *payload;
	size_t len;
	bool retained;
	/* MQTT v5: NULL where there is none */
	const char *response_topic;
	const void *correlation;
	size_t correlation_len;
}; /* all borrowed until the call returns */

struct session_handlers {
	/* The broker has let us in. Publish and subscribe here or later. */
	void (*connected)(void *user);
	/* Nothing may be published from here. */
	void (*message)(void *user, const struct session_message *message);
	/* The broker does not allow what was asked: "subscribing to X: Not authorized". */
	void (*denied)(void *user, const char *what);
};

struct session_options {
	const char *host;
	uint16_t port;
	const char *client_id;
	bool v5;
	/* AF_INET, AF_INET6: only addresses of this family; AF_UNSPEC: the first of any */
	int family;
	unsigned keepalive_s;
	const char *username, *password; /* "" : none */
	bool tls;
	const char *cafile, *cert, *key;       /* "" : none; cafile: the system's */
	const char *will_topic, *will_payload; /* retained */
	const struct session_handlers *handlers;
	void *user;
}; /* strings are borrowed during session_open() only */

enum session_end {
	SESSION_LOST = 1,	  /* or not made */
	SESSION_OTHER_FAMILY = 2, /* no connection: addresses of the other family may do */
	SESSION_NOT_V5 = 3	  /* the broker does not know MQTT v5 */
};

/* Begins to connect. 0; or -errno or SESSION_OTHER_FAMILY, with why. Blocks while the host's name is
 * resolved. */
int session_open(struct discovery_session **out, const struct session_options *options,
		 char why[SESSION_WHY_MAX]);
/* Closes without a word: the broker publishes the will. */
void session_destroy(struct discovery_session *session);

int session_fd(const struct discovery_session *session);
short session_events(const struct discovery_session *session); /* for poll() */
/* After poll(), and at least once a second. now_us: CLOCK_MONOTONIC. 0, or an enum session_end: then
 * session_why() tells and it is to be destroyed. */
int session_turn(struct discovery_session *session, short revents, int64_t now_us);
bool session_connected(const struct discovery_session *session);
/* Connected, and all that was subscribed to is (or is denied). */
bool session_hears(const struct discovery_session *session);
const char *session_why(const struct discovery_session *session);

/* Whether something waits for room in the socket. */
bool session_is_full(const struct discovery_session *session);

/* 0 or -errno; errors that end the session are told by session_turn(). */
int session_subscribe(struct discovery_session *session, const char *topic, bool retained_too);
/* QoS 1, retained: what the broker denies is told to denied(), where MQTT v5 says so. */
int session_announce(struct discovery_session *session, const char *topic, const char *payload);
/* QoS 0, not retained. */
int session_reply(struct discovery_session *session, const char *topic, const char *payload,
		  const void *correlation, size_t correlation_len);

/* Publishes a last announcement and disconnects, so that the will is not published. Waits
 * timeout_ms at most for the broker to have taken it. */
void session_close(struct discovery_session *session, const char *topic, const char *payload,
		   int timeout_ms);

#endif
