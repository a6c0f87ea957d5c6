/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/auth/credentials.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/text.h"

void credentials_cookie_name(char name[CREDENTIALS_COOKIE_MAX], uint16_t port)
{
	snprintf(name, CREDENTIALS_COOKIE_MAX, "camcast-%u", port);
}

bool credentials_is_token(const char *text)
{
	size_t len = strlen(text);

	for (const char *at = text; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("-._~+/=", *at))
			return false;
	return len >= CREDENTIALS_TOKEN_MIN && len <= CREDENTIALS_TOKEN_MAX;
}

static void take_token(struct credentials *out, const char *text)
{
	if (!credentials_is_token(text))
		return;
	strcpy(out->secret, text);
	out->kind = CREDENTIALS_TOKEN;
}

/* --- Authorization --- */

#define BASIC_MAX (CREDENTIALS_NAME_MAX + CREDENTIALS_SECRET_MAX)

/* What is no UTF-8 is Latin-1 (ISO 8859-1), as some clients (libsoup) send it. In place. */
static void convert_latin1(char text[2 * BASIC_MAX])
{
	char latin1[BASIC_MAX];
	size_t n = 0;

	if (text_is_utf8(text, strlen(text)))
		return;
	strcpy(latin1, text);
	for (const char *at = latin1; *at; at++) {
		unsigned char c = (unsigned char)*at;

		if (c >= 0x80)
			text[n++] = (char)(0xc0 | c >> 6);
		text[n++] = (char)(c < 0x80 ? c : 0x80 | (c & 0x3f));
	}
	text[n] = '\0';
	explicit_bzero(latin1, sizeof latin1);
}

/* "user:password", where the user has no colon (RFC 7617 clause 2), and neither a NUL. */
static void take_basic(struct credentials *out, const char *value)
{
	char text[2 * BASIC_MAX];
	int len = bytes_read_base64((uint8_t *)text, BASIC_MAX - 1, value);
	char *colon;

	if (len < 0)
		return;
	text[len] = '\0';
	if (strlen(text) != (size_t)len)
		return;
	convert_latin1(text);
	colon = strchr(text, ':');
	if (colon && colon - text < CREDENTIALS_NAME_MAX &&
	    strlen(colon + 1) < CREDENTIALS_SECRET_MAX) {
		*colon = '\0';
		strcpy(out->name, text);
		strcpy(out->secret, colon + 1);
		out->kind = CREDENTIALS_PASSWORD;
	}
	explicit_bzero(text, sizeof text);
}

const char *credentials_after_scheme(const char *value, const char *scheme)
{
	size_t len = strlen(scheme);

	if (strncasecmp(value, scheme, len) != 0 || value[len] != ' ')
		return NULL;
	return value + len + strspn(value + len, " ");
}

static bool read_header(struct credentials *out, const struct message *head)
{
	const char *value = message_header(head, "Authorization", NULL), *rest;

	if (!value)
		return false;
	rest = credentials_after_scheme(value, "Basic");
	if (rest) {
		out->kind = CREDENTIALS_BAD;
		take_basic(out, rest);
		return true;
	}
	rest = credentials_after_scheme(value, "Bearer");
	if (rest) {
		out->kind = CREDENTIALS_BAD;
		take_token(out, rest);
		return true;
	}
	return false;
}

/* --- query and cookie --- */

static bool read_query(struct credentials *out, const struct message *head)
{
	char text[CREDENTIALS_TOKEN_MAX + 1];
	int err = message_read_parameter(head, "token", text, sizeof text);

	if (err == -ENOENT)
		return false;
	out->kind = CREDENTIALS_BAD;
	if (err == 0)
		take_token(out, text);
	out->in_query = out->kind == CREDENTIALS_TOKEN;
	return true;
}

/* The value of one cookie of a header "a=b; c=d" (RFC 6265 clause 4.2.1). */
static bool find_cookie(const char *header, const char *name, char value[CREDENTIALS_SECRET_MAX])
{
	size_t name_len = strlen(name), len;

	for (const char *at = header + strspn(header, "; "); *at; at += strspn(at, "; ")) {
		len = strcspn(at, ";");
		if (len > name_len && strncmp(at, name, name_len) == 0 && at[name_len] == '=' &&
		    len - name_len - 1 < CREDENTIALS_SECRET_MAX) {
			memcpy(value, at + name_len + 1, len - name_len - 1);
			value[len - name_len - 1] = '\0';
			return true;
		}
		at += len;
	}
	return false;
}

static void read_cookie(struct credentials *out, const struct message *head, const char *cookie)
{
	static const size_t kind_len = sizeof CREDENTIALS_COOKIE_TOKEN - 1;
	char value[CREDENTIALS_SECRET_MAX];

	for (const char *header = message_header(head, "Cookie", NULL); header;
	     header = message_header(head, "Cookie", header)) {
		if (!find_cookie(header, cookie, value))
			continue;
		if (strncmp(value, CREDENTIALS_COOKIE_TOKEN, kind_len) == 0) {
			take_token(out, value + kind_len);
			out->in_cookie = out->kind == CREDENTIALS_TOKEN;
		} else if (strncmp(value, CREDENTIALS_COOKIE_LOGIN, kind_len) == 0) {
			strcpy(out->secret, value + kind_len);
			out->kind = CREDENTIALS_LOGIN;
		}
		return;
	}
}

void credentials_read(struct credentials *out, const struct message *head, const char *cookie)
{
	*out = (struct credentials){.kind = CREDENTIALS_NONE};
	if (!read_header(out, head) && !read_query(out, head))
		read_cookie(out, head, cookie);
}
