/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session with an MQTT broker that is made again whenever it is lost: MQTT 5, or 3.1.1 where the
 * broker does not know 5; TLS; every address of a name in turn; a growing pause between attempts;
 * and the reason of each failure in words for people.
 *
 * 	mqtt_session_create(&session, &options);
 * 	for (;;) {
 * 		struct pollfd pfd = {.fd = mqtt_session_fd(session),
 * 				     .events = mqtt_session_events(session)};
 *
 * 		poll(&pfd, 1, mqtt_session_wait_ms(session, clock_now_us()));
 * 		mqtt_session_turn(session, pfd.revents, clock_now_us());
 * 	}
 * 	mqtt_session_close(session, NULL, NULL, 0);
 * 	mqtt_session_destroy(session);
 *
 * Only mqtt_session_close() waits. No error is final: a password, a certificate, a name or a broker
 * may be corrected while the program runs. One thread at a time; times are of CLOCK_MONOTONIC.
 */
#ifndef MQTT_SESSION_H
#define MQTT_SESSION_H

#include "mqtt/options.h"

struct mqtt_session;

enum mqtt_state {
	MQTT_WAITING,	 /* for the next attempt */
	MQTT_CONNECTING, /* until the broker has accepted the connection */
	MQTT_CONNECTED
};

/* The first attempt begins with the first turn. 0 or -ENOMEM. */
int mqtt_session_create(struct mqtt_session **out, const struct mqtt_options *options);
/* Does not say goodbye: the broker publishes the will. NULL is fine. */
void mqtt_session_destroy(struct mqtt_session *session);

int mqtt_session_fd(const struct mqtt_session *session);		      /* -1: none now */
short mqtt_session_events(const struct mqtt_session *session);		      /* for poll() */
int mqtt_session_wait_ms(const struct mqtt_session *session, int64_t now_us); /* 0 to 1000 */
/* After poll(), whatever it said. */
void mqtt_session_turn(struct mqtt_session *session, short revents, int64_t now_us);

enum mqtt_state mqtt_session_state(const struct mqtt_session *session);
int64_t mqtt_session_retry_at_us(const struct mqtt_session *session); /* in MQTT_WAITING */
/* Unless an attempt runs, the next one is pause_us from now; pauses grow from there. For a caller
 * that knows that the broker has just been started. */
void mqtt_session_retry_in(struct mqtt_session *session, int64_t pause_us, int64_t now_us);

/* While connected: */
enum mqtt_version mqtt_session_version(const struct mqtt_session *session); /* MQTT_5, MQTT_311 */
/* Whether the broker has answered all subscriptions. */
bool mqtt_session_is_subscribed(const struct mqtt_session *session);
/* Whether something waits for room in the socket. */
bool mqtt_session_is_full(const struct mqtt_session *session);

/* These return 0, -ENOTCONN, or another -errno for what cannot be sent. An error that ends the
 * connection is reported by disconnected(). */
/* QoS 0. Without retained_too the broker sends no retained messages, if it speaks MQTT 5. */
int mqtt_session_subscribe(struct mqtt_session *session, const char *topic, bool retained_too);
/* QoS 1, retained. */
int mqtt_session_announce(struct mqtt_session *session, const char *topic, const char *payload);
/* QoS 0, not retained. correlation: sent over MQTT 5 only; NULL: none. */
int mqtt_session_publish(struct mqtt_session *session, const char *topic, const char *payload,
			 const void *correlation, size_t correlation_len);

/* Announces a last payload (topic NULL: nothing) and disconnects, so that the will is not
 * published. Waits timeout_ms at most for the broker to have taken it. */
void mqtt_session_close(struct mqtt_session *session, const char *topic, const char *payload,
			int timeout_ms);

#endif
