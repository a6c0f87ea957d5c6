/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/nearest.h"

static void try_all(struct nearest *nearest, const char *wanted, const char *const *words)
{
	nearest_init(nearest, wanted);
	for (size_t i = 0; words[i]; i++)
		nearest_try(nearest, words[i]);
}

static const char *const keys[] = {"backend", "bitrate", "framerate",	"history_ms",
				   "sei",     "http",	 "history_max", NULL};

static void a_slip_of_the_hand_is_recognised(void **state)
{
	static const char *const cases[][2] = {
		{"bakend", "backend"},	      {"BACKEND", "backend"}, {"bitrtae", "bitrate"},
		{"history-ms", "history_ms"}, {"frame", "framerate"}, {"htpp", "http"},
		{"frame_rate", "framerate"},
	};
	struct nearest nearest;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		try_all(&nearest, cases[i][0], keys);
		assert_non_null(nearest_slip(&nearest));
		assert_string_equal(nearest_slip(&nearest), cases[i][1]);
	}
}

static void another_word_is_no_slip(void **state)
{
	static const char *const cases[] = {"", "x", "fps", "gop", "port", "nothing_like_it"};
	char hint[NEAREST_HINT_MAX];
	struct nearest nearest;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		try_all(&nearest, cases[i], keys);
		assert_null(nearest_slip(&nearest));
		assert_string_equal(nearest_hint(&nearest, hint), "");
	}
}

static void the_three_nearest_words_are_kept_in_order(void **state)
{
	struct nearest nearest;

	(void)state;
	try_all(&nearest, "history_m", keys);
	assert_int_equal(nearest.n, NEAREST_WORDS);
	assert_string_equal(nearest.words[0].word, "history_ms");
	assert_string_equal(nearest.words[1].word, "history_max");
	assert_true(nearest.words[1].distance <= nearest.words[2].distance);
}

static void a_hint_names_all_words_that_are_as_near(void **state)
{
	static const char *const commands[] = {"discover", "recv", "record", "view", NULL};
	char hint[NEAREST_HINT_MAX];
	struct nearest nearest;

	(void)state;
	try_all(&nearest, "recrod", commands);
	assert_string_equal(nearest_hint(&nearest, hint), "; did you mean \"record\"?");
	try_all(&nearest, "rec", commands);
	assert_string_equal(nearest_hint(&nearest, hint), "; did you mean \"recv\" or \"record\"?");
}

static void a_long_word_is_ignored(void **state)
{
	char longest[65], longer[66], hint[NEAREST_HINT_MAX];
	const char *const words[] = {longest, longest, longest, longer, NULL};
	struct nearest nearest;

	(void)state;
	memset(longest, 'a', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	memset(longer, 'a', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	try_all(&nearest, longer, words);
	assert_int_equal(nearest.n, 0);
	try_all(&nearest, longest, words);
	assert_int_equal(nearest.n, 3);
	assert_int_equal(strlen(nearest_hint(&nearest, hint)),
			 strlen("; did you mean \"\", \"\" or \"\"?") + 3 * (sizeof longest - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slip_of_the_hand_is_recognised),
		cmocka_unit_test(another_word_is_no_slip),
		cmocka_unit_test(the_three_nearest_words_are_kept_in_order),
		cmocka_unit_test(a_hint_names_all_words_that_are_as_near),
		cmocka_unit_test(a_long_word_is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
