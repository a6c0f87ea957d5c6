/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Discovery over MQTT (docs/DISCOVERY.md): a thread of its own that announces this server, answers
 * requests, and takes Home Assistant's commands. Nothing it does, or that is done to it, can
 * hold up the loop thread. What passes between the two:
 *
 *   loop to thread    a snapshot of what changes, once a second     one slot, atomic exchange
 *   thread to loop    a status                                      one slot, atomic exchange
 *   thread to loop    commands: restart, bitrate, want of fds       a pipe, non-blocking
 *   loop to thread    "there is a snapshot", "stop"                 eventfd, atomic flag
 *   thread to loop    the key's fingerprint, once                   memory, atomic flag
 *
 * A slot holds the newest of its kind: its writer frees one that was not taken out, and
 * neither side waits. The configuration is shared: nobody changes it once the thread runs.
 *
 * Functions here are for the loop thread.
 */
#ifndef DAEMON_DISCOVERY_DISCOVERY_H
#define DAEMON_DISCOVERY_DISCOVERY_H

#include "daemon/cameras.h"
#include "daemon/discovery/state.h"
#include "daemon/fdreserve.h"

/* Descriptors at most: the connection and libmosquitto's pair, the crossing, resolver,
 * certificates, addresses, the broker of our own. */
#define DISCOVERY_FDS 16

struct discovery;

struct discovery_options {
	const char *config_path;  /* for the id */
	const char *state_folder; /* of the key; NULL: announcements are not signed */
	struct loop *loop;
	const struct cameras *cameras; /* with workers and feeds, and listened for */
	const struct pushes *pushes;   /* NULL: there are none */
	struct fdreserve *reserve;
}; /* all borrowed */

/* Starts the thread. 0 or -errno; that there is no broker is no error. */
int discovery_create(struct discovery **out, const struct discovery_options *options);
/* Begins the end: the thread tells the broker that we are offline, and ends. Does not wait. */
void discovery_stop(struct discovery *discovery);
/* After discovery_stop(): whether discovery_destroy() does not wait any more. */
bool discovery_has_ended(const struct discovery *discovery);
/* Waits for that: half a second at most for the broker to take our word, as long as a broker of our
 * own takes to end, and identity_open() if it has just begun. NULL is fine. */
void discovery_destroy(struct discovery *discovery);

/* The newest one; borrowed until the next call. */
const struct discovery_status *discovery_status(struct discovery *discovery);
const char *discovery_id(const struct discovery *discovery);
/* Of the key that signs the announcements; "": they are not signed, or the thread is still reading
 * the key. */
const char *discovery_fingerprint(const struct discovery *discovery);

#endif
