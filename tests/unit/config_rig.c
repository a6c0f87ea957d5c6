/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/config_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

char messages[65536];

struct config *parse_bytes(const char *text, size_t len)
{
	struct config *config = NULL;
	FILE *errors = fmemopen(messages, sizeof messages, "w");
	int r;

	assert_non_null(errors);
	messages[0] = '\0';
	r = config_parse(&config, "c.ini", text, len, errors);
	fclose(errors);
	if (r < 0) {
		assert_int_equal(r, -EINVAL);
		assert_true(messages[0] != '\0');
		assert_null(config);
	} else {
		assert_string_equal(messages, "");
	}
	return config;
}

struct config *parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

struct config *parse_good(const char *text)
{
	struct config *config = parse(text);

	if (!config)
		fail_msg("refused: %s", messages);
	return config;
}

void check_mistakes(const struct mistake_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct config *config = parse(cases[i].text);

		if (config)
			fail_msg("accepted: %s", cases[i].text);
		assert_string_equal(messages, cases[i].message);
	}
}

void check_values(const struct value_case *cases, size_t n, const char *format)
{
	char text[512];

	for (size_t i = 0; i < n; i++) {
		const struct value_case *c = &cases[i];

		for (size_t j = 0; c->bad[j]; j++) {
			char start[256];
			struct config *config;

			snprintf(text, sizeof text, format, c->key, c->bad[j]);
			config = parse(text);
			if (config)
				fail_msg("%s = %s was accepted", c->key, c->bad[j]);
			snprintf(start, sizeof start, "c.ini:2: %s%s%s%s; allowed: ", c->key,
				 c->bad[j][0] ? " = " : " is empty", c->bad[j],
				 c->bad[j][0] ? " is not allowed" : "");
			assert_memory_equal(messages, start, strlen(start));
			/* nothing but this one */
			assert_ptr_equal(strchr(messages, '\n') + 1, strchr(messages, '\0'));
		}
		for (size_t j = 0; c->good[j]; j++) {
			struct config *config;

			snprintf(text, sizeof text, format, c->key, c->good[j]);
			config = parse(text);
			if (!config)
				fail_msg("%s", messages);
			config_destroy(config);
		}
	}
}

/* Repeats `format` (with one %zu) n times into a text of its own. */
char *repeat(const char *start, const char *format, size_t n)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	fputs(start, out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, format, i);
	fclose(out);
	return text;
}
