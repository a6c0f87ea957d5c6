/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/words.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Copies what is between quotes, *in behind the first of them, and moves behind the last. False:
 * there is no last one. */
static bool take_quoted(const char **in, char **out, char quote)
{
	const char *at = *in;

	for (; *at != quote; at++) {
		if (*at == '\0')
			return false;
		if (quote == '"' && *at == '\\' && (at[1] == '"' || at[1] == '\\'))
			at++;
		*(*out)++ = *at;
	}
	*in = at + 1;
	return true;
}

/* One word, *in at its first character, to *out, terminated. NULL, or what is wrong. */
static const char *take_word(const char **in, char **out)
{
	while (**in && !is_blank(**in)) {
		const char c = *(*in)++;

		if (c == '\'' || c == '"') {
			if (!take_quoted(in, out, c))
				return "a quote is not closed";
		} else if (c == '\\') {
			if (**in == '\0')
				return "nothing follows the last backslash";
			*(*out)++ = *(*in)++;
		} else {
			*(*out)++ = c;
		}
	}
	*(*out)++ = '\0';
	return NULL;
}

int words_split(char ***out, const char *text, const char **why)
{
	const size_t list = (WORDS_MAX + 1) * sizeof(char *);
	char **words = malloc(list + strlen(text) + 1);
	char *at;
	int n = 0;

	if (!words)
		return -ENOMEM;
	at = (char *)words + list;
	*why = NULL;
	for (;;) {
		while (is_blank(*text))
			text++;
		if (*text == '\0')
			break;
		if (n == WORDS_MAX) {
			*why = "there are too many words";
			break;
		}
		words[n++] = at;
		*why = take_word(&text, &at);
		if (*why)
			break;
	}
	if (*why) {
		free(words);
		return -EINVAL;
	}
	words[n] = NULL;
	*out = words;
	return n;
}

/* path: PATH_MAX bytes. */
static bool is_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || access(path, X_OK) < 0)
		return false;
	if (S_ISREG(st.st_mode))
		return true;
	errno = EACCES;
	return false;
}

int words_find_program(const char *name, char *path)
{
	const char *at = getenv("PATH");
	int error = ENOENT;

	if (strchr(name, '/')) {
		if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX)
			errno = ENAMETOOLONG;
		else if (is_program(path))
			return 0;
		return -1;
	}
	for (at = at ? at : "/usr/local/bin:/usr/bin:/bin"; at; at = strchr(at, ':')) {
		size_t len;

		at += *at == ':';
		len = strcspn(at, ":");
		/* A relative folder would depend on where this process is. */
		if (*at != '/' ||
		    snprintf(path, PATH_MAX, "%.*s/%s", (int)len, at, name) >= PATH_MAX)
			continue;
		if (is_program(path))
			return 0;
		if (errno == EACCES)
			error = EACCES;
	}
	errno = error;
	return -1;
}
