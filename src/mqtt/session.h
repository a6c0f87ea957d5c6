/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session with an MQTT broker that is made again whenever it is lost: MQTT 5, or 3.1.1 where the
 * broker knows no other; TLS; all addresses of a name, one after the other; a growing pause between
 * attempts, and the reason of each failure in words for people.
 *
 *	mqtt_session_create(&session, &options);
 *	for (;;) {
 *		struct pollfd pfd = {.fd = mqtt_session_fd(session),
 *				     .events = mqtt_session_events(session)};
 *
 *		poll(&pfd, 1, mqtt_session_wait_ms(session, clock_now_us()));
 *		mqtt_session_turn(session, pfd.revents, clock_now_us());
 *	}
 *	mqtt_session_close(session, NULL, NULL, 0);
 *	mqtt_session_destroy(session);
 *
 * Nothing in it waits but mqtt_session_close(). No error is final: a password, a certificate, a name
 * or a broker may be put right while we run. One thread at a time; times are of CLOCK_MONOTONIC.
 */
#ifndef MQTT_SESSION_H
#define MQTT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mqtt_session;

#define MQTT_REASON_MAX 224

enum mqtt_version { MQTT_AUTO, MQTT_5, MQTT_311 };

struct mqtt_message {
	const char *topic;
	const void *payload; /* never NULL */
	size_t len;
	bool retained;
	/* MQTT 5: NULL where there is none */
	const char *response_topic;
	const void *correlation;
	size_t correlation_len;
}; /* all borrowed until the call returns */

/* Called by mqtt_session_turn() and mqtt_session_close(); the session must not be destroyed there. */
struct mqtt_handlers {
	/* The broker has let us in. Publish and subscribe here or later. */
	void (*connected)(void *user);
	/* Nothing may be published from here. */
	void (*message)(void *user, const struct mqtt_message *message);
	/* The broker does not allow what was asked. what: "the broker denies subscribing to TOPIC: Not
	 * authorized". For publications only where MQTT 5 says so. */
	void (*denied)(void *user, const char *topic, const char *what);
	/* The connection is lost, or could not be made by any address and version: it is tried again at
	 * mqtt_session_retry_at_us(). no_fds: for the table of descriptors is full. */
	void (*disconnected)(void *user, const char *why, bool no_fds);
};

struct mqtt_options {
	const char *host; /* a name, or an address; IPv6 without brackets */
	uint16_t port;
	enum mqtt_version version;
	const char *client_id; /* "": a random one */
	unsigned keepalive_s;  /* 5 to 65535 */
	const char *username;  /* "": none, and no password */
	const char *password;
	const char *
		password_file; /* its first line goes before password; read at each attempt. "": none */
	bool tls;
	const char *cafile, *cert,
		*key; /* read at each attempt. "": the system's authorities; none */
	const char *will_topic, *will_payload; /* retained, QoS 1; NULL: none */
	int64_t backoff_max_us;		       /* the pause grows from 0.25 s to this */
	const struct mqtt_handlers *handlers;
	void *user;
}; /* strings are borrowed for the session's life, and not NULL unless said */

enum mqtt_state {
	MQTT_WAITING,	 /* for the next attempt */
	MQTT_CONNECTING, /* the name is looked up, or the broker has not let us in yet */
	MQTT_CONNECTED
};

/* The first attempt begins with the first turn. 0 or -ENOMEM. */
int mqtt_session_create(struct mqtt_session **out, const struct mqtt_options *options);
/* Closes without a word: the broker publishes the will. NULL is fine. */
void mqtt_session_destroy(struct mqtt_session *session);

int mqtt_session_fd(const struct mqtt_session *session);		      /* -1: none now */
short mqtt_session_events(const struct mqtt_session *session);		      /* for poll() */
int mqtt_session_wait_ms(const struct mqtt_session *session, int64_t now_us); /* 0 to 1000 */
/* After poll(), whatever it said. */
void mqtt_session_turn(struct mqtt_session *session, short revents, int64_t now_us);

enum mqtt_state mqtt_session_state(const struct mqtt_session *session);
int64_t mqtt_session_retry_at_us(const struct mqtt_session *session); /* in MQTT_WAITING */
/* The next attempt is pause_us from now (if none runs), and the pauses grow from there: for who knows
 * that the broker has only just been started. */
void mqtt_session_retry_in(struct mqtt_session *session, int64_t pause_us, int64_t now_us);

/* While connected: */
enum mqtt_version mqtt_session_version(const struct mqtt_session *session); /* MQTT_5, MQTT_311 */
/* Whether the broker has answered all subscriptions. */
bool mqtt_session_is_subscribed(const struct mqtt_session *session);
/* Whether something waits for room in the socket. */
bool mqtt_session_is_full(const struct mqtt_session *session);

/* 0; -ENOTCONN, or -errno of what cannot be sent. What ends the connection is told by disconnected().
 * QoS 0. without retained_too, MQTT 5 sends no retained messages; 3.1.1 does. */
int mqtt_session_subscribe(struct mqtt_session *session, const char *topic, bool retained_too);
/* QoS 1, retained. */
int mqtt_session_announce(struct mqtt_session *session, const char *topic, const char *payload);
/* QoS 0, not retained. correlation: for MQTT 5; NULL: none. */
int mqtt_session_publish(struct mqtt_session *session, const char *topic, const char *payload,
			 const void *correlation, size_t correlation_len);

/* Announces a last payload (topic NULL: nothing) and disconnects, so that the will is not published.
 * Waits timeout_ms at most for the broker to have taken it. */
void mqtt_session_close(struct mqtt_session *session, const char *topic, const char *payload,
			int timeout_ms);

#endif
