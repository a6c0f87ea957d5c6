/* SPDX-License-Identifier: BSD-2-Clause */
/* A session with scripted brokers: versions, addresses, pauses, reasons, the end.
 * tests/e2e/test_mqtt*.py and test_discover.py use a real broker. */
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "mqtt/session.h"
#include "mqtt_broker.h"
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

/* --- the session's user --- */

struct rig {
	struct broker broker;
	struct mqtt_session *session;
	int64_t now_us; /* 0: the clock */
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
		.cafile = rig->broker.cafile,
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
	memset(rig, 0, sizeof *rig);
	broker_start(&rig->broker, script);
}

static void stop(struct rig *rig)
{
	mqtt_session_destroy(rig->session);
	broker_stop(&rig->broker);
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

/* The library would keep each announcement for it, without a limit. */
static void a_broker_that_acknowledges_nothing_is_given_up(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, (struct script){.deaf = true});
	start_session(&rig, "127.0.0.1", MQTT_AUTO);
	turn_until(&rig, &rig.connected, 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(mqtt_session_announce(rig.session, "t", "x"), 0);
	rig.now_us = clock_now_us() + 50 * SECOND;
	mqtt_session_turn(rig.session, 0, rig.now_us);
	assert_int_equal(rig.losses, 0);
	rig.now_us += 10 * SECOND;
	mqtt_session_turn(rig.session, 0, rig.now_us);
	assert_int_equal(rig.losses, 1);
	assert_string_equal(rig.why, "the broker does not acknowledge what is announced");
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
	/* A refusal is an answer, too: the broker is not given up. */
	rig.now_us = clock_now_us() + 60 * SECOND;
	mqtt_session_turn(rig.session, 0, rig.now_us);
	assert_int_equal(rig.losses, 0);
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
		cmocka_unit_test(a_broker_that_acknowledges_nothing_is_given_up),
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
