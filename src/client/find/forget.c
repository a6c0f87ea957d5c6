/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The broker sends what is retained at the subscription, then our own message to our reply topic,
 * which marks the end. A server that is alive answers the request. An empty retained message
 * removes one; the broker sends it back to us as to every subscriber, which proves that it was
 * allowed, also over MQTT 3.1.1.
 */
#include "client/find/forget.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "client/interrupt.h"
#include "mqtt/session.h"

#define CONNECT_US 5000000
#define LIST_US 2000000		 /* for the broker to send what is retained */
#define ANSWER_US 500000	 /* for a server that is announced as offline, or not at all */
#define ANSWER_ONLINE_US 2000000 /* for one that is announced as online */
#define REMOVE_US 5000000
#define TOPICS_MAX 4096
#define TICK_MS 100

struct forget {
	const struct servers_options *options;
	bool force;
	const char *id;
	char reply_topic[SERVERS_REPLY_TOPIC_MAX], status_topic[96];
	struct mqtt_session *session;
	char *topics[TOPICS_MAX]; /* with something retained */
	size_t n;
	bool connected, listed, online, answered;
	char why[MQTT_REASON_MAX]; /* not connected, or denied */
	bool denied;
};

static void handle_connected(void *user)
{
	struct forget *forget = user;
	char topic[128];

	forget->connected = true;
	mqtt_session_subscribe(forget->session, forget->reply_topic, false);
	snprintf(topic, sizeof topic, "camcast/%s/#", forget->id);
	mqtt_session_subscribe(forget->session, topic, true);
	/* Whatever the server's home_assistant_prefix is, as long as it has one level. */
	snprintf(topic, sizeof topic, "+/+/camcast_%s/+/config", forget->id);
	mqtt_session_subscribe(forget->session, topic, true);
	servers_request(forget->session, forget->options->request_topic, forget->reply_topic);
	mqtt_session_publish(forget->session, forget->reply_topic, "", NULL, 0);
}

static void handle_denied(void *user, const char *topic, const char *what)
{
	struct forget *forget = user;

	(void)topic;
	forget->denied = true;
	snprintf(forget->why, sizeof forget->why, "%s", what);
}

static void handle_disconnected(void *user, const char *why, bool no_fds)
{
	struct forget *forget = user;

	(void)no_fds;
	forget->connected = false;
	snprintf(forget->why, sizeof forget->why, "%s", why);
}

static void handle_answer(struct forget *forget, const struct mqtt_message *message)
{
	struct server *server = malloc(sizeof *server);

	if (server && server_parse_info(server, message->payload, message->len) == 0 &&
	    strcmp(server->id, forget->id) == 0)
		forget->answered = true;
	free(server);
}

static void keep_topic(struct forget *forget, const char *topic)
{
	if (forget->n == TOPICS_MAX)
		return;
	forget->topics[forget->n] = strdup(topic);
	if (forget->topics[forget->n])
		forget->n++;
}

static void drop_topic(struct forget *forget, const char *topic)
{
	for (size_t i = 0; i < forget->n; i++)
		if (strcmp(forget->topics[i], topic) == 0) {
			free(forget->topics[i]);
			forget->topics[i] = forget->topics[--forget->n];
			return;
		}
}

static void handle_message(void *user, const struct mqtt_message *message)
{
	struct forget *forget = user;

	if (strcmp(message->topic, forget->reply_topic) == 0) {
		if (message->len == 0)
			forget->listed = true;
		else
			handle_answer(forget, message);
		return;
	}
	if (message->len == 0) {
		drop_topic(forget, message->topic);
		return;
	}
	if (!message->retained)
		return;
	keep_topic(forget, message->topic);
	if (strcmp(message->topic, forget->status_topic) == 0)
		forget->online = message->len == 6 && memcmp(message->payload, "online", 6) == 0;
}

static const struct mqtt_handlers handlers = {
	.connected = handle_connected,
	.message = handle_message,
	.denied = handle_denied,
	.disconnected = handle_disconnected,
};

/* --- what is waited for --- */

static bool is_connected(const struct forget *forget)
{
	return forget->connected || forget->why[0];
}

static bool is_listed(const struct forget *forget)
{
	return forget->listed;
}

static bool is_answered(const struct forget *forget)
{
	return forget->answered;
}

static bool is_removed(const struct forget *forget)
{
	return forget->n == 0 || forget->denied;
}

/* Turns the session until `done`, or for so long. Returns whether it is done. */
static bool turn_until(struct forget *forget, bool (*done)(const struct forget *), int64_t for_us)
{
	const int64_t end_us = clock_now_us() + for_us;
	struct mqtt_session *session = forget->session;

	while (!done(forget) && !interrupted() && clock_now_us() < end_us) {
		struct pollfd pfd = {.fd = mqtt_session_fd(session),
				     .events = mqtt_session_events(session)};
		const int wait_ms = mqtt_session_wait_ms(session, clock_now_us());

		if (poll(&pfd, 1, wait_ms < TICK_MS ? wait_ms : TICK_MS) < 0)
			pfd.revents = 0;
		mqtt_session_turn(session, pfd.revents, clock_now_us());
	}
	return done(forget);
}

static int fail(const struct forget *forget, int err, const char *what)
{
	char clean[MQTT_REASON_MAX];

	text_clean(clean, sizeof clean, forget->why);
	fprintf(stderr, "camcast: %s%s%s\n", what, clean[0] ? ": " : "", clean);
	return err;
}

static int remove_all(struct forget *forget)
{
	const size_t n = forget->n;

	forget->why[0] = '\0';
	forget->denied = false;
	for (size_t i = 0; i < n; i++)
		mqtt_session_announce(forget->session, forget->topics[i], "");
	if (!turn_until(forget, is_removed, REMOVE_US) || forget->n > 0)
		return fail(forget, -EACCES, "the broker did not remove everything");
	printf("forgot %s: %zu retained message%s removed\n", forget->id, n, n == 1 ? "" : "s");
	return fflush(stdout) == 0 ? 0 : -errno;
}

static int run(struct forget *forget)
{
	if (!turn_until(forget, is_connected, CONNECT_US) || !forget->connected)
		return fail(forget, -ENOTCONN, "the broker cannot be reached");
	turn_until(forget, is_listed, LIST_US);
	/* Not before: what is announced decides how long an answer is waited for. */
	turn_until(forget, is_answered, forget->online ? ANSWER_ONLINE_US : ANSWER_US);
	if (interrupted())
		return -EINTR;
	if (forget->answered) {
		fprintf(stderr, "camcast: %s is running; stop it before it is forgotten\n",
			forget->id);
		return -EBUSY;
	}
	if (forget->online && !forget->force) {
		fprintf(stderr,
			"camcast: %s is announced as online, but does not answer; if it is gone "
			"for good, add --force\n",
			forget->id);
		return -EBUSY;
	}
	if (forget->n == 0)
		return fail(forget, -ENOENT, "the broker has nothing of that server");
	return remove_all(forget);
}

int forget_server(const struct servers_options *options, const char *id, bool force)
{
	struct forget *forget = calloc(1, sizeof *forget);
	struct mqtt_options mqtt;
	int r;

	if (!forget)
		return -ENOMEM;
	forget->options = options;
	forget->force = force;
	forget->id = id;
	snprintf(forget->status_topic, sizeof forget->status_topic, "camcast/%s/status", id);
	servers_mqtt_options(&mqtt, options);
	mqtt.handlers = &handlers;
	mqtt.user = forget;
	r = server_id_valid(id) ? servers_choose_reply_topic(forget->reply_topic) : -EINVAL;
	if (!r)
		r = mqtt_session_create(&forget->session, &mqtt);
	if (r == -EINVAL)
		fprintf(stderr, "camcast: --forget %s: an ID has letters, digits, - and _\n", id);
	else if (r)
		fprintf(stderr, "camcast: %s\n", strerror(-r));
	else
		r = run(forget);
	if (forget->session)
		mqtt_session_close(forget->session, NULL, NULL, 0);
	mqtt_session_destroy(forget->session);
	for (size_t i = 0; i < forget->n; i++)
		free(forget->topics[i]);
	free(forget);
	return r;
}
