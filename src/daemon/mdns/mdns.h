/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DNS-based Service Discovery over multicast DNS (RFC 6762, RFC 6763; docs/DISCOVERY.md): the
 * Avahi daemon of this machine announces the page and the streams over RTSP. A thread of its own
 * speaks with Avahi, so that nothing a bus does can hold up the loop thread.
 *
 * Functions here are for the loop thread, and do not wait.
 */
#ifndef DAEMON_MDNS_MDNS_H
#define DAEMON_MDNS_MDNS_H

#include "daemon/mdns/avahi.h"

/* Descriptors at most: the bus, the crossing, and what libsystemd opens for a moment. */
#define MDNS_FDS 4

struct mdns;

/* Starts the thread, which publishes nothing yet. 0 or -errno. */
int mdns_create(struct mdns **out);
/* Ends it: a few milliseconds, as it never waits for others. NULL is fine. */
void mdns_destroy(struct mdns *mdns);

/* From now on these. Takes them. */
void mdns_publish(struct mdns *mdns, struct mdns_services *services);
/* The newest one; borrowed until the next call. */
const struct mdns_status *mdns_status(struct mdns *mdns);

#endif
