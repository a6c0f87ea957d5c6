/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of servers from announcements, last wills, answers, and false messages. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/find/directory.h"

static const char *make_info(const char *id, const char *name, unsigned port)
{
	static char json[1024];

	snprintf(json, sizeof json,
		 "{\"camcast\": 1, \"id\": \"%s\", \"name\": \"%s\", \"version\": \"1\", "
		 "\"addresses\": [\"192.0.2.7\"], \"streams\": [{\"name\": \"s\", \"camera\": "
		 "\"c\", \"codec\": \"h264\", \"width\": 640, \"height\": 360, \"framerate\": 30, "
		 "\"framing\": \"annexb\", \"port\": %u, \"url\": \"tcp://192.0.2.7:%u\"}]}",
		 id, name, port, port);
	return json;
}

static bool announce(struct directory *directory, const char *topic, const char *payload)
{
	return directory_announcement(directory, topic, payload, strlen(payload), 1);
}

static bool answer(struct directory *directory, const char *payload, int64_t now_us)
{
	return directory_answer(directory, payload, strlen(payload), now_us);
}

static bool set_status(struct directory *directory, const char *id, const char *status)
{
	char topic[100];

	snprintf(topic, sizeof topic, "camcast/%s/status", id);
	return announce(directory, topic, status);
}

static bool set_info(struct directory *directory, const char *id, const char *name, unsigned port)
{
	char topic[100];

	snprintf(topic, sizeof topic, "camcast/%s/info", id);
	return announce(directory, topic, make_info(id, name, port));
}

/* "name+ name-": who is listed, in order, online or not. */
static void expect(const struct directory *directory, const char *expected)
{
	struct server *list;
	char text[256] = "";
	size_t n, at = 0;

	assert_int_equal(directory_copy(directory, &list, &n), 0);
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%s%c", at ? " " : "",
				       list[i].name, list[i].online ? '+' : '-');
	free(list);
	assert_string_equal(text, expected);
}

static void server_is_listed_when_info_and_status_have_come(void **state)
{
	struct directory directory = {0};

	(void)state;
	assert_false(set_status(&directory, "a", "online"));
	expect(&directory, "");
	assert_true(set_info(&directory, "a", "porch", 1));
	expect(&directory, "porch+");
	assert_true(set_info(&directory, "b", "attic", 1));
	expect(&directory, "attic- porch+");
	assert_true(set_status(&directory, "b", "online"));
	expect(&directory, "attic+ porch+");
	directory_finish(&directory);
}

static void last_will_takes_a_server_off(void **state)
{
	struct directory directory = {0};

	(void)state;
	set_status(&directory, "a", "online");
	set_info(&directory, "a", "porch", 1);
	assert_true(set_status(&directory, "a", "offline"));
	expect(&directory, "porch-");
	assert_true(set_status(&directory, "a", "online"));
	expect(&directory, "porch+");
	directory_finish(&directory);
}

static void info_taken_back_removes_a_server(void **state)
{
	struct directory directory = {0};

	(void)state;
	set_status(&directory, "a", "online");
	set_info(&directory, "a", "porch", 1);
	assert_true(announce(&directory, "camcast/a/info", ""));
	expect(&directory, "");
	assert_false(announce(&directory, "camcast/a/info", ""));
	assert_false(announce(&directory, "camcast/b/info", ""));
	assert_true(set_info(&directory, "a", "porch", 1));
	expect(&directory, "porch+"); /* its status still stands */
	directory_finish(&directory);
}

static void repetition_is_no_change(void **state)
{
	struct directory directory = {0};

	(void)state;
	set_status(&directory, "a", "online");
	assert_true(set_info(&directory, "a", "porch", 1));
	assert_false(set_info(&directory, "a", "porch", 1));
	assert_false(set_status(&directory, "a", "online"));
	assert_true(set_info(&directory, "a", "porch", 2));
	assert_true(set_info(&directory, "a", "attic", 2));
	assert_false(answer(&directory, make_info("a", "attic", 2), 5));
	directory_finish(&directory);
}

static void server_that_only_answers_is_there_until_it_stops(void **state)
{
	struct directory directory = {0};

	(void)state;
	assert_true(answer(&directory, make_info("a", "porch", 1), 100));
	expect(&directory, "porch+");
	assert_false(directory_expire(&directory, 100));
	assert_false(answer(&directory, make_info("a", "porch", 1), 200));
	assert_false(directory_expire(&directory, 200));
	assert_true(directory_expire(&directory, 201));
	expect(&directory, "porch-");
	assert_false(directory_expire(&directory, 300));
	assert_true(answer(&directory, make_info("a", "porch", 1), 400));
	expect(&directory, "porch+");
	directory_finish(&directory);
}

static void answer_disproves_an_old_last_will_and_a_new_one_counts(void **state)
{
	struct directory directory = {0};

	(void)state;
	set_status(&directory, "a", "offline");
	set_info(&directory, "a", "porch", 1);
	expect(&directory, "porch-");
	assert_true(answer(&directory, make_info("a", "porch", 1), 100));
	expect(&directory, "porch+");
	assert_true(set_status(&directory, "a", "offline"));
	expect(&directory, "porch-");
	directory_finish(&directory);
}

static void announced_server_does_not_expire(void **state)
{
	struct directory directory = {0};

	(void)state;
	set_status(&directory, "a", "online");
	set_info(&directory, "a", "porch", 1);
	answer(&directory, make_info("a", "porch", 1), 100);
	assert_false(directory_expire(&directory, 1000));
	expect(&directory, "porch+");
	directory_finish(&directory);
}

static void what_is_not_heard_again_after_a_reconnection_goes(void **state)
{
	struct directory directory = {0};

	(void)state;
	set_status(&directory, "a", "online");
	set_info(&directory, "a", "porch", 1);
	set_status(&directory, "b", "online");
	set_info(&directory, "b", "attic", 1);
	answer(&directory, make_info("c", "cellar", 1), 1);
	directory_unconfirm(&directory);
	expect(&directory, "attic+ cellar+ porch+");
	set_status(&directory, "a", "online");
	set_info(&directory, "a", "porch", 1);
	answer(&directory, make_info("c", "cellar", 1), 2);
	assert_true(directory_drop_unconfirmed(&directory));
	expect(&directory, "cellar+ porch+");
	assert_false(directory_drop_unconfirmed(&directory));
	directory_finish(&directory);
}

static void status_left_behind_alone_lists_nobody(void **state)
{
	struct directory directory = {0};

	(void)state;
	set_status(&directory, "a", "online");
	set_info(&directory, "a", "porch", 1);
	directory_unconfirm(&directory);
	set_status(&directory, "a", "online");
	assert_true(directory_drop_unconfirmed(&directory));
	expect(&directory, "");
	directory_finish(&directory);
}

/* An info of id a with one stream "s" per URL. */
static void set_urls(struct directory *directory, const char *name, int64_t now_us, unsigned n, ...)
{
	char json[2048];
	size_t at;
	va_list urls;

	at = (size_t)snprintf(json, sizeof json,
			      "{\"camcast\": 1, \"id\": \"a\", \"name\": \"%s\", \"version\": "
			      "\"1\", \"addresses\": [\"192.0.2.7\"], \"streams\": [",
			      name);
	va_start(urls, n);
	for (unsigned i = 0; i < n; i++) {
		const char *url = va_arg(urls, const char *);

		at += (size_t)snprintf(json + at, sizeof json - at,
				       "%s{\"name\": \"s%u\", \"camera\": \"c\", \"codec\": "
				       "\"h264\", \"width\": 0, \"height\": 0, \"framerate\": 30, "
				       "\"framing\": \"annexb\", \"port\": %s, \"url\": \"%s\"}",
				       i ? ", " : "", i, strrchr(url, ':') + 1, url);
	}
	va_end(urls);
	snprintf(json + at, sizeof json - at, "]}");
	directory_announcement(directory, "camcast/a/info", json, strlen(json), now_us);
}

/* The name and the first URL of the only server. */
static void expect_place(const struct directory *directory, const char *name, const char *url)
{
	char own[TARGET_URL_MAX];
	struct server *list;
	size_t n;

	assert_int_equal(directory_copy(directory, &list, &n), 0);
	assert_int_equal(n, 1);
	assert_string_equal(list[0].name, name);
	assert_string_equal(target_url(&list[0].streams[0], own), url);
	free(list);
}

#define PORCH "tcp://192.0.2.7:8000"
#define OTHER "tcp://192.0.2.99:8000"

static void announcement_does_not_move_a_server_that_answers(void **state)
{
	struct directory directory = {0};

	(void)state;
	set_status(&directory, "a", "online");
	set_urls(&directory, "porch", 1, 1, PORCH);
	directory_confirm(&directory, PORCH, 100);
	set_urls(&directory, "thief", 200, 1, OTHER);
	expect_place(&directory, "porch", PORCH);
	/* Nor in two steps: without streams, taken back, offline. */
	set_urls(&directory, "thief", 201, 0);
	set_urls(&directory, "thief", 202, 1, OTHER);
	expect_place(&directory, "porch", PORCH);
	set_urls(&directory, "thief", 203, 2, PORCH, OTHER);
	set_urls(&directory, "thief", 204, 1, "tcp://192.0.2.7:8001");
	expect_place(&directory, "porch", PORCH);
	announce(&directory, "camcast/a/info", "");
	set_status(&directory, "a", "");
	directory_unconfirm(&directory);
	directory_drop_unconfirmed(&directory);
	set_urls(&directory, "thief", 300, 1, OTHER);
	expect(&directory, "");
	set_urls(&directory, "porch", 301, 1, PORCH);
	expect_place(&directory, "porch", PORCH);
	directory_finish(&directory);
}

static void server_that_answers_may_add_streams_and_change_its_name(void **state)
{
	struct directory directory = {0};

	(void)state;
	set_urls(&directory, "porch", 1, 1, PORCH);
	directory_confirm(&directory, PORCH, 100);
	set_urls(&directory, "attic", 200, 2, PORCH, "tcp://192.0.2.7:8001");
	expect_place(&directory, "attic", PORCH);
	directory_finish(&directory);
}

static void server_moves_when_its_address_has_been_silent(void **state)
{
	struct directory directory = {0};

	(void)state;
	set_urls(&directory, "porch", 1, 1, PORCH);
	directory_confirm(&directory, PORCH, 100);
	set_urls(&directory, "porch", 200, 1, OTHER);
	assert_false(directory_let_move(&directory, 100));
	expect_place(&directory, "porch", PORCH);
	assert_true(directory_let_move(&directory, 101));
	expect_place(&directory, "porch", OTHER);
	assert_false(directory_let_move(&directory, 1000));
	directory_finish(&directory);
}

static void silent_server_that_still_names_its_address_does_not_move(void **state)
{
	struct directory directory = {0};

	(void)state;
	set_urls(&directory, "porch", 1, 1, PORCH);
	directory_confirm(&directory, PORCH, 100);
	set_urls(&directory, "thief", 200, 1, OTHER);
	set_urls(&directory, "porch", 300, 1, PORCH);
	assert_false(directory_let_move(&directory, 1000));
	expect_place(&directory, "porch", PORCH);
	directory_finish(&directory);
}

static void flood_does_not_evict_a_server_that_answers(void **state)
{
	struct directory directory = {0};
	char id[32];

	(void)state;
	set_urls(&directory, "porch", 1, 1, PORCH);
	directory_confirm(&directory, PORCH, 100);
	for (unsigned i = 0; i < 2 * SERVERS_MAX; i++) {
		snprintf(id, sizeof id, "x%u", i);
		set_info(&directory, id, id, 1);
	}
	set_urls(&directory, "thief", 200, 1, OTHER);
	assert_false(directory_let_move(&directory, 100));
	assert_true(directory_let_move(&directory, 101)); /* it was kept, and so was the claim */
	directory_finish(&directory);
}

static void info_for_another_id_is_ignored(void **state)
{
	struct directory directory = {0};

	(void)state;
	assert_false(announce(&directory, "camcast/b/info", make_info("a", "porch", 1)));
	expect(&directory, "");
	directory_finish(&directory);
}

static void other_topics_and_payloads_are_ignored(void **state)
{
	static const char *const topics[] = {
		"camcast",
		"camcast/",
		"camcast//info",
		"camcast/a",
		"camcast/a/",
		"camcast/a/set",
		"camcast/a/info/x",
		"other/a/info",
		"camcast/12345678901234567890123456789012345678901234567890123456789012345/info",
	};
	struct directory directory = {0};

	(void)state;
	for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
		assert_false(announce(&directory, topics[i], make_info("a", "porch", 1)));
	assert_false(announce(&directory, "camcast/a/info", "192.0.2.7"));
	assert_false(answer(&directory, "192.0.2.7", 1)); /* as an older server answers */
	set_info(&directory, "a", "porch", 1);
	assert_false(set_status(&directory, "a", "ONLINE"));
	assert_false(set_status(&directory, "a", "onlinee"));
	expect(&directory, "porch-");
	directory_finish(&directory);
}

static void flood_of_ids_displaces_nobody_who_is_there(void **state)
{
	struct directory directory = {0};
	struct server *list;
	char id[32];
	size_t n;

	(void)state;
	set_status(&directory, "a", "online");
	set_info(&directory, "a", "porch", 1);
	for (unsigned i = 0; i < 3 * SERVERS_MAX; i++) {
		snprintf(id, sizeof id, "x%u", i);
		set_status(&directory, id, "offline");
		set_info(&directory, id, id, 1);
	}
	assert_int_equal(directory.n, SERVERS_MAX);
	assert_int_equal(directory_copy(&directory, &list, &n), 0);
	assert_int_equal(n, SERVERS_MAX);
	assert_string_equal(list[0].name, "porch");
	assert_true(list[0].online);
	free(list);
	for (unsigned i = 0; i < 2 * SERVERS_MAX; i++) {
		snprintf(id, sizeof id, "y%u", i);
		set_status(&directory, id, "online");
		set_info(&directory, id, id, 1);
	}
	assert_int_equal(directory.n, SERVERS_MAX);
	directory_finish(&directory);
}

static void equal_names_are_in_the_order_of_their_ids(void **state)
{
	struct directory directory = {0};
	struct server *list;
	size_t n;

	(void)state;
	set_info(&directory, "c", "same", 1);
	set_info(&directory, "a", "same", 1);
	set_info(&directory, "b", "same", 1);
	assert_int_equal(directory_copy(&directory, &list, &n), 0);
	assert_int_equal(n, 3);
	assert_string_equal(list[0].id, "a");
	assert_string_equal(list[1].id, "b");
	assert_string_equal(list[2].id, "c");
	free(list);
	directory_finish(&directory);
}

static void numbers_in_names_are_in_the_order_of_numbers(void **state)
{
	static const char *const sorted[] = {"",
					     "cam",
					     "cam 02",
					     "cam 2",
					     "cam 2a",
					     "cam 10",
					     "cam 010b",
					     "cam-1",
					     "door 1",
					     "9223372036854775808",
					     "a99999999999999999999"};
	struct directory directory = {0};
	struct server *list;
	size_t n;

	(void)state;
	for (size_t i = 0; i < 9; i++)
		for (size_t j = 0; j < 9; j++) {
			const int order = server_compare_names(sorted[i], sorted[j]);

			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
		}
	assert_true(server_compare_names(sorted[9], "18446744073709551616") < 0);
	assert_true(server_compare_names("a9", sorted[10]) < 0);
	set_info(&directory, "a", "cam 10", 1);
	set_info(&directory, "b", "cam 2", 1);
	assert_int_equal(directory_copy(&directory, &list, &n), 0);
	assert_string_equal(list[0].id, "b");
	free(list);
	directory_finish(&directory);
}

/* --- trusted servers --- */

/* Whoever is called "true". */
static bool is_true(void *user, const struct server *info)
{
	unsigned *asked = user;

	++*asked;
	return strcmp(info->name, "true") == 0;
}

static void server_that_is_not_trusted_changes_nothing(void **state)
{
	unsigned asked = 0;
	struct directory directory = {.trusted = is_true, .user = &asked};

	(void)state;
	assert_false(set_info(&directory, "a", "false", 1));
	assert_false(answer(&directory, make_info("a", "false", 1), 1));
	set_status(&directory, "a", "online");
	expect(&directory, "");
	assert_true(set_info(&directory, "a", "true", 1));
	expect(&directory, "true+");
	assert_false(set_info(&directory, "a", "false", 2));
	assert_false(answer(&directory, make_info("a", "false", 2), 1));
	expect(&directory, "true+");
	expect_place(&directory, "true", "tcp://192.0.2.7:1");
	assert_int_equal(asked, 5);
	directory_finish(&directory);
}

static void nobody_else_takes_a_trusted_server_off(void **state)
{
	unsigned asked = 0;
	struct directory directory = {.trusted = is_true, .user = &asked};

	(void)state;
	answer(&directory, make_info("a", "true", 1), 10);
	set_status(&directory, "a", "offline");
	expect(&directory, "true+");
	assert_false(announce(&directory, "camcast/a/info", ""));
	expect(&directory, "true+");
	/* Unless it answers no more. */
	assert_true(directory_expire(&directory, 11));
	expect(&directory, "true-");
	answer(&directory, make_info("a", "true", 1), 12);
	expect(&directory, "true+");
	directory_finish(&directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(server_is_listed_when_info_and_status_have_come),
		cmocka_unit_test(last_will_takes_a_server_off),
		cmocka_unit_test(info_taken_back_removes_a_server),
		cmocka_unit_test(repetition_is_no_change),
		cmocka_unit_test(server_that_only_answers_is_there_until_it_stops),
		cmocka_unit_test(answer_disproves_an_old_last_will_and_a_new_one_counts),
		cmocka_unit_test(announced_server_does_not_expire),
		cmocka_unit_test(what_is_not_heard_again_after_a_reconnection_goes),
		cmocka_unit_test(status_left_behind_alone_lists_nobody),
		cmocka_unit_test(announcement_does_not_move_a_server_that_answers),
		cmocka_unit_test(server_that_answers_may_add_streams_and_change_its_name),
		cmocka_unit_test(server_moves_when_its_address_has_been_silent),
		cmocka_unit_test(silent_server_that_still_names_its_address_does_not_move),
		cmocka_unit_test(flood_does_not_evict_a_server_that_answers),
		cmocka_unit_test(server_that_is_not_trusted_changes_nothing),
		cmocka_unit_test(nobody_else_takes_a_trusted_server_off),
		cmocka_unit_test(info_for_another_id_is_ignored),
		cmocka_unit_test(other_topics_and_payloads_are_ignored),
		cmocka_unit_test(flood_of_ids_displaces_nobody_who_is_there),
		cmocka_unit_test(numbers_in_names_are_in_the_order_of_numbers),
		cmocka_unit_test(equal_names_are_in_the_order_of_their_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
