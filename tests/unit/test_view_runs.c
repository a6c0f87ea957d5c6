/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "client/view/runs.h"

#define HATZER "\xd7\x97\xd7\xa6\xd7\xa8" /* Hebrew: yard, 3 letters */
#define BAB "\xd8\xa8\xd8\xa7\xd8\xa8"	  /* Arabic: door */
#define DWIT "\xeb\x92\xb7"		  /* Hangul */
#define CAMERA "\xf0\x9f\x93\xb7"	  /* U+1F4F7 */

/* As many fonts as kinds: 1 Hangul, 2 emoji, 0 the rest. */
static int choose(void *user, uint32_t code, int before)
{
	(void)user;
	(void)before;
	return code >= 0x1f000 ? 2 : code >= 0xac00 && code < 0xd7a4 ? 1 : 0;
}

/* What is drawn from left to right: "text/script/font", "<" where it is from right to left. */
static const char *describe(const char *text)
{
	static char out[1024];
	struct view_run runs[VIEW_RUNS_MAX];
	size_t n = view_runs_make(text, choose, NULL, runs), len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(out + len, sizeof out - len, "%s%.*s/%s/%d%s", i ? "|" : "",
					(int)runs[i].len, text + runs[i].start, runs[i].script,
					runs[i].font, runs[i].right_to_left ? "<" : "");
	return out;
}

static void latin_is_one_run(void **state)
{
	(void)state;
	assert_string_equal(describe(""), "");
	assert_string_equal(describe("front door 2"), "front door 2/Latn/0");
	assert_string_equal(describe("2"), "2/Zyyy/0");
}

static void hebrew_and_arabic_run_from_right_to_left(void **state)
{
	(void)state;
	assert_string_equal(describe(HATZER), HATZER "/Hebr/0<");
	assert_string_equal(describe(BAB), BAB "/Arab/0<");
}

static void a_number_in_hebrew_is_drawn_to_its_left_and_reads_from_the_left(void **state)
{
	(void)state;
	assert_string_equal(describe(HATZER " 12"), "12/Hebr/0|" HATZER " /Hebr/0<");
}

static void hebrew_in_latin_keeps_its_place(void **state)
{
	(void)state;
	assert_string_equal(describe("cam " HATZER " a"),
			    "cam /Latn/0|" HATZER "/Hebr/0<| /Hebr/0|a/Latn/0");
}

static void letters_of_another_font_are_runs_of_their_own(void **state)
{
	(void)state;
	assert_string_equal(describe("cam " DWIT CAMERA "x"),
			    "cam /Latn/0|" DWIT "/Hang/1|" CAMERA "/Hang/2|x/Latn/0");
}

static void too_much_and_malformed_text_is_cut(void **state)
{
	char text[4 * VIEW_RUNS_MAX];
	struct view_run runs[VIEW_RUNS_MAX];

	(void)state;
	/* Each letter has another direction than the one before. */
	for (size_t i = 0; i + 3 < sizeof text; i += 3)
		memcpy(text + i, "a\xd7\x97", 4);
	assert_int_equal(view_runs_make(text, choose, NULL, runs), VIEW_RUNS_MAX);
	assert_string_equal(describe("a\xff"), "a/Latn/0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(latin_is_one_run),
		cmocka_unit_test(hebrew_and_arabic_run_from_right_to_left),
		cmocka_unit_test(a_number_in_hebrew_is_drawn_to_its_left_and_reads_from_the_left),
		cmocka_unit_test(hebrew_in_latin_keeps_its_place),
		cmocka_unit_test(letters_of_another_font_are_runs_of_their_own),
		cmocka_unit_test(too_much_and_malformed_text_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
