/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/log/policy.h"

int64_t cursor_lag_us(const struct cursor *cursor)
{
	const struct log *log = cursor->audience->log;
	uint64_t seq = cursor->seq > log->tail ? cursor->seq : log->tail;

	if (seq >= log->head)
		return 0;
	return cursor_now_us(cursor) - log_unit(log, seq)->received_us;
}

int64_t cursor_delay_us(const struct cursor *cursor)
{
	return cursor->flags & CURSOR_DELAYED ? cursor->delay_us : 0;
}

/* Moves the cursor to a later unit. This viewer loses the units between. */
static void jump(struct cursor *cursor, uint64_t seq)
{
	uint64_t dropped = seq - cursor->seq;

	cursor->seq = seq;
	if (cursor->flags & CURSOR_STARTED) {
		cursor->units_dropped += dropped;
		cursor->audience->stats->units_dropped += dropped;
	}
}

/* The cursor advances from here to the head, at any distance. least_lag_us: the lag from which a
 * further loss of ground is measured. */
static void begin_catching_up(struct cursor *cursor, uint32_t least_lag_us)
{
	cursor->flags &= ~CURSOR_DELAYED;
	cursor->flags |= CURSOR_CATCHING_UP;
	cursor->least_lag_us = least_lag_us;
}

static void resynced(struct cursor *cursor)
{
	if (cursor->flags & CURSOR_STARTED) {
		cursor->resyncs++;
		cursor->audience->stats->resyncs++;
	}
	cursor->state = CURSOR_LIVE;
	cursor->flags &= ~(CURSOR_DELAYED | CURSOR_CATCHING_UP);
	if (!cursor->audience->policy.can_force_idr)
		begin_catching_up(cursor, UINT32_MAX);
}

static void wait_for_key(struct cursor *cursor)
{
	cursor->state = CURSOR_WAIT_KEY;
	cursor_move(cursor, &cursor->audience->waiting);
}

static void ask_for_idr(struct audience *audience)
{
	if (audience->policy.key_only || !audience->policy.can_force_idr)
		return;
	audience->stats->idr_requests++;
	audience->ask_idr(audience);
}

void policy_jump_to_key(struct cursor *cursor, uint64_t seq)
{
	jump(cursor, seq);
	resynced(cursor);
}

/* Drop-oldest. True if there is a unit with which the cursor can continue. */
bool policy_resync(struct cursor *cursor)
{
	struct audience *audience = cursor->audience;
	const struct log *log = audience->log;
	int64_t now_us = cursor_now_us(cursor);
	uint64_t key = log_key_from(log, cursor->seq);

	if (key && (!audience->policy.can_force_idr ||
		    now_us - log_unit(log, key)->received_us <= audience->policy.max_lag_us)) {
		policy_jump_to_key(cursor, key);
		return true;
	}
	/* The next key unit may come only in a minute: a late picture is better than none. */
	if (!audience->policy.can_force_idr && cursor->state != CURSOR_WAIT_KEY &&
	    cursor->seq >= log->tail && cursor->seq < log->head) {
		begin_catching_up(cursor, 0);
		return true;
	}
	wait_for_key(cursor);
	if (now_us >= cursor->next_idr_us) {
		cursor->next_idr_us = now_us + CURSOR_IDR_PERIOD_US;
		ask_for_idr(audience);
	}
	return false;
}

void policy_note_pause(struct cursor *cursor)
{
	if (cursor->flags & (CURSOR_FINITE | CURSOR_PAUSE_NOTED))
		return;
	cursor->flags |= CURSOR_PAUSE_NOTED;
	cursor->paused_us = cursor->sink->paused_us(cursor);
}

/* A player may read ahead and then take nothing until it has played that (`ffmpeg -re` does so for
 * five seconds). Such a player is late on purpose and continues where it stopped, as far as the
 * history reaches: from here on only lag beyond its own delay counts. The delay is granted once,
 * until the viewer has caught up or is resynced, so that a viewer that keeps pausing is never more
 * than max_lag behind that delay. */
void policy_grant_pause(struct cursor *cursor)
{
	const struct audience *audience = cursor->audience;
	const struct log *log = audience->log;
	int64_t now_us = cursor_now_us(cursor), waited_us = now_us - cursor->refused_us;

	if (waited_us <= audience->policy.max_lag_us || cursor->flags & CURSOR_DELAYED ||
	    !(cursor->flags & CURSOR_PAUSE_NOTED) || cursor->seq < log->tail ||
	    cursor->seq >= log->head ||
	    cursor->sink->paused_us(cursor) - cursor->paused_us < waited_us / 2)
		return;
	cursor->flags &= ~CURSOR_CATCHING_UP;
	cursor->flags |= CURSOR_DELAYED;
	cursor->delay_us = (uint32_t)(now_us - log_unit(log, cursor->seq)->received_us);
}

/* The viewer's lag beyond its own delay, in microseconds. */
static int64_t own_lag_us(struct cursor *cursor)
{
	int64_t lag_us = cursor_lag_us(cursor);

	if (!(cursor->flags & CURSOR_DELAYED))
		return lag_us;
	if (lag_us < cursor->delay_us)
		cursor->delay_us = (uint32_t)lag_us;
	return lag_us - cursor->delay_us;
}

/* Skips droppable units. */
static void shed(struct cursor *cursor)
{
	const struct log *log = cursor->audience->log;
	uint64_t from = cursor->seq, seq = from;

	while (seq < log->head && log_unit(log, seq)->flags & CAMCAST_UNIT_DROPPABLE)
		seq++;
	cursor->seq = seq;
	cursor->units_shed += seq - from;
	cursor->audience->stats->units_shed += seq - from;
}

/* A viewer that keeps losing ground although droppable units are skipped would reach max_lag
 * anyway: it jumps to a key unit as soon as one is recent enough. A viewer that was delayed for a
 * moment and now catches up loses nothing; neither does one that keeps its own pace. True if the
 * cursor is on a key unit. */
static bool resync_early(struct cursor *cursor, int64_t lag_us)
{
	const struct audience *audience = cursor->audience;
	int64_t half_us = audience->policy.shed_lag_us / 2;
	uint64_t key;

	if (cursor->flags & CURSOR_DELAYED)
		return false;
	if (cursor->state != CURSOR_SHED || lag_us < cursor->least_lag_us)
		cursor->least_lag_us = (uint32_t)lag_us;
	if (lag_us - cursor->least_lag_us < half_us)
		return false;
	key = log_key_from(audience->log, cursor->seq);
	if (!key || cursor_now_us(cursor) - log_unit(audience->log, key)->received_us > half_us)
		return false;
	policy_jump_to_key(cursor, key);
	return true;
}

/* A cursor that began at an old key unit, because there was no newer one, catches up, and its lag
 * is no reason to skip units. If it loses ground instead, it jumps to the newest key unit as soon
 * as that is nearer to the head, and until then skips droppable units. */
static void catch_up(struct cursor *cursor)
{
	const struct audience *audience = cursor->audience;
	int64_t lag_us = cursor_lag_us(cursor), half_us = audience->policy.shed_lag_us / 2;
	uint64_t key = log_key_from(audience->log, cursor->seq);

	if (lag_us < cursor->least_lag_us)
		cursor->least_lag_us = (uint32_t)lag_us;
	cursor->state = CURSOR_LIVE;
	if (lag_us - cursor->least_lag_us < half_us)
		return;
	if (key > cursor->seq) {
		policy_jump_to_key(cursor, key);
		return;
	}
	cursor->state = CURSOR_SHED;
	shed(cursor);
}

/* False: it waits for a key unit. */
static bool keep_up(struct cursor *cursor)
{
	const struct audience_policy *policy = &cursor->audience->policy;
	int64_t lag_us = own_lag_us(cursor);

	if (lag_us > policy->max_lag_us)
		return policy_resync(cursor);
	if (lag_us <= policy->shed_lag_us) {
		cursor->state = CURSOR_LIVE;
	} else if (!resync_early(cursor, lag_us)) {
		cursor->state = CURSOR_SHED;
		shed(cursor);
	}
	return true;
}

/* Moves the cursor to the unit to be sent now. False: there is none. */
bool policy_choose(struct cursor *cursor)
{
	struct audience *audience = cursor->audience;
	const struct log *log = audience->log;

	if (cursor->seq < log->head) {
		if (audience->policy.key_only && !(cursor->flags & CURSOR_FINITE)) {
			jump(cursor, log->head - 1);
			return true;
		}
		if (cursor->flags & CURSOR_FINITE)
			return true;
		if (cursor->seq < log->tail)
			return policy_resync(cursor);
		if (cursor->flags & CURSOR_CATCHING_UP)
			catch_up(cursor);
		else if (!keep_up(cursor))
			return false;
	}
	if (cursor->seq < log->head)
		return true;
	cursor->state = CURSOR_LIVE;
	cursor->flags &= ~(CURSOR_CATCHING_UP | CURSOR_DELAYED);
	cursor_move(cursor, &audience->idle);
	return false;
}

uint64_t policy_join_at(const struct audience *audience, uint64_t had)
{
	const struct log *log = audience->log;
	uint64_t key = log_key_from(log, log->tail);

	if (key && (!audience->policy.can_force_idr ||
		    loop_now_us(audience->loop) - log_unit(log, key)->received_us <
			    audience->policy.join_burst_us))
		return key > had ? key : had;
	return 0;
}

bool policy_join(struct cursor *cursor, uint64_t had)
{
	struct audience *audience = cursor->audience;
	/* A single unit is no burst. */
	bool wait = cursor->sink->no_burst && !audience->policy.key_only;
	uint64_t at = wait ? 0 : policy_join_at(audience, had);

	if (at) {
		cursor->seq = at;
		resynced(cursor);
		if (at == had) /* its decoder may have been reset meanwhile */
			ask_for_idr(audience);
		return true;
	}
	cursor->seq = audience->log->head;
	wait_for_key(cursor);
	ask_for_idr(audience);
	return false;
}
