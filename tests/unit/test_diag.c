/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/diag.h"

static char captured[8192];
static size_t captured_len;
static int writes;

/* Runs `say` with stderr replaced by a packet socket's nearest kin, a pipe in packet mode: each
 * write is one read. */
static void capture(void (*say)(void), bool journal, enum diag_level shown)
{
	int saved = dup(STDERR_FILENO), fds[2];
	char text[64];
	struct stat st;
	ssize_t n;

	assert_int_equal(pipe2(fds, O_DIRECT | O_NONBLOCK | O_CLOEXEC), 0);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + !journal);
	setenv("JOURNAL_STREAM", text, 1);
	diag_init("test", shown);
	say();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	captured_len = 0;
	writes = 0;
	while ((n = read(fds[0], captured + captured_len, sizeof captured - captured_len - 1)) >
	       0) {
		captured_len += (size_t)n;
		writes++;
	}
	captured[captured_len] = '\0';
	close(fds[0]);
}

static void say_each_level(void)
{
	diag_error("e");
	diag_warn("w");
	diag_info("i");
	diag_debug("d");
}

static void the_journal_gets_priorities(void **state)
{
	(void)state;
	capture(say_each_level, true, DIAG_DEBUG);
	assert_string_equal(captured, "<3>test: e\n<4>test: w\n<6>test: i\n<7>test: d\n");
}

static void say_to_the_parent(void)
{
	diag_set_relayed();
	diag_warn("w");
	diag_relay("other", DIAG_ERROR, "e");
}

static void a_parent_gets_priorities_and_puts_the_name_in_front(void **state)
{
	(void)state;
	capture(say_to_the_parent, false, DIAG_INFO);
	assert_string_equal(captured, "<4>w\n<3>other: e\n");
}

static void say_of_another(void)
{
	diag_relay("other", DIAG_WARN, "100 %s\ttabs\xff");
	diag_relay("other", DIAG_DEBUG, "not shown");
}

static void a_line_of_another_program_is_text(void **state)
{
	(void)state;
	capture(say_of_another, true, DIAG_INFO);
	assert_string_equal(captured, "<4>other: 100 %s tabs?\n");
}

static void another_stderr_gets_time_and_word(void **state)
{
	int year, ms, end = 0;

	(void)state;
	capture(say_each_level, false, DIAG_INFO);
	assert_int_equal(sscanf(captured, "%4d-%*2d-%*2d %*2d:%*2d:%*2d.%3d test: error: e\n%n",
				&year, &ms, &end),
			 2);
	assert_true(end > 0);
	assert_non_null(strstr(captured, " test: warning: w\n"));
	assert_non_null(strstr(captured, " test: i\n"));
}

static void what_is_below_the_level_is_not_written(void **state)
{
	(void)state;
	capture(say_each_level, true, DIAG_WARN);
	assert_string_equal(captured, "<3>test: e\n<4>test: w\n");
}

static void say_control_characters(void)
{
	diag_error("a\nb\tc\x7f%s", "\033[1m\xc3\xa9");
}

static void control_characters_cannot_make_a_second_line(void **state)
{
	(void)state;
	capture(say_control_characters, true, DIAG_INFO);
	assert_string_equal(captured, "<3>test: a b c  [1m\xc3\xa9\n");
}

static void say_too_much(void)
{
	char text[3000];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	diag_error("%s", text);
	diag_error("after");
}

static void a_long_line_is_cut_and_ends(void **state)
{
	char *end;

	(void)state;
	capture(say_too_much, true, DIAG_INFO);
	end = strchr(captured, '\n');
	assert_non_null(end);
	assert_int_equal(end + 1 - captured, 1024);
	assert_memory_equal(end - 4, "x...", 4);
	assert_string_equal(end + 1, "<3>test: after\n");
	assert_int_equal(writes, 2);
}

static void say_errno(void)
{
	errno = ENOENT;
	diag_error("%m");
	assert_int_equal(errno, ENOENT);
}

static void errno_is_kept_and_can_be_said(void **state)
{
	(void)state;
	capture(say_errno, false, DIAG_INFO);
	assert_non_null(strstr(captured, "No such file or directory\n"));
}

static void a_limit_allows_one_line_a_period_and_counts_the_rest(void **state)
{
	struct diag_limit limit = {0};
	uint64_t suppressed = 99;

	(void)state;
	assert_true(diag_allowed(&limit, 1000000, 500, &suppressed));
	assert_int_equal(suppressed, 0);
	assert_false(diag_allowed(&limit, 1000001, 500, &suppressed));
	assert_false(diag_allowed(&limit, 1000499, 500, &suppressed));
	assert_true(diag_allowed(&limit, 1000500, 500, &suppressed));
	assert_int_equal(suppressed, 2);
	assert_true(diag_allowed(&limit, 1001000, 500, &suppressed));
	assert_int_equal(suppressed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_journal_gets_priorities),
		cmocka_unit_test(a_parent_gets_priorities_and_puts_the_name_in_front),
		cmocka_unit_test(a_line_of_another_program_is_text),
		cmocka_unit_test(another_stderr_gets_time_and_word),
		cmocka_unit_test(what_is_below_the_level_is_not_written),
		cmocka_unit_test(control_characters_cannot_make_a_second_line),
		cmocka_unit_test(a_long_line_is_cut_and_ends),
		cmocka_unit_test(errno_is_kept_and_can_be_said),
		cmocka_unit_test(a_limit_allows_one_line_a_period_and_counts_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
