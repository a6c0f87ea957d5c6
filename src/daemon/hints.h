/* SPDX-License-Identifier: BSD-2-Clause */
/* The last lines of the start: what can be watched where, ready to be pasted into a player or a
 * browser. */
#ifndef DAEMON_HINTS_H
#define DAEMON_HINTS_H

#include "daemon/cameras.h"

/* Logs them. http_port, rtsp_port: on which HTTP and RTSP are served; 0: nowhere. The ports of the
 * outputs are those on which the kernel listens. Main thread. */
void hints_print(const struct cameras *cameras, uint16_t http_port, uint16_t rtsp_port);

#endif
