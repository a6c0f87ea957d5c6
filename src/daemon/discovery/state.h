/* SPDX-License-Identifier: BSD-2-Clause */
/* How discovery stands: what its thread tells the loop. */
#ifndef DAEMON_DISCOVERY_STATE_H
#define DAEMON_DISCOVERY_STATE_H

#include <sys/types.h>

#include "daemon/discovery/request.h"

enum discovery_state {
	DISCOVERY_CONNECTING,
	DISCOVERY_CONNECTED,
	DISCOVERY_WAITING, /* for the next attempt */
	DISCOVERY_STATES
};
extern const char *const discovery_state_names[DISCOVERY_STATES]; /* "connecting"... */

struct discovery_status {
	enum discovery_state state;
	int64_t retry_at_us;	/* in DISCOVERY_WAITING; CLOCK_MONOTONIC */
	char reason[256];	/* why it is not connected, or what the broker denies; "" */
	char address[256];	/* the answer to requests; "" before the first connection */
	unsigned version;	/* of MQTT: 5 or 3 (3.1.1); 0: not connected yet */
	uint64_t connects;	/* connections that the broker accepted */
	uint64_t announcements; /* of what changed, and at each connection */
	uint64_t requests;	/* received, whatever became of them */
	uint64_t replies;
	uint64_t refused[REQUEST_REFUSALS];
	uint64_t limited_topic, limited_total;
	uint64_t limited_busy; /* not sent because the broker did not take them fast enough */
	uint64_t commands, commands_refused;
	pid_t broker_pid; /* of our own mosquitto; 0: none runs */
	uint64_t broker_restarts;
};

#endif
