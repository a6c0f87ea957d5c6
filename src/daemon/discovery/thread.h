/* SPDX-License-Identifier: BSD-2-Clause */
/* The discovery thread, and what it shares with the loop thread. */
#ifndef DAEMON_DISCOVERY_THREAD_H
#define DAEMON_DISCOVERY_THREAD_H

#include <stdatomic.h>

#include "daemon/discovery/identity.h"
#include "daemon/discovery/info.h"
#include "daemon/discovery/state.h"

enum discovery_command_kind {
	DISCOVERY_RESTART, /* index: camera */
	DISCOVERY_BITRATE, /* index: stream */
	DISCOVERY_NO_FDS,  /* the table is full: give some of the reserve */
};

/* One write of a pipe: they never mix, and never arrive in part. */
struct discovery_command {
	enum discovery_command_kind kind;
	uint32_t index;
	uint32_t bitrate_bps;
};

/* Made before the thread and freed after it. */
struct discovery_crossing {
	_Atomic(struct discovery_snapshot *) snapshot; /* put in by the loop; release, acquire */
	_Atomic(struct discovery_status *) status;     /* put in by the thread; the same */
	char fingerprint[SIGNED_FINGERPRINT_MAX]; /* written by the thread before `is_signed` */
	atomic_bool is_signed; /* set by the thread, release: announcements have a signature */
	atomic_bool stop;      /* set by the loop, before it writes to `wake` */
	atomic_bool ended;     /* set by the thread, release: it needs nothing any more */
	int wake;	       /* eventfd: the loop writes, the thread polls */
	int command_in, command_out; /* the pipe: the thread writes _in, the loop reads _out */
};

struct discovery_thread_options {
	const struct config *config;
	const char *id;
	const uint16_t *ports;	  /* by feed */
	const char *state_folder; /* of the key; "": announcements are not signed */
	struct discovery_crossing *crossing;
}; /* all borrowed, and alive as long as the thread */

/* A pthread's function; takes a struct discovery_thread_options. */
void *discovery_thread_run(void *options);

#endif
