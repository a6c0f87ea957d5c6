/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether pictures flow, for /healthz and the status. Loop thread only. */
#ifndef DAEMON_STATUS_HEALTH_H
#define DAEMON_STATUS_HEALTH_H

#include "daemon/cameras.h"

/* Pictures flow when the newest is younger than this and the time from one to the next. */
#define HEALTH_FRESH_US 3000000
#define HEALTH_WHY_MAX 384 /* bytes of a reason, terminator included */

/* True while pictures flow: every stream that somebody wants had a unit lately; a stream that
 * nobody wants counts by its camera's frames. Else why not. now_us: on the loop's clock. */
bool health_check(const struct cameras *cameras, int64_t now_us, char why[HEALTH_WHY_MAX]);

#endif
