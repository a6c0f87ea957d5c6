/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the configuration again while camcastd runs (SIGHUP). Everything new is made before
 * anything changes: whatever goes wrong leaves the old configuration in force. Then the rest cannot
 * fail. Loop thread only.
 */
#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

#include <stdint.h>

#include "daemon/prepare.h"

struct daemon;

/* For the status. */
struct reload_status {
	int64_t loaded_s;	     /* when the one in force was read, CLOCK_REALTIME */
	uint64_t loaded;	     /* how often another one came in force */
	uint64_t refused;	     /* how often it was not */
	char error[PREPARE_WHY_MAX]; /* why the last one is not in force; "" : it is */
};

/* Begins; while it is being read, once more behind that. */
void reload_begin(struct daemon *daemon);
/* Nothing changes any more. Does not wait for a thread that reads. */
void reload_cancel(struct daemon *daemon);
/* Waits for it: at most for the user, or the host, that it is at. */
void reload_finish(struct daemon *daemon);

#endif
