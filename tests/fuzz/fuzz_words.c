/* SPDX-License-Identifier: BSD-2-Clause */
/* A command line: its words are no longer than itself, and end where they should. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1), **words;
	const char *why;
	size_t len = 0;
	int n;

	require(text);
	memcpy(text, data, size);
	n = words_split(&words, text, &why);
	require(n <= WORDS_MAX && (n >= 0) == (why == NULL));
	for (int i = 0; i < n; i++)
		len += strlen(words[i]);
	require(n < 0 || (words[n] == NULL && len <= strlen(text)));
	if (n >= 0)
		free(words);
	free(text);
	return 0;
}
