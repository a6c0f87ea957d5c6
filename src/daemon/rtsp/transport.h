/* SPDX-License-Identifier: BSD-2-Clause */
/* The Transport header of a SETUP (RFC 2326 clause 12.39). Any thread. */
#ifndef DAEMON_RTSP_TRANSPORT_H
#define DAEMON_RTSP_TRANSPORT_H

#include <stdbool.h>

/* Whether one of the transports in the value, which are separated by commas, is RTP over the TCP
 * connection, for playing. Its channels are not read: the server answers with its own. */
bool transport_allows_interleaved(const char *value);

#endif
