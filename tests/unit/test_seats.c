/* SPDX-License-Identifier: BSD-2-Clause */
/* Which servers get one of a bounded number of seats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "client/seats.h"

#define SECOND 1000000LL

/* Servers that have a seat when these are there, each a letter; capitals delivered in an earlier
 * run. */
static const char *look(struct seats *seats, const char *there, int64_t now_us)
{
	static char have[64];
	size_t n = 0;

	seats_begin(seats);
	for (const char *c = there; *c; c++)
		assert_int_equal(seats_offer(seats, (char[]){*c, 0}, *c < 'a'), 0);
	seats_settle(seats, now_us);
	for (const char *c = there; *c; c++)
		if (seats_has(seats, (char[]){*c, 0}))
			have[n++] = *c;
	have[n] = '\0';
	return have;
}

static void all_have_a_seat_while_there_are_enough(void **state)
{
	struct seats seats = {.max = 3};

	(void)state;
	assert_string_equal(look(&seats, "abc", SECOND), "abc");
	assert_int_equal(seats.left_out, 0);
	assert_string_equal(look(&seats, "abcde", SECOND), "abc");
	assert_int_equal(seats.left_out, 2);
	/* One that goes makes room. */
	assert_string_equal(look(&seats, "bcde", SECOND), "bcd");
	seats_finish(&seats);
}

static void those_that_delivered_come_before_new_ones(void **state)
{
	struct seats seats = {.max = 3};

	(void)state;
	look(&seats, "abc", SECOND);
	seats_delivered(&seats, "b");
	assert_string_equal(look(&seats, "abcX", SECOND), "bcX");
	/* Those of an earlier run come before those of this one, and keep their seats. */
	assert_string_equal(look(&seats, "abcXYZ", SECOND), "XYZ");
	assert_string_equal(look(&seats, "abcXYZW", 100 * SECOND), "XYZ");
	seats_finish(&seats);
}

static void new_ones_that_deliver_nothing_take_turns(void **state)
{
	struct seats seats = {.max = 2};

	(void)state;
	assert_string_equal(look(&seats, "abcde", 1), "ab");
	seats_delivered(&seats, "b");
	assert_string_equal(look(&seats, "abcde", 9 * SECOND), "ab");
	assert_string_equal(look(&seats, "abcde", 11 * SECOND), "bc");
	assert_string_equal(look(&seats, "abcde", 22 * SECOND), "bd");
	assert_string_equal(look(&seats, "abcde", 33 * SECOND), "be");
	assert_string_equal(look(&seats, "abcde", 44 * SECOND), "ab");
	seats_finish(&seats);
}

static void a_thousand_servers_are_looked_at_in_time(void **state)
{
	struct seats seats = {.max = 64};
	char key[32];
	size_t seated = 0;

	(void)state;
	for (int turn = 0; turn < 20; turn++) {
		seats_begin(&seats);
		for (int i = 0; i < 1024; i++) {
			snprintf(key, sizeof key, "server-%d", i);
			assert_int_equal(seats_offer(&seats, key, false), 0);
		}
		seats_settle(&seats, turn * 11 * SECOND + 1);
	}
	for (int i = 0; i < 1024; i++) {
		snprintf(key, sizeof key, "server-%d", i);
		seated += seats_has(&seats, key);
	}
	assert_int_equal(seated, 64);
	assert_int_equal(seats.left_out, 960);
	seats_finish(&seats);
}

/* The number of servers that the log now says are left out; 0: that there is none any more;
 * -1: it says nothing. */
static int reported(struct seats *seats, int64_t now_us)
{
	static const char none[] = "no server is left out any more";
	char text[256] = "", *said;
	int saved = dup(STDERR_FILENO), fds[2];
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	assert_true(saved >= 0 && dup2(fds[1], STDERR_FILENO) >= 0);
	close(fds[1]);
	seats_report(seats, "recorded", now_us);
	assert_true(dup2(saved, STDERR_FILENO) >= 0); /* the last writing end */
	close(saved);
	n = read(fds[0], text, sizeof text - 1);
	close(fds[0]);
	if (n == 0)
		return -1;
	said = strstr(text, "warning: ");
	assert_true(said || strstr(text, none));
	return said ? atoi(said + strlen("warning: ")) : 0;
}

static void the_log_has_the_number_of_the_whole_list(void **state)
{
	struct seats seats = {.max = 2};

	(void)state;
	/* The list comes one server after the other. */
	look(&seats, "abc", 5 * SECOND);
	assert_int_equal(reported(&seats, 5 * SECOND), -1);
	look(&seats, "abcdefghij", 5 * SECOND + 100000);
	assert_int_equal(reported(&seats, 5 * SECOND + 100000), -1);
	assert_int_equal(reported(&seats, 6 * SECOND), 8);
	assert_int_equal(reported(&seats, 7 * SECOND), -1);
	/* Once a minute, when there is another number to tell. */
	look(&seats, "abcdef", 8 * SECOND);
	assert_int_equal(reported(&seats, 8 * SECOND), -1);
	assert_int_equal(reported(&seats, 66 * SECOND), 4);
	assert_int_equal(reported(&seats, 127 * SECOND), -1);
	look(&seats, "ab", 128 * SECOND);
	assert_int_equal(reported(&seats, 128 * SECOND), 0);
	assert_int_equal(reported(&seats, 129 * SECOND), -1);
	/* One that is left out for a moment is no news. */
	look(&seats, "abc", 300 * SECOND);
	assert_int_equal(reported(&seats, 300 * SECOND), -1);
	look(&seats, "ab", 300 * SECOND + 500000);
	assert_int_equal(reported(&seats, 300 * SECOND + 500000), -1);
	look(&seats, "abc", 301 * SECOND);
	assert_int_equal(reported(&seats, 301 * SECOND), -1);
	assert_int_equal(reported(&seats, 302 * SECOND), 1);
	seats_finish(&seats);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_have_a_seat_while_there_are_enough),
		cmocka_unit_test(those_that_delivered_come_before_new_ones),
		cmocka_unit_test(new_ones_that_deliver_nothing_take_turns),
		cmocka_unit_test(a_thousand_servers_are_looked_at_in_time),
		cmocka_unit_test(the_log_has_the_number_of_the_whole_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
