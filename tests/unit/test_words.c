/* SPDX-License-Identifier: BSD-2-Clause */
/* Command lines of a configuration. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/words.h"

static void quotes_are_those_of_a_shell(void **state)
{
	static const struct {
		const char *text, *words[6];
	} cases[] = {
		{"", {NULL}},
		{" \t ", {NULL}},
		{"rpicam-vid -t 0  --inline\t-o -",
		 {"rpicam-vid", "-t", "0", "--inline", "-o", "-"}},
		{"a 'b c' \"d e\"", {"a", "b c", "d e"}},
		{"a'b'\"c\"d", {"abcd"}},
		{"'' \"\"", {"", ""}},
		{"a\\ b \\'c", {"a b", "'c"}},
		{"'a\\b' \"a\\b\" \"a\\\"b\\\\\"", {"a\\b", "a\\b", "a\"b\\"}},
		{"$HOME *.c | cat > x", {"$HOME", "*.c", "|", "cat", ">", "x"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *why;
		char **words;
		int n = words_split(&words, cases[i].text, &why);

		assert_true(n >= 0 && n <= 6);
		for (int j = 0; j < n; j++)
			assert_string_equal(words[j], cases[i].words[j]);
		assert_true(n == 6 || !cases[i].words[n]);
		assert_null(words[n]);
		free(words);
	}
}

static void what_does_not_end_is_refused(void **state)
{
	static const char *const cases[] = {"a 'b", "a \"b", "\"a\\\"", "a\\", "'"};
	const char *why;
	char **words;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(words_split(&words, cases[i], &why), -EINVAL);
		assert_non_null(why);
	}
}

static void there_are_no_more_words_than_the_limit(void **state)
{
	char text[2 * WORDS_MAX + 3] = "";
	const char *why;
	char **words;

	(void)state;
	for (int i = 0; i < WORDS_MAX; i++)
		strcat(text, "a ");
	assert_int_equal(words_split(&words, text, &why), WORDS_MAX);
	free(words);
	strcat(text, "a");
	assert_int_equal(words_split(&words, text, &why), -EINVAL);
	assert_string_equal(why, "there are too many words");
}

static void a_program_is_looked_for_in_path(void **state)
{
	char path[PATH_MAX];

	(void)state;
	setenv("PATH", "relative:/nowhere::/usr/bin:/bin", 1);
	assert_int_equal(words_find_program("env", path), 0);
	assert_string_equal(path, "/usr/bin/env");
	assert_int_equal(words_find_program("/usr/bin/env", path), 0);
	assert_int_equal(words_find_program("no-such-program", path), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(words_find_program("/usr", path), -1);
	assert_int_equal(errno, EACCES);
	setenv("PATH", "", 1);
	assert_int_equal(words_find_program("env", path), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quotes_are_those_of_a_shell),
		cmocka_unit_test(what_does_not_end_is_refused),
		cmocka_unit_test(there_are_no_more_words_than_the_limit),
		cmocka_unit_test(a_program_is_looked_for_in_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
