/* SPDX-License-Identifier: BSD-2-Clause */
/* Raw TCP: whoever connects watches, from the first byte on, the feed that is the endpoint's user.
 */
#ifndef DAEMON_SERVE_RAW_H
#define DAEMON_SERVE_RAW_H

#include "daemon/serve/protocol.h"

extern const struct protocol raw_protocol;

#endif
