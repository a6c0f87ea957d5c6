/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/stream/target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/text.h"
#include "client/stream/login.h"

#define RTSP_PORT 554
#define RTSPS_PORT 322 /* RFC 7826 */

static const struct {
	const char *scheme;
	enum stream_codec codec;
	enum stream_framing framing;
	bool tls;
} kinds[] = {
	{"tcp://", STREAM_H264, STREAM_ANNEXB, false},
	{"tcp+length://", STREAM_MJPEG, STREAM_LENGTH_PREFIXED, false},
	{"tls://", STREAM_H264, STREAM_ANNEXB, true},
	{"tls+length://", STREAM_MJPEG, STREAM_LENGTH_PREFIXED, true},
	{"rtsp://", STREAM_H264, STREAM_RTSP, false},
	{"rtsps://", STREAM_H264, STREAM_RTSP, true},
};
#define N_KINDS (sizeof kinds / sizeof *kinds)

/* HOST[:PORT][/PATH][#LOGIN], where an IPv6 address has brackets. */
static int parse_rtsp(const char *text, struct server_stream *out)
{
	const size_t where_len = strcspn(text, "/?#");
	const char *path = text + where_len, *fragment = strchr(path, '#');
	const size_t path_len = fragment ? (size_t)(fragment - path) : strlen(path);
	char where[NET_HOST_PORT_MAX], *end;
	struct net_address address;
	unsigned long login = 0;

	if (where_len >= sizeof where || path_len >= sizeof out->path || *path == '?')
		return -EINVAL;
	for (size_t i = 0; i < path_len; i++)
		if ((unsigned char)path[i] <= ' ' || (unsigned char)path[i] > '~')
			return -EINVAL;
	memcpy(where, text, where_len);
	where[where_len] = '\0';
	if (fragment) {
		login = strtoul(fragment + 1, &end, 10);
		if (end == fragment + 1 || *end || login == 0 || login > LOGIN_MAX)
			return -EINVAL;
	}
	if (net_address_parse(&address, where, NET_CONNECT_PORT_OPTIONAL) < 0)
		return -EINVAL;
	strcpy(out->host, address.host);
	out->port = (uint16_t)(address.port ? address.port : out->tls ? RTSPS_PORT : RTSP_PORT);
	memcpy(out->path, path, path_len);
	out->login = (unsigned)login;
	return 0;
}

const char *target_url(const struct server_stream *stream, char *buf)
{
	char where[NET_HOST_PORT_MAX], login[16];

	buf[0] = '\0';
	for (size_t i = 0; i < N_KINDS; i++)
		if (kinds[i].framing == stream->framing && kinds[i].tls == stream->tls)
			text_set(buf, TARGET_URL_MAX, kinds[i].scheme);
	net_format_host_port(where, stream->host, stream->port);
	text_append(buf, TARGET_URL_MAX, where);
	text_append(buf, TARGET_URL_MAX, stream->path);
	if (stream->login) {
		snprintf(login, sizeof login, "#%u", stream->login);
		text_append(buf, TARGET_URL_MAX, login);
	}
	return buf;
}

int target_parse_url(const char *url, struct server_stream *out)
{
	memset(out, 0, sizeof *out);
	for (size_t i = 0; i < N_KINDS; i++) {
		size_t len = strlen(kinds[i].scheme);
		struct net_address address;

		if (strncmp(url, kinds[i].scheme, len) != 0)
			continue;
		out->codec = kinds[i].codec;
		out->framing = kinds[i].framing;
		out->tls = kinds[i].tls;
		if (out->framing == STREAM_RTSP)
			return parse_rtsp(url + len, out);
		if (net_address_parse(&address, url + len, NET_CONNECT) < 0)
			return -EINVAL;
		strcpy(out->host, address.host);
		out->port = address.port;
		return 0;
	}
	return -EINVAL;
}

/* Takes USER:PASSWORD@ out of a URL, in *text and in the memory of the process's arguments. 0:
 * there is none, or it is no URL of RTSP; or the login's number; or -errno. */
static int take_login(char **text)
{
	const bool rtsp = strncmp(*text, "rtsp://", 7) == 0 || strncmp(*text, "rtsps://", 8) == 0;
	char *begin = strstr(*text, "://"), *at = NULL, *copy;
	int login;

	begin = begin ? begin + 3 : *text + strlen(*text);
	/* A password may have an '@', too. */
	for (char *c = begin; *c && !strchr("/?#", *c); c++)
		at = *c == '@' ? c : at;
	if (!at)
		return 0;
	login = rtsp ? login_keep(begin, (size_t)(at - begin)) : 0;
	memset(begin, '*', (size_t)(at - begin)); /* an error may show it */
	if (login <= 0)
		return login;
	if (asprintf(&copy, "%.*s%s#%d", (int)(begin - *text), *text, at + 1, login) < 0)
		return -ENOMEM;
	*text = copy;
	return login;
}

/* A URL that cannot be read: what stands before an '@' may be a password with a '/', and an error
 * shows the rest. */
static void hide_login(char *text)
{
	char *begin = strstr(text, "://") + 3, *at = strrchr(begin, '@');

	if (at)
		memset(begin, '*', (size_t)(at - begin));
}

/* Whether it is an address of the internet, with a port that is none or without one. */
static bool is_address(const char *text)
{
	const char *colon = strrchr(text, ':');
	char host[NET_HOST_PORT_MAX];

	if (net_host_family(text) != AF_UNSPEC)
		return true;
	if (!colon || (size_t)(colon - text) >= sizeof host)
		return false;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	return net_host_family(host) != AF_UNSPEC;
}

int target_take_argument(char **text, struct server_stream *out)
{
	char url[sizeof "tcp://" + NET_HOST_PORT_MAX];
	int len = take_login(text);

	if (len < 0)
		return len;
	if (strstr(*text, "://")) {
		int err = target_parse_url(*text, out);

		if (err < 0)
			hide_login(*text);
		return err;
	}
	len = snprintf(url, sizeof url, "tcp://%s", *text);
	if (len < 0 || (size_t)len >= sizeof url || target_parse_url(url, out) < 0)
		return is_address(*text) ? -EINVAL : -ENOENT;
	return 0;
}

void target_name(char *out, size_t size, const struct server_stream *at)
{
	char where[NET_HOST_PORT_MAX];

	net_format_host_port(where, at->host, at->port);
	text_set(out, size, where);
	text_append(out, size, at->path);
}
