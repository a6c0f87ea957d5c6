/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libmosquitto 2.0 polled from outside. What its own loop would do wrong or not at all:
 * - A TLS handshake goes on in mosquitto_loop_read() only, and mosquitto_want_write() stays true from
 *   its first step to the first write after it: until the CONNACK only readability counts.
 * - A broker that closes during the handshake is not told from one that is slow.
 * - An attempt has no time limit, and tries only the first of a name's addresses.
 */
#include "daemon/discovery/session.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"

#define CONNECT_TIMEOUT_US 10000000
#define SYSTEM_CERTIFICATES "/etc/ssl/certs"
#define PENDING_MAX 32	  /* QoS 1 publications and subscriptions that a denial can be named for */
#define READS_PER_TURN 64 /* messages; others have their turn too */
#define DENIED_FROM 0x80  /* MQTT 5, 2.4: reason codes from here on are failures */
#define TOPIC_SHOWN_MAX 128 /* of a topic in a message */

struct pending {
	int mid;
	bool subscribe;
	char topic[TOPIC_SHOWN_MAX];
};

struct discovery_session {
	struct mosquitto *mosquitto;
	struct session_handlers handlers;
	void *user;
	bool v5, tls, unspecified;
	bool up;	/* the TCP connection is made */
	bool connected; /* CONNACK */
	bool ended;	/* on_disconnect was called */
	int end;
	int64_t deadline_us; /* for the CONNACK */
	char why[SESSION_WHY_MAX];
	char tls_error[SESSION_WHY_MAX - 16]; /* of libmosquitto's log */
	struct pending pending[PENDING_MAX];
	unsigned next_pending;
	unsigned unanswered; /* subscriptions */
	int last_mid;	     /* of the last announcement when closing; acked: it came */
	bool acked;
};

static int errno_of(int rc)
{
	switch (rc) {
	case MOSQ_ERR_SUCCESS:
		return 0;
	case MOSQ_ERR_NOMEM:
		return -ENOMEM;
	case MOSQ_ERR_INVAL:
		return -EINVAL;
	case MOSQ_ERR_NO_CONN:
		return -ENOTCONN;
	default:
		return -EIO;
	}
}

/* --- callbacks of libmosquitto; from session_turn() --- */

static void handle_connect(struct mosquitto *mosquitto, void *user, int code, int flags,
			   const mosquitto_property *properties)
{
	struct discovery_session *session = user;

	(void)mosquitto, (void)flags, (void)properties;
	if (code == 0) {
		session->connected = true;
		return;
	}
	/* A broker of v3.1.1 answers a v5 client with its own code 1. */
	if (session->v5 && (code == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION || code == 1))
		session->end = SESSION_NOT_V5;
	snprintf(session->why, sizeof session->why, "the broker refuses: %s",
		 session->v5 && code >= DENIED_FROM ? mosquitto_reason_string(code)
						    : mosquitto_connack_string(code));
}

static void handle_disconnect(struct mosquitto *mosquitto, void *user, int code,
			      const mosquitto_property *properties)
{
	struct discovery_session *session = user;

	(void)mosquitto, (void)properties;
	session->ended = true;
	if (session->why[0])
		return;
	if (code >= DENIED_FROM) /* the broker's DISCONNECT of v5 */
		snprintf(session->why, sizeof session->why, "the broker disconnects: %s",
			 mosquitto_reason_string(code));
}

static void handle_message(struct mosquitto *mosquitto, void *user,
			   const struct mosquitto_message *from,
			   const mosquitto_property *properties)
{
	struct discovery_session *session = user;
	struct session_message message = {
		.topic = from->topic,
		.payload = from->payload ? from->payload : "",
		.len = from->payloadlen > 0 ? (size_t)from->payloadlen : 0,
		.retained = from->retain,
	};
	char *response_topic = NULL;
	void *correlation = NULL;
	uint16_t correlation_len = 0;

	(void)mosquitto;
	mosquitto_property_read_string(properties, MQTT_PROP_RESPONSE_TOPIC, &response_topic,
				       false);
	mosquitto_property_read_binary(properties, MQTT_PROP_CORRELATION_DATA, &correlation,
				       &correlation_len, false);
	message.response_topic = response_topic;
	message.correlation = correlation;
	message.correlation_len = correlation_len;
	session->handlers.message(session->user, &message);
	free(response_topic);
	free(correlation);
}

static void report_denied(struct discovery_session *session, int mid, int code)
{
	char what[SESSION_WHY_MAX];

	for (unsigned i = 0; i < PENDING_MAX; i++) {
		const struct pending *pending = &session->pending[i];

		if (pending->mid != mid)
			continue;
		snprintf(what, sizeof what, "the broker denies %s %s: %s",
			 pending->subscribe ? "subscribing to" : "publishing", pending->topic,
			 mosquitto_reason_string(code));
		session->handlers.denied(session->user, what);
		return;
	}
}

static void handle_publish(struct mosquitto *mosquitto, void *user, int mid, int code,
			   const mosquitto_property *properties)
{
	struct discovery_session *session = user;

	(void)mosquitto, (void)properties;
	if (mid == session->last_mid)
		session->acked = true;
	if (code >= DENIED_FROM)
		report_denied(session, mid, code);
}

static void handle_subscribe(struct mosquitto *mosquitto, void *user, int mid, int n,
			     const int *granted, const mosquitto_property *properties)
{
	struct discovery_session *session = user;

	(void)mosquitto, (void)properties;
	if (session->unanswered > 0)
		session->unanswered--;
	/* 0x80 is all that v3.1.1 knows; brokers send it where the ACL says no. */
	for (int i = 0; i < n; i++)
		if (granted[i] >= DENIED_FROM)
			report_denied(session, mid,
				      granted[i] == DENIED_FROM && !session->v5
					      ? MQTT_RC_NOT_AUTHORIZED
					      : granted[i]);
}

static void handle_log(struct mosquitto *mosquitto, void *user, int level, const char *text)
{
	struct discovery_session *session = user;

	(void)mosquitto;
	/* What OpenSSL says is told nowhere else; the last line is the most particular one. */
	if (level == MOSQ_LOG_ERR)
		snprintf(session->tls_error, sizeof session->tls_error, "%s", text);
}

/* --- its beginning --- */

static int set_up(struct discovery_session *session, const struct session_options *options)
{
	struct mosquitto *mosquitto = session->mosquitto;
	int rc = mosquitto_int_option(mosquitto, MOSQ_OPT_PROTOCOL_VERSION,
				      options->v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);

	if (rc == 0)
		rc = mosquitto_int_option(mosquitto, MOSQ_OPT_TCP_NODELAY, 1);
	if (rc == 0)
		rc = mosquitto_will_set(mosquitto, options->will_topic,
					(int)strlen(options->will_payload), options->will_payload,
					1, true);
	if (rc == 0 && options->username[0])
		rc = mosquitto_username_pw_set(mosquitto, options->username,
					       options->password[0] ? options->password : NULL);
	if (rc == 0 && options->tls && !options->cafile[0])
		rc = mosquitto_int_option(mosquitto, MOSQ_OPT_TLS_USE_OS_CERTS, 1);
	/* A certificate of our own needs an authority named with it, the system's folder then. */
	if (rc == 0 && options->tls && (options->cafile[0] || options->cert[0]))
		rc = mosquitto_tls_set(mosquitto, options->cafile[0] ? options->cafile : NULL,
				       options->cafile[0] ? NULL : SYSTEM_CERTIFICATES,
				       options->cert[0] ? options->cert : NULL,
				       options->key[0] ? options->key : NULL, NULL);
	if (rc != 0)
		return rc;
	mosquitto_connect_v5_callback_set(mosquitto, handle_connect);
	mosquitto_disconnect_v5_callback_set(mosquitto, handle_disconnect);
	mosquitto_message_v5_callback_set(mosquitto, handle_message);
	mosquitto_publish_v5_callback_set(mosquitto, handle_publish);
	mosquitto_subscribe_v5_callback_set(mosquitto, handle_subscribe);
	mosquitto_log_callback_set(mosquitto, handle_log);
	return 0;
}

/* Before rc can tell, for files that cannot be read: libmosquitto says "invalid". */
static bool check_file(const char *path, const char *what, char *why)
{
	if (path[0] == '\0' || access(path, R_OK) == 0)
		return true;
	snprintf(why, SESSION_WHY_MAX, "%s %s: %s", what, path, strerror(errno));
	return false;
}

static void describe(const struct discovery_session *session, int rc, int error, char *why)
{
	if (rc == MOSQ_ERR_TLS || error == EPROTO)
		snprintf(why, SESSION_WHY_MAX, "TLS: %s",
			 session->tls_error[0] ? session->tls_error : "the handshake failed");
	else if (rc == MOSQ_ERR_EAI)
		snprintf(why, SESSION_WHY_MAX, "the name is not known: %s", gai_strerror(error));
	else if (rc == MOSQ_ERR_ERRNO)
		snprintf(why, SESSION_WHY_MAX, "%s", strerror(error));
	else
		snprintf(why, SESSION_WHY_MAX, "%s", mosquitto_strerror(rc));
}

int session_open(struct discovery_session **out, const struct session_options *options,
		 char why[SESSION_WHY_MAX])
{
	const char *bind = options->family == AF_INET	 ? "0.0.0.0"
			   : options->family == AF_INET6 ? "::"
							 : NULL;
	struct discovery_session *session = calloc(1, sizeof *session);
	int rc, err = -ENOMEM;

	snprintf(why, SESSION_WHY_MAX, "%s", strerror(ENOMEM));
	if (!session)
		return -ENOMEM;
	session->handlers = *options->handlers;
	session->user = options->user;
	session->v5 = options->v5;
	session->tls = options->tls;
	session->unspecified = options->family == AF_UNSPEC;
	session->last_mid = -1;
	if (options->tls &&
	    (!check_file(options->cafile, "cafile", why) ||
	     !check_file(options->cert, "cert", why) || !check_file(options->key, "key", why))) {
		err = -EACCES;
		goto free_session;
	}
	session->mosquitto = mosquitto_new(options->client_id, true, session);
	if (!session->mosquitto) {
		err = -errno;
		goto free_session;
	}
	rc = set_up(session, options);
	if (rc != 0) {
		describe(session, rc, errno, why);
		err = errno_of(rc);
		goto destroy_mosquitto;
	}
	errno = 0;
	rc = mosquitto_connect_bind_async(session->mosquitto, options->host, options->port,
					  (int)options->keepalive_s, bind);
	if (rc > 0) {
		err = errno == EMFILE || errno == ENFILE	     ? -errno
		      : rc == MOSQ_ERR_ERRNO && session->unspecified ? SESSION_OTHER_FAMILY
								     : -EIO;
		describe(session, rc, errno, why);
		goto destroy_mosquitto;
	}
	session->deadline_us = clock_now_us() + CONNECT_TIMEOUT_US;
	why[0] = '\0';
	*out = session;
	return 0;

destroy_mosquitto:
	mosquitto_destroy(session->mosquitto);
free_session:
	free(session);
	return err;
}

void session_destroy(struct discovery_session *session)
{
	if (!session)
		return;
	mosquitto_destroy(session->mosquitto);
	free(session);
}

/* --- its life --- */

int session_fd(const struct discovery_session *session)
{
	return mosquitto_socket(session->mosquitto);
}

short session_events(const struct discovery_session *session)
{
	if (!session->up)
		return POLLOUT;
	if (session->connected && mosquitto_want_write(session->mosquitto))
		return POLLIN | POLLOUT;
	return POLLIN | POLLRDHUP;
}

static int fail(struct discovery_session *session, int rc, int error)
{
	if (!session->why[0])
		describe(session, rc, error, session->why);
	return session->end ? session->end : SESSION_LOST;
}

/* What became of connect(): 0, or an errno. */
static int connect_error(const struct discovery_session *session)
{
	struct sockaddr_storage peer;
	socklen_t error_len = sizeof(int), peer_len = sizeof peer;
	int error;

	if (getsockopt(session_fd(session), SOL_SOCKET, SO_ERROR, &error, &error_len) < 0)
		return errno;
	/* Where nobody listens on this machine, that is known before mosquitto_connect_bind_async()
	 * begins with TLS, which takes the error with its first write and does not tell. */
	if (error == 0 && getpeername(session_fd(session), (struct sockaddr *)&peer, &peer_len) < 0)
		return errno == ENOTCONN ? ECONNREFUSED : errno;
	return error;
}

/* The rest of what the broker sent before it closed has been read. */
static int closed_early(struct discovery_session *session)
{
	snprintf(session->why, sizeof session->why, "%s",
		 session->tls ? session->tls_error[0] ? session->tls_error
						      : "the broker closed during the TLS handshake"
			      : "the broker closed without an answer");
	/* So do some that know only v3.1.1. */
	return session->v5 ? SESSION_NOT_V5 : SESSION_LOST;
}

/* Until the CONNACK. */
static int connect_turn(struct discovery_session *session, short revents, int64_t now_us)
{
	int error, rc = 0;

	if (now_us >= session->deadline_us) {
		snprintf(session->why, sizeof session->why, "no answer within %d s",
			 CONNECT_TIMEOUT_US / 1000000);
		return session->up || !session->unspecified ? SESSION_LOST : SESSION_OTHER_FAMILY;
	}
	if (revents == 0)
		return 0;
	if (!session->up) {
		error = connect_error(session);
		if (error != 0) {
			describe(session, MOSQ_ERR_ERRNO, error, session->why);
			return session->unspecified ? SESSION_OTHER_FAMILY : SESSION_LOST;
		}
		session->up = true;
	}
	/* As many times as there may be messages before an end. */
	for (int i = 0; rc == 0 && i < 4 && !session->connected && !session->ended; i++) {
		errno = 0;
		if (session->tls || (revents & POLLIN))
			rc = mosquitto_loop_read(session->mosquitto, 1);
		if (rc == 0 && session_fd(session) >= 0)
			rc = mosquitto_loop_write(session->mosquitto, 1);
	}
	if (rc != 0 || session->ended || session_fd(session) < 0) {
		if (rc == MOSQ_ERR_CONN_LOST && !session->why[0])
			return closed_early(session);
		return fail(session, rc ? rc : MOSQ_ERR_CONN_LOST, errno);
	}
	if (!session->connected && (revents & (POLLRDHUP | POLLHUP | POLLERR)))
		return closed_early(session);
	/* From here, not from the callback: libmosquitto holds a lock in that. */
	if (session->connected)
		session->handlers.connected(session->user);
	return 0;
}

int session_turn(struct discovery_session *session, short revents, int64_t now_us)
{
	int rc = 0;

	if (!session->connected)
		return connect_turn(session, revents, now_us);
	errno = 0;
	/* It reads one packet a call; with none left it says so in errno only. */
	for (int i = 0; rc == 0 && i < READS_PER_TURN && revents & (POLLIN | POLLHUP | POLLERR) &&
			!session->ended && errno != EAGAIN;
	     i++) {
		errno = 0;
		rc = mosquitto_loop_read(session->mosquitto, 1);
	}
	if (rc == 0 && !session->ended && mosquitto_want_write(session->mosquitto))
		rc = mosquitto_loop_write(session->mosquitto, 1);
	if (rc == 0 && !session->ended)
		rc = mosquitto_loop_misc(session->mosquitto);
	if (rc == 0 && !session->ended && session_fd(session) >= 0)
		return 0;
	return fail(session, rc ? rc : MOSQ_ERR_CONN_LOST, errno);
}

bool session_connected(const struct discovery_session *session)
{
	return session->connected;
}

bool session_hears(const struct discovery_session *session)
{
	return session->connected && session->unanswered == 0;
}

const char *session_why(const struct discovery_session *session)
{
	return session->why;
}

bool session_is_full(const struct discovery_session *session)
{
	return mosquitto_want_write(session->mosquitto);
}

/* --- sending --- */

static void remember(struct discovery_session *session, int mid, const char *topic, bool subscribe)
{
	struct pending *pending = &session->pending[session->next_pending++ % PENDING_MAX];

	pending->mid = mid;
	pending->subscribe = subscribe;
	snprintf(pending->topic, sizeof pending->topic, "%s", topic);
}

int session_subscribe(struct discovery_session *session, const char *topic, bool retained_too)
{
	int options = retained_too ? 0 : MQTT_SUB_OPT_SEND_RETAIN_NEVER;
	int mid;
	int rc = mosquitto_subscribe_v5(session->mosquitto, &mid, topic, 0,
					session->v5 ? options : 0, NULL);

	if (rc == 0) {
		remember(session, mid, topic, true);
		session->unanswered++;
	}
	return errno_of(rc);
}

int session_announce(struct discovery_session *session, const char *topic, const char *payload)
{
	int mid;
	int rc = mosquitto_publish(session->mosquitto, &mid, topic, (int)strlen(payload), payload,
				   1, true);

	if (rc == 0) {
		remember(session, mid, topic, false);
		session->last_mid = mid;
		session->acked = false;
	}
	return errno_of(rc);
}

int session_reply(struct discovery_session *session, const char *topic, const char *payload,
		  const void *correlation, size_t correlation_len)
{
	mosquitto_property *properties = NULL;
	int rc = 0;

	if (session->v5 && correlation_len > 0)
		rc = mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA,
						   correlation, (uint16_t)correlation_len);
	if (rc == 0)
		rc = mosquitto_publish_v5(session->mosquitto, NULL, topic, (int)strlen(payload),
					  payload, 0, false, properties);
	mosquitto_property_free_all(&properties);
	return errno_of(rc);
}

/* --- its end --- */

static bool wait_turn(struct discovery_session *session, int64_t until_us)
{
	struct pollfd pfd = {.fd = session_fd(session), .events = session_events(session)};
	int64_t now = clock_now_us();

	if (now >= until_us || pfd.fd < 0)
		return false;
	if (poll(&pfd, 1, (int)((until_us - now + 999) / 1000)) < 0 && errno != EINTR)
		return false;
	return session_turn(session, pfd.revents, clock_now_us()) == 0;
}

void session_close(struct discovery_session *session, const char *topic, const char *payload,
		   int timeout_ms)
{
	int64_t until_us = clock_now_us() + timeout_ms * INT64_C(1000);

	if (!session->connected || session_announce(session, topic, payload) < 0)
		return;
	while (!session->acked)
		if (!wait_turn(session, until_us))
			break;
	mosquitto_disconnect(session->mosquitto);
	/* The broker closes then; closing first, with its messages unread, would be a reset that may
	 * overtake what we sent. */
	while (!session->ended)
		if (!wait_turn(session, until_us))
			break;
}
