/* SPDX-License-Identifier: BSD-2-Clause */
/* The section [mqtt]: what it means to leave it out, its defaults, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

#define GOOD "[camera c]\nsource = pattern\n[stream s]\ncamera = c\nannexb = 1\n"

static char *messages;

/* NULL if it was refused; messages then say why. */
static struct config *parse(const char *keys)
{
	struct config *config = NULL;
	char text[2048];
	size_t len;
	FILE *errors;

	free(messages);
	errors = open_memstream(&messages, &len);
	assert_non_null(errors);
	snprintf(text, sizeof text, "%s\n" GOOD, keys);
	if (config_parse(&config, "c.ini", text, strlen(text), errors) < 0)
		config = NULL;
	fclose(errors);
	return config;
}

static void it_is_off_without_a_section_or_a_broker(void **state)
{
	static const struct {
		const char *keys;
		bool on;
	} cases[] = {
		{"", false},
		{"[mqtt]\nbroker =", false},
		{"[mqtt]", true},
		{"[mqtt]\nbroker = 2001:db8::1", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct config *config = parse(cases[i].keys);

		assert_non_null(config);
		assert_int_equal(config->mqtt.on, cases[i].on);
		config_destroy(config);
	}
}

static void defaults_are_those_of_the_manual(void **state)
{
	struct config *config = parse("[mqtt]");
	const struct config_mqtt *mqtt = &config->mqtt;
	const char *const empty[] = {
		mqtt->username,	     mqtt->password,
		mqtt->password_file, mqtt->client_id,
		mqtt->cafile,	     mqtt->cert,
		mqtt->key,	     mqtt->id,
		mqtt->advertise,     mqtt->spawn_password_file,
	};

	(void)state;
	assert_string_equal(mqtt->broker, "localhost");
	assert_false(config_mqtt_spawns(mqtt));
	assert_int_equal(mqtt->port, 0);
	assert_int_equal(mqtt->keepalive, 15);
	assert_int_equal(mqtt->version, CONFIG_MQTT_AUTO);
	assert_false(mqtt->tls);
	assert_string_equal(mqtt->request_topic, "commend, commend/getIP, command/getIP");
	assert_string_equal(mqtt->response_prefix, "camera/response/");
	assert_false(mqtt->home_assistant);
	assert_false(config_mqtt_takes_commands(mqtt));
	assert_false(mqtt->insecure);
	assert_string_equal(mqtt->home_assistant_prefix, "homeassistant");
	assert_string_equal(mqtt->spawn_address, "127.0.0.1");
	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
		assert_string_equal(empty[i], "");
	config_destroy(config);
}

static void topics_are_taken_one_by_one(void **state)
{
	struct config *config = parse("[mqtt]\nrequest_topic = a,b c ,  d/e");
	const char *expected[] = {"a", "b c", "d/e"}, *list;
	char topic[CONFIG_TOPIC_MAX];

	(void)state;
	assert_non_null(config);
	list = config->mqtt.request_topic;
	for (size_t i = 0; i < 3; i++) {
		assert_true(config_next_topic(&list, topic));
		assert_string_equal(topic, expected[i]);
	}
	assert_false(config_next_topic(&list, topic));
	config_destroy(config);
}

static void values_that_cannot_be_are_refused(void **state)
{
	static const char *const bad[] = {
		"broker = a b",
		"broker = host:1883",
		"port = 65536",
		"keepalive = 4",
		"version = 4",
		"id = a/b",
		"id = ab+",
		"client_id = a b",
		"id = 0123456789012345678901234567890123456789012345678901234567890123x",
		"request_topic =",
		"request_topic = a/#",
		"request_topic = a,,b",
		"request_topic = a,+",
		"request_topic = $SYS/a",
		"request_topic = 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
		"response_prefix = a/+/",
		"advertise = a b",
		"home_assistant = perhaps",
		"rec_topic = commend/rec",
	};
	char keys[256];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(keys, sizeof keys, "[mqtt]\n%s", bad[i]);
		if (parse(keys))
			fail_msg("accepted: %s", bad[i]);
		if (strncmp(messages, "c.ini:2: ", 9) != 0)
			fail_msg("%s", messages);
	}
}

#define LEAK                                                                                       \
	"the password would go to b.example unencrypted; add tls = yes, or insecure = yes if "     \
	"nobody can listen on the way\n"

static void password_may_go_where_nobody_reads_it(void **state)
{
	static const char *const good[] = {
		"broker = b.example\nusername = u\npassword = x\ntls = yes",
		"broker = b.example\nusername = u\npassword = x\ninsecure = yes",
		"broker = b.example\nusername = u",
		"broker = localhost\nusername = u\npassword = x",
		"broker = 127.0.0.2\nusername = u\npassword = x",
		"broker = ::1\nusername = u\npassword_file = /x",
		"broker = spawn\nusername = u\npassword = x",
	};
	char keys[128];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct config *config;

		snprintf(keys, sizeof keys, "[mqtt]\n%s", good[i]);
		config = parse(keys);
		assert_non_null(config);
		config_destroy(config);
	}
}

static void commands_are_taken_when_they_are_wanted(void **state)
{
	static const struct {
		const char *keys;
		bool taken;
	} cases[] = {
		{"[mqtt]", false},
		{"[mqtt]\ncommands = yes", true},
		{"[mqtt]\nhome_assistant = yes", true},
		{"[mqtt]\nhome_assistant = yes\ncommands = no", false},
		{"[mqtt]\ncommands = no", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct config *config = parse(cases[i].keys);

		assert_non_null(config);
		assert_int_equal(config_mqtt_takes_commands(&config->mqtt), cases[i].taken);
		config_destroy(config);
	}
}

static void keys_that_need_each_other_are_told(void **state)
{
	static const char *const cases[][2] = {
		{"cafile = /x", "c.ini:2: cafile needs tls = yes in section [mqtt]\n"},
		{"tls = yes\ncert = /x", "c.ini:3: cert needs key in section [mqtt]\n"},
		{"tls = yes\nkey = /x", "c.ini:3: key needs cert in section [mqtt]\n"},
		{"broker = b.example\nusername = u\npassword_file = /p", "c.ini:3: " LEAK},
		{"username = u\npassword = x\nbroker = b.example", "c.ini:4: " LEAK},
		{"password = x", "c.ini:2: password needs username in section [mqtt]\n"},
		{"username = u\npassword = x\npassword_file = /y",
		 "c.ini:4: give either password or password_file, not both\n"},
		{"spawn_password_file = /x\nusername = u",
		 "c.ini:2: spawn_password_file needs broker = spawn in section [mqtt]\n"},
		{"broker = spawn\nspawn_password_file = /x",
		 "c.ini:3: spawn_password_file needs username in section [mqtt]\n"},
		{"broker = spawn\ntls = yes",
		 "c.ini:3: tls = yes does not work with broker = spawn\n"},
		{"home_assistant = yes\nhome_assistant_prefix =",
		 "c.ini:3: home_assistant = yes needs a home_assistant_prefix\n"},
	};
	char keys[256];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		snprintf(keys, sizeof keys, "[mqtt]\n%s", cases[i][0]);
		assert_null(parse(keys));
		assert_string_equal(messages, cases[i][1]);
	}
}

static int forget(void **state)
{
	(void)state;
	free(messages);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_off_without_a_section_or_a_broker),
		cmocka_unit_test(defaults_are_those_of_the_manual),
		cmocka_unit_test(topics_are_taken_one_by_one),
		cmocka_unit_test(values_that_cannot_be_are_refused),
		cmocka_unit_test(password_may_go_where_nobody_reads_it),
		cmocka_unit_test(commands_are_taken_when_they_are_wanted),
		cmocka_unit_test(keys_that_need_each_other_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, forget);
}
