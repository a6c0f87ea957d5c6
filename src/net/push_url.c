/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/push_url.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define HIDDEN "***"
#define PIECES_MAX (PUSH_URL_MAX / 2 + 4) /* of a URL: each has a separator */

enum { TO = 1, FROM = 2 };

static const struct scheme {
	const char *name;
	uint16_t port; /* 0: the URL must have one */
	bool path;     /* the URL must have one */
	unsigned ways; /* TO: pushed to; FROM: pictures come from there */
} schemes[] = {
	{"rtmp", 1935, true, TO},     {"rtmps", 443, true, TO},	   {"rtsp", 554, false, TO | FROM},
	{"srt", 0, false, TO | FROM}, {"http", 80, false, FROM},   {"tcp", 0, false, FROM},
	{"udp", 0, false, FROM},      {"https", 443, false, FROM},
};

/* The parts of a URL; each ends where the next begins. */
struct parts {
	const struct scheme *scheme;
	const char *user; /* up to '@'; NULL: none */
	const char *authority, *rest, *end;
};

static const struct scheme *find_scheme(const char *url, size_t len)
{
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (strlen(schemes[i].name) == len && memcmp(schemes[i].name, url, len) == 0)
			return &schemes[i];
	return NULL;
}

static const char *unknown_scheme(unsigned ways)
{
	return ways == TO
		       ? "it must begin with rtmp://, rtmps://, rtsp:// or srt://"
		       : "it must begin with rtsp://, http://, https://, tcp://, srt:// or udp://";
}

/* ways: TO, FROM, or both. */
static const char *split(struct parts *out, const char *url, unsigned ways)
{
	const char *colon = strstr(url, "://"), *at;

	out->scheme = colon ? find_scheme(url, (size_t)(colon - url)) : NULL;
	if (!out->scheme || !(out->scheme->ways & ways))
		return unknown_scheme(ways);
	out->user = NULL;
	out->authority = colon + 3;
	out->rest = out->authority + strcspn(out->authority, "/?#");
	out->end = out->rest + strlen(out->rest);
	at = memrchr(out->authority, '@', (size_t)(out->rest - out->authority));
	if (at) {
		out->user = out->authority;
		out->authority = at + 1;
	}
	return NULL;
}

/* RFC 3986 has fewer characters, but programs that make stream keys do not look there. */
static bool is_written(const char *url)
{
	for (; *url; url++)
		if (!isgraph((unsigned char)*url) || strchr("\"\\<>^`{}", *url))
			return false;
	return true;
}

/* What is wrong with a host and port of a URL; NULL: nothing. */
static const char *read_authority(struct net_address *out, const char *text, const char *rest,
				  enum net_address_form form)
{
	if (text[0] != '[' && strchr(text, ':') != strrchr(text, ':'))
		return "its host or port is not valid; an IPv6 address stands in brackets";
	if (form == NET_LISTEN && !strchr(text, ':'))
		return "it has no port";
	if (net_address_parse(out, text, form) == 0)
		return NULL;
	if (strchr(rest, '@'))
		return "its host or port is not valid; '/', '?' and '#' of a user or a password "
		       "are written %2F, %3F and %23";
	return "its host or port is not valid";
}

/* form: NET_LISTEN where this machine may be meant. */
static const char *parse_authority(struct push_url *out, const struct parts *parts,
				   enum net_address_form form)
{
	size_t len = (size_t)(parts->rest - parts->authority);
	char text[NET_HOST_PORT_MAX];
	const char *wrong;

	if (form != NET_LISTEN && (len == 0 || parts->authority[0] == ':'))
		return "it has no host";
	if (len >= sizeof text)
		return "its host is too long";
	memcpy(text, parts->authority, len);
	text[len] = '\0';
	wrong = read_authority(&out->host, text, parts->rest, form);
	if (wrong)
		return wrong;
	out->has_port = out->host.port != 0;
	if (!out->has_port && parts->scheme->port == 0)
		return "it has no port";
	if (!out->has_port)
		out->host.port = parts->scheme->port;
	return NULL;
}

/* What holds of every URL. */
static const char *parse(struct push_url *out, struct parts *parts, const char *url, unsigned ways)
{
	const char *wrong = split(parts, url, ways);
	enum net_address_form form = NET_CONNECT_PORT_OPTIONAL;

	if (wrong)
		return wrong;
	if (strlen(url) >= PUSH_URL_MAX)
		return "it is too long";
	if (!is_written(url))
		return "it has a character that URLs do not have";
	out->scheme = parts->scheme->name;
	if (ways == FROM &&
	    (strcmp(out->scheme, "udp") == 0 ||
	     (strcmp(out->scheme, "srt") == 0 && strstr(parts->rest, "mode=listener"))))
		form = NET_LISTEN;
	return parse_authority(out, parts, form);
}

const char *push_url_parse(struct push_url *out, const char *url)
{
	struct parts parts;
	const char *wrong = parse(out, &parts, url, TO);

	if (wrong)
		return wrong;
	if (parts.scheme->path && (parts.rest[0] != '/' || parts.rest[1] == '\0'))
		return "it has no path: the application and the stream key stand there";
	if (strstr(parts.rest, "mode=listener") || strstr(parts.rest, "mode=rendezvous"))
		return "camcast calls the other side, which listens: mode=listener is not "
		       "supported";
	return NULL;
}

const char *source_url_parse(struct push_url *out, const char *url)
{
	struct parts parts;
	const char *wrong = parse(out, &parts, url, FROM);

	if (wrong)
		return wrong;
	if (strcmp(out->scheme, "tcp") == 0 && strstr(parts.rest, "listen"))
		return "camcast calls the other side, which listens: listen is not supported";
	return NULL;
}

int push_url_next(const char **list, char out[PUSH_URL_MAX])
{
	const char *at = *list + strspn(*list, " \t,");
	size_t len = strcspn(at, ",");

	*list = at + len;
	while (len > 0 && isblank((unsigned char)at[len - 1]))
		len--;
	if (len >= PUSH_URL_MAX)
		return -EINVAL;
	memcpy(out, at, len);
	out[len] = '\0';
	return len > 0;
}

void push_url_redact(const char *url, char out[PUSH_URL_SHOWN_MAX])
{
	char where[NET_HOST_PORT_MAX];
	struct push_url parsed;

	if (push_url_parse(&parsed, url) && source_url_parse(&parsed, url)) {
		snprintf(out, PUSH_URL_SHOWN_MAX, "...");
		return;
	}
	net_format_host_port(where, parsed.host.host, parsed.host.port);
	if (!parsed.has_port)
		*strrchr(where, ':') = '\0';
	snprintf(out, PUSH_URL_SHOWN_MAX, "%s://%s/...", parsed.scheme, where);
}

/* --- secrets in texts of others --- */

/* Replaces `len` bytes of the text, at `at`, by HIDDEN, and cuts what does not fit. Returns what
 * follows. */
static char *replace(char *text, size_t size, char *at, size_t len)
{
	const size_t before = (size_t)(at - text), hidden = sizeof HIDDEN - 1;
	size_t behind = strlen(at + len);

	if (before + hidden >= size) {
		*at = '\0';
		return at;
	}
	if (before + hidden + behind >= size)
		behind = size - before - hidden - 1;
	memmove(at + hidden, at + len, behind);
	memcpy(at, HIDDEN, hidden);
	at[hidden + behind] = '\0';
	return at + hidden;
}

static void hide(char *text, size_t size, const char *secret, size_t secret_len)
{
	char *at = text;

	while (secret_len > 0 && strnlen(at, secret_len) == secret_len)
		at = memcmp(at, secret, secret_len) == 0 ? replace(text, size, at, secret_len)
							 : at + 1;
}

/* %XX of RFC 3986, 2.1. Returns the length. */
static size_t decode(char *out, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int byte = text[i] == '%' && i + 2 < len ? bytes_read_hex(text + i + 1) : -1;

		out[n++] = byte < 0 ? text[i] : (char)byte;
		i += byte < 0 ? 0 : 2;
	}
	return n;
}

static void hide_both(char *text, size_t size, const char *secret, size_t len)
{
	char decoded[PUSH_URL_MAX] = "";

	if (len >= sizeof decoded)
		len = sizeof decoded - 1;
	hide(text, size, secret, len);
	len = decode(decoded, secret, len);
	hide(text, size, decoded, len);
}

struct pieces {
	struct piece {
		const char *at;
		size_t len;
	} list[PIECES_MAX];
	size_t n;
};

static void add_piece(struct pieces *pieces, const char *at, size_t len)
{
	if (len > 0 && pieces->n < PIECES_MAX) /* a URL that is not too long has no more */
		pieces->list[pieces->n++] = (struct piece){at, len};
}

static void add_user(struct pieces *pieces, const struct parts *parts)
{
	for (const char *at = parts->user; at && at < parts->authority;) {
		size_t len = strcspn(at, ":@");

		add_piece(pieces, at, len);
		at += len + 1;
	}
}

/* Segments of the path, and values of the query; names of the query ("?NAME=", "&NAME=") stay. */
static void add_rest(struct pieces *pieces, const struct parts *parts)
{
	bool query = false, named = false;

	add_piece(pieces, parts->rest, (size_t)(parts->end - parts->rest));
	for (const char *at = parts->rest; at < parts->end;) {
		size_t len = strcspn(at, query ? "/&=" : "/?");
		bool is_name = query && !named && at[len] == '=';

		if (!is_name)
			add_piece(pieces, at, len);
		at += len;
		query = query || *at == '?';
		named = is_name || (named && *at != '&');
		at += *at != '\0';
	}
}

/* The longest first, so that no part of one stays. */
static int compare_lengths(const void *a, const void *b)
{
	const struct piece *first = a, *second = b;

	return (first->len < second->len) - (first->len > second->len);
}

/* Of every URL in a text only scheme, host and port stay. A URL ends at a blank; marks that end a
 * quotation or sentence are not its own. */
static void hide_other_urls(char *text, size_t size)
{
	char *at = text;

	while ((at = strstr(at, "://"))) {
		const char *user;
		size_t len;

		at += 3;
		user = memrchr(at, '@', strcspn(at, "/?# \t"));
		if (user)
			at = replace(text, size, at, (size_t)(user - at));
		at += strcspn(at, "/?# \t");
		len = strcspn(at, " \t");
		while (len > 1 && strchr("'\"`,.;:)>]", at[len - 1]))
			len--;
		if (len > 1)
			at = replace(text, size, at + 1, len - 1);
	}
}

void push_url_hide(const char *url, char *text, size_t size)
{
	struct pieces pieces = {.n = 0};
	struct parts parts;

	if (split(&parts, url, TO | FROM)) {
		hide_both(text, size, url, strlen(url));
		hide_other_urls(text, size);
		return;
	}
	add_user(&pieces, &parts);
	add_rest(&pieces, &parts);
	qsort(pieces.list, pieces.n, sizeof *pieces.list, compare_lengths);
	for (size_t i = 0; i < pieces.n; i++)
		hide_both(text, size, pieces.list[i].at, pieces.list[i].len);
	hide_other_urls(text, size);
}
