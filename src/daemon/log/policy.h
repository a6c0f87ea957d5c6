/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy of what a cursor is sent next: lag, shedding, resync, pause. docs/ARCHITECTURE.md, "A
 * viewer's life", has it in words. Between cursor.c, which sends, and policy.c, which decides: on a
 * sequence number, or to wait. Loop thread only.
 */
#ifndef DAEMON_LOG_POLICY_H
#define DAEMON_LOG_POLICY_H

#include "daemon/log/cursor.h"

/* Each puts the cursor on the unit to be sent now, and returns true; or puts it into the list where
 * it waits for one, and returns false. For a viewer that comes now: */
bool policy_join(struct cursor *cursor);
/* For one that stands between two units: */
bool policy_choose(struct cursor *cursor);
/* For one that must go on at a key unit (drop-oldest): */
bool policy_resync(struct cursor *cursor);

/* Leaves out what lies before a key unit, seq, and ends the wait for one. */
void policy_jump_to_key(struct cursor *cursor, uint64_t seq);
/* Its sink has taken nothing for a while: notes for how long its viewer paused before that. */
void policy_note_pause(struct cursor *cursor);
/* Its sink takes bytes again: grants a viewer that paused by itself its own pace. */
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
