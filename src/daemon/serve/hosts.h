/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The names of this machine in HTTP requests. A page of another site can make its own name lead to
 * this machine (DNS rebinding), and then read what is served here as if it were that site's; the
 * browser still sends the name of the site. Any thread.
 */
#ifndef DAEMON_SERVE_HOSTS_H
#define DAEMON_SERVE_HOSTS_H

#include <stdbool.h>

/*
 * Whether a request with this Host (RFC 9110 clause 7.2: "host[:port]") may be answered. It may if
 * the host is empty, an address, "localhost", the host name of this machine with or without its
 * domain, that name with ".local" (RFC 6762), or a name in `allowed`: names separated by commas or
 * spaces, in any case; "*" there allows every name.
 */
bool hosts_allow(const char *host, const char *allowed);

#endif
