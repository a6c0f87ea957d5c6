/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * URLs to which streams are pushed, as RFC 3986 has them (rtmp, rtmps, rtsp and srt), and URLs from
 * which a camera's pictures come (rtsp, http, https, tcp, srt and udp). A stream key, a password or
 * a passphrase may stand anywhere behind the scheme except in host and port: people see a URL only
 * in the form of push_url_redact(), and texts of others only behind push_url_hide(). Any thread.
 */
#ifndef NET_PUSH_URL_H
#define NET_PUSH_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/address.h"

/* Authorities that are trusted where options do not name a file of others. */
#define SOURCE_URL_CAFILE "/etc/ssl/certs/ca-certificates.crt"
#define PUSH_URL_MAX 1024 /* bytes of a URL, terminator included */
/* Bytes of a redacted one, terminator included: "rtmps://HOST:PORT/...". */
#define PUSH_URL_SHOWN_MAX (NET_HOST_PORT_MAX + 16)

struct push_url {
	const char *scheme;	 /* "rtmp"...; borrowed for ever */
	struct net_address host; /* the port of the scheme where the URL has none */
	bool has_port;
};

/* Reads a URL. NULL, or what is wrong with it, borrowed for ever: as in "it has no host". The text
 * itself never stands in that. */
const char *push_url_parse(struct push_url *out, const char *url);

/* The same for a URL that pictures come from: also one at which this machine listens, for srt
 * (mode=listener) and for udp, where the host is an address of this machine, a multicast group, or
 * empty. out->host.host may then be "". */
const char *source_url_parse(struct push_url *out, const char *url);

/* The next of several URLs that are separated by commas, without blanks around it: *list moves
 * behind it. 1; 0 after the last one; -EINVAL, if it is longer than out, which has PUSH_URL_MAX
 * bytes. */
int push_url_next(const char **list, char out[PUSH_URL_MAX]);

/* "rtmp://live.example.org/...": scheme, host, and the port if the URL has one. "..." of a text
 * that both parsers refuse. */
void push_url_redact(const char *url, char out[PUSH_URL_SHOWN_MAX]);

/* Replaces every part of the URL that may be a secret, as it is and decoded (RFC 3986, 2.1), by
 * "***" in the terminated text: user, password, segments of the path, values of the query. Of other
 * URLs in the text, such as those that a server named, it leaves scheme, host and port. The text
 * has size bytes; what does not fit is cut. */
void push_url_hide(const char *url, char *text, size_t size);

#endif
