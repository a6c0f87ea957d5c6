/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A cursor: a viewer's place in a log, and the policy of what it is sent next. Cursors are in one
 * audience for each log, and each has a sink, where its bytes go. A cursor knows nothing of
 * sockets, protocols and framings. Loop thread only.
 *
 * A cursor's life is WAIT_KEY, LIVE and SHED in turns (docs/ARCHITECTURE.md, "A viewer's life"). It
 * sends whole units: a drop, a hold and an end happen between two of them only.
 */
#ifndef DAEMON_LOG_CURSOR_H
#define DAEMON_LOG_CURSOR_H

#include "base/diag.h"
#include "daemon/log/log.h"
#include "daemon/loop/loop.h"

struct audience;
struct cursor;

enum cursor_state { CURSOR_WAIT_KEY, CURSOR_LIVE, CURSOR_SHED };

enum cursor_end {		       /* why a cursor went */
		  CURSOR_END_PEER,     /* its viewer left or failed */
		  CURSOR_END_FOREIGN,  /* its peer speaks another protocol: it was no viewer */
		  CURSOR_END_STALL,    /* a unit not finished, or nothing taken, in stall_timeout */
		  CURSOR_END_SHUTDOWN, /* of the feed */
		  CURSOR_ENDS
};

#define SINK_TEXT_MAX 80 /* bytes of a sink's name, terminator included */

/* Where a cursor's bytes go. No call is answered from inside itself. */
struct sink {
	/* Begins a send of len bytes at offset; cursor_sent() answers. */
	void (*send)(struct cursor *cursor, const struct pages *pages, uint32_t offset,
		     uint32_t len);
	/* Whether a send may begin; else cursor_writable() will say so. Asked at the join. */
	bool (*ready)(const struct cursor *cursor);
	/* The last send took nothing: cursor_writable() is wanted, once, when one can take bytes.
	 */
	void (*want_writable)(struct cursor *cursor);
	/* Microseconds, in all, for which it was the viewer that would not take any. */
	int64_t (*paused_us)(const struct cursor *cursor);
	/* What cursor_hold() asked for: the cursor stands between two units, or at its end. */
	void (*held)(struct cursor *cursor);
	/* The policy is done with this viewer: the callee calls cursor_end(cursor, why). at_once:
	 * what the viewer has not taken yet is of no use to it. */
	void (*close)(struct cursor *cursor, enum cursor_end why, bool at_once);
	/* "192.0.2.1:5000" */
	void (*describe)(const struct cursor *cursor, char text[SINK_TEXT_MAX]);
};

enum {
	/* One send takes at most this many bytes of units that lie behind each other, or one unit;
	 * a cursor that is further behind goes to the end of the loop's list in between. */
	CURSOR_RUN_MAX = 128 << 10,
};

/* A resync of a slow viewer asks for an IDR at most this often. Joins always ask. */
#define CURSOR_IDR_PERIOD_US 10000000

enum cursor_flags {
	CURSOR_MID_UNIT = 1 << 0, /* the unit at the cursor has begun and is not finished */
	/* Sources that cannot force an IDR: it is on its way from a key unit of any age towards the
	 * head. Until it was there its lag counts from least_lag_us. */
	CURSOR_CATCHING_UP = 1 << 1,
	CURSOR_STARTED = 1 << 2, /* a unit has been begun: what it misses now is a drop */
	CURSOR_CLOSING = 1 << 3,
	CURSOR_DELAYED = 1 << 4,      /* its viewer paused: lag counts from delay_us */
	CURSOR_PREAMBLE = 1 << 5,     /* what is being sent is a preamble, and no unit yet */
	CURSOR_FINITE = 1 << 6,	      /* held before the unit `until` */
	CURSOR_HOLD = 1 << 7,	      /* cursor_hold() was called, and cursor_go_on() was not */
	CURSOR_HELD = 1 << 8,	      /* it stands between two units, and its sink knows */
	CURSOR_BLOCKED = 1 << 9,      /* the sink owes cursor_writable() */
	CURSOR_PAUSE_NOTED = 1 << 10, /* paused_us is of this wait for the sink */
	CURSOR_FOREIGN = 1 << 11,     /* it ended with CURSOR_END_FOREIGN */
};

struct cursor {
	/* What the fan-out and a completed send touch: one cache line. */
	struct list link; /* in exactly one of the audience's lists */
	struct audience *audience;
	const struct sink *sink;
	struct segment *segment; /* referred to by the send under way or the unit begun; or NULL */
	uint32_t at;		 /* offset in it of the next byte */
	uint32_t unit_end;	 /* offset in it behind the unit at the cursor */
	uint64_t seq : 48;	 /* sequence number of the next unit not sent completely */
	uint64_t flags : 12;	 /* enum cursor_flags */
	uint64_t state : 4;	 /* enum cursor_state */
	uint64_t sent_bytes;

	/* What slow viewers and the status touch. */
	uint64_t units_dropped, units_shed;
	union {
		uint64_t until;	   /* valid with CURSOR_FINITE */
		int64_t paused_us; /* valid with CURSOR_PAUSE_NOTED: sink->paused_us() then */
	};
	int64_t begun_us;    /* when the unit was begun, valid with CURSOR_MID_UNIT */
	int64_t refused_us;  /* when the sink last took nothing */
	int64_t next_idr_us; /* when a resync may ask for an IDR again */
	union {
		uint32_t delay_us; /* with CURSOR_DELAYED: how far behind the viewer put itself */
		uint32_t least_lag_us; /* else, since it came into CURSOR_SHED or began to
					  catch up */
	};
	uint32_t resyncs;
	uint32_t since_s;  /* of CLOCK_MONOTONIC, when it joined */
	uint16_t preamble; /* the last one sent; 0: none */
};

struct audience_policy {
	int64_t join_burst_us, shed_lag_us, max_lag_us, stall_timeout_us;
	bool key_only;	    /* every unit is a key unit: each begin takes the newest */
	bool can_force_idr; /* else: join at the newest key unit whatever its age */
};

struct audience_stats {
	size_t cursors;
	uint64_t joined;
	uint64_t left[CURSOR_ENDS];
	uint64_t sent_bytes;	/* to all that ever were */
	uint64_t sends;		/* copied, that took bytes */
	uint64_t sendfiles;	/* by reference, that took bytes */
	uint64_t units_dropped; /* for cursors too slow, by drop-oldest */
	uint64_t units_shed;	/* droppable ones skipped */
	uint64_t resyncs;	/* jumps to a key unit */
	uint64_t idr_requests;
};

/* All cursors of one log. The owner's part is set by audience_init(). */
struct audience {
	struct loop *loop;
	struct log *log;
	const char *name; /* borrowed; for log lines */
	struct audience_policy policy;
	struct audience_stats *stats;
	/* An IDR is wanted now; from cursor_join() and the loop. */
	void (*ask_idr)(struct audience *audience);
	/* A cursor has gone: cursor_release() was called for it. viewed: it was a viewer's, and a
	 * unit was sent to it. */
	void (*left)(struct audience *audience, bool viewed);
	bool draining;

	/* Every cursor is in one of these. */
	struct list idle;    /* has all there is; the fan-out walks these only */
	struct list waiting; /* for a key unit */
	struct list busy;    /* send under way */
	struct list mid;     /* in the middle of a unit, by begun_us */
	struct list full;    /* nothing taken, nothing begun, by refused_us */
	struct list holding; /* held; the sink will be told from the loop */
	struct list held;
	struct list closing; /* until cursor_release() */
	struct loop_timer hold;
	uint16_t preamble; /* of the newest unit: what those in `idle` have been sent */
	/* Set while there is a cursor in `mid` or `full`, not later than due. */
	struct loop_timer stall;
	struct loop_timer pause; /* the same: notes how long viewers paused before they do so now */
	struct diag_limit stall_log;
};

void audience_init(struct audience *audience, struct loop *loop, struct log *log, const char *name,
		   const struct audience_policy *policy, struct audience_stats *stats);
/* Closes every cursor. */
void audience_close(struct audience *audience);
/* No new units: closes those that stand between two, each of the others when its unit is finished.
 */
void audience_drain(struct audience *audience);
/* The log has a new unit, seq: begins its send to each cursor that has all the others. */
void audience_unit(struct audience *audience, uint64_t seq);
/* Every cursor that is not closing. */
void audience_for_each(const struct audience *audience,
		       void (*each)(const struct cursor *cursor, void *user), void *user);

/* Puts a cursor where a viewer that comes now begins: the newest key unit if it is young, else the
 * next one, which is asked for. cursor's memory is the caller's, up to cursor_release(). */
void cursor_join(struct cursor *cursor, struct audience *audience, const struct sink *sink);
/* Puts it on unit `from` of the log (at most its head) and lets it go as far as the one before
 * `until`: a request that ends. It is held there. Nothing is left out for its lag; what is no
 * longer in the log is resynced as for every cursor. */
void cursor_join_range(struct cursor *cursor, struct audience *audience, const struct sink *sink,
		       uint64_t from, uint64_t until);

/* Has the cursor held between two units, so that its sink can be used for something else. True: it
 * is held now; false: sink->held() will say so. */
bool cursor_hold(struct cursor *cursor);
/* Goes on with what the policy makes of the time that has passed; one at its end stays held. */
void cursor_go_on(struct cursor *cursor);
/* Whether it has been sent the unit before `until`. */
bool cursor_at_end(const struct cursor *cursor);

/* Takes the cursor out, for the reason that is counted. What a send under way refers to stays until
 * cursor_release(), which is called, exactly once, when the sink is done with it. */
void cursor_end(struct cursor *cursor, enum cursor_end why);
void cursor_release(struct cursor *cursor);

/* What the sink answers. result: bytes taken (1..len), -EAGAIN (none now), or -errno (never again).
 * by_reference: how they went. */
void cursor_sent(struct cursor *cursor, int result, bool by_reference);
void cursor_writable(struct cursor *cursor);

/* Age in microseconds of the oldest unit that it has not got: the next one, unless it waits for a
 * key unit. 0: it has all there are. */
int64_t cursor_lag_us(const struct cursor *cursor);
/* Of them, how many a viewer that paused by itself wants. */
int64_t cursor_delay_us(const struct cursor *cursor);

#endif
