/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy that decides what a cursor sends next: lag, shedding, resync, pause.
 * docs/ARCHITECTURE.md, "A viewer's life", describes it. cursor.c sends; policy.c chooses the
 * sequence number, or a wait. Internal to these two files. Loop thread only.
 */
#ifndef DAEMON_LOG_POLICY_H
#define DAEMON_LOG_POLICY_H

#include "daemon/log/cursor.h"

/* Each function moves the cursor to the unit to be sent now and returns true, or puts the cursor
 * into the list in which it waits and returns false. For a new viewer, and `had` as of
 * cursor_join(): */
bool policy_join(struct cursor *cursor, uint64_t had);
/* The unit at which it begins; 0: it waits for the next key unit. */
uint64_t policy_join_at(const struct audience *audience, uint64_t had);
/* For a cursor between two units: */
bool policy_choose(struct cursor *cursor);
/* For a cursor that must continue at a key unit (drop-oldest): */
bool policy_resync(struct cursor *cursor);

/* Skips all units before a key unit, seq, and ends the wait for one. */
void policy_jump_to_key(struct cursor *cursor, uint64_t seq);
/* The sink has taken nothing for a while: notes how long the viewer had paused before that. */
void policy_note_pause(struct cursor *cursor);
/* The sink takes bytes again: grants a delay to a viewer that paused by itself. */
void policy_grant_pause(struct cursor *cursor);

static inline int64_t cursor_now_us(const struct cursor *cursor)
{
	return loop_now_us(cursor->audience->loop);
}

static inline void cursor_move(struct cursor *cursor, struct list *list)
{
	list_remove(&cursor->link);
	list_append(list, &cursor->link);
}

#endif
