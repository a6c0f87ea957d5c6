/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cli.h"

enum { JSON = 256, SEGMENT, MAX_AGE, MAX_BYTES };

static const struct option options[] = {
	{"json", no_argument, NULL, 'j'},
	{"dir", required_argument, NULL, 'd'},
	{"segment", required_argument, NULL, SEGMENT},
	{"max-age", required_argument, NULL, MAX_AGE},
	{"max-bytes", required_argument, NULL, MAX_BYTES},
	{"verbose", no_argument, NULL, 'v'},
	{0},
};
static const struct cli cli = {"prog run", "jd:v", options};

static char message[1024]; /* what the last call wrote to stderr */

/* Reads all options of "run WORDS"; returns the last one, or '?' at the first mistake. */
static int run(const char *words, const char **value, const char **rest)
{
	static char text[256];
	char *argv[16] = {"run"};
	int argc = 1, c, last = -1, saved = dup(STDERR_FILENO);
	FILE *errors = tmpfile();

	snprintf(text, sizeof text, "%s", words);
	for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	assert_non_null(errors);
	fflush(stderr);
	assert_true(saved >= 0 && dup2(fileno(errors), STDERR_FILENO) >= 0);
	optind = 0;
	while ((c = cli_next(&cli, argc, argv)) >= 0) {
		last = c;
		*value = optarg;
		if (c == '?')
			break;
	}
	*rest = argv[optind];
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(errors);
	message[fread(message, 1, sizeof message - 1, errors)] = '\0';
	fclose(errors);
	return last;
}

static void options_are_read_in_any_case(void **state)
{
	static const struct {
		const char *words;
		int code;
		const char *value, *rest;
	} cases[] = {
		{"--json", 'j', NULL, NULL},
		{"-j", 'j', NULL, NULL},
		{"--JSON name", 'j', NULL, "name"},
		{"--Max_Age=7d", MAX_AGE, "7d", NULL},
		{"name --seg 5", SEGMENT, "5", "name"},
		{"-j -- --JSON", 'j', NULL, "--JSON"},
		{"name", -1, NULL, "name"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const char *value = NULL, *rest;

		assert_int_equal(run(cases[i].words, &value, &rest), cases[i].code);
		assert_string_equal(message, "");
		assert_string_equal(value ? value : "", cases[i].value ? cases[i].value : "");
		assert_string_equal(rest ? rest : "", cases[i].rest ? cases[i].rest : "");
	}
}

static void a_mistake_gets_one_line_that_helps(void **state)
{
	static const char *const cases[][2] = {
		{"--segmnt 5", "unknown option \"--segmnt\"; did you mean \"--segment\"?"},
		{"--segmnt=5", "unknown option \"--segmnt\"; did you mean \"--segment\"?"},
		{"--quality",
		 "unknown option \"--quality\"; \"prog run --help\" lists the options"},
		{"--max 5", "option \"--max\" is short for several: --max-age, --max-bytes"},
		{"--dir", "option \"--dir\" needs a value"},
		{"-d", "option \"--dir\" needs a value"},
		{"--json=yes", "option \"--json\" takes no value"},
		{"-V", "unknown option \"-V\"; did you mean \"-v\"?"},
		{"-s 5", "unknown option \"-s\"; did you mean \"--segment\"?"},
		{"-x", "unknown option \"-x\"; \"prog run --help\" lists the options"},
		{"-json", "unknown option \"-s\"; did you mean \"--json\"?"},
		{"-segment 5", "unknown option \"-s\"; did you mean \"--segment\"?"},
	};
	char line[256];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const char *value, *rest;

		assert_int_equal(run(cases[i][0], &value, &rest), '?');
		snprintf(line, sizeof line, "prog run: %s\n", cases[i][1]);
		assert_string_equal(message, line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_read_in_any_case),
		cmocka_unit_test(a_mistake_gets_one_line_that_helps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
