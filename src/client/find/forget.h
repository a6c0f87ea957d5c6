/* SPDX-License-Identifier: BSD-2-Clause */
/* camcast discover --forget: removes what a server that is gone for good left at the broker. */
#ifndef CLIENT_FIND_FORGET_H
#define CLIENT_FIND_FORGET_H

#include <stdbool.h>

#include "client/find/servers.h"

/*
 * Removes the retained messages of the server `id` (docs/DISCOVERY.md, Topics): its announcements
 * and its entities in Home Assistant. A server that answers a request keeps them, and without
 * `force` one that is announced as online: it may not hear the request, or answer elsewhere. What
 * happens is printed: the result on stdout, errors on stderr. options: borrowed for the call;
 * interrupt_init() must have been called. Waits for the broker, at most about 15 s. Main thread.
 *
 * 0: removed; -EINVAL: `id` cannot be one; -ENOENT: the broker has nothing of it; -EBUSY: the
 * server runs, or may; -ENOTCONN: no broker; -EACCES: the broker does not allow it; -EINTR;
 * -ENOMEM.
 */
int forget_server(const struct servers_options *options, const char *id, bool force);

#endif
