/* SPDX-License-Identifier: BSD-2-Clause */
/* The key `source`: which kind it is, what is wrong with it, and how it is shown. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "base/words.h"
#include "config/options.h"
#include "net/push_url.h"

#define OPTIONS_NAME_MAX 64

static const struct kind {
	const char *word; /* with ':' a prefix; something must follow it */
	enum config_source_kind kind;
} kinds[] = {
	{"auto", CONFIG_SOURCE_AUTO},	    {"libcamera", CONFIG_SOURCE_LIBCAMERA},
	{"pattern", CONFIG_SOURCE_PATTERN}, {"libcamera:", CONFIG_SOURCE_LIBCAMERA},
	{"file:", CONFIG_SOURCE_FILE},	    {"url:", CONFIG_SOURCE_URL},
	{"exec:", CONFIG_SOURCE_EXEC},	    {"pipe:", CONFIG_SOURCE_PIPE},
};

static const struct kind *find_kind(const char *source)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const size_t len = strlen(kinds[i].word);
		const bool prefix = kinds[i].word[len - 1] == ':';

		if (strncasecmp(source, kinds[i].word, len) == 0 && prefix == (source[len] != '\0'))
			return &kinds[i];
	}
	return NULL;
}

size_t option_source_word_len(const char *source)
{
	const struct kind *kind = find_kind(source);

	return kind ? strlen(kind->word) : 0;
}

enum config_source_kind config_source_kind(const char *source, const char **rest)
{
	const struct kind *kind = find_kind(source);

	if (rest)
		*rest = kind ? source + strlen(kind->word) : source;
	return kind ? kind->kind : CONFIG_SOURCE_UNKNOWN;
}

bool config_source_is_live(const char *source)
{
	const enum config_source_kind kind = config_source_kind(source, NULL);

	return kind == CONFIG_SOURCE_URL || kind == CONFIG_SOURCE_EXEC ||
	       kind == CONFIG_SOURCE_PIPE;
}

/* The program is a path, or a name that is looked for in PATH. */
static const char *check_command(const char *text)
{
	const char *wrong = NULL;
	char **words;
	int n = words_split(&words, text, &wrong);

	if (n < 0)
		return wrong ? wrong : "there is no memory to read it";
	if (n == 0)
		wrong = "it names no program";
	else if (words[0][0] == '\0')
		wrong = "the name of the program is empty";
	else if (strchr(words[0], '/') && words[0][0] != '/')
		wrong = "the path of the program must begin with '/'";
	free(words);
	return wrong;
}

const char *option_source_wrong(const char *source)
{
	struct push_url url;
	const char *rest;

	switch (config_source_kind(source, &rest)) {
	case CONFIG_SOURCE_URL:
		return source_url_parse(&url, rest);
	case CONFIG_SOURCE_EXEC:
		return check_command(rest);
	case CONFIG_SOURCE_PIPE:
		return rest[0] == '/' ? NULL : "the path of the pipe must begin with '/'";
	case CONFIG_SOURCE_FILE:
		if (strcmp(rest, "-") == 0)
			return "the standard input cannot be played; exec:PROGRAM reads what a "
			       "program writes, pipe:PATH reads a named pipe";
		if (strstr(rest, "://"))
			return "a URL is no file; url: takes it";
		return NULL;
	default:
		return NULL;
	}
}

void config_source_show(const char *source, char out[CONFIG_SOURCE_SHOWN_MAX])
{
	char shown[PUSH_URL_SHOWN_MAX];
	const char *rest, *wrong, *name, *slash;
	char **words;

	switch (config_source_kind(source, &rest)) {
	case CONFIG_SOURCE_URL:
		push_url_redact(rest, shown);
		text_set(out, CONFIG_SOURCE_SHOWN_MAX, "url:");
		text_append(out, CONFIG_SOURCE_SHOWN_MAX, shown);
		return;
	case CONFIG_SOURCE_EXEC:
		text_set(out, CONFIG_SOURCE_SHOWN_MAX, "exec:");
		if (words_split(&words, rest, &wrong) <= 0)
			return;
		slash = strrchr(words[0], '/');
		name = slash ? slash + 1 : words[0];
		text_append(out, CONFIG_SOURCE_SHOWN_MAX, name);
		free(words);
		return;
	default:
		text_set(out, CONFIG_SOURCE_SHOWN_MAX, source);
	}
}

/* --- options of libavformat --- */

static const char *check_url_option(const char *word)
{
	const char *equals = strchr(word, '=');
	const size_t len = equals ? (size_t)(equals - word) : 0;

	if (len == 0 || len >= OPTIONS_NAME_MAX)
		return "each option is NAME=VALUE";
	if (strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_") != len)
		return "the name of an option has letters, digits and '_'";
	return NULL;
}

const char *option_url_options_wrong(const char *text)
{
	const char *wrong = NULL;
	char **words;
	int n = words_split(&words, text, &wrong);

	if (n < 0)
		return wrong ? wrong : "there is no memory to read it";
	for (int i = 0; i < n && !wrong; i++)
		wrong = check_url_option(words[i]);
	free(words);
	return wrong;
}
