/* SPDX-License-Identifier: BSD-2-Clause */
/* Raw TCP: a peer that connects watches the feed that is the endpoint's user, from the first byte
 * on. A peer that greets in another protocol is disconnected. */
#ifndef DAEMON_SERVE_RAW_H
#define DAEMON_SERVE_RAW_H

#include "daemon/serve/protocol.h"

extern const struct protocol raw_protocol;

#endif
