/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/auth/credentials.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

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

/* The value of a character of base64 (RFC 4648 clause 4); -1: it is none. */
static int base64_value(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Decodes up to the padding or the end. Returns the bytes, or -1: malformed, or more than size. */
static int decode_base64(const char *text, char *out, size_t size)
{
	unsigned bits = 0, n_bits = 0;
	size_t n = 0;
	int value;

	for (; (value = base64_value(*text)) >= 0; text++) {
		bits = (bits << 6 | (unsigned)value) & 0xffff;
		n_bits += 6;
		if (n_bits < 8)
			continue;
		if (n == size)
			return -1;
		n_bits -= 8;
		out[n++] = (char)(bits >> n_bits & 0xff);
	}
	text += strspn(text, "=");
	return *text == '\0' ? (int)n : -1;
}

#define BASIC_MAX (CREDENTIALS_NAME_MAX + CREDENTIALS_SECRET_MAX)

static bool is_utf8(const char *text, size_t len)
{
	uint32_t c;
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		n = text_decode(text + i, len - i, &c);
		if (n == 0)
			return false;
	}
	return true;
}

/* What is no UTF-8 is Latin-1 (ISO 8859-1), as some clients (libsoup) send it. In place. */
static void convert_latin1(char text[2 * BASIC_MAX])
{
	char latin1[BASIC_MAX];
	size_t n = 0;

	if (is_utf8(text, strlen(text)))
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
	int len = decode_base64(value, text, BASIC_MAX - 1);
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
	static const char name[] = "token=";
	char raw[3 * CREDENTIALS_TOKEN_MAX + 1], text[CREDENTIALS_TOKEN_MAX + 1];
	const char *at = head->query;
	size_t len;

	while (at && strncmp(at, name, sizeof name - 1) != 0) {
		at = strchr(at, '&');
		if (at)
			at++;
	}
	if (!at)
		return false;
	at += sizeof name - 1;
	len = strcspn(at, "&");
	out->kind = CREDENTIALS_BAD;
	if (len < sizeof raw) {
		memcpy(raw, at, len);
		raw[len] = '\0';
		if (message_decode(raw, text, sizeof text) == 0)
			take_token(out, text);
	}
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
