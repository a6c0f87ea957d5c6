/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection to one address of a broker: made, kept, lost. Never reused: libmosquitto gives up
 * for good after some errors (TLS, authorization, protocol) and carries queues from one connection
 * to the next, so each attempt is a new one. Nothing in it blocks. For the session's files only,
 * and called by its thread.
 */
#ifndef MQTT_CONNECTION_H
#define MQTT_CONNECTION_H

#include "mqtt/options.h"

struct mqtt_connection;

struct mqtt_attempt {
	const char *address; /* of options->host */
	const char *client_id;
	bool v5;
	int64_t begun_us; /* now */
	int64_t reach_us; /* for the TCP connection to be made; the answer to CONNECT has its own
			     time */
};			  /* borrowed during the call only */

enum mqtt_end {
	MQTT_LOST = 1,	  /* or not made */
	MQTT_NOT_REACHED, /* there is no TCP connection: another address may do */
	MQTT_NOT_V5	  /* the broker does not know MQTT 5 */
};

/* Begins to connect; options are borrowed for its life. 0; or -errno or MQTT_NOT_REACHED, with the
 * reason in why. */
int mqtt_connection_open(struct mqtt_connection **out, const struct mqtt_options *options,
			 const struct mqtt_attempt *attempt, char why[MQTT_REASON_MAX]);
void mqtt_connection_destroy(struct mqtt_connection *connection);

int mqtt_connection_fd(const struct mqtt_connection *connection);
short mqtt_connection_events(const struct mqtt_connection *connection);
/* 0, or an enum mqtt_end: then mqtt_connection_why() tells and it is to be destroyed. */
int mqtt_connection_turn(struct mqtt_connection *connection, short revents, int64_t now_us);
bool mqtt_connection_is_up(const struct mqtt_connection *connection); /* the broker has let us in */
const char *mqtt_connection_why(const struct mqtt_connection *connection);
/* Whether the broker itself said why it ended the connection (DISCONNECT of MQTT 5). */
bool mqtt_connection_told_why(const struct mqtt_connection *connection);

/* As the functions of the session. */
bool mqtt_connection_is_subscribed(const struct mqtt_connection *connection);
bool mqtt_connection_is_full(const struct mqtt_connection *connection);
int mqtt_connection_subscribe(struct mqtt_connection *connection, const char *topic,
			      bool retained_too);
int mqtt_connection_announce(struct mqtt_connection *connection, const char *topic,
			     const char *payload);
int mqtt_connection_publish(struct mqtt_connection *connection, const char *topic,
			    const char *payload, const void *correlation, size_t correlation_len);
void mqtt_connection_close(struct mqtt_connection *connection, const char *topic,
			   const char *payload, int timeout_ms);

#endif
