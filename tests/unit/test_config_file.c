/* SPDX-License-Identifier: BSD-2-Clause */
/* The text of a configuration: lines, comments, encodings, and the file that it is in. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "config/config.h"
#include "tests/unit/config_rig.h"

static void editors_marks_endings_comments_and_indents_are_understood(void **state)
{
	struct config *config = parse_good(
		"\xef\xbb\xbf; comment\r\n  # a comment that is much longer than any line with a "
		"key may be, and that is fine because nobody cuts it: [camera nobody] "
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		"xxxxxxxxxxxxxxxxxxxxxxxxx = 1\n\n[ camera \t c ] ; comment\r\n\tsource: "
		"pattern\r\n   \n[stream s]# comment\n  camera = c\n\t annexb=1 ;2");

	(void)state;
	assert_string_equal(config->cameras[0].name, "c");
	assert_string_equal(config->cameras[0].source, "pattern");
	assert_int_equal(config->feeds[0].n_listen, 1);
	config_destroy(config);
}

#define BEHIND_BLANK(sign, equals)                                                                 \
	"c.ini:6: behind a blank, '" sign "' begins a comment; a value that begins with it "       \
	"follows the '" equals "' at once, and a comment's first letter follows a blank\n"

/* "password = #secret" would be an empty password. */
static void a_comment_that_may_be_meant_as_the_value_is_reported(void **state)
{
	static const struct mistake_case cases[] = {
		{GOOD "v4l2_device = #a\n", BEHIND_BLANK("#", "=")},
		{GOOD "v4l2_device: \t#a b\n", BEHIND_BLANK("#", ":")},
		{GOOD "v4l2_device = ;a\n", BEHIND_BLANK(";", "=")},
	};

	(void)state;
	CHECK_MISTAKES(cases);
}

static void a_value_goes_from_the_sign_to_a_comment(void **state)
{
	static const struct {
		const char *line, *value;
	} cases[] = {
		{"v4l2_device = a ;b", "a"},
		{"v4l2_device = a;b", "a;b"},
		{"v4l2_device = a; b\t; c ; d", "a; b"},
		{"v4l2_device =;a", ";a"},
		{"v4l2_device = ; a", ""},
		{"v4l2_device =", ""},
		{"v4l2_device = a # b ; c", "a"},
		{"v4l2_device = a#b", "a#b"},
		{"v4l2_device = # a", ""},
		{"v4l2_device = #", ""},
		{"v4l2_device =#a", "#a"},
		{"V4L2-Device = A", "A"},
		{"v4l2_device: a=b", "a=b"},
		{"v4l2_device=a:b=c", "a:b=c"},
		{"\tv4l2_device\t=\t a  b \t\r", "a  b"},
		{"v4l2_device = [a]", "[a]"},
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct config *config;

		snprintf(text, sizeof text, GOOD "%s\n", cases[i].line);
		config = parse_good(text);
		assert_string_equal(config->streams[0].v4l2_device, cases[i].value);
		config_destroy(config);
	}
	assert_null(parse(GOOD "v4l2_device ;= a\n"));
	assert_string_equal(
		messages, "c.ini:6: \"v4l2_device ;= a\" is neither a [section] nor KEY = VALUE\n");
}

static void a_file_in_utf16_gets_one_line(void **state)
{
	static const char little[] = "\xff\xfe[\0a\0]\0\n\0", big[] = "\xfe\xff\0[\0a\0]\0\n";
	static const char unmarked[] = "[\0c\0a\0]\0\n\0";

	(void)state;
	assert_null(parse_bytes(little, sizeof little - 1));
	assert_string_equal(messages, "c.ini:1: the file is in UTF-16; save it as UTF-8\n");
	assert_null(parse_bytes(big, sizeof big - 1));
	assert_string_equal(messages, "c.ini:1: the file is in UTF-16; save it as UTF-8\n");
	assert_null(parse_bytes(unmarked, sizeof unmarked - 1));
	assert_string_equal(messages, "c.ini:1: the file is in UTF-16; save it as UTF-8\n");
}

static void lines_that_are_none_are_reported(void **state)
{
	static const struct mistake_case cases[] = {
		{"http = 80\n" GOOD, "c.ini:1: key \"http\" stands before the first [section]\n"},
		{GOOD "hello\n", "c.ini:6: \"hello\" is neither a [section] nor KEY = VALUE\n"},
		{GOOD "a line of which only the first part is shown\n",
		 "c.ini:6: \"a line of which only the first p...\" is neither a [section] nor KEY "
		 "= VALUE\n"},
		{GOOD "[stream x\n",
		 "c.ini:6: a section is a name in brackets, alone on its line; the sections are "
		 "[daemon], [tls], [mqtt], [onvif], [user NAME], [camera NAME] and [stream "
		 "NAME]\n"},
		{GOOD "[stream x] camera = y\n",
		 "c.ini:6: a section is a name in brackets, alone on its line; the sections are "
		 "[daemon], [tls], [mqtt], [onvif], [user NAME], [camera NAME] and [stream "
		 "NAME]\n"},
		{GOOD "[daemon x]\n", "c.ini:6: section [daemon] takes no name\n"},
		{GOOD "[mqtt x]\n", "c.ini:6: section [mqtt] takes no name\n"},
		{GOOD "[camera]\n", "c.ini:6: section [camera NAME] needs a name: 1 to 40 of a-z, "
				    "A-Z, 0-9, '-', '_' or '.'\n"},
		{GOOD "[camera \xec\xa0\x95\xec\x9b\x90]\n",
		 "c.ini:6: section [camera NAME] needs a name: 1 to 40 of a-z, A-Z, 0-9, '-', '_' "
		 "or '.'\n"},
		{GOOD "[stream a b]\n", "c.ini:6: section [stream NAME] needs a name: 1 to 40 of "
					"a-z, A-Z, 0-9, '-', '_' or '.'\n"},
		{GOOD "[stream 12345678901234567890123456789012345678901]\n",
		 "c.ini:6: section [stream NAME] needs a name: 1 to 40 of a-z, A-Z, 0-9, '-', '_' "
		 "or '.'\n"},
		{"[camera c]\ncontrol. = 1\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:2: control.NAME needs a name: 1 to 40 bytes\n"},
		{"[camera c]\ncontrol.12345678901234567890123456789012345678901 = 1\n[stream "
		 "s]\ncamera = c\nannexb = 1\n",
		 "c.ini:2: control.NAME needs a name: 1 to 40 bytes\n"},
		{GOOD "v4l2_device = \x01\n",
		 "c.ini:6: this line is not text; allowed: UTF-8 without control characters\n"},
		{GOOD "v4l2_device = \xe9t\xe9\n",
		 "c.ini:6: this line is not text; allowed: UTF-8 without control characters\n"},
		{"", "c.ini:1: there is no camera; add a section [camera NAME]\n"},
		{"\n\n; nothing\n", "c.ini:3: there is no camera; add a section [camera NAME]\n"},
	};
	static const char nul[] = GOOD "bit\0rate = 1\n";

	(void)state;
	CHECK_MISTAKES(cases);
	assert_null(parse_bytes(nul, sizeof nul - 1));
	assert_string_equal(
		messages,
		"c.ini:6: this line is not text; allowed: UTF-8 without control characters\n");
}

static void only_well_formed_utf8_is_text(void **state)
{
	static const char *const good[] = {"ü", "€", "😀", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80",
					  "\xc3",
					  "\xc1\x81",
					  "\xe0\x9f\xbf",
					  "\xed\xa0\x80",
					  "\xe2\x82",
					  "\xf0\x8f\xbf\xbf",
					  "\xf4\x90\x80\x80",
					  "\xf8\x88\x80\x80\x80"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		snprintf(text, sizeof text, "[daemon]\nname = %s\n" GOOD, good[i]);
		config_destroy(parse_good(text));
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(text, sizeof text, "[daemon]\nname = %s.\n" GOOD, bad[i]);
		assert_null(parse(text));
	}
}

static void a_line_may_be_as_long_as_the_file(void **state)
{
	static const char beginning[] = GOOD "[camera long]\nsource = file:";
	static const char end[] = " ; comment\n[stream long]\ncamera = long\nannexb = 1\n";
	static const char letter[] = "\xed\x95\x9c"; /* of Hangul */
	const size_t letters = (CONFIG_FILE_MAX - sizeof beginning - sizeof end) / 3;
	char *text = malloc(CONFIG_FILE_MAX), *at = text;
	struct config *config;

	(void)state;
	assert_non_null(text);
	at = stpcpy(at, beginning);
	for (size_t i = 0; i < letters; i++)
		at = stpcpy(at, letter);
	stpcpy(at, end);
	config = parse_good(text);
	assert_int_equal(strlen(config->cameras[1].source), 5 + 3 * letters);
	config_destroy(config);
	free(text);
}

static void a_long_line_is_quoted_in_part(void **state)
{
	static const char *const cases[] = {
		GOOD "%s\n",	      GOOD "%s = 1\n", GOOD "codec = %s\n",
		GOOD "[stream %s]\n", GOOD "[%s]\n",   GOOD "[stream s]\ncamera = %s\nannexb = 1\n",
	};
	char part[3 * 5000 + 1], text[sizeof part + 256];

	(void)state;
	for (size_t i = 0; i < sizeof part - 1; i++)
		part[i] = "\xed\x95\x9c"[i % 3];
	part[sizeof part - 1] = '\0';
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		snprintf(text, sizeof text, cases[i], part);
		assert_null(parse(text));
		assert_memory_equal(messages, "c.ini:", 6);
		assert_in_range(strlen(messages), 1, 2200);
		assert_true(text_is_utf8(messages, strlen(messages)));
	}
}

static void nothing_may_be_said_twice(void **state)
{
	static const struct mistake_case cases[] = {
		{"[daemon]\n[daemon]\nname = x\n" GOOD,
		 "c.ini:2: section [daemon] was already given in line 1\n"},
		{GOOD "[camera front]\n",
		 "c.ini:6: section [camera front] was already given in line 1\n"},
		{GOOD "[stream main]\n",
		 "c.ini:6: section [stream main] was already given in line 3\n"},
		{GOOD "annexb = 1\n", "c.ini:6: key \"annexb\" was already given in line 5\n"},
		{"[camera c]\ncontrol.A = 1\ncontrol.A = 1\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:3: key \"control.A\" was already given in line 2\n"},
		{"[camera c]\nev = 1\n\nev = 1\n[stream s]\ncamera = c\nannexb = 1\n",
		 "c.ini:4: key \"ev\" was already given in line 2\n"},
	};

	(void)state;
	CHECK_MISTAKES(cases);
	config_destroy(parse_good(GOOD "[stream front]\ncamera = front\nannexb = 1\n"));
}

static void every_mistake_of_a_file_is_reported_in_its_order(void **state)
{
	static const struct mistake_case cases[] = {
		{"x = 1\n[daemon]\nbackend = select\n[camera front]\nsource = pattern\nsize = "
		 "1x1\njunk\n[stream a]\ncamera = front\nannexb = 1\nmax_lag_ms = 100\n[stream "
		 "b]\ncamera = fornt\nlength_prefixed = 1\n",
		 "c.ini:1: key \"x\" stands before the first [section]\nc.ini:3: backend = select "
		 "is not allowed; allowed: auto, epoll, io_uring\nc.ini:6: size = 1x1 is not "
		 "allowed; allowed: WIDTHxHEIGHT, even numbers from 16 to 8192, or 720p, 1080p and "
		 "the like\nc.ini:7: \"junk\" is neither a [section] nor KEY = VALUE\nc.ini:11: "
		 "shed_lag_ms = 800 must be less than max_lag_ms = 100 in section [stream "
		 "a]\nc.ini:13: there is no section [camera fornt]; the cameras are: front; did "
		 "you mean \"front\"?\nc.ini:14: port 1 of length_prefixed is already used by "
		 "annexb in line 10\n"},
		/* A bad key is not reported again by a check that needs it. */
		{GOOD "max_lag_ms = x\nshed_lag_ms = 5000\n",
		 "c.ini:6: max_lag_ms = x is not allowed; allowed: 1 to 600000 ms\n"},
	};

	(void)state;
	CHECK_MISTAKES(cases);
}

static void a_file_of_rubbish_gets_a_bounded_answer(void **state)
{
	char *text = repeat("", "rubbish %zu\n", 5000), *errors = NULL;
	struct config *config = NULL;
	size_t len = 0, lines = 0;
	FILE *out = open_memstream(&errors, &len);

	(void)state;
	assert_int_equal(config_parse(&config, "c.ini", text, strlen(text), out), -EINVAL);
	fclose(out);
	for (const char *c = errors; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 1001);
	assert_non_null(strstr(errors, "there are more mistakes, which are not shown\n"));
	free(errors);
	free(text);
}

/* --- files --- */

static char folder[] = "/tmp/camcast-test-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/c.ini", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static int load(struct config **config, const char *name, char **text, size_t *len)
{
	FILE *errors = fmemopen(messages, sizeof messages, "w");
	int r;

	assert_non_null(errors);
	messages[0] = '\0';
	r = config_load(config, name, errors, text, len);
	fclose(errors);
	return r;
}

static void a_file_is_loaded_with_its_text(void **state)
{
	struct config *config = NULL;
	FILE *file = fopen(path, "w");
	char *text = NULL;
	size_t len = 0;

	(void)state;
	assert_non_null(file);
	fputs(GOOD, file);
	fclose(file);
	assert_int_equal(load(&config, path, &text, &len), 0);
	assert_string_equal(config->cameras[0].name, "front");
	assert_int_equal(len, strlen(GOOD));
	assert_memory_equal(text, GOOD, len);
	free(text);
	config_destroy(config);
	assert_int_equal(load(&config, path, NULL, NULL), 0);
	config_destroy(config);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
	struct config *config = NULL;
	char *text = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(load(&config, "/nonexistent/c.ini", &text, &len), -ENOENT);
	assert_string_equal(messages, "/nonexistent/c.ini: No such file or directory\n");
	assert_int_equal(load(&config, folder, &text, &len), -EISDIR);
	assert_null(text);
	assert_int_equal(load(&config, "/dev/zero", &text, &len), -EFBIG);
	assert_string_equal(messages, "/dev/zero: File too large\n");
	assert_null(text);
	assert_null(config);
}

static void the_file_that_is_shipped_is_right(void **state)
{
	struct config *config = NULL;

	(void)state;
	if (load(&config, "config.ini", NULL, NULL) < 0)
		fail_msg("%s", messages);
	assert_int_equal(config->n_streams, 2);
	config_destroy(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(editors_marks_endings_comments_and_indents_are_understood),
		cmocka_unit_test(a_comment_that_may_be_meant_as_the_value_is_reported),
		cmocka_unit_test(a_value_goes_from_the_sign_to_a_comment),
		cmocka_unit_test(a_file_in_utf16_gets_one_line),
		cmocka_unit_test(lines_that_are_none_are_reported),
		cmocka_unit_test(only_well_formed_utf8_is_text),
		cmocka_unit_test(a_line_may_be_as_long_as_the_file),
		cmocka_unit_test(a_long_line_is_quoted_in_part),
		cmocka_unit_test(nothing_may_be_said_twice),
		cmocka_unit_test(every_mistake_of_a_file_is_reported_in_its_order),
		cmocka_unit_test(a_file_of_rubbish_gets_a_bounded_answer),
		cmocka_unit_test(a_file_is_loaded_with_its_text),
		cmocka_unit_test(a_file_that_cannot_be_read_is_named),
		cmocka_unit_test(the_file_that_is_shipped_is_right),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
