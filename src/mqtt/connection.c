/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libmosquitto 2.0, polled by its caller. What its own loop would do wrong or not at all:
 * - A TLS handshake goes on in mosquitto_loop_read() only, and mosquitto_want_write() stays true
 *   from its first step to the first write after it: until the CONNACK only readability counts.
 * - A broker that closes during the handshake looks like one that is slow.
 * - An attempt has no time limit.
 * - It looks names up while its caller waits, and tries only the first of a name's addresses.
 *   Callers of this module therefore pass an address.
 */
#include "mqtt/connection.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"
#include "mqtt/tls.h"

#define ANSWER_TIMEOUT_US 10000000 /* to CONNECT, from the beginning of the attempt */
/* For an announcement to be acknowledged: libmosquitto keeps it, and all behind it, until then. */
#define ACK_TIMEOUT_US 60000000
#define PASSWORD_MAX 1024
#define PENDING_MAX 32	  /* QoS 1 publications and subscriptions that a denial can be named for */
#define READS_PER_TURN 64 /* messages; others have their turn too */
#define DENIED_FROM 0x80  /* MQTT 5, 2.4: reason codes from here on are failures */
#define TOPIC_SHOWN_MAX 128 /* of a topic in a message */

struct pending {
	int mid;
	bool subscribe;
	char topic[TOPIC_SHOWN_MAX];
};

struct mqtt_connection {
	struct mosquitto *mosquitto;
	const struct mqtt_options *options; /* borrowed */
	struct mqtt_tls *tls;		    /* NULL: none */
	bool v5;
	bool reached;	/* the TCP connection is made */
	bool connected; /* CONNACK */
	bool ended;	/* on_disconnect was called */
	bool told;	/* the broker's DISCONNECT had a reason */
	int end;
	int64_t begun_us, reach_us; /* the times of struct mqtt_attempt */
	char why[MQTT_REASON_MAX];
	char logged[MQTT_REASON_MAX - 16]; /* libmosquitto's last line about an error */
	struct pending pending[PENDING_MAX];
	unsigned next_pending;
	unsigned unanswered; /* subscriptions */
	int last_mid;	     /* of the last announcement when closing; acked: it came */
	bool acked;
	/* One that is not acknowledged, since when; brokers answer in order: MQTT 5, 4.6. */
	int awaited_mid; /* -1: none */
	int64_t awaited_us;
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

/* --- callbacks of libmosquitto; from mqtt_connection_turn() --- */

static void handle_connect(struct mosquitto *mosquitto, void *user, int code, int flags,
			   const mosquitto_property *properties)
{
	struct mqtt_connection *connection = user;

	(void)mosquitto, (void)flags, (void)properties;
	if (code == 0) {
		connection->connected = true;
		return;
	}
	/* A broker of v3.1.1 answers a v5 client with its own code 1. */
	if (connection->v5 && (code == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION || code == 1))
		connection->end = MQTT_NOT_V5;
	snprintf(connection->why, sizeof connection->why, "the broker refuses: %s",
		 connection->v5 && code >= DENIED_FROM ? mosquitto_reason_string(code)
						       : mosquitto_connack_string(code));
}

static void handle_disconnect(struct mosquitto *mosquitto, void *user, int code,
			      const mosquitto_property *properties)
{
	struct mqtt_connection *connection = user;

	(void)mosquitto, (void)properties;
	connection->ended = true;
	connection->told = code >= DENIED_FROM;
	if (connection->why[0])
		return;
	/* The broker's DISCONNECT of MQTT 5. */
	if (code == MQTT_RC_SESSION_TAKEN_OVER)
		snprintf(connection->why, sizeof connection->why,
			 "another client has the id %s; the broker closed this connection for it",
			 connection->options->client_id);
	else if (code >= DENIED_FROM)
		snprintf(connection->why, sizeof connection->why, "the broker disconnects: %s",
			 mosquitto_reason_string(code));
}

static void handle_message(struct mosquitto *mosquitto, void *user,
			   const struct mosquitto_message *from,
			   const mosquitto_property *properties)
{
	struct mqtt_connection *connection = user;
	struct mqtt_message message = {
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
	connection->options->handlers->message(connection->options->user, &message);
	free(response_topic);
	free(correlation);
}

static void report_denied(struct mqtt_connection *connection, int mid, int code)
{
	char what[MQTT_REASON_MAX];

	for (unsigned i = 0; i < PENDING_MAX; i++) {
		const struct pending *pending = &connection->pending[i];

		if (pending->mid != mid)
			continue;
		snprintf(what, sizeof what, "the broker denies %s %s: %s",
			 pending->subscribe ? "subscribing to" : "publishing", pending->topic,
			 mosquitto_reason_string(code));
		connection->options->handlers->denied(connection->options->user, pending->topic,
						      what);
		return;
	}
}

static void handle_publish(struct mosquitto *mosquitto, void *user, int mid, int code,
			   const mosquitto_property *properties)
{
	struct mqtt_connection *connection = user;

	(void)mosquitto, (void)properties;
	if (mid == connection->last_mid)
		connection->acked = true;
	if (mid == connection->awaited_mid)
		connection->awaited_mid = -1;
	if (code >= DENIED_FROM)
		report_denied(connection, mid, code);
}

static void handle_subscribe(struct mosquitto *mosquitto, void *user, int mid, int n,
			     const int *granted, const mosquitto_property *properties)
{
	struct mqtt_connection *connection = user;

	(void)mosquitto, (void)properties;
	if (connection->unanswered > 0)
		connection->unanswered--;
	/* 0x80 is all that v3.1.1 knows; brokers send it where the ACL says no. */
	for (int i = 0; i < n; i++)
		if (granted[i] >= DENIED_FROM)
			report_denied(connection, mid,
				      granted[i] == DENIED_FROM && !connection->v5
					      ? MQTT_RC_NOT_AUTHORIZED
					      : granted[i]);
}

static void handle_log(struct mosquitto *mosquitto, void *user, int level, const char *text)
{
	struct mqtt_connection *connection = user;

	(void)mosquitto;
	/* Messages of OpenSSL come only this way; the last one is the most precise. */
	if (level == MOSQ_LOG_ERR)
		snprintf(connection->logged, sizeof connection->logged, "%s", text);
}

/* --- its beginning --- */

/* The first line of a file. */
static int read_password(const char *path, char password[PASSWORD_MAX], char why[MQTT_REASON_MAX])
{
	int fd = secret_open(path);
	ssize_t n = fd < 0 ? -1 : read(fd, password, PASSWORD_MAX - 1);
	int err = n < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	if (err < 0)
		snprintf(why, MQTT_REASON_MAX, "password_file %s: %s", path, strerror(-err));
	password[n > 0 ? n : 0] = '\0';
	password[strcspn(password, "\r\n")] = '\0';
	return err;
}

static int log_in(struct mosquitto *mosquitto, const struct mqtt_options *options,
		  char why[MQTT_REASON_MAX])
{
	char password[PASSWORD_MAX];
	const char *used = options->password;
	int err = 0;

	if (options->username[0] == '\0')
		return 0;
	if (options->password_file[0]) {
		err = read_password(options->password_file, password, why);
		used = password;
	}
	if (err == 0)
		err = errno_of(mosquitto_username_pw_set(mosquitto, options->username,
							 used[0] ? used : NULL));
	explicit_bzero(password, sizeof password);
	return err;
}

static int set_up(struct mqtt_connection *connection)
{
	const struct mqtt_options *options = connection->options;
	struct mosquitto *mosquitto = connection->mosquitto;
	int rc = mosquitto_int_option(mosquitto, MOSQ_OPT_PROTOCOL_VERSION,
				      connection->v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);

	if (rc == 0)
		rc = mosquitto_int_option(mosquitto, MOSQ_OPT_TCP_NODELAY, 1);
	if (rc == 0 && options->will_topic)
		rc = mosquitto_will_set(mosquitto, options->will_topic,
					(int)strlen(options->will_payload), options->will_payload,
					1, true);
	if (rc == 0 && connection->tls)
		rc = mosquitto_void_option(mosquitto, MOSQ_OPT_SSL_CTX,
					   mqtt_tls_context(connection->tls));
	if (rc == 0 && connection->tls)
		rc = mosquitto_int_option(mosquitto, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
	mosquitto_connect_v5_callback_set(mosquitto, handle_connect);
	mosquitto_disconnect_v5_callback_set(mosquitto, handle_disconnect);
	mosquitto_message_v5_callback_set(mosquitto, handle_message);
	mosquitto_publish_v5_callback_set(mosquitto, handle_publish);
	mosquitto_subscribe_v5_callback_set(mosquitto, handle_subscribe);
	mosquitto_log_callback_set(mosquitto, handle_log);
	return errno_of(rc);
}

static void describe(const struct mqtt_connection *connection, int rc, int error, char *why)
{
	const char *refusal = connection->tls ? mqtt_tls_refusal(connection->tls) : "";

	if (rc == MOSQ_ERR_TLS || error == EPROTO || refusal[0])
		snprintf(why, MQTT_REASON_MAX, "TLS: %s",
			 refusal[0]		 ? refusal
			 : connection->logged[0] ? connection->logged
						 : "the handshake failed");
	else if (rc == MOSQ_ERR_KEEPALIVE) /* which mosquitto_strerror() has no words for */
		snprintf(why, MQTT_REASON_MAX, "the broker no longer answers");
	else
		snprintf(why, MQTT_REASON_MAX, "%s",
			 rc == MOSQ_ERR_ERRNO ? strerror(error) : mosquitto_strerror(rc));
}

/* Asks the broker not to send larger packets: MQTT 5, 3.1.2.11.4. mosquitto_connect_bind_v5() keeps
 * the properties of CONNECT for the attempts that follow, and returns MOSQ_ERR_INVAL as it has no
 * host to connect to. */
static int limit_packets(struct mqtt_connection *connection)
{
	mosquitto_property *properties = NULL;
	int rc = mosquitto_property_add_int32(&properties, MQTT_PROP_MAXIMUM_PACKET_SIZE,
					      connection->options->packet_max);

	if (rc == 0)
		rc = mosquitto_connect_bind_v5(connection->mosquitto, NULL, 0, 0, NULL, properties);
	mosquitto_property_free_all(&properties);
	return rc == MOSQ_ERR_INVAL ? 0 : errno_of(rc);
}

static int begin_to_connect(struct mqtt_connection *connection, const char *address,
			    char why[MQTT_REASON_MAX])
{
	int rc, error;

	errno = 0;
	rc = mosquitto_connect_async(connection->mosquitto, address, connection->options->port,
				     (int)connection->options->keepalive_s);
	error = errno;
	if (rc <= 0) /* made, or under way */
		return 0;
	/* The broker has said nothing yet, so it is the socket that fails: where nobody listens on
	 * this machine, that is known at once, and newer ones of libmosquitto meet it with TLS's
	 * first write. */
	if (rc == MOSQ_ERR_TLS || error == EPROTO) {
		rc = MOSQ_ERR_ERRNO;
		error = ECONNREFUSED;
	}
	describe(connection, rc, error, why);
	if (error == EMFILE || error == ENFILE)
		return -error;
	return rc == MOSQ_ERR_ERRNO ? MQTT_NOT_REACHED : -EIO;
}

static void start_library(void)
{
	mosquitto_lib_init();
}

int mqtt_connection_open(struct mqtt_connection **out, const struct mqtt_options *options,
			 const struct mqtt_attempt *attempt, char why[MQTT_REASON_MAX])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct mqtt_connection *connection = calloc(1, sizeof *connection);
	int err = -ENOMEM;

	snprintf(why, MQTT_REASON_MAX, "%s", strerror(ENOMEM));
	if (!connection)
		return -ENOMEM;
	pthread_once(&once, start_library);
	connection->options = options;
	connection->v5 = attempt->v5;
	connection->reach_us = attempt->reach_us;
	connection->begun_us = attempt->begun_us;
	connection->last_mid = connection->awaited_mid = -1;
	if (options->tls)
		err = mqtt_tls_create(&connection->tls, options, why);
	if (options->tls && err < 0)
		goto fail;
	connection->mosquitto = mosquitto_new(attempt->client_id, true, connection);
	if (!connection->mosquitto) {
		err = -errno;
		snprintf(why, MQTT_REASON_MAX, "%s", strerror(-err));
		goto fail;
	}
	err = set_up(connection);
	if (err == 0)
		err = log_in(connection->mosquitto, options, why);
	if (err == 0 && connection->v5)
		err = limit_packets(connection);
	if (err == 0)
		err = begin_to_connect(connection, attempt->address, why);
	if (err != 0)
		goto fail;
	why[0] = '\0';
	*out = connection;
	return 0;

fail:
	mqtt_connection_destroy(connection);
	return err;
}

void mqtt_connection_destroy(struct mqtt_connection *connection)
{
	if (!connection)
		return;
	mosquitto_destroy(connection->mosquitto);
	mqtt_tls_destroy(connection->tls);
	free(connection);
}

/* --- its life --- */

int mqtt_connection_fd(const struct mqtt_connection *connection)
{
	return mosquitto_socket(connection->mosquitto);
}

short mqtt_connection_events(const struct mqtt_connection *connection)
{
	if (!connection->reached)
		return POLLOUT;
	if (connection->connected && mosquitto_want_write(connection->mosquitto))
		return POLLIN | POLLOUT;
	return POLLIN | POLLRDHUP;
}

static int fail(struct mqtt_connection *connection, int rc, int error)
{
	/* As brokers of 3.1.1 answer: to MQTT 5 they owe properties. */
	if (connection->v5 && !connection->connected && !connection->why[0] &&
	    (rc == MOSQ_ERR_PROTOCOL || rc == MOSQ_ERR_MALFORMED_PACKET)) {
		connection->end = MQTT_NOT_V5;
		snprintf(connection->why, sizeof connection->why, "this is no broker of MQTT 5: %s",
			 mosquitto_strerror(rc));
	}
	if (!connection->why[0])
		describe(connection, rc, error, connection->why);
	return connection->end ? connection->end : MQTT_LOST;
}

/* What became of connect(): 0, or an errno. */
static int connect_error(const struct mqtt_connection *connection)
{
	struct sockaddr_storage peer;
	socklen_t error_len = sizeof(int), peer_len = sizeof peer;
	int error;

	if (getsockopt(mqtt_connection_fd(connection), SOL_SOCKET, SO_ERROR, &error, &error_len) <
	    0)
		return errno;
	/* Where nobody listens on this machine, that is known before mosquitto_connect_async()
	 * begins with TLS, which takes the error with its first write and does not tell. */
	if (error == 0 &&
	    getpeername(mqtt_connection_fd(connection), (struct sockaddr *)&peer, &peer_len) < 0)
		return errno == ENOTCONN ? ECONNREFUSED : errno;
	return error;
}

/* The rest of what the broker sent before it closed has been read. */
static int closed_early(struct mqtt_connection *connection)
{
	snprintf(connection->why, sizeof connection->why, "%s",
		 !connection->tls	 ? "the broker closed without an answer"
		 : connection->logged[0] ? connection->logged
					 : "the broker closed during the TLS handshake");
	/* So do some that know only v3.1.1. */
	return connection->v5 ? MQTT_NOT_V5 : MQTT_LOST;
}

/* Until the CONNACK. */
static int connect_turn(struct mqtt_connection *connection, short revents, int64_t now_us)
{
	int64_t limit_us = connection->reached ? ANSWER_TIMEOUT_US : connection->reach_us;
	int error, rc = 0;

	if (now_us >= connection->begun_us + limit_us) {
		snprintf(connection->why, sizeof connection->why, "no answer within %d s",
			 (int)(limit_us / 1000000));
		return connection->reached ? MQTT_LOST : MQTT_NOT_REACHED;
	}
	if (revents == 0)
		return 0;
	if (!connection->reached) {
		error = connect_error(connection);
		if (error != 0) {
			describe(connection, MOSQ_ERR_ERRNO, error, connection->why);
			return MQTT_NOT_REACHED;
		}
		connection->reached = true;
	}
	/* As many times as there may be messages before an end. */
	for (int i = 0; rc == 0 && i < 4 && !connection->connected && !connection->ended; i++) {
		errno = 0;
		if (connection->tls || (revents & POLLIN))
			rc = mosquitto_loop_read(connection->mosquitto, 1);
		if (rc == 0 && mqtt_connection_fd(connection) >= 0)
			rc = mosquitto_loop_write(connection->mosquitto, 1);
	}
	if (rc != 0 || connection->ended || mqtt_connection_fd(connection) < 0) {
		if (rc == MOSQ_ERR_CONN_LOST && !connection->why[0])
			return closed_early(connection);
		return fail(connection, rc ? rc : MOSQ_ERR_CONN_LOST, errno);
	}
	if (!connection->connected && (revents & (POLLRDHUP | POLLHUP | POLLERR)))
		return closed_early(connection);
	/* From here, not from the callback: libmosquitto holds a lock in that. */
	if (connection->connected)
		connection->options->handlers->connected(connection->options->user);
	return 0;
}

int mqtt_connection_turn(struct mqtt_connection *connection, short revents, int64_t now_us)
{
	bool readable = revents & (POLLIN | POLLHUP | POLLERR);
	int rc = 0;

	if (!connection->connected)
		return connect_turn(connection, revents, now_us);
	/* It reads one packet a call, or all that TLS has in hand; with none left it says so in
	 * errno only. */
	for (int i = 0; rc == 0 && readable && i < READS_PER_TURN && !connection->ended; i++) {
		errno = 0;
		rc = mosquitto_loop_read(connection->mosquitto, 1);
		readable = errno != EAGAIN;
	}
	if (rc == 0 && !connection->ended && mosquitto_want_write(connection->mosquitto))
		rc = mosquitto_loop_write(connection->mosquitto, 1);
	if (rc == 0 && !connection->ended)
		rc = mosquitto_loop_misc(connection->mosquitto);
	if (connection->awaited_mid >= 0 && now_us - connection->awaited_us >= ACK_TIMEOUT_US) {
		snprintf(connection->why, sizeof connection->why,
			 "the broker does not acknowledge what is announced");
		return MQTT_LOST;
	}
	if (rc == 0 && !connection->ended && mqtt_connection_fd(connection) >= 0)
		return 0;
	return fail(connection, rc ? rc : MOSQ_ERR_CONN_LOST, errno);
}

bool mqtt_connection_is_up(const struct mqtt_connection *connection)
{
	return connection->connected;
}

bool mqtt_connection_is_subscribed(const struct mqtt_connection *connection)
{
	return connection->connected && connection->unanswered == 0;
}

const char *mqtt_connection_why(const struct mqtt_connection *connection)
{
	return connection->why;
}

bool mqtt_connection_told_why(const struct mqtt_connection *connection)
{
	return connection->told;
}

bool mqtt_connection_is_full(const struct mqtt_connection *connection)
{
	return mosquitto_want_write(connection->mosquitto);
}

/* --- sending --- */

static void remember(struct mqtt_connection *connection, int mid, const char *topic, bool subscribe)
{
	struct pending *pending = &connection->pending[connection->next_pending++ % PENDING_MAX];

	pending->mid = mid;
	pending->subscribe = subscribe;
	snprintf(pending->topic, sizeof pending->topic, "%s", topic);
}

int mqtt_connection_subscribe(struct mqtt_connection *connection, const char *topic,
			      bool retained_too)
{
	int options = retained_too ? 0 : MQTT_SUB_OPT_SEND_RETAIN_NEVER;
	int mid;
	int rc = mosquitto_subscribe_v5(connection->mosquitto, &mid, topic, 0,
					connection->v5 ? options : 0, NULL);

	if (rc == 0) {
		remember(connection, mid, topic, true);
		connection->unanswered++;
	}
	return errno_of(rc);
}

int mqtt_connection_announce(struct mqtt_connection *connection, const char *topic,
			     const char *payload)
{
	int mid;
	int rc = mosquitto_publish(connection->mosquitto, &mid, topic, (int)strlen(payload),
				   payload, 1, true);

	if (rc == 0) {
		remember(connection, mid, topic, false);
		connection->last_mid = mid;
		connection->acked = false;
		if (connection->awaited_mid < 0) {
			connection->awaited_mid = mid;
			connection->awaited_us = clock_now_us();
		}
	}
	return errno_of(rc);
}

int mqtt_connection_publish(struct mqtt_connection *connection, const char *topic,
			    const char *payload, const void *correlation, size_t correlation_len)
{
	mosquitto_property *properties = NULL;
	int rc = 0;

	if (connection->v5 && correlation_len > 0)
		rc = mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA,
						   correlation, (uint16_t)correlation_len);
	if (rc == 0)
		rc = mosquitto_publish_v5(connection->mosquitto, NULL, topic, (int)strlen(payload),
					  payload, 0, false, properties);
	mosquitto_property_free_all(&properties);
	return errno_of(rc);
}

/* --- its end --- */

static bool wait_turn(struct mqtt_connection *connection, int64_t until_us)
{
	struct pollfd pfd = {.fd = mqtt_connection_fd(connection),
			     .events = mqtt_connection_events(connection)};
	int64_t now = clock_now_us();

	if (now >= until_us || pfd.fd < 0)
		return false;
	if (poll(&pfd, 1, (int)((until_us - now + 999) / 1000)) < 0 && errno != EINTR)
		return false;
	return mqtt_connection_turn(connection, pfd.revents, clock_now_us()) == 0;
}

void mqtt_connection_close(struct mqtt_connection *connection, const char *topic,
			   const char *payload, int timeout_ms)
{
	int64_t until_us = clock_now_us() + timeout_ms * INT64_C(1000);

	if (!connection->connected ||
	    (topic && mqtt_connection_announce(connection, topic, payload) < 0))
		return;
	while (topic && !connection->acked)
		if (!wait_turn(connection, until_us))
			break;
	mosquitto_disconnect(connection->mosquitto);
	/* The broker closes then; closing first, with its messages unread, would be a reset that
	 * may overtake what we sent. */
	while (!connection->ended)
		if (!wait_turn(connection, until_us))
			break;
}
