/* SPDX-License-Identifier: BSD-2-Clause */
/* A session with scripted brokers: versions, addresses, pauses, reasons, the end.
 * tests/e2e/test_mqtt*.py and test_discover.py use a real broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "mqtt/session.h"
#include "net/resolve.h"

#define SECOND INT64_C(1000000)
#define PATIENCE_US (30 * SECOND)

/* --- names --- */

static atomic_bool hold, held;

/* "several.test" has three addresses, of which the last one is the brokers'; "nowhere.test" has
 * none; while `hold` is set, the answer for "slow.test" does not come. */
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
						       const struct addrinfo *hints,
						       struct addrinfo **out)
{
	static const char *const several[] = {"127.0.0.2", "::1", "127.0.0.1"};
	struct addrinfo numeric = hints ? *hints : (struct addrinfo){0};
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (!real)
		real = (int (*)(const char *, const char *, const struct addrinfo *,
				struct addrinfo **))(uintptr_t)dlsym(RTLD_NEXT, "getaddrinfo");
	if (!strstr(name, ".test") || numeric.ai_flags & AI_NUMERICHOST)
		return real(name, service, hints, out);
	if (strcmp(name, "several.test") == 0) {
		numeric.ai_flags |= AI_NUMERICHOST;
		for (size_t i = 0; i < 3; i++) {
			int error = real(several[i], service, &numeric, out);

			if (error != 0)
				return error;
			while (*out)
				out = &(*out)->ai_next;
		}
		return 0;
	}
	while (strcmp(name, "slow.test") == 0 && atomic_load(&hold)) {
		atomic_store(&held, true);
		usleep(1000);
	}
	return EAI_NONAME;
}

/* --- a broker, on a thread --- */

struct script {
	bool mute; /* no answer to CONNECT */
	bool tls;
	int code5, code4;	      /* of the CONNACK for MQTT 5 and 3.1.1; -1: closes instead */
	bool plain;		      /* answers MQTT 5 as if it were 3.1.1 */
	unsigned char suback, puback; /* reason codes */
	unsigned flood;		      /* messages after a SUBSCRIBE, all in one write */
	bool closes;		      /* after the CONNACK */
	unsigned char disconnects;    /* MQTT 5: closes with this reason code after the CONNACK */
};

struct broker {
	struct script script;
	pthread_t thread;
	int listener, client;
	uint16_t port;
	SSL_CTX *context;
	SSL *ssl;
	atomic_bool stop;
	bool v5; /* the client */

	atomic_uint connects, subscriptions, announcements, disconnects;
	_Atomic unsigned char levels[8]; /* of the first ones */
};

static ssize_t receive(struct broker *broker, void *data, size_t len)
{
	if (broker->ssl)
		return SSL_read(broker->ssl, data, (int)len);
	return recv(broker->client, data, len, 0);
}

static void answer(struct broker *broker, const void *data, size_t len)
{
	if (broker->ssl)
		SSL_write(broker->ssl, data, (int)len);
	else
		(void)!send(broker->client, data, len, MSG_NOSIGNAL);
}

static bool receive_all(struct broker *broker, unsigned char *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = receive(broker, data + at, len - at);

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

/* MQTT 5, 2.1: the first byte and what follows the length, which fits size. */
static bool receive_packet(struct broker *broker, unsigned char *kind, unsigned char *data,
			   size_t size, size_t *len)
{
	unsigned char byte;

	*len = 0;
	if (!receive_all(broker, kind, 1))
		return false;
	for (unsigned shift = 0; shift < 28; shift += 7) {
		if (!receive_all(broker, &byte, 1))
			return false;
		*len |= (size_t)(byte & 127) << shift;
		if (byte < 128)
			break;
	}
	return *len <= size && receive_all(broker, data, *len);
}

static void flood(struct broker *broker)
{
	static const unsigned char one[] = {0x30, 5, 0, 1, 't', 0, 'x'}; /* v5: no properties */
	unsigned char all[sizeof one * 200];

	for (unsigned i = 0; i < broker->script.flood; i++)
		memcpy(all + i * sizeof one, one, sizeof one);
	answer(broker, all, broker->script.flood * sizeof one);
}

/* Returns whether the connection goes on. */
static bool handle_connect(struct broker *broker, unsigned char level)
{
	int code = level == 5 ? broker->script.code5 : broker->script.code4;
	unsigned n = atomic_fetch_add(&broker->connects, 1);
	const unsigned char connack[] = {0x20, 2, 0, (unsigned char)code};
	const unsigned char connack5[] = {0x20, 3, 0, (unsigned char)code, 0};

	if (n < sizeof broker->levels)
		atomic_store(&broker->levels[n], level);
	broker->v5 = level == 5;
	if (broker->script.mute)
		return true;
	if (code < 0)
		return false;
	/* 1 is what a broker of 3.1.1 says to other versions. */
	if (level == 5 && !broker->script.plain && code != 1)
		answer(broker, connack5, sizeof connack5);
	else
		answer(broker, connack, sizeof connack);
	if (level == 5 && broker->script.disconnects) {
		const unsigned char disconnect[] = {0xe0, 2, broker->script.disconnects, 0};

		answer(broker, disconnect, sizeof disconnect);
		return false;
	}
	return code == 0 && !broker->script.closes;
}

static bool handle_packet(struct broker *broker)
{
	unsigned char kind, data[1024];
	size_t len;

	if (!receive_packet(broker, &kind, data, sizeof data, &len))
		return false;
	switch (kind >> 4) {
	case 1: /* CONNECT */
		return handle_connect(broker, data[6]);
	case 3:			       /* PUBLISH */
		if ((kind & 6) == 2) { /* QoS 1 */
			size_t at = 2 + (size_t)(data[0] << 8 | data[1]);
			const unsigned char puback[] = {0x40, 3, data[at], data[at + 1],
							broker->script.puback};

			atomic_fetch_add(&broker->announcements, 1);
			answer(broker, puback, sizeof puback);
		}
		return true;
	case 8: { /* SUBSCRIBE */
		const unsigned char suback[] = {0x90,	 4, data[0],
						data[1], 0, broker->script.suback};

		answer(broker, suback, sizeof suback);
		atomic_fetch_add(&broker->subscriptions, 1);
		flood(broker);
		return true;
	}
	case 14: /* DISCONNECT */
		atomic_fetch_add(&broker->disconnects, 1);
		return false;
	default:
		return true;
	}
}

static void *run_broker(void *user)
{
	struct broker *broker = user;

	for (;;) {
		int client = accept(broker->listener, NULL, NULL);

		if (atomic_load(&broker->stop))
			return NULL;
		if (client < 0)
			continue;
		broker->client = client;
		if (broker->context) {
			broker->ssl = SSL_new(broker->context);
			SSL_set_fd(broker->ssl, client);
		}
		if (!broker->ssl || SSL_accept(broker->ssl) == 1)
			while (handle_packet(broker))
				;
		SSL_free(broker->ssl);
		broker->ssl = NULL;
		close(client);
	}
}

/* A certificate for 127.0.0.1, its own authority, is written to file. */
static SSL_CTX *make_context(FILE *file)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	X509_NAME *name = X509_get_subject_name(certificate);
	X509_EXTENSION *address =
		X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");

	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"b", -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, key);
	X509_add_ext(certificate, address, -1);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(file, certificate), 1);
	assert_int_equal(fflush(file), 0);
	assert_int_equal(SSL_CTX_use_certificate(context, certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
	X509_EXTENSION_free(address);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return context;
}

/* Listens on 127.0.0.1 and on no other address. */
static int listen_somewhere(uint16_t *port)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof in;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	*port = ntohs(in.sin_port);
	return fd;
}

/* --- the session's user --- */

struct rig {
	struct broker broker;
	struct mqtt_session *session;
	FILE *certificate;
	char cafile[64]; /* the same */
	int64_t now_us;	 /* 0: the clock */
	unsigned connected, messages, denials, losses;
	char denied[MQTT_REASON_MAX], topic[64], why[MQTT_REASON_MAX];
};

static void handle_connected(void *user)
{
	struct rig *rig = user;

	rig->connected++;
}

static void handle_message(void *user, const struct mqtt_message *message)
{
	struct rig *rig = user;

	assert_string_equal(message->topic, "t");
	assert_int_equal(message->len, 1);
	rig->messages++;
}

static void handle_denied(void *user, const char *topic, const char *what)
{
	struct rig *rig = user;

	rig->denials++;
	snprintf(rig->topic, sizeof rig->topic, "%s", topic);
	snprintf(rig->denied, sizeof rig->denied, "%s", what);
}

static void handle_disconnected(void *user, const char *why, bool no_fds)
{
	struct rig *rig = user;

	assert_false(no_fds);
	rig->losses++;
	snprintf(rig->why, sizeof rig->why, "%s", why);
}

static const struct mqtt_handlers handlers = {
	.connected = handle_connected,
	.message = handle_message,
	.denied = handle_denied,
	.disconnected = handle_disconnected,
};

static void start_session(struct rig *rig, const char *host, enum mqtt_version version)
{
	const struct mqtt_options options = {
		.host = host,
		.port = rig->broker.port,
		.version = version,
		.client_id = "me",
		.keepalive_s = 60,
		.username = "",
		.password = "",
		.password_file = "",
		.tls = rig->broker.script.tls,
		.cafile = rig->cafile,
		.cert = "",
		.key = "",
		.packet_max = 65536,
		.backoff_max_us = 4 * SECOND,
		.handlers = &handlers,
		.user = rig,
	};

	assert_int_equal(mqtt_session_create(&rig->session, &options), 0);
}

static void start(struct rig *rig, struct script script)
{
	struct broker *broker = &rig->broker;

	memset(rig, 0, sizeof *rig);
	broker->script = script;
	broker->listener = listen_somewhere(&broker->port);
	if (script.tls) {
		rig->certificate = tmpfile();
		assert_non_null(rig->certificate);
		snprintf(rig->cafile, sizeof rig->cafile, "/proc/self/fd/%d",
			 fileno(rig->certificate));
		broker->context = make_context(rig->certificate);
	}
	assert_int_equal(pthread_create(&broker->thread, NULL, run_broker, broker), 0);
}

static void stop(struct rig *rig)
{
	struct broker *broker = &rig->broker;

	mqtt_session_destroy(rig->session);
	atomic_store(&broker->stop, true);
	shutdown(broker->listener, SHUT_RDWR);
	pthread_join(broker->thread, NULL);
	SSL_CTX_free(broker->context);
	if (rig->certificate)
		fclose(rig->certificate);
	close(broker->listener);
}

static int64_t now_of(const struct rig *rig)
{
	return rig->now_us ? rig->now_us : clock_now_us();
}

static void turn(struct rig *rig)
{
	struct pollfd pfd = {.fd = mqtt_session_fd(rig->session),
			     .events = mqtt_session_events(rig->session)};
	int wait_ms = mqtt_session_wait_ms(rig->session, now_of(rig));

	assert_in_range(wait_ms, 0, 1000);
	assert_true(poll(&pfd, 1, wait_ms) >= 0);
	mqtt_session_turn(rig->session, pfd.revents, now_of(rig));
}

static void turn_until(struct rig *rig, const unsigned *counter, unsigned value)
{
	int64_t end_us = clock_now_us() + PATIENCE_US;

	while (*counter < value) {
		if (clock_now_us() > end_us)
			fail_msg("%u of %u; %s", *counter, value, rig->why);
		turn(rig);
	}
}

static void expect_levels(const struct rig *rig, const char *expected)
{
	unsigned n = atomic_load(&rig->broker.connects);

	assert_int_equal(n, strlen(expected));
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(atomic_load(&rig->broker.levels[i]), expected[i] - '0');
}

/* --- versions --- */

static void mqtt_5_is_tried_first_and_3_1_1_where_the_broker_knows_no_other(void **state)
{
	static const struct script scripts[] = {
		{.code5 = 1},		  /* refuses */
		{.code5 = 0x84},	  /* as MQTT 5 says it */
		{.code5 = -1},		  /* closes */
		{.plain = true},	  /* takes it for 3.1.1 */
		{.code5 = 1, .code4 = 5}, /* nor is it let in then */
	};
	struct rig rig;

	(void)state;
	start(&rig, (struct script){0});
	start_session(&rig, "127.0.0.1", MQTT_AUTO);
	turn_until(&rig, &rig.connected, 1);
	assert_int_equal(mqtt_session_version(rig.session), MQTT_5);
	assert_int_equal(mqtt_session_state(rig.session), MQTT_CONNECTED);
	expect_levels(&rig, "5");
	stop(&rig);
	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		start(&rig, scripts[i]);
		start_session(&rig, "127.0.0.1", MQTT_AUTO);
		if (scripts[i].code4 == 0) {
			turn_until(&rig, &rig.connected, 1);
			assert_int_equal(mqtt_session_version(rig.session), MQTT_311);
			assert_int_equal(rig.losses, 0);
		} else {
			turn_until(&rig, &rig.losses, 1);
			assert_string_equal(rig.why, "the broker refuses: Connection Refused: not "
						     "authorised.");
		}
		expect_levels(&rig, "54");
		stop(&rig);
	}
}

static void a_version_that_is_asked_for_is_the_only_one(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, (struct script){.code5 = 1});
	start_session(&rig, "127.0.0.1", MQTT_5);
	turn_until(&rig, &rig.losses, 2);
	/* libmosquitto 2.0.11 reads the answer of 3.1.1, 2.0.20 does not. */
	assert_true(strstr(rig.why, "the broker refuses: ") ||
		    strstr(rig.why, "this is no broker of MQTT 5: "));
	expect_levels(&rig, "55");
	stop(&rig);
	start(&rig, (struct script){0});
	start_session(&rig, "127.0.0.1", MQTT_311);
	turn_until(&rig, &rig.connected, 1);
	expect_levels(&rig, "4");
	stop(&rig);
}

/* --- names and addresses --- */

static void every_address_of_a_name_is_tried(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, (struct script){0});
	start_session(&rig, "several.test", MQTT_AUTO);
	turn_until(&rig, &rig.connected, 1);
	assert_int_equal(rig.losses, 0);
	stop(&rig);
}

static void the_reason_is_told_once_for_all_addresses(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, (struct script){0});
	rig.broker.port = 1; /* nobody is there */
	start_session(&rig, "several.test", MQTT_AUTO);
	turn_until(&rig, &rig.losses, 1);
	assert_string_equal(rig.why, "Connection refused");
	assert_int_equal(mqtt_session_state(rig.session), MQTT_WAITING);
	assert_int_equal(mqtt_session_fd(rig.session), -1);
	stop(&rig);
	start(&rig, (struct script){0});
	start_session(&rig, "nowhere.test", MQTT_AUTO);
	turn_until(&rig, &rig.losses, 1);
	assert_non_null(strstr(rig.why, "the name is not known: "));
	stop(&rig);
}

/* Newer ones of libmosquitto keep a reference to the TLS context then: LeakSanitizer sees it. */
static void a_connection_that_fails_at_once_leaves_nothing(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, (struct script){.tls = true});
	start_session(&rig, "255.255.255.255", MQTT_AUTO); /* EACCES, or ENETUNREACH */
	turn_until(&rig, &rig.losses, 1);
	stop(&rig);
}

static void a_name_server_that_hangs_holds_nobody_up(void **state)
{
	int64_t begun_us = clock_now_us();
	struct rig rig;

	(void)state;
	atomic_store(&hold, true);
	atomic_store(&held, false);
	start(&rig, (struct script){0});
	start_session(&rig, "slow.test", MQTT_AUTO);
	while (!atomic_load(&held)) {
		assert_true(clock_now_us() < begun_us + PATIENCE_US);
		mqtt_session_turn(rig.session, 0, clock_now_us());
	}
	assert_int_equal(mqtt_session_state(rig.session), MQTT_CONNECTING);
	mqtt_session_close(rig.session, "t", "x", 10000);
	stop(&rig);
	assert_true(resolve_is_running());
	atomic_store(&hold, false);
	while (resolve_is_running()) {
		assert_true(clock_now_us() < begun_us + PATIENCE_US);
		usleep(1000);
	}
}

/* --- time --- */

static void pauses_grow_to_their_limit_and_from_where_they_are_told(void **state)
{
	static const int64_t milliseconds[] = {250, 500, 1000, 2000, 4000, 4000};
	struct rig rig;
	unsigned n = 0;

	(void)state;
	start(&rig, (struct script){0});
	rig.broker.port = 1;
	start_session(&rig, "127.0.0.1", MQTT_AUTO);
	for (rig.now_us = SECOND; n < sizeof milliseconds / sizeof *milliseconds; n++) {
		int64_t pause_us;

		turn_until(&rig, &rig.losses, n + 1);
		pause_us = mqtt_session_retry_at_us(rig.session) - rig.now_us;
		assert_in_range(pause_us, milliseconds[n] * 750, milliseconds[n] * 1000);
		/* Not before its time. */
		rig.now_us += pause_us - 1;
		mqtt_session_turn(rig.session, 0, rig.now_us);
		assert_int_equal(mqtt_session_state(rig.session), MQTT_WAITING);
		rig.now_us++;
	}
	mqtt_session_retry_in(rig.session, 50000, rig.now_us);
	assert_int_equal(mqtt_session_retry_at_us(rig.session), rig.now_us + 50000);
	rig.now_us += 50000;
	turn_until(&rig, &rig.losses, n + 1);
	assert_in_range(mqtt_session_retry_at_us(rig.session), rig.now_us + 37500,
			rig.now_us + 50000);
	stop(&rig);
}

static void a_broker_that_says_nothing_is_given_up(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, (struct script){.mute = true});
	start_session(&rig, "127.0.0.1", MQTT_AUTO);
	rig.now_us = SECOND;
	while (atomic_load(&rig.broker.connects) == 0)
		turn(&rig);
	rig.now_us += 10 * SECOND - 1;
	mqtt_session_turn(rig.session, 0, rig.now_us);
	assert_int_equal(rig.losses, 0);
	rig.now_us++;
	mqtt_session_turn(rig.session, 0, rig.now_us);
	assert_int_equal(rig.losses, 1);
	assert_string_equal(rig.why, "no answer within 10 s");
	stop(&rig);
}

/* --- reasons --- */

static void what_is_denied_is_named(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, (struct script){.suback = 0x87, .puback = 0x87});
	start_session(&rig, "127.0.0.1", MQTT_AUTO);
	turn_until(&rig, &rig.connected, 1);
	assert_int_equal(mqtt_session_subscribe(rig.session, "t/#", true), 0);
	assert_false(mqtt_session_is_subscribed(rig.session));
	turn_until(&rig, &rig.denials, 1);
	assert_true(mqtt_session_is_subscribed(rig.session));
	assert_string_equal(rig.topic, "t/#");
	assert_string_equal(rig.denied, "the broker denies subscribing to t/#: Not authorized");
	assert_int_equal(mqtt_session_announce(rig.session, "u", "x"), 0);
	turn_until(&rig, &rig.denials, 2);
	assert_string_equal(rig.topic, "u");
	assert_string_equal(rig.denied, "the broker denies publishing u: Not authorized");
	stop(&rig);
}

static void a_broker_of_3_1_1_that_lets_in_and_throws_out_names_the_likely_cause(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, (struct script){.closes = true});
	start_session(&rig, "127.0.0.1", MQTT_311);
	/* A few restarts of the broker look like this too. */
	turn_until(&rig, &rig.losses, 4);
	assert_null(strstr(rig.why, "another client"));
	turn_until(&rig, &rig.losses, 5);
	assert_non_null(strstr(rig.why, "another client has the id me"));
	stop(&rig);
}

static void mqtt_5_tells_at_once_that_another_client_has_the_id(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, (struct script){.disconnects = 0x8e}); /* session taken over */
	start_session(&rig, "127.0.0.1", MQTT_AUTO);
	turn_until(&rig, &rig.losses, 1);
	assert_non_null(strstr(rig.why, "another client has the id me"));
	stop(&rig);
}

static void restarts_of_a_broker_of_mqtt_5_are_no_other_client(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, (struct script){.disconnects = 0x8b}); /* server shutting down */
	start_session(&rig, "127.0.0.1", MQTT_AUTO);
	turn_until(&rig, &rig.losses, 5);
	assert_null(strstr(rig.why, "another client"));
	stop(&rig);
}

static void nothing_can_be_said_without_a_connection(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, (struct script){0});
	start_session(&rig, "127.0.0.1", MQTT_AUTO);
	assert_int_equal(mqtt_session_subscribe(rig.session, "t", true), -ENOTCONN);
	assert_int_equal(mqtt_session_announce(rig.session, "t", "x"), -ENOTCONN);
	assert_int_equal(mqtt_session_publish(rig.session, "t", "x", NULL, 0), -ENOTCONN);
	assert_false(mqtt_session_is_subscribed(rig.session));
	assert_false(mqtt_session_is_full(rig.session));
	mqtt_session_close(rig.session, "t", "x", 10000);
	stop(&rig);
}

/* --- messages, and the last one --- */

/* As one TLS record holds them, and nothing comes after. */
static void all_that_came_at_once_is_taken_at_once(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, (struct script){.tls = true, .flood = 200});
	start_session(&rig, "127.0.0.1", MQTT_AUTO);
	turn_until(&rig, &rig.connected, 1);
	assert_int_equal(mqtt_session_subscribe(rig.session, "t", true), 0);
	turn_until(&rig, &rig.messages, 200);
	stop(&rig);
}

static void the_last_word_is_waited_for(void **state)
{
	int64_t begun_us = clock_now_us();
	struct rig rig;

	(void)state;
	start(&rig, (struct script){0});
	start_session(&rig, "127.0.0.1", MQTT_AUTO);
	turn_until(&rig, &rig.connected, 1);
	mqtt_session_close(rig.session, "t", "x", 30000);
	assert_int_equal(atomic_load(&rig.broker.announcements), 1);
	while (atomic_load(&rig.broker.disconnects) == 0) { /* it is under way */
		assert_true(clock_now_us() < begun_us + PATIENCE_US);
		usleep(1000);
	}
	stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mqtt_5_is_tried_first_and_3_1_1_where_the_broker_knows_no_other),
		cmocka_unit_test(a_version_that_is_asked_for_is_the_only_one),
		cmocka_unit_test(every_address_of_a_name_is_tried),
		cmocka_unit_test(the_reason_is_told_once_for_all_addresses),
		cmocka_unit_test(a_connection_that_fails_at_once_leaves_nothing),
		cmocka_unit_test(a_name_server_that_hangs_holds_nobody_up),
		cmocka_unit_test(pauses_grow_to_their_limit_and_from_where_they_are_told),
		cmocka_unit_test(a_broker_that_says_nothing_is_given_up),
		cmocka_unit_test(what_is_denied_is_named),
		cmocka_unit_test(
			a_broker_of_3_1_1_that_lets_in_and_throws_out_names_the_likely_cause),
		cmocka_unit_test(mqtt_5_tells_at_once_that_another_client_has_the_id),
		cmocka_unit_test(restarts_of_a_broker_of_mqtt_5_are_no_other_client),
		cmocka_unit_test(nothing_can_be_said_without_a_connection),
		cmocka_unit_test(all_that_came_at_once_is_taken_at_once),
		cmocka_unit_test(the_last_word_is_waited_for),
	};

	signal(SIGPIPE, SIG_IGN); /* as the programs have it */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
