/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams that a user, or a server's announcement, names by a URL. Any thread. */
#ifndef CLIENT_STREAM_TARGET_H
#define CLIENT_STREAM_TARGET_H

#include "client/find/servers.h"

/*
 * tcp://HOST:PORT (Annex B), tcp+length://HOST:PORT (behind a length), and the same over TLS with
 * tls:// and tls+length://; HOST is as net/address.h has it, [fe80::1%eth0] too. Or
 * rtsp://HOST[:PORT][/PATH][#LOGIN] and rtsps://, as server_stream_url() writes them. 0 or -EINVAL.
 * Of *out, the names and the properties of the pictures are left empty.
 */
int target_parse_url(const char *url, struct server_stream *out);

/*
 * The same for a text that a user enters instead of a server's name; HOST:PORT is a byte stream,
 * too, and a URL of RTSP may have a user and a password. These are kept (client/stream/login.h),
 * and *text is replaced by a text without them, which stays for ever; those who list processes see
 * it no more. -ENOENT: it has neither a scheme nor a port, so it is a name; -EINVAL: it is another
 * URL; -ENOSPC, -ENOMEM.
 */
int target_take_argument(char **text, struct server_stream *out);

/* A name for logs and folders of what a user entered as a URL: without the scheme and the login. */
void target_name(char *out, size_t size, const struct server_stream *at);

#define TARGET_HELP                                                                                \
	"a URL is tcp://HOST:PORT, HOST:PORT, tcp+length://HOST:PORT, tls://HOST:PORT, "           \
	"tls+length://HOST:PORT, rtsp://HOST/PATH or rtsps://HOST/PATH"

#endif
