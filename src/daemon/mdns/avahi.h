/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Publishing by the Avahi daemon of this machine, over the system bus (the D-Bus interfaces
 * org.freedesktop.Avahi.Server and EntryGroup). Polled, and never waits: a bus or an Avahi that is
 * absent, hangs or dies is left, and tried again. What it publishes goes with the connection. One
 * thread only.
 */
#ifndef DAEMON_MDNS_AVAHI_H
#define DAEMON_MDNS_AVAHI_H

#include <poll.h>

#include "daemon/mdns/services.h"

#define AVAHI_REASON_MAX 160
#define AVAHI_NUMBERS_MAX 64 /* names of a service that are tried where others have them */
#define AVAHI_RETRY_MIN_US 1000000
#define AVAHI_RETRY_MAX_US 60000000

enum mdns_state {
	MDNS_NOTHING,	 /* there is nothing to publish */
	MDNS_WAITING,	 /* for Avahi, or for the next attempt */
	MDNS_PUBLISHING, /* Avahi makes sure that the names are free, or others have all of one */
	MDNS_PUBLISHED,
	MDNS_STATES
};
extern const char *const mdns_state_names[MDNS_STATES]; /* "nothing"... */

struct mdns_status {
	enum mdns_state state;
	char reason[AVAHI_REASON_MAX]; /* of MDNS_WAITING; "" */
	unsigned services, published;
	uint64_t collisions; /* names that others had */
	uint64_t losses;     /* of an Avahi that had published something */
};

struct avahi;

/* NULL: no memory. Publishes nothing yet. */
struct avahi *avahi_create(void);
/* NULL is fine. Avahi takes everything back. */
void avahi_destroy(struct avahi *avahi);

/* From now on these, instead of others; what stays the same is not touched. Takes them. */
void avahi_publish(struct avahi *avahi, struct mdns_services *services);

/* What is waited for: *fd is -1 where it is only the time. Returns milliseconds until
 * avahi_turn() is due, -1: only when *fd is. */
int avahi_wait(struct avahi *avahi, struct pollfd *fd, int64_t now_us);
/* Does what can be done now (CLOCK_MONOTONIC). */
void avahi_turn(struct avahi *avahi, int64_t now_us);

/* Borrowed until the next call of a function here. */
const struct mdns_status *avahi_status(const struct avahi *avahi);
/* Whether the status changed since the last call. */
bool avahi_changed(struct avahi *avahi);

#endif
