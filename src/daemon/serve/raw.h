/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Viewers that have nothing to say: they watch the feed that is the endpoint's user. A peer that
 * sends more than 64 KiB within a minute is disconnected.
 */
#ifndef DAEMON_SERVE_RAW_H
#define DAEMON_SERVE_RAW_H

#include "daemon/serve/protocol.h"

/* Raw TCP: a peer that connects watches from the first byte on. A peer that greets in another
 * protocol is disconnected. */
extern const struct protocol raw_protocol;
/* A peer whose HTTP request was answered with a stream (http_stream()). */
extern const struct protocol live_protocol;

#endif
