/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When to connect, to which address, in which version, and when again. A cycle: the name is looked
 * up; its addresses are tried until one takes a TCP connection; that one also in MQTT 3.1.1 where
 * the broker does not know MQTT 5; then a pause.
 */
#include "mqtt/session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "mqtt/connection.h"
#include "net/resolve.h"

#define BACKOFF_MIN_US 250000
#define HEALTHY_US 10000000   /* connected for so long: the next failure counts as the first */
#define REACH_US 10000000     /* for a TCP connection, */
#define REACH_NEXT_US 2000000 /* where another address is left to try */
#define LOST_SOON_MAX 4	      /* in a row; more are not by chance */
#define TICK_MS 1000	      /* keepalive */

struct mqtt_session {
	struct mqtt_options options;
	char random_id[24]; /* where options have none */

	/* At most one of them; none: the next cycle is waited for. */
	struct resolve *resolve;
	struct mqtt_connection *connection;

	struct resolve_list addresses;
	unsigned address;	   /* that connection is with */
	bool v5;		   /* for the next connection */
	char why[MQTT_REASON_MAX]; /* what came of this cycle's addresses so far; "": nothing */

	int64_t connected_us; /* when the broker let us in last; 0: not in this cycle */
	int64_t retry_us, backoff_us;
	unsigned lost_soon; /* connections lost soon, in a row */
	uint64_t random;
};

/* --- the end of a cycle --- */

static void wait_for_retry(struct mqtt_session *session, const char *why, bool no_fds,
			   int64_t now_us)
{
	int64_t pause_us;

	if (session->connected_us && now_us - session->connected_us >= HEALTHY_US)
		session->backoff_us = BACKOFF_MIN_US;
	/* After a connection that worked, the version is known. */
	if (!session->connected_us)
		session->v5 = session->options.version != MQTT_311;
	session->connected_us = 0;
	/* Many clients lose one broker at the same moment: between three quarters and all. */
	session->random = session->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	pause_us =
		session->backoff_us - (int64_t)(session->random >> 33) % (session->backoff_us / 4);
	session->retry_us = now_us + pause_us;
	session->backoff_us *= 2;
	if (session->backoff_us > session->options.backoff_max_us)
		session->backoff_us = session->options.backoff_max_us;
	session->options.handlers->disconnected(session->options.user, why, no_fds);
}

/* A broker of MQTT 5 may tell the reason. One that lets us in again and again, and closes each time
 * without a word, probably serves another client of the same id. A broker that is restarted tells,
 * or refuses connections in between: see forget_losses(). */
static void lose(struct mqtt_session *session, const char *why, bool told, int64_t now_us)
{
	char text[MQTT_REASON_MAX];

	session->lost_soon =
		!told && session->connected_us && now_us - session->connected_us < HEALTHY_US
			? session->lost_soon + 1
			: 0;
	if (session->lost_soon > LOST_SOON_MAX && session->options.client_id[0]) {
		snprintf(text, sizeof text,
			 "the broker lets us in and then closes; perhaps another client has the "
			 "id %s",
			 session->options.client_id);
		why = text;
	}
	wait_for_retry(session, why, false, now_us);
}

static void forget_losses(struct mqtt_session *session)
{
	session->lost_soon = 0;
}

/* --- its addresses --- */

/* The reason of the first address stands, as long as no other one is any further. */
static void keep_reason(struct mqtt_session *session, const char *why)
{
	if (!session->why[0])
		snprintf(session->why, sizeof session->why, "%s", why);
}

static void connect_from(struct mqtt_session *session, unsigned address, int64_t now_us)
{
	char why[MQTT_REASON_MAX];
	int err = MQTT_NOT_REACHED;

	for (; address < session->addresses.n && err == MQTT_NOT_REACHED; address++) {
		struct mqtt_attempt attempt = {
			.address = session->addresses.text[address],
			.client_id = session->options.client_id[0] ? session->options.client_id
								   : session->random_id,
			.v5 = session->v5,
			.begun_us = now_us,
			.reach_us = address + 1 < session->addresses.n ? REACH_NEXT_US : REACH_US,
		};

		session->address = address;
		err = mqtt_connection_open(&session->connection, &session->options, &attempt, why);
		if (err != 0)
			keep_reason(session, why);
	}
	if (err == MQTT_NOT_REACHED)
		forget_losses(session);
	if (err != 0)
		wait_for_retry(session, err == MQTT_NOT_REACHED ? session->why : why,
			       err == -EMFILE || err == -ENFILE, now_us);
}

static void handle_end(struct mqtt_session *session, int end, int64_t now_us)
{
	const bool told = mqtt_connection_told_why(session->connection);
	char why[MQTT_REASON_MAX];

	snprintf(why, sizeof why, "%s", mqtt_connection_why(session->connection));
	mqtt_connection_destroy(session->connection);
	session->connection = NULL;
	if (end == MQTT_NOT_REACHED) {
		keep_reason(session, why);
		if (session->address + 1 < session->addresses.n) {
			connect_from(session, session->address + 1, now_us);
		} else {
			forget_losses(session);
			wait_for_retry(session, session->why, false, now_us);
		}
	} else if (end == MQTT_NOT_V5 && session->options.version == MQTT_AUTO) {
		session->v5 = false;
		connect_from(session, session->address, now_us);
	} else {
		lose(session, why, told, now_us);
	}
}

/* --- their name --- */

static void take_addresses(struct mqtt_session *session, int64_t now_us)
{
	char text[MQTT_REASON_MAX];
	const char *why;
	int err = resolve_take(session->resolve, &session->addresses, &why);

	if (err == -EAGAIN)
		return;
	resolve_destroy(session->resolve);
	session->resolve = NULL;
	if (err == 0) {
		connect_from(session, 0, now_us);
		return;
	}
	snprintf(text, sizeof text, "the name is not known: %s", why);
	wait_for_retry(session, text, false, now_us);
}

static void begin(struct mqtt_session *session, int64_t now_us)
{
	int err;

	session->why[0] = '\0';
	if (resolve_address(&session->addresses, session->options.host)) {
		connect_from(session, 0, now_us);
		return;
	}
	err = resolve_start(&session->resolve, session->options.host);
	if (err < 0)
		wait_for_retry(session, strerror(-err), err == -EMFILE || err == -ENFILE, now_us);
}

/* --- polling --- */

int mqtt_session_fd(const struct mqtt_session *session)
{
	return session->connection ? mqtt_connection_fd(session->connection)
	       : session->resolve  ? resolve_fd(session->resolve)
				   : -1;
}

short mqtt_session_events(const struct mqtt_session *session)
{
	return session->connection ? mqtt_connection_events(session->connection) : POLLIN;
}

int mqtt_session_wait_ms(const struct mqtt_session *session, int64_t now_us)
{
	int64_t left_us = session->retry_us - now_us;

	if (session->connection || session->resolve || left_us >= TICK_MS * INT64_C(1000))
		return TICK_MS;
	return left_us <= 0 ? 0 : (int)((left_us + 999) / 1000);
}

static void turn_connection(struct mqtt_session *session, short revents, int64_t now_us)
{
	int end = mqtt_connection_turn(session->connection, revents, now_us);

	if (!session->connected_us && mqtt_connection_is_up(session->connection))
		session->connected_us = now_us;
	if (end != 0)
		handle_end(session, end, now_us);
}

void mqtt_session_turn(struct mqtt_session *session, short revents, int64_t now_us)
{
	if (session->connection)
		turn_connection(session, revents, now_us);
	else if (session->resolve)
		take_addresses(session, now_us);
	else if (now_us >= session->retry_us)
		begin(session, now_us);
}

enum mqtt_state mqtt_session_state(const struct mqtt_session *session)
{
	if (session->connection && mqtt_connection_is_up(session->connection))
		return MQTT_CONNECTED;
	return session->connection || session->resolve ? MQTT_CONNECTING : MQTT_WAITING;
}

int64_t mqtt_session_retry_at_us(const struct mqtt_session *session)
{
	return session->retry_us;
}

void mqtt_session_retry_in(struct mqtt_session *session, int64_t pause_us, int64_t now_us)
{
	session->backoff_us = pause_us;
	session->retry_us = now_us + pause_us;
}

/* --- while connected --- */

enum mqtt_version mqtt_session_version(const struct mqtt_session *session)
{
	return session->v5 ? MQTT_5 : MQTT_311;
}

bool mqtt_session_is_subscribed(const struct mqtt_session *session)
{
	return session->connection && mqtt_connection_is_subscribed(session->connection);
}

bool mqtt_session_is_full(const struct mqtt_session *session)
{
	return session->connection && mqtt_connection_is_full(session->connection);
}

int mqtt_session_subscribe(struct mqtt_session *session, const char *topic, bool retained_too)
{
	if (!session->connection)
		return -ENOTCONN;
	return mqtt_connection_subscribe(session->connection, topic, retained_too);
}

int mqtt_session_announce(struct mqtt_session *session, const char *topic, const char *payload)
{
	if (!session->connection)
		return -ENOTCONN;
	return mqtt_connection_announce(session->connection, topic, payload);
}

int mqtt_session_publish(struct mqtt_session *session, const char *topic, const char *payload,
			 const void *correlation, size_t correlation_len)
{
	if (!session->connection)
		return -ENOTCONN;
	return mqtt_connection_publish(session->connection, topic, payload, correlation,
				       correlation_len);
}

void mqtt_session_close(struct mqtt_session *session, const char *topic, const char *payload,
			int timeout_ms)
{
	if (session->connection)
		mqtt_connection_close(session->connection, topic, payload, timeout_ms);
}

/* --- its life --- */

int mqtt_session_create(struct mqtt_session **out, const struct mqtt_options *options)
{
	struct mqtt_session *session = calloc(1, sizeof *session);
	uint64_t id = (uint64_t)clock_now_us(); /* if there is nothing random yet */

	if (!session)
		return -ENOMEM;
	session->options = *options;
	session->v5 = options->version != MQTT_311;
	session->backoff_us = BACKOFF_MIN_US;
	(void)!getrandom(&session->random, sizeof session->random, GRND_NONBLOCK);
	(void)!getrandom(&id, sizeof id, GRND_NONBLOCK);
	/* At most 23 characters: MQTT 3.1.1, 3.1.3.1, promises no more. */
	snprintf(session->random_id, sizeof session->random_id, "camcast-%015llx",
		 (unsigned long long)(id >> 4));
	*out = session;
	return 0;
}

void mqtt_session_destroy(struct mqtt_session *session)
{
	if (!session)
		return;
	mqtt_connection_destroy(session->connection);
	resolve_destroy(session->resolve);
	free(session);
}
