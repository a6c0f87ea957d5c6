/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/log/cursor.h"

#include <assert.h>
#include <errno.h>

#define LOG_PERIOD_US 1000000

static_assert(sizeof(struct cursor) <= 128, "memory per viewer is bounded");
static_assert(offsetof(struct cursor, units_dropped) <= 64, "the hot part is one cache line");

static int64_t now_of(const struct cursor *cursor)
{
	return loop_now_us(cursor->audience->loop);
}

static void move(struct cursor *cursor, struct list *list)
{
	list_remove(&cursor->link);
	list_append(list, &cursor->link);
}

static void release_segment(struct cursor *cursor)
{
	segment_unref(cursor->audience->log, cursor->segment);
	cursor->segment = NULL;
}

int64_t cursor_lag_us(const struct cursor *cursor)
{
	const struct log *log = cursor->audience->log;
	uint64_t seq = cursor->seq > log->tail ? cursor->seq : log->tail;

	if (cursor->state == CURSOR_WAIT_KEY || seq >= log->head)
		return 0;
	return now_of(cursor) - log_unit(log, seq)->received_us;
}

int64_t cursor_delay_us(const struct cursor *cursor)
{
	return cursor->flags & CURSOR_DELAYED ? cursor->delay_us : 0;
}

/* --- what comes next --- */

/* Moves the cursor to a later unit. What lies between is lost to this viewer. */
static void jump(struct cursor *cursor, uint64_t seq)
{
	uint64_t dropped = seq - cursor->seq;

	cursor->seq = seq;
	if (cursor->flags & CURSOR_STARTED) {
		cursor->units_dropped += dropped;
		cursor->audience->stats->units_dropped += dropped;
	}
}

static void resynced(struct cursor *cursor)
{
	if (cursor->flags & CURSOR_STARTED) {
		cursor->resyncs++;
		cursor->audience->stats->resyncs++;
	}
	cursor->state = CURSOR_LIVE;
	cursor->flags &= ~CURSOR_DELAYED;
	if (!cursor->audience->policy.can_force_idr)
		cursor->flags |= CURSOR_CATCHING_UP;
}

static void wait_for_key(struct cursor *cursor)
{
	cursor->state = CURSOR_WAIT_KEY;
	move(cursor, &cursor->audience->waiting);
}

static void ask_for_idr(struct audience *audience)
{
	if (audience->policy.key_only || !audience->policy.can_force_idr)
		return;
	audience->stats->idr_requests++;
	audience->ask_idr(audience);
}

static void jump_to_key(struct cursor *cursor, uint64_t seq)
{
	jump(cursor, seq);
	resynced(cursor);
}

/* Drop-oldest. True if there is a key unit to go on with. */
static bool resync(struct cursor *cursor)
{
	struct audience *audience = cursor->audience;
	int64_t now_us = now_of(cursor);
	uint64_t key = log_key_from(audience->log, cursor->seq);

	if (key &&
	    (!audience->policy.can_force_idr ||
	     now_us - log_unit(audience->log, key)->received_us <= audience->policy.max_lag_us)) {
		jump_to_key(cursor, key);
		return true;
	}
	wait_for_key(cursor);
	if (now_us >= cursor->next_idr_us) {
		cursor->next_idr_us = now_us + CURSOR_IDR_PERIOD_US;
		ask_for_idr(audience);
	}
	return false;
}

/* A player may read ahead and then, paced, take nothing until it has played that (`ffmpeg -re`
 * does, for five seconds). It is behind because it wants to be, and goes on where it was, as far as
 * the history reaches: from here on lag is what it falls behind its own pace. Granted once, until it
 * has caught up or is resynced, so that a viewer that pauses for ever goes no further than max_lag
 * behind that. */
static void grant_pause(struct cursor *cursor)
{
	const struct audience *audience = cursor->audience;
	const struct log *log = audience->log;
	int64_t now_us = now_of(cursor), waited_us = now_us - cursor->refused_us;

	if (waited_us <= audience->policy.max_lag_us || cursor->flags & CURSOR_DELAYED ||
	    cursor->seq < log->tail || cursor->seq >= log->head ||
	    cursor->sink->paused_us(cursor) < waited_us / 2)
		return;
	cursor->flags |= CURSOR_DELAYED;
	cursor->delay_us = (uint32_t)(now_us - log_unit(log, cursor->seq)->received_us);
}

/* Microseconds that the viewer is behind its own pace. */
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

/* A viewer that falls further and further behind, though droppable units are skipped for it, would
 * only come to max_lag: it goes on at a key unit as soon as one brings it near the present. One that
 * was held up for a moment and now catches up loses nothing; nor does one that keeps its own pace.
 * True if the cursor is on a key unit. */
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
	if (!key || now_of(cursor) - log_unit(audience->log, key)->received_us > half_us)
		return false;
	jump_to_key(cursor, key);
	return true;
}

/* Puts the cursor on the unit to be sent now. False: there is none. */
static bool choose(struct cursor *cursor)
{
	struct audience *audience = cursor->audience;
	const struct log *log = audience->log;
	int64_t lag_us;

	if (cursor->seq < log->head) {
		if (audience->policy.key_only && !(cursor->flags & CURSOR_FINITE)) {
			jump(cursor, log->head - 1);
			return true;
		}
		if (cursor->seq < log->tail)
			return resync(cursor);
		if (cursor->flags & CURSOR_FINITE)
			return true;
		lag_us = cursor->flags & CURSOR_CATCHING_UP ? 0 : own_lag_us(cursor);
		if (lag_us > audience->policy.max_lag_us)
			return resync(cursor);
		if (lag_us <= audience->policy.shed_lag_us) {
			cursor->state = CURSOR_LIVE;
		} else if (!resync_early(cursor, lag_us)) {
			cursor->state = CURSOR_SHED;
			shed(cursor);
		}
	}
	if (cursor->seq < log->head)
		return true;
	cursor->state = CURSOR_LIVE;
	cursor->flags &= ~(CURSOR_CATCHING_UP | CURSOR_DELAYED);
	move(cursor, &audience->idle);
	return false;
}

/* Bytes from the unit at the cursor on that can go in one send. */
static uint32_t run_length(const struct cursor *cursor, const struct unit *first)
{
	const struct log *log = cursor->audience->log;
	uint64_t end = log->head;
	uint32_t len = first->len;

	if (cursor->flags & CURSOR_FINITE && cursor->until < end)
		end = cursor->until;
	for (uint64_t seq = cursor->seq + 1; seq < end; seq++) {
		const struct unit *unit = log_unit(log, seq);

		if (unit->segment != first->segment || unit->offset != first->offset + len ||
		    unit->preamble != first->preamble ||
		    len + (uint64_t)unit->len > CURSOR_RUN_MAX ||
		    (cursor->state == CURSOR_SHED && unit->flags & CAMCAST_UNIT_DROPPABLE))
			break;
		len += unit->len;
	}
	return len;
}

/* --- beginning --- */

/* Begins len bytes of segment of which the first unit_len are one unit. The caller puts the cursor
 * into `busy`. */
static inline void begin(struct cursor *cursor, struct segment *segment, uint32_t offset,
			 uint32_t unit_len, uint32_t len)
{
	cursor->segment = segment;
	segment_ref(segment);
	cursor->at = offset;
	cursor->unit_end = offset + unit_len;
	cursor->sink->send(cursor, &segment->pages, offset, len);
}

/* Begins the preamble that the unit at the cursor needs and that the viewer has not been sent.
 * False: there is none. A range is a part of what a viewer puts together itself. */
static bool begin_preamble(struct cursor *cursor, const struct unit *unit)
{
	struct segment *preamble;

	if (unit->preamble == cursor->preamble || cursor->flags & CURSOR_FINITE)
		return false;
	cursor->preamble = unit->preamble;
	preamble = log_preamble(cursor->audience->log, unit->preamble);
	if (!preamble)
		return false;
	cursor->flags |= CURSOR_PREAMBLE;
	begin(cursor, preamble, 0, preamble->size, preamble->size);
	return true;
}

static bool must_hold(const struct cursor *cursor)
{
	return cursor->flags & CURSOR_HOLD || cursor_at_end(cursor);
}

static void watch_stalls(struct audience *audience)
{
	if (list_empty(&audience->stall.link))
		loop_timer_set(audience->loop, &audience->stall,
			       loop_now_us(audience->loop) + audience->policy.stall_timeout_us);
}

static void wait_for_room(struct cursor *cursor)
{
	cursor->refused_us = now_of(cursor);
	cursor->flags |= CURSOR_BLOCKED;
	move(cursor, &cursor->audience->full);
	watch_stalls(cursor->audience);
}

static void hold(struct cursor *cursor)
{
	struct audience *audience = cursor->audience;

	move(cursor, &audience->holding);
	if (list_empty(&audience->hold.link))
		loop_timer_set(audience->loop, &audience->hold, loop_now_us(audience->loop));
}

static void handle_hold(struct loop_timer *timer)
{
	struct audience *audience = container_of(timer, struct audience, hold);
	struct list due;

	list_init(&due);
	list_splice(&due, &audience->holding);
	while (!list_empty(&due)) {
		struct cursor *cursor = container_of(due.next, struct cursor, link);

		move(cursor, &audience->held);
		cursor->flags |= CURSOR_HELD;
		cursor->sink->held(cursor);
	}
}

/* Decides what a cursor that stands between two units, with no send under way, gets: begins it, or
 * puts the cursor where it waits for it. */
static void go_on(struct cursor *cursor)
{
	struct audience *audience = cursor->audience;
	const struct unit *unit;

	if (audience->draining) {
		cursor->sink->close(cursor, CURSOR_END_SHUTDOWN, false);
		return;
	}
	if (cursor->flags & (CURSOR_HOLD | CURSOR_FINITE) && must_hold(cursor)) {
		hold(cursor);
		return;
	}
	if (cursor->flags & CURSOR_BLOCKED) {
		wait_for_room(cursor);
		return;
	}
	if (!choose(cursor))
		return;
	if (cursor->flags & CURSOR_FINITE && cursor_at_end(cursor)) { /* it jumped */
		hold(cursor);
		return;
	}
	unit = log_unit(audience->log, cursor->seq);
	move(cursor, &audience->busy);
	if (!begin_preamble(cursor, unit))
		begin(cursor, unit->segment, unit->offset, unit->len, run_length(cursor, unit));
}

bool cursor_at_end(const struct cursor *cursor)
{
	return cursor->flags & CURSOR_FINITE && cursor->seq >= cursor->until;
}

bool cursor_hold(struct cursor *cursor)
{
	bool under_way = cursor->segment != NULL;

	cursor->flags |= CURSOR_HOLD;
	if (under_way || cursor->flags & CURSOR_HELD)
		return !under_way;
	cursor->flags |= CURSOR_HELD;
	move(cursor, &cursor->audience->held);
	return true;
}

void cursor_go_on(struct cursor *cursor)
{
	/* Between two units, and the sink knows or will be told. */
	bool stands =
		cursor->flags & CURSOR_HELD || (cursor->flags & CURSOR_HOLD && !cursor->segment);

	cursor->flags &= ~CURSOR_HOLD;
	if (!stands || cursor_at_end(cursor))
		return;
	cursor->flags &= ~CURSOR_HELD;
	if (cursor->state != CURSOR_WAIT_KEY || resync(cursor))
		go_on(cursor);
}

/* --- joining and leaving --- */

static void join(struct cursor *cursor, struct audience *audience, const struct sink *sink)
{
	int64_t now_us = loop_now_us(audience->loop);

	*cursor = (struct cursor){
		.audience = audience,
		.sink = sink,
		.since_s = (uint32_t)(now_us / 1000000),
	};
	list_init(&cursor->link);
	if (!sink->ready(cursor))
		cursor->flags |= CURSOR_BLOCKED;
	audience->stats->joined++;
	audience->stats->cursors++;
}

void cursor_join(struct cursor *cursor, struct audience *audience, const struct sink *sink)
{
	const struct log *log = audience->log;
	uint64_t key = log_key_from(log, log->tail);

	join(cursor, audience, sink);
	if (key &&
	    (!audience->policy.can_force_idr ||
	     now_of(cursor) - log_unit(log, key)->received_us < audience->policy.join_burst_us)) {
		cursor->seq = key;
		resynced(cursor);
		go_on(cursor);
		return;
	}
	cursor->seq = log->head;
	wait_for_key(cursor);
	ask_for_idr(audience);
}

void cursor_join_range(struct cursor *cursor, struct audience *audience, const struct sink *sink,
		       uint64_t from, uint64_t until)
{
	join(cursor, audience, sink);
	cursor->flags |= CURSOR_FINITE;
	cursor->until = until;
	cursor->seq = from;
	cursor->state = CURSOR_LIVE;
	go_on(cursor);
}

void cursor_end(struct cursor *cursor, enum cursor_end why)
{
	if (cursor->flags & CURSOR_CLOSING)
		return;
	cursor->flags |= CURSOR_CLOSING;
	cursor->audience->stats->left[why]++;
	move(cursor, &cursor->audience->closing);
}

void cursor_release(struct cursor *cursor)
{
	struct audience *audience = cursor->audience;

	if (cursor->segment)
		release_segment(cursor);
	list_remove(&cursor->link);
	audience->stats->cursors--;
	cursor->audience = NULL;
	audience->left(audience);
}

/* --- what the sink answers --- */

static void send_rest(struct cursor *cursor)
{
	cursor->sink->send(cursor, &cursor->segment->pages, cursor->at,
			   cursor->unit_end - cursor->at);
}

/* The unit at the cursor has gone in part: from now on it must be finished, in time. */
static void handle_short(struct cursor *cursor)
{
	if (!(cursor->flags & CURSOR_MID_UNIT)) {
		cursor->flags |= CURSOR_MID_UNIT;
		cursor->begun_us = now_of(cursor);
		move(cursor, &cursor->audience->mid);
		watch_stalls(cursor->audience);
	}
	/* Again, until the sink says -EAGAIN: without that it does not tell when it can go on. */
	send_rest(cursor);
}

static void handle_not_sent(struct cursor *cursor, int error)
{
	struct audience *audience = cursor->audience;

	if (error != -EAGAIN) {
		cursor->sink->close(cursor, CURSOR_END_PEER, true);
		return;
	}
	if (cursor->flags & CURSOR_MID_UNIT) {
		cursor->refused_us = now_of(cursor);
		cursor->flags |= CURSOR_BLOCKED;
	} else {
		/* Not begun: what is sent is decided again when the sink takes something. */
		release_segment(cursor);
		if (cursor->flags & CURSOR_PREAMBLE) {
			cursor->flags &= ~CURSOR_PREAMBLE;
			cursor->preamble = 0;
		}
		if (audience->draining) {
			cursor->sink->close(cursor, CURSOR_END_SHUTDOWN, false);
			return;
		}
		wait_for_room(cursor);
	}
	cursor->sink->want_writable(cursor);
}

/* The unit at the cursor, or its preamble, has gone. */
static void pass_unit(struct cursor *cursor)
{
	cursor->flags &= ~CURSOR_MID_UNIT;
	if (cursor->flags & CURSOR_PREAMBLE)
		cursor->flags &= ~CURSOR_PREAMBLE;
	else
		cursor->seq++;
}

void cursor_sent(struct cursor *cursor, int result, bool by_reference)
{
	struct audience *audience = cursor->audience;
	uint32_t unit_len;

	if (result < 0) {
		handle_not_sent(cursor, result);
		return;
	}
	cursor->sent_bytes += (uint32_t)result;
	audience->stats->sent_bytes += (uint32_t)result;
	if (by_reference)
		audience->stats->sendfiles++;
	else
		audience->stats->sends++;
	if (!(cursor->flags & CURSOR_PREAMBLE))
		cursor->flags |= CURSOR_STARTED;
	cursor->at += (uint32_t)result;
	while (cursor->at >= cursor->unit_end) {
		pass_unit(cursor);
		if (cursor->at == cursor->unit_end) {
			release_segment(cursor);
			go_on(cursor);
			return;
		}
		unit_len = log_len(audience->log, cursor->seq);
		if (unit_len == 0) {
			/* A whole ring of units came within this one send: the boundary is lost. */
			cursor->sink->close(cursor, CURSOR_END_STALL, true);
			return;
		}
		cursor->unit_end += unit_len;
	}
	handle_short(cursor);
}

void cursor_writable(struct cursor *cursor)
{
	cursor->flags &= ~CURSOR_BLOCKED;
	if (cursor->flags & CURSOR_HELD)
		return;
	grant_pause(cursor);
	if (cursor->flags & CURSOR_MID_UNIT)
		send_rest(cursor);
	else
		go_on(cursor);
}

/* --- the audience --- */

static void close_stalled(struct cursor *cursor, int64_t now_us)
{
	struct audience *audience = cursor->audience;
	char peer[SINK_TEXT_MAX];
	uint64_t suppressed;

	if (diag_allowed(&audience->stall_log, now_us, LOG_PERIOD_US, &suppressed)) {
		cursor->sink->describe(cursor, peer);
		diag_info("feed %s: %s: a unit was not taken within %lld ms: reset "
			  "(%llu more like it not told)",
			  audience->name, peer,
			  (long long)(audience->policy.stall_timeout_us / 1000),
			  (unsigned long long)suppressed);
	}
	cursor->sink->close(cursor, CURSOR_END_STALL, true);
}

/* A viewer that does not finish a unit within the stall timeout, however much it trickles, or does
 * not take a byte of the next one for as long, is closed. */
static void handle_stall(struct loop_timer *timer)
{
	struct audience *audience = container_of(timer, struct audience, stall);
	int64_t timeout_us = audience->policy.stall_timeout_us;
	int64_t now_us = loop_now_us(audience->loop), oldest_us = now_us - timeout_us;
	int64_t next_us = INT64_MAX;

	while (!list_empty(&audience->mid)) {
		struct cursor *cursor = container_of(audience->mid.next, struct cursor, link);

		if (cursor->begun_us > oldest_us) {
			next_us = cursor->begun_us;
			break;
		}
		close_stalled(cursor, now_us);
	}
	while (!list_empty(&audience->full)) {
		struct cursor *cursor = container_of(audience->full.next, struct cursor, link);

		if (cursor->refused_us > oldest_us) {
			if (cursor->refused_us < next_us)
				next_us = cursor->refused_us;
			break;
		}
		close_stalled(cursor, now_us);
	}
	if (next_us != INT64_MAX)
		loop_timer_set(audience->loop, timer, next_us + timeout_us);
}

void audience_init(struct audience *audience, struct loop *loop, struct log *log, const char *name,
		   const struct audience_policy *policy, struct audience_stats *stats)
{
	audience->loop = loop;
	audience->log = log;
	audience->name = name;
	audience->policy = *policy;
	audience->stats = stats;
	list_init(&audience->idle);
	list_init(&audience->waiting);
	list_init(&audience->busy);
	list_init(&audience->mid);
	list_init(&audience->full);
	list_init(&audience->holding);
	list_init(&audience->held);
	list_init(&audience->closing);
	loop_timer_init(&audience->stall, handle_stall);
	loop_timer_init(&audience->hold, handle_hold);
}

static void close_list(struct list *cursors, bool at_once)
{
	while (!list_empty(cursors)) {
		struct cursor *cursor = container_of(cursors->next, struct cursor, link);

		cursor->sink->close(cursor, CURSOR_END_SHUTDOWN, at_once);
	}
}

/* Those that stand between two units. */
static void close_standing(struct audience *audience, bool at_once)
{
	close_list(&audience->idle, at_once);
	close_list(&audience->waiting, at_once);
	close_list(&audience->full, at_once);
	close_list(&audience->holding, at_once);
	close_list(&audience->held, at_once);
}

void audience_close(struct audience *audience)
{
	loop_timer_cancel(audience->loop, &audience->stall);
	loop_timer_cancel(audience->loop, &audience->hold);
	close_standing(audience, true);
	close_list(&audience->busy, true);
	close_list(&audience->mid, true);
}

void audience_drain(struct audience *audience)
{
	audience->draining = true;
	close_standing(audience, false);
}

void audience_unit(struct audience *audience, uint64_t seq)
{
	const struct unit *unit = log_unit(audience->log, seq);
	bool new_preamble = unit->preamble != audience->preamble;
	struct list *pos, *tmp;

	audience->preamble = unit->preamble;
	if (unit->flags & CAMCAST_UNIT_KEY) {
		list_for_each_safe (pos, tmp, &audience->waiting) {
			struct cursor *cursor = container_of(pos, struct cursor, link);

			jump_to_key(cursor, seq);
			if (cursor_at_end(cursor))
				hold(cursor);
			else if (cursor->flags & CURSOR_BLOCKED)
				wait_for_room(cursor);
		}
		list_splice(&audience->idle, &audience->waiting);
		new_preamble = new_preamble || unit->preamble != 0;
	}
	if (list_empty(&audience->idle))
		return;
	/* One cursor later each time, so that none is always last. */
	pos = audience->idle.next;
	list_remove(pos);
	list_append(&audience->idle, pos);
	for (pos = audience->idle.next; pos != &audience->idle; pos = pos->next) {
		struct cursor *cursor = container_of(pos, struct cursor, link);

		if (!new_preamble || !begin_preamble(cursor, unit))
			begin(cursor, unit->segment, unit->offset, unit->len, unit->len);
	}
	list_splice(&audience->busy, &audience->idle);
}

void audience_for_each(const struct audience *audience,
		       void (*each)(const struct cursor *cursor, void *user), void *user)
{
	const struct list *lists[] = {&audience->idle, &audience->waiting, &audience->busy,
				      &audience->mid,  &audience->full,	   &audience->holding,
				      &audience->held};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		for (struct list *pos = lists[i]->next; pos != lists[i]; pos = pos->next)
			each(container_of(pos, struct cursor, link), user);
	}
}
