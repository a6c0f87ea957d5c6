/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

#define N(array) (sizeof(array) / sizeof(array)[0])
#define HYEON "\xed\x98\x84" /* two letters of Hangul, three bytes each */
#define GWAN "\xea\xb4\x80"
#define SMILE "\xf0\x9f\x98\x80"

static void well_formed_characters_are_decoded(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		uint32_t code;
	} cases[] = {
		{"", 1, 0}, /* the terminating 0 */
		{"a", 1, 'a'},
		{"\x7f", 1, 0x7f},
		{"\xc2\x80", 2, 0x80},
		{"\xdf\xbf", 2, 0x7ff},
		{"\xe0\xa0\x80", 3, 0x800},
		{HYEON, 3, 0xd604},
		{"\xed\x9f\xbf", 3, 0xd7ff},
		{"\xee\x80\x80", 3, 0xe000},
		{"\xef\xbf\xbf", 3, 0xffff},
		{"\xf0\x90\x80\x80", 4, 0x10000},
		{"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		uint32_t code = 1;

		assert_int_equal(text_decode(cases[i].text, 4, &code), cases[i].len);
		assert_int_equal(code, cases[i].code);
		assert_int_equal(text_decode(cases[i].text, cases[i].len, &code), cases[i].len);
		assert_true(text_is_utf8(cases[i].text, cases[i].len));
	}
}

static void malformed_characters_are_none(void **state)
{
	static const char *const cases[] = {
		"\x80", /* continuation without a beginning */
		"\xbf",
		"\xc0\xaf", /* overlong forms */
		"\xc1\xbf",
		"\xe0\x9f\xbf",
		"\xf0\x8f\xbf\xbf",
		"\xed\xa0\x80", /* surrogates */
		"\xed\xbf\xbf",
		"\xf4\x90\x80\x80", /* beyond U+10FFFF */
		"\xf8\x88\x80\x80\x80",
		"\xfe",
		"\xff",
		"\xc3", /* cut */
		"\xe1\x80",
		"\xf1\x80\x80",
		"\xc3(", /* something else where it should go on */
		"\xe1\x80(",
		"\xf1\x80\x80(",
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		uint32_t code = 1;

		assert_int_equal(text_decode(cases[i], strlen(cases[i]), &code), 0);
		assert_int_equal(code, 1);
		assert_false(text_is_utf8(cases[i], strlen(cases[i])));
	}
}

/* Allocated to the byte: AddressSanitizer sees what reads on. */
static void nothing_behind_the_length_is_read(void **state)
{
	static const char text[] = "\xf4\x8f\xbf\xbf";
	uint32_t code;

	(void)state;
	for (size_t len = 1; len < 4; len++) {
		char *exact = malloc(len);

		assert_non_null(exact);
		memcpy(exact, text, len);
		assert_int_equal(text_decode(exact, len, &code), 0);
		assert_false(text_is_utf8(exact, len));
		free(exact);
	}
	assert_true(text_is_utf8(text, 0));
	assert_true(text_is_utf8("a\0b", 3));
}

static void text_is_cut_between_characters(void **state)
{
	static const struct {
		const char *text;
		size_t max, len;
	} cases[] = {
		{"", 0, 0},
		{"", 5, 0},
		{"abc", 0, 0},
		{"abc", 2, 2},
		{"abc", 3, 3},
		{"abc", 4, 3},
		{HYEON GWAN, 2, 0},
		{HYEON GWAN, 3, 3},
		{HYEON GWAN, 5, 3},
		{HYEON GWAN, 6, 6},
		{"a" SMILE "b", 4, 1},
		{"a" SMILE "b", 5, 5},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++)
		assert_int_equal(text_cut(cases[i].text, cases[i].max), cases[i].len);
}

static void text_is_put_behind_text_as_far_as_it_fits(void **state)
{
	char out[8];

	(void)state;
	text_set(out, sizeof out, "ab");
	assert_string_equal(out, "ab");
	text_append(out, sizeof out, HYEON);
	assert_string_equal(out, "ab" HYEON);
	text_append(out, sizeof out, GWAN);
	assert_string_equal(out, "ab" HYEON);
	text_append(out, sizeof out, "cde");
	assert_string_equal(out, "ab" HYEON "cd");
	text_append(out, sizeof out, "f");
	assert_string_equal(out, "ab" HYEON "cd");
	text_set(out, sizeof out, "");
	assert_string_equal(out, "");
	text_set(out, 1, "a");
	assert_string_equal(out, "");
}

static void what_a_terminal_would_act_on_becomes_a_question_mark(void **state)
{
	static const struct {
		const char *text, *clean;
	} cases[] = {
		{"", ""},
		{"porch 1 (\"new\") ~", "porch 1 (\"new\") ~"},
		{HYEON GWAN " caf\xc3\xa9 " SMILE, HYEON GWAN " caf\xc3\xa9 " SMILE},
		{"\xc2\xa0", "\xc2\xa0"}, /* no-break space */
		{"a\x1b[2J\t\r\nb\x7f", "a?[2J???b?"},
		{"\xc2\x80\xc2\x9b\xc2\x9f", "???"},	     /* C1 */
		{"a\xe2\x80\xa8\xe2\x80\xa9", "a??"},	     /* separators */
		{"\xd8\x9c\xe2\x80\x8e\xe2\x80\x8f", "???"}, /* marks */
		{"\xe2\x80\xaa\xe2\x80\xae", "??"},	     /* embedding, override */
		{"\xe2\x81\xa6\xe2\x81\xa9", "??"},	     /* isolates */
		{"\xef\xbb\xbfx", "?x"},		     /* byte order mark */
		{"\xef\xb7\x90\xef\xb7\xaf", "??"},	     /* noncharacters */
		{"\xef\xbf\xbe\xf4\x8f\xbf\xbf", "??"},
		{"a\x80\xff", "a??"},
		{"caf\xe9!", "caf?!"}, /* Latin-1 */
		{"\xed\x98", "??"},    /* the rest of a letter that was cut */
		{"\xed\xa0\x80", "???"},
		{"\xc3" HYEON, "?" HYEON},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		text_clean(out, sizeof out, cases[i].text);
		assert_string_equal(out, cases[i].clean);
		strcpy(out, cases[i].text);
		text_clean(out, sizeof out, out);
		assert_string_equal(out, cases[i].clean);
	}
}

#define ZWNJ "\xe2\x80\x8c"
#define ZWJ "\xe2\x80\x8d"
#define VS16 "\xef\xb8\x8f"
#define MAN "\xf0\x9f\x91\xa8"
#define GIRL "\xf0\x9f\x91\xa7"
#define HEART "\xe2\x9d\xa4"
#define PERSIAN_MI "\xd9\x85\xdb\x8c" /* the prefix of Persian verbs */
#define PERSIAN_R "\xd8\xb1"
#define SHALOM "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d"

static void characters_that_nobody_sees_become_a_question_mark(void **state)
{
	static const struct {
		const char *text, *clean;
	} cases[] = {
		{"por\xe2\x80\x8b"
		 "ch",
		 "por?ch"}, /* zero width space */
		{"porch" ZWJ, "porch?"},
		{ZWNJ "porch", "?porch"},
		{"po" ZWJ "rch", "po?rch"},
		{HYEON ZWJ GWAN, HYEON "?" GWAN},
		{"porch" VS16, "porch?"},
		{"\xef\xb8\x80", "?"},			       /* another selector */
		{"a\xc2\xad\xe2\x81\xa0\xe3\x85\xa4", "a???"}, /* soft hyphen, joiner, filler */
		{"\xf3\xa0\x80\xa0", "?"},		       /* a tag */
		{"\xf1\x80\x80\x80", "?"},		       /* plane 4 */
		{MAN ZWJ ZWJ GIRL, MAN "??" GIRL},
		{MAN ZWJ, MAN "?"},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		text_clean(out, sizeof out, cases[i].text);
		assert_string_equal(out, cases[i].clean);
	}
}

static void words_of_all_scripts_and_emoji_stay_as_they_are(void **state)
{
	static const char *const cases[] = {
		MAN ZWJ GIRL,
		MAN ZWJ HEART VS16 ZWJ MAN,
		HEART VS16 " porch",
		"1" VS16 "\xe2\x83\xa3", /* keycap */
		PERSIAN_MI ZWNJ PERSIAN_R,
		"\xe0\xa4\x95\xe0\xa5\x8d" ZWJ "\xe0\xa4\xb7", /* Devanagari */
		SHALOM " porch 2",
		"\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7",
		"\xe0\xb8\xab\xe0\xb8\x99\xe0\xb9\x89\xe0\xb8\xb2", /* Thai, with a mark */
		"e\xcc\x81",					    /* combining acute */
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		text_clean(out, sizeof out, cases[i]);
		assert_string_equal(out, cases[i]);
	}
}

static void clean_text_is_cut_between_characters(void **state)
{
	char out[6];

	(void)state;
	text_clean(out, sizeof out, HYEON GWAN);
	assert_string_equal(out, HYEON);
	text_clean(out, sizeof out, PERSIAN_R ZWNJ PERSIAN_R);
	assert_string_equal(out, PERSIAN_R); /* no joiner is left at the end */
	text_clean(out, sizeof out, "abcdefgh");
	assert_string_equal(out, "abcde");
	text_clean(out, sizeof out, "abcd\xc2\x85 f");
	assert_string_equal(out, "abcd?");
	text_clean(out, 1, "\n");
	assert_string_equal(out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(well_formed_characters_are_decoded),
		cmocka_unit_test(malformed_characters_are_none),
		cmocka_unit_test(nothing_behind_the_length_is_read),
		cmocka_unit_test(text_is_cut_between_characters),
		cmocka_unit_test(text_is_put_behind_text_as_far_as_it_fits),
		cmocka_unit_test(what_a_terminal_would_act_on_becomes_a_question_mark),
		cmocka_unit_test(characters_that_nobody_sees_become_a_question_mark),
		cmocka_unit_test(words_of_all_scripts_and_emoji_stay_as_they_are),
		cmocka_unit_test(clean_text_is_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
