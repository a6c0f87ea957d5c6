/* SPDX-License-Identifier: BSD-2-Clause */
/* Topics that are published to, and lists of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "mqtt/topic.h"

static void what_is_wrong_with_a_topic_is_named(void **state)
{
	static const struct {
		const char *topic;
		enum mqtt_topic_fault fault;
	} cases[] = {
		{"a", MQTT_TOPIC_FINE},
		{"/", MQTT_TOPIC_FINE},
		{"a b/c", MQTT_TOPIC_FINE},
		{"a$b", MQTT_TOPIC_FINE},
		{"응답/주제/\U0001F4F7", MQTT_TOPIC_FINE},
		{"\ufffd\ufdcf\ufdf0\U0010fffd", MQTT_TOPIC_FINE},
		{"", MQTT_TOPIC_EMPTY},
		{"a/+", MQTT_TOPIC_WILDCARD},
		{"a/#/b", MQTT_TOPIC_WILDCARD},
		{"$SYS/a", MQTT_TOPIC_DOLLAR},
		{"a\tb", MQTT_TOPIC_NOT_UTF8},
		{"a\x7f", MQTT_TOPIC_NOT_UTF8},
		{"a\xc2\x9f", MQTT_TOPIC_NOT_UTF8},	   /* a C1 control */
		{"a\xc0\x80", MQTT_TOPIC_NOT_UTF8},	   /* too long a form of U+0000 */
		{"\xed\xa0\x80", MQTT_TOPIC_NOT_UTF8},	   /* a surrogate */
		{"\xef\xbf\xbe", MQTT_TOPIC_NOT_UTF8},	   /* U+FFFE */
		{"\xef\xb7\x90", MQTT_TOPIC_NOT_UTF8},	   /* U+FDD0 */
		{"\xf0\x9f\xbf\xbf", MQTT_TOPIC_NOT_UTF8}, /* U+1FFFF */
		{"a\xea\xb0", MQTT_TOPIC_NOT_UTF8},	   /* cut */
	};
	char *longest = malloc(MQTT_TOPIC_MAX + 1);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (mqtt_topic_check(cases[i].topic, strlen(cases[i].topic)) != cases[i].fault)
			fail_msg("case %zu: \"%s\"", i, cases[i].topic);
	assert_int_equal(mqtt_topic_check("a\0b", 3), MQTT_TOPIC_NOT_UTF8);
	assert_int_equal(mqtt_topic_check("ab#", 2), MQTT_TOPIC_FINE);
	assert_non_null(longest);
	memset(longest, 'a', MQTT_TOPIC_MAX + 1);
	assert_int_equal(mqtt_topic_check(longest, MQTT_TOPIC_MAX), MQTT_TOPIC_FINE);
	assert_int_equal(mqtt_topic_check(longest, MQTT_TOPIC_MAX + 1), MQTT_TOPIC_TOO_LONG);
	free(longest);
}

static void a_list_is_read_to_its_end(void **state)
{
	const char *list = " a , b c\t,,d, ";
	static const char *const expected[] = {"a", "b c", "", "d", ""};
	const char *topic;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		assert_true(mqtt_topic_next(&list, &topic, &len));
		assert_int_equal(len, strlen(expected[i]));
		assert_memory_equal(topic, expected[i], len);
	}
	assert_null(list);
	assert_false(mqtt_topic_next(&list, &topic, &len));
	list = "";
	assert_true(mqtt_topic_next(&list, &topic, &len));
	assert_int_equal(len, 0);
	assert_false(mqtt_topic_next(&list, &topic, &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_wrong_with_a_topic_is_named),
		cmocka_unit_test(a_list_is_read_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
