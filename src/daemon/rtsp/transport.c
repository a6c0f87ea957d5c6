/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/rtsp/transport.h"

#include <string.h>
#include <strings.h>

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t");
}

/* Whether the text of len bytes is word, in any case, with blanks around it. */
static bool is(const char *text, size_t len, const char *word)
{
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

/* One transport, of len bytes: a protocol, then parameters behind semicolons. */
static bool is_interleaved(const char *text, size_t len)
{
	const char *end = text + len;
	bool first = true;

	while (text < end) {
		size_t n;

		text = skip_blanks(text);
		if (text >= end)
			break;
		for (n = 0; text + n < end && text[n] != ';';)
			n++;
		if (first && !is(text, n, "RTP/AVP/TCP"))
			return false;
		if (!first && (is(text, n, "multicast") || is(text, n, "mode=RECORD") ||
			       is(text, n, "mode=\"RECORD\"")))
			return false;
		first = false;
		text += n + 1;
	}
	return !first;
}

bool transport_allows_interleaved(const char *value)
{
	while (*value) {
		size_t n = 0;
		bool quoted = false;

		for (; value[n] && (quoted || value[n] != ','); n++)
			quoted ^= value[n] == '"';
		if (is_interleaved(value, n))
			return true;
		value += n + (value[n] == ',');
	}
	return false;
}
