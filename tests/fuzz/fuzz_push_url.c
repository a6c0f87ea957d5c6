/* SPDX-License-Identifier: BSD-2-Clause */
/* A list of URLs, a zero byte, and a text: what is shown of a URL has nothing of it behind host and
 * port, and hiding its secrets in the text stays within the text. */
#include <stdlib.h>
#include <string.h>

#include "net/push_url.h"

#define TEXT_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check(const char *url, const char *said)
{
	char shown[PUSH_URL_SHOWN_MAX], *text = calloc(1, TEXT_MAX);
	struct push_url parsed;

	require(text);
	push_url_redact(url, shown);
	require(strlen(shown) < sizeof shown);
	if (push_url_parse(&parsed, url) == NULL || source_url_parse(&parsed, url) == NULL) {
		require(strstr(shown, parsed.host.host) && parsed.host.port > 0);
		require(strcmp(shown + strlen(shown) - 4, "/...") == 0);
	} else {
		require(strcmp(shown, "...") == 0);
	}
	strncpy(text, said, TEXT_MAX - 1);
	text[TEXT_MAX - 1] = '\0';
	push_url_hide(url, text, TEXT_MAX);
	require(memchr(text, '\0', TEXT_MAX) != NULL);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(size + 2, 1);
	const char *list = text, *said;
	char url[PUSH_URL_MAX];
	int more;

	require(text);
	if (size > 0)
		memcpy(text, data, size);
	said = text + strlen(text) + 1;
	while ((more = push_url_next(&list, url)) != 0)
		if (more > 0)
			check(url, said);
	free(text);
	return 0;
}
