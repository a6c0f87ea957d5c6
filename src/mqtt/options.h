/* SPDX-License-Identifier: BSD-2-Clause */
/* What a session with a broker is given, and what it reports. */
#ifndef MQTT_OPTIONS_H
#define MQTT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MQTT_PORT 1883	   /* where brokers listen, */
#define MQTT_PORT_TLS 8883 /* and with TLS */
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

/* Called by mqtt_session_turn() and mqtt_session_close(); the session must not be destroyed there.
 */
struct mqtt_handlers {
	/* The broker has accepted the connection. Publish and subscribe here or later. */
	void (*connected)(void *user);
	/* Nothing may be published from here. */
	void (*message)(void *user, const struct mqtt_message *message);
	/* The broker does not allow a subscription, or (only MQTT 5 says so) an announcement.
	 * topic: up to 127 bytes of it. what: "the broker denies subscribing to TOPIC: Not
	 * authorized". */
	void (*denied)(void *user, const char *topic, const char *what);
	/* The connection is lost, or no address and version gave one. The next attempt is at
	 * mqtt_session_retry_at_us(). no_fds: the table of descriptors was full. */
	void (*disconnected)(void *user, const char *why, bool no_fds);
};

/* Texts are borrowed for the session's life; "": none. Files are read at each attempt. */
struct mqtt_options {
	const char *host; /* a name, or an address; IPv6 without brackets */
	uint16_t port;
	enum mqtt_version version;
	const char *client_id; /* "": a random one */
	unsigned keepalive_s;  /* 5 to 65535 */
	const char *username;  /* "": no password either */
	const char *password;
	const char *password_file; /* its first line, in place of password */
	bool tls;
	const char *cafile; /* "": the authorities of the system */
	const char *cert, *key;
	const char *will_topic, *will_payload; /* retained, QoS 1; topic NULL: no will */
	uint32_t packet_max;	/* bytes; a broker of MQTT 5 is asked to send no larger packet */
	int64_t backoff_max_us; /* the pause grows from 0.25 s to this */
	const struct mqtt_handlers *handlers;
	void *user;
};

#endif
