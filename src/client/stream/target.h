/* SPDX-License-Identifier: BSD-2-Clause */
/* A stream of a server, which a user or an announcement names by a URL. Any thread. */
#ifndef CLIENT_STREAM_TARGET_H
#define CLIENT_STREAM_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/address.h"

enum stream_codec { STREAM_H264, STREAM_MJPEG };
enum stream_framing { STREAM_ANNEXB, STREAM_LENGTH_PREFIXED, STREAM_RTSP };

#define TARGET_PATH_MAX 256

struct server_stream {
	char name[64], camera[64];
	enum stream_codec codec;
	enum stream_framing framing;
	unsigned width, height;	 /* 0: not known yet */
	double framerate;	 /* 0: not known */
	uint32_t bitrate_bps;	 /* of the encoder, or a recording's mean; 0: none */
	char host[NET_HOST_MAX]; /* a name or an address, IPv6 without brackets */
	uint16_t port;
	bool tls;
	/* Of STREAM_RTSP, which no announcement has: */
	char path[TARGET_PATH_MAX]; /* with its slash and query, or "" */
	unsigned login;		    /* client/stream/login.h; 0: the one for all */
};

#define TARGET_URL_MAX (NET_HOST_PORT_MAX + TARGET_PATH_MAX + 24)
/*
 * tcp://HOST:PORT (Annex B), tcp+length://HOST:PORT (behind a length), and the same over TLS with
 * tls:// and tls+length://; HOST is as net/address.h has it, [fe80::1%eth0] too. Or
 * rtsp://HOST:PORT/PATH#LOGIN and rtsps://. Returns buf[TARGET_URL_MAX].
 */
const char *target_url(const struct server_stream *stream, char *buf);

/* Reads the same; a URL of RTSP may lack port, path and login. 0 or -EINVAL. Of *out, the names and
 * the properties of the pictures are left empty. */
int target_parse_url(const char *url, struct server_stream *out);

/*
 * The same for a text that a user enters instead of a server's name; HOST:PORT is a byte stream,
 * too, and a URL of RTSP may have a user and a password. These are kept (client/stream/login.h),
 * and *text is replaced by a text without them, which stays for ever; those who list processes see
 * it no more. -ENOENT: it has neither a scheme nor a port, so it is a name; -EINVAL: it is another
 * URL, whose user and password are overwritten, or an address without a valid port; -ENOSPC,
 * -ENOMEM.
 */
int target_take_argument(char **text, struct server_stream *out);

/* A name for logs and folders of what a user entered as a URL: without the scheme and the login. */
void target_name(char *out, size_t size, const struct server_stream *at);

#define TARGET_HELP                                                                                \
	"a URL is tcp://HOST:PORT, HOST:PORT, tcp+length://HOST:PORT, tls://HOST:PORT, "           \
	"tls+length://HOST:PORT, rtsp://HOST/PATH or rtsps://HOST/PATH, with an IPv6 address in "  \
	"brackets; '/', '?' and '#' of a user or a password are written %%2F, %%3F and %%23"

#endif
