/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/log/cursor.h"

#include <assert.h>
#include <errno.h>

#include "daemon/log/policy.h"

#define LOG_PERIOD_US 1000000
#define PAUSE_PERIOD_MIN_US 50000

static_assert(sizeof(struct cursor) <= 128, "memory per viewer is bounded");
static_assert(offsetof(struct cursor, units_dropped) <= 64, "the hot part is one cache line");

static void release_segment(struct cursor *cursor)
{
	segment_unref(cursor->audience->log, cursor->segment);
	cursor->segment = NULL;
}

/* The number of bytes, from the unit at the cursor on, that one send can take. */
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

/* Begins the preamble that the unit at the cursor needs, if it was not sent to this viewer yet.
 * False: none is needed. A cursor with a range gets no preamble: its viewer assembles the ranges
 * itself. */
static bool begin_preamble(struct cursor *cursor, const struct unit *unit)
{
	struct segment *preamble;

	if (unit->preamble == cursor->preamble || cursor->flags & CURSOR_FINITE ||
	    cursor->audience->policy.preamble_apart)
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

/* A wait that may become a pause is noted within this time, which is short enough to find out
 * whether the viewer caused a wait of max_lag. Within it the kernel is asked at most once per
 * viewer. */
static int64_t pause_period_us(const struct audience *audience)
{
	int64_t period_us = audience->policy.max_lag_us / 4;

	return period_us > PAUSE_PERIOD_MIN_US ? period_us : PAUSE_PERIOD_MIN_US;
}

static void watch_stalls(struct audience *audience)
{
	if (!loop_timer_is_set(&audience->pause))
		loop_timer_set(audience->loop, &audience->pause,
			       loop_now_us(audience->loop) + pause_period_us(audience));
	if (!loop_timer_is_set(&audience->stall))
		loop_timer_set(audience->loop, &audience->stall,
			       loop_now_us(audience->loop) + audience->policy.stall_timeout_us);
}

static void note_refused(struct cursor *cursor)
{
	cursor->refused_us = cursor_now_us(cursor);
	cursor->flags &= ~CURSOR_PAUSE_NOTED;
	cursor->flags |= CURSOR_BLOCKED;
}

static void wait_for_room(struct cursor *cursor)
{
	note_refused(cursor);
	cursor_move(cursor, &cursor->audience->full);
	watch_stalls(cursor->audience);
}

static void hold(struct cursor *cursor)
{
	struct audience *audience = cursor->audience;

	cursor_move(cursor, &audience->holding);
	if (!loop_timer_is_set(&audience->hold))
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

		cursor_move(cursor, &audience->held);
		cursor->flags |= CURSOR_HELD;
		cursor->sink->held(cursor);
	}
}

/* Decides what to send to a cursor that stands between two units and has no send under way: begins
 * the send, or puts the cursor into the list in which it waits. */
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
	if (cursor->flags & CURSOR_FINITE && cursor->seq < audience->log->tail) {
		cursor->sink->close(cursor, CURSOR_END_STALL, true);
		return;
	}
	if (!policy_choose(cursor))
		return;
	unit = log_unit(audience->log, cursor->seq);
	cursor_move(cursor, &audience->busy);
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
	cursor_move(cursor, &cursor->audience->held);
	return true;
}

void cursor_go_on(struct cursor *cursor)
{
	/* The cursor stands between two units, and the sink knows it or will be notified. */
	bool stands =
		cursor->flags & CURSOR_HELD || (cursor->flags & CURSOR_HOLD && !cursor->segment);

	cursor->flags &= ~CURSOR_HOLD;
	if (!stands || cursor_at_end(cursor))
		return;
	cursor->flags &= ~CURSOR_HELD;
	if (cursor->state != CURSOR_WAIT_KEY || policy_resync(cursor))
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

void cursor_join(struct cursor *cursor, struct audience *audience, const struct sink *sink,
		 uint64_t had)
{
	join(cursor, audience, sink);
	if (policy_join(cursor, had))
		go_on(cursor);
}

uint64_t cursor_had(const struct cursor *cursor)
{
	return cursor->flags & CURSOR_STARTED && cursor->state != CURSOR_WAIT_KEY ? cursor->seq : 0;
}

void cursor_join_range(struct cursor *cursor, struct audience *audience, const struct sink *sink,
		       uint64_t from, uint64_t until)
{
	join(cursor, audience, sink);
	audience->stats->ranges++;
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
	if (why == CURSOR_END_FOREIGN)
		cursor->flags |= CURSOR_FOREIGN;
	cursor->audience->stats->left[why]++;
	cursor_move(cursor, &cursor->audience->closing);
}

void cursor_release(struct cursor *cursor)
{
	struct audience *audience = cursor->audience;
	bool viewed = (cursor->flags & (CURSOR_STARTED | CURSOR_FOREIGN)) == CURSOR_STARTED;

	if (cursor->segment)
		release_segment(cursor);
	list_remove(&cursor->link);
	audience->stats->cursors--;
	if (cursor->flags & CURSOR_FINITE)
		audience->stats->ranges--;
	cursor->audience = NULL;
	audience->left(audience, viewed);
}

/* --- what the sink answers --- */

static void send_rest(struct cursor *cursor)
{
	cursor->sink->send(cursor, &cursor->segment->pages, cursor->at,
			   cursor->unit_end - cursor->at);
}

/* A part of the unit at the cursor was sent: from now on the unit must be finished in time. */
static void handle_short(struct cursor *cursor)
{
	if (!(cursor->flags & CURSOR_MID_UNIT)) {
		cursor->flags |= CURSOR_MID_UNIT;
		cursor->begun_us = cursor_now_us(cursor);
		cursor_move(cursor, &cursor->audience->mid);
		watch_stalls(cursor->audience);
	}
	/* Sends again until the sink returns -EAGAIN, because only then it reports when it can take
	 * bytes. */
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
		note_refused(cursor);
	} else {
		/* The unit has not begun: the policy decides again when the sink takes bytes. */
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

/* The unit at the cursor, or its preamble, was sent completely. */
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
			/* The log received a whole ring of units during this send, so the unit's
			 * end is not known any more. */
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
	/* A cursor that waits for a key unit continues when one arrives. */
	if (cursor->flags & CURSOR_HELD || cursor->state == CURSOR_WAIT_KEY)
		return;
	policy_grant_pause(cursor);
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
		diag_info("feed %s: client %s did not take a unit within %lld ms and is "
			  "disconnected (%llu others since the last such line)",
			  audience->name, peer,
			  (long long)(audience->policy.stall_timeout_us / 1000),
			  (unsigned long long)suppressed);
	}
	cursor->sink->close(cursor, CURSOR_END_STALL, true);
}

/* Closes viewers that take longer than the stall timeout to finish a unit, even if they take some
 * bytes, or to take the first byte of the next unit. */
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

static void note_pauses(struct list *cursors)
{
	for (struct list *pos = cursors->next; pos != cursors; pos = pos->next) {
		struct cursor *cursor = container_of(pos, struct cursor, link);

		if (cursor->flags & CURSOR_BLOCKED)
			policy_note_pause(cursor);
	}
}

static void handle_pause(struct loop_timer *timer)
{
	struct audience *audience = container_of(timer, struct audience, pause);

	note_pauses(&audience->mid);
	note_pauses(&audience->full);
	if (!list_empty(&audience->mid) || !list_empty(&audience->full))
		loop_timer_set(audience->loop, timer,
			       loop_now_us(audience->loop) + pause_period_us(audience));
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
	loop_timer_init(&audience->pause, handle_pause);
	loop_timer_init(&audience->hold, handle_hold);
}

static void close_list(struct list *cursors, bool at_once)
{
	while (!list_empty(cursors)) {
		struct cursor *cursor = container_of(cursors->next, struct cursor, link);

		cursor->sink->close(cursor, CURSOR_END_SHUTDOWN, at_once);
	}
}

/* Cursors that stand between two units. */
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
	loop_timer_cancel(audience->loop, &audience->pause);
	loop_timer_cancel(audience->loop, &audience->hold);
	close_standing(audience, true);
	close_list(&audience->busy, true);
	close_list(&audience->mid, true);
}

void audience_renew(struct audience *audience)
{
	int64_t now_us = loop_now_us(audience->loop);

	if (loop_timer_is_set(&audience->stall))
		loop_timer_set(audience->loop, &audience->stall, now_us);
	if (loop_timer_is_set(&audience->pause))
		loop_timer_set(audience->loop, &audience->pause, now_us);
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

			policy_jump_to_key(cursor, seq);
			if (cursor->flags & CURSOR_BLOCKED)
				wait_for_room(cursor);
		}
		list_splice(&audience->idle, &audience->waiting);
		new_preamble = new_preamble || unit->preamble != 0;
	}
	if (list_empty(&audience->idle))
		return;
	/* Each walk begins one cursor later, so that no cursor is always last. */
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
