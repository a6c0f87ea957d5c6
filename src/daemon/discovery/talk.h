/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The messages of a connection to any broker: announcements, requests and their answers, commands.
 * Discovery thread only.
 */
#ifndef DAEMON_DISCOVERY_TALK_H
#define DAEMON_DISCOVERY_TALK_H

#include "daemon/discovery/identity.h"
#include "daemon/discovery/info.h"
#include "daemon/discovery/state.h"
#include "mqtt/session.h"

struct discovery_talk;

struct discovery_talk_options {
	const struct config *config;
	const char *id;
	const uint16_t *ports;		 /* by feed */
	const struct identity *identity; /* zeroed: announcements are not signed */
	int command_fd;			 /* takes struct discovery_command */
	struct discovery_status *status; /* its counters and address are kept here */
};					 /* all borrowed */

/* NULL: no memory. */
struct discovery_talk *discovery_talk_create(const struct discovery_talk_options *options);
void discovery_talk_destroy(struct discovery_talk *talk);

/* camcast/ID/status */
const char *discovery_talk_status_topic(const struct discovery_talk *talk);

/* Takes the snapshot. */
void discovery_talk_update(struct discovery_talk *talk, struct discovery_snapshot *snapshot);
/* The broker has accepted us: announces this server, and subscribes. */
void discovery_talk_begin(struct discovery_talk *talk, struct mqtt_session *session,
			  int64_t now_us);
/* Says nothing yet. */
void discovery_talk_hear(struct discovery_talk *talk, const struct mqtt_message *message);
/* Says what is new, and answers. Often; at least once a second. */
void discovery_talk_turn(struct discovery_talk *talk, struct mqtt_session *session, int64_t now_us);
/* The connection is lost, and with it the answers that wait. */
void discovery_talk_end(struct discovery_talk *talk);

/* Whether the broker's denial of this topic keeps anything configured from working: with
 * home_assistant off, camcastd only looks there for what an earlier configuration left. */
bool discovery_talk_denial_matters(const struct discovery_talk *talk, const char *topic);

/* Whether the status changed since the last call. */
bool discovery_talk_changed(struct discovery_talk *talk);

#endif
