/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether pictures flow, for /healthz and the status. Loop thread only. */
#ifndef DAEMON_STATUS_HEALTH_H
#define DAEMON_STATUS_HEALTH_H

#include "daemon/cameras.h"

#define HEALTH_WHY_MAX 384 /* bytes of a reason, terminator included */

/* True while pictures flow (base/flow.h): every wanted stream had a unit recently, and the camera
 * of every other stream had a frame recently. False: why says what is missing. now_us: on the
 * loop's clock. */
bool health_check(const struct cameras *cameras, int64_t now_us, char why[HEALTH_WHY_MAX]);

#endif
