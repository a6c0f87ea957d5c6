/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/message.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"

#define VERSION_LEN 8 /* "HTTP/1.1" */
/* The longest request line: a space stands in the place of each terminator. */
#define START_LINE_MAX (MESSAGE_METHOD_MAX + MESSAGE_TARGET_MAX + VERSION_LEN)
#define LENGTH_DIGITS_MAX 18 /* of Content-Length: fits into an int64_t */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 9110 clause 5.6.2. */
static bool is_token(const char *text)
{
	const char *c = text;

	while (is_alpha(*c) || is_digit(*c) || (*c && strchr("!#$%&'*+-.^_`|~", *c)))
		c++;
	return c > text && !*c;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

void message_init(struct message *message)
{
	memset(message, 0, offsetof(struct message, head));
	message->content_length = -1;
}

/* --- the start line --- */

static enum message_method find_method(const char *name)
{
	static const char *const names[] = {
		[MESSAGE_GET] = "GET",
		[MESSAGE_HEAD] = "HEAD",
		[MESSAGE_POST] = "POST",
		[MESSAGE_PUT] = "PUT",
		[MESSAGE_PATCH] = "PATCH",
		[MESSAGE_DELETE] = "DELETE",
		[MESSAGE_CONNECT] = "CONNECT",
		[MESSAGE_TRACE] = "TRACE",
		[MESSAGE_OPTIONS] = "OPTIONS",
		[MESSAGE_DESCRIBE] = "DESCRIBE",
		[MESSAGE_ANNOUNCE] = "ANNOUNCE",
		[MESSAGE_SETUP] = "SETUP",
		[MESSAGE_PLAY] = "PLAY",
		[MESSAGE_PAUSE] = "PAUSE",
		[MESSAGE_RECORD] = "RECORD",
		[MESSAGE_TEARDOWN] = "TEARDOWN",
		[MESSAGE_REDIRECT] = "REDIRECT",
		[MESSAGE_GET_PARAMETER] = "GET_PARAMETER",
		[MESSAGE_SET_PARAMETER] = "SET_PARAMETER",
	};

	for (size_t i = MESSAGE_GET; i < sizeof names / sizeof *names; i++)
		if (strcmp(name, names[i]) == 0)
			return (enum message_method)i;
	return MESSAGE_UNKNOWN;
}

static bool begins_with_protocol(const char *text)
{
	return strncmp(text, "HTTP/", 5) == 0 || strncmp(text, "RTSP/", 5) == 0;
}

/* Reads the VERSION_LEN bytes of a version at the beginning of text. */
static int read_version(struct message *message, const char *text)
{
	if (!begins_with_protocol(text) || !is_digit(text[5]) || text[6] != '.' ||
	    !is_digit(text[7]))
		return -EBADMSG;
	message->protocol = text[0] == 'H' ? MESSAGE_HTTP : MESSAGE_RTSP;
	message->minor = (unsigned)(text[7] - '0');
	if (text[5] != '1' || (message->protocol == MESSAGE_RTSP && message->minor != 0))
		return -EPROTONOSUPPORT;
	return 0;
}

/* Returns the text after "scheme://" (RFC 3986 clause 3.1), or NULL if there is no scheme. */
static char *skip_scheme(char *text)
{
	char *c = text;

	while (is_alpha(*c) || (c > text && (is_digit(*c) || (*c && strchr("+-.", *c)))))
		c++;
	return c > text && strncmp(c, "://", 3) == 0 ? c + 3 : NULL;
}

/*
 * Splits the target into authority, path and query (RFC 9112 clause 3.2). A fragment does not
 * belong in a request; it is cut off, because some clients send one nevertheless.
 */
static int split_target(struct message *message)
{
	char *rest = message->parts, *authority, *query;

	for (const char *c = message->target; *c; c++)
		if (*c < 0x21 || *c > 0x7e)
			return -EBADMSG;
	strcpy(rest, message->target);
	rest[strcspn(rest, "#")] = '\0';
	message->path = rest;
	if (message->method == MESSAGE_CONNECT) {
		message->authority = rest;
		message->path = "";
		return *rest ? 0 : -EBADMSG;
	}
	if (strcmp(rest, "*") == 0)
		return 0;
	query = strchr(rest, '?');
	if (query) {
		*query = '\0';
		message->query = query + 1;
	}
	if (*rest == '/')
		return 0;
	authority = skip_scheme(rest);
	if (!authority || !*authority || *authority == '/')
		return -EBADMSG;
	rest = strchr(authority, '/');
	message->path = "/";
	if (rest) {
		/* The scheme is of no interest: its place makes room for a terminator. */
		size_t len = (size_t)(rest - authority);

		message->path = rest;
		memmove(authority - 1, authority, len);
		authority--;
		authority[len] = '\0';
	}
	message->authority = authority;
	return 0;
}

static int read_request_line(struct message *message, char *line)
{
	char *target = strchr(line, ' '), *version;
	int err;

	if (!target)
		return -EBADMSG;
	*target++ = '\0';
	version = strchr(target, ' ');
	if (!version)
		return -EBADMSG;
	*version++ = '\0';
	if (strlen(line) >= MESSAGE_METHOD_MAX || !is_token(line))
		return -EBADMSG;
	if (strlen(version) != VERSION_LEN)
		return -EBADMSG;
	err = read_version(message, version);
	if (err < 0)
		return err;
	message->method = find_method(line);
	message->method_name = line;
	message->target = target;
	if (strlen(target) >= MESSAGE_TARGET_MAX)
		return -ENAMETOOLONG;
	return split_target(message);
}

static int read_status_line(struct message *message, const char *line)
{
	int err = read_version(message, line);
	const char *code = line + VERSION_LEN;

	if (err < 0)
		return err;
	if (code[0] != ' ' || code[1] < '1' || code[1] > '9' || !is_digit(code[2]) ||
	    !is_digit(code[3]) || (code[4] && code[4] != ' '))
		return -EBADMSG;
	message->status = (unsigned)((code[1] - '0') * 100 + (code[2] - '0') * 10 + code[3] - '0');
	message->reason = code[4] ? code + 5 : code + 4;
	return 0;
}

/* --- headers --- */

static int read_content_length(struct message *message, const char *value)
{
	int64_t length = 0;
	size_t digits = 0;

	for (; is_digit(value[digits]); digits++) {
		if (digits == LENGTH_DIGITS_MAX)
			return -EBADMSG;
		length = length * 10 + (value[digits] - '0');
	}
	if (digits == 0 || value[digits])
		return -EBADMSG;
	if (message->content_length >= 0 && message->content_length != length)
		return -EBADMSG;
	message->content_length = length;
	return 0;
}

static int read_transfer_encoding(struct message *message, const char *value)
{
	if (message->chunked || (message->protocol == MESSAGE_HTTP && message->minor == 0))
		return -EBADMSG;
	message->chunked = true;
	return strcasecmp(value, "chunked") == 0 ? 0 : -EOPNOTSUPP;
}

/* Makes the newest line a name and a value, both terminated. */
static int read_header(struct message *message, char *line)
{
	char *colon = strchr(line, ':'), *value, *end;

	if (!colon)
		return -EBADMSG;
	*colon = '\0';
	if (!is_token(line))
		return -EBADMSG;
	value = colon + 1;
	while (is_blank(*value))
		value++;
	end = value + strlen(value);
	while (end > value && is_blank(end[-1]))
		end--;
	*end = '\0';
	memmove(colon + 1, value, (size_t)(end - value) + 1);
	value = colon + 1;
	message->len = (size_t)(value - message->head) + strlen(value) + 1;

	if (strcasecmp(line, "Content-Length") == 0)
		return read_content_length(message, value);
	if (strcasecmp(line, "Transfer-Encoding") == 0)
		return read_transfer_encoding(message, value);
	if (strcasecmp(line, "Host") == 0) {
		if (message->host)
			return -EBADMSG;
		message->host = true;
	}
	return 0;
}

/* --- lines --- */

/* A line is complete and terminated, without its end. */
static int handle_line(struct message *message)
{
	char *line = message->head + message->line;
	int err;

	if (message->headers == 0) {
		if (!*line) { /* before the start line */
			message->len = 0;
			return MESSAGE_MORE;
		}
		err = begins_with_protocol(line) ? read_status_line(message, line)
						 : read_request_line(message, line);
		message->headers = message->len;
	} else if (!*line) {
		message->len = message->line;
		return message->chunked && message->content_length >= 0 ? -EBADMSG
									: MESSAGE_COMPLETE;
	} else {
		err = read_header(message, line);
	}
	message->line = message->len;
	return err;
}

static int handle_byte(struct message *message, char c)
{
	unsigned char byte = (unsigned char)c;

	if (c == '\n') {
		message->carriage_return = false;
		message->head[message->len++] = '\0';
		return handle_line(message);
	}
	if (message->carriage_return)
		return -EBADMSG;
	if (c == '\r') {
		message->carriage_return = true;
		return MESSAGE_MORE;
	}
	if ((byte < 0x20 && c != '\t') || byte == 0x7f)
		return -EBADMSG;
	if (message->headers == 0 && message->len >= START_LINE_MAX)
		return -ENAMETOOLONG;
	message->head[message->len++] = c;
	return MESSAGE_MORE;
}

int message_push(struct message *message, const char *data, size_t len, size_t *taken)
{
	size_t at = 0;

	while (at < len && message->result == MESSAGE_MORE) {
		if (data[at] == '$' && message->headers == 0 && message->len == 0 &&
		    !message->carriage_return) {
			*taken = at;
			message->taken = 0;
			return MESSAGE_INTERLEAVED;
		}
		if (message->taken == MESSAGE_MAX) {
			message->result = -EMSGSIZE;
			break;
		}
		message->taken++;
		message->result = handle_byte(message, data[at++]);
	}
	*taken = at;
	return message->result;
}

int message_error_status(int err)
{
	switch (err) {
	case -ENAMETOOLONG:
		return 414;
	case -EMSGSIZE:
		return 431;
	case -EOPNOTSUPP:
		return 501;
	case -EPROTONOSUPPORT:
		return 505;
	default:
		return 400;
	}
}

/* --- what was read --- */

const char *message_header(const struct message *message, const char *name, const char *after)
{
	const char *end = message->head + message->len;
	const char *at = after ? after + strlen(after) + 1 : message->head + message->headers;

	while (at < end) {
		const char *value = at + strlen(at) + 1;

		if (strcasecmp(at, name) == 0)
			return value;
		at = value + strlen(value) + 1;
	}
	return NULL;
}

/* Returns the end of the list element that begins at text: the next comma, or the end of text. */
static const char *find_element_end(const char *text)
{
	bool quoted = false;

	for (; *text && (quoted || *text != ','); text++) {
		if (*text == '"')
			quoted = !quoted;
		else if (*text == '\\' && quoted && text[1])
			text++;
	}
	return text;
}

bool message_has_token(const struct message *message, const char *name, const char *token)
{
	const char *value = NULL;
	size_t len = strlen(token);

	while ((value = message_header(message, name, value)) != NULL) {
		for (const char *at = value, *end; *at; at = *end ? end + 1 : end) {
			const char *last;

			end = last = find_element_end(at);
			while (at < last && is_blank(*at))
				at++;
			while (at < last && is_blank(last[-1]))
				last--;
			if ((size_t)(last - at) == len && strncasecmp(at, token, len) == 0)
				return true;
		}
	}
	return false;
}

/* No digit stands at `end`. */
static int decode(const char *text, const char *end, char *out, size_t size)
{
	size_t len = 0;

	for (; text < end; text++) {
		char c = *text;

		if (c == '%') {
			int byte = bytes_read_hex(text + 1);

			if (byte <= 0)
				return -EBADMSG;
			c = (char)byte;
			text += 2;
		}
		if (len + 1 >= size)
			return -ENAMETOOLONG;
		out[len++] = c;
	}
	if (size == 0)
		return -ENAMETOOLONG;
	out[len] = '\0';
	return 0;
}

int message_decode(const char *text, char *out, size_t size)
{
	return decode(text, text + strlen(text), out, size);
}

/* valued: one without `=` does not count. */
static const char *find_parameter(const char *query, const char *name, bool valued, size_t *len)
{
	size_t name_len = strlen(name), n;

	for (const char *at = query; at && *at; at += n + (at[n] == '&')) {
		n = strcspn(at, "&");
		if (n < name_len || memcmp(at, name, name_len) != 0)
			continue;
		*len = n > name_len ? n - name_len - 1 : 0;
		if (at[name_len] == '=' || (n == name_len && !valued))
			return at + n - *len;
	}
	return NULL;
}

const char *message_parameter(const struct message *message, const char *name, size_t *len)
{
	return find_parameter(message->query, name, false, len);
}

int message_read_parameter(const struct message *message, const char *name, char *out, size_t size)
{
	size_t len;
	const char *value = find_parameter(message->query, name, true, &len);

	return value ? decode(value, value + len, out, size) : -ENOENT;
}
