/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A cursor: a viewer's position in a log, and the policy that decides what to send next. All
 * cursors of a log are in one audience, and each has a sink, which sends its bytes. A cursor knows
 * nothing of sockets, protocols and framings. Loop thread only.
 *
 * A cursor's life is WAIT_KEY, LIVE and SHED in turns (docs/ARCHITECTURE.md, "A viewer's life"). It
 * sends whole units: drops, holds and ends happen only between two units.
 */
#ifndef DAEMON_LOG_CURSOR_H
#define DAEMON_LOG_CURSOR_H

#include "base/diag.h"
#include "daemon/log/log.h"
#include "daemon/loop/loop.h"

struct audience;
struct cursor;

enum cursor_state { CURSOR_WAIT_KEY, CURSOR_LIVE, CURSOR_SHED };

enum cursor_end {			/* why a cursor went */
		  CURSOR_END_PEER,	/* its viewer left or failed */
		  CURSOR_END_FOREIGN,	/* its peer speaks another protocol: it was no viewer */
		  CURSOR_END_NOISE,	/* its peer sends without end */
		  CURSOR_END_DISPLACED, /* another viewer needed its place more */
		  CURSOR_END_STALL, /* a unit not finished, or nothing taken, in stall_timeout; or a
				       range that has left the log */
		  CURSOR_END_SHUTDOWN,	  /* of the feed */
		  CURSOR_END_NOT_ALLOWED, /* its viewer may not watch any more */
		  CURSOR_ENDS
};

#define SINK_TEXT_MAX 80 /* bytes of a sink's name, terminator included */

/* What a viewer says about its reception (RFC 3550 clause 6.4.1). */
struct sink_report {
	uint32_t lost;	    /* packets since it joined */
	uint32_t permille;  /* of those between its last two reports that were lost */
	uint32_t jitter_us; /* of their arrival */
};

/* Of a sink that many receive at once. */
struct sink_group {
	uint32_t receivers; /* that have asked for it */
	uint64_t packets;   /* sent */
};

/* Sends a cursor's bytes. No call is answered before it returns. */
struct sink {
	/* Begins a send of len bytes at offset; cursor_sent() answers. */
	void (*send)(struct cursor *cursor, const struct pages *pages, uint32_t offset,
		     uint32_t len);
	/* Whether a send may begin; if not, the sink calls cursor_writable() later. Called at the
	 * join. */
	bool (*ready)(const struct cursor *cursor);
	/* The last send took nothing: the sink must call cursor_writable() once when it can take
	 * bytes. */
	void (*want_writable)(struct cursor *cursor);
	/* The total time, in microseconds, for which the viewer itself took no bytes. */
	int64_t (*paused_us)(const struct cursor *cursor);
	/* Answers cursor_hold(): the cursor stands between two units, or at its end. NULL: the sink
	 * holds no cursor. */
	void (*held)(struct cursor *cursor);
	/* The policy disconnects this viewer: the callee calls cursor_end(cursor, why). at_once:
	 * bytes that the viewer has not taken yet are useless to it. */
	void (*close)(struct cursor *cursor, enum cursor_end why, bool at_once);
	/* "192.0.2.1:5000" */
	void (*describe)(const struct cursor *cursor, char text[SINK_TEXT_MAX]);
	/* Of the URL at which its viewer came, "tcp". Static. */
	const char *(*scheme)(const struct cursor *cursor);
	/* What encrypts the viewer's bytes: "no" (nothing), "user" (camcastd), "kernel". Static.
	 * NULL: nothing. */
	const char *(*encryption)(const struct cursor *cursor);
	/* False, or NULL: the viewer reports nothing. */
	bool (*report)(const struct cursor *cursor, struct sink_report *out);
	/* False, or NULL: it is one viewer. */
	bool (*group)(const struct cursor *cursor, struct sink_group *out);
	/* What is sent at once may be lost: a viewer begins with the next key unit, and gets no
	 * burst of those that came before. */
	bool no_burst;
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
	/* Only for sources that cannot force an IDR: the cursor advances from a key unit of any age
	 * towards the head. Until it reaches the head, its lag counts from least_lag_us. */
	CURSOR_CATCHING_UP = 1 << 1,
	CURSOR_STARTED = 1 << 2, /* a unit has begun: units missed from now on are drops */
	CURSOR_CLOSING = 1 << 3,
	CURSOR_DELAYED = 1 << 4,      /* its viewer paused: lag counts from delay_us */
	CURSOR_PREAMBLE = 1 << 5,     /* the send under way is a preamble */
	CURSOR_FINITE = 1 << 6,	      /* held before the unit `until` */
	CURSOR_HOLD = 1 << 7,	      /* cursor_hold() was called, and cursor_go_on() was not */
	CURSOR_HELD = 1 << 8,	      /* between two units, and its sink was notified */
	CURSOR_BLOCKED = 1 << 9,      /* the sink owes cursor_writable() */
	CURSOR_PAUSE_NOTED = 1 << 10, /* paused_us is of this wait for the sink */
	CURSOR_FOREIGN = 1 << 11,     /* it ended with CURSOR_END_FOREIGN */
};

struct cursor {
	/* Fields used by the fan-out and by a completed send: one cache line. */
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

	/* Fields used for slow viewers and by the status. */
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

/* Whether it goes on without end. One that ends is a request for one object. */
static inline bool cursor_is_viewer(const struct cursor *cursor)
{
	return !(cursor->flags & CURSOR_FINITE);
}

struct audience_policy {
	int64_t join_burst_us, shed_lag_us, max_lag_us, stall_timeout_us;
	bool key_only;	    /* every unit is a key unit: each begin takes the newest */
	bool can_force_idr; /* else: join at the newest key unit whatever its age */
	/* Viewers get the preamble in another way, such as an SDP, and none is sent to them. */
	bool preamble_apart;
};

struct audience_stats {
	size_t cursors;
	size_t ranges; /* those of them that cursor_join_range() made */
	uint64_t joined;
	uint64_t left[CURSOR_ENDS];
	uint64_t sent_bytes;	/* to all cursors, including those that have left */
	uint64_t sends;		/* copied or encrypted, that took bytes */
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
	/* cursor_release() was called for a cursor. viewed: it belonged to a viewer, and a unit was
	 * sent to it. */
	void (*left)(struct audience *audience, bool viewed);
	bool draining;

	/* Every cursor is in one of these. */
	struct list idle;    /* has all units; the fan-out walks these only */
	struct list waiting; /* for a key unit */
	struct list busy;    /* send under way */
	struct list mid;     /* in the middle of a unit, by begun_us */
	struct list full;    /* nothing taken, nothing begun, by refused_us */
	struct list holding; /* held; the loop will notify the sink */
	struct list held;
	struct list closing; /* until cursor_release() */
	struct loop_timer hold;
	uint16_t preamble; /* of the newest unit: what those in `idle` have been sent */
	/* Set while there is a cursor in `mid` or `full`, not later than due. */
	struct loop_timer stall;
	struct loop_timer pause; /* as above: notes earlier pauses of viewers that pause now */
	struct diag_limit stall_log;
};

void audience_init(struct audience *audience, struct loop *loop, struct log *log, const char *name,
		   const struct audience_policy *policy, struct audience_stats *stats);
/* Closes every cursor. */
void audience_close(struct audience *audience);
/* The policy has changed: deadlines are looked at again, from the loop. */
void audience_renew(struct audience *audience);
/* Ends sending: closes the cursors that stand between two units at once, and the others when they
 * finish their unit. */
void audience_drain(struct audience *audience);
/* The log has a new unit, seq: begins its send to each cursor that has all earlier units. */
void audience_unit(struct audience *audience, uint64_t seq);
/* Every cursor that is not closing. */
void audience_for_each(const struct audience *audience,
		       void (*each)(const struct cursor *cursor, void *user), void *user);

/* Adds a cursor at the position where a new viewer begins: the newest key unit if it is recent,
 * otherwise the next one, which is requested. had: cursor_had() of a cursor that the same viewer
 * had in this log before, else 0; that unit takes the place of an earlier key unit, so that nothing
 * comes twice. The caller owns cursor's memory and keeps it until cursor_release(). */
void cursor_join(struct cursor *cursor, struct audience *audience, const struct sink *sink,
		 uint64_t had);
/* The unit with which a cursor that stands between two units could go on, as its viewer has all
 * before it that are needed; 0: it needs a key unit. */
uint64_t cursor_had(const struct cursor *cursor);
/* Adds a cursor for a request that ends: it begins at unit `from` of the log (at most its head) and
 * is held before unit `until`. It skips no unit: a viewer that is so slow that its unit is no
 * longer in the log is disconnected. */
void cursor_join_range(struct cursor *cursor, struct audience *audience, const struct sink *sink,
		       uint64_t from, uint64_t until);

/* Holds the cursor between two units, so that its sink can be used for something else. True: it is
 * held now; false: sink->held() follows. */
bool cursor_hold(struct cursor *cursor);
/* Ends the hold: the policy decides where the cursor continues. A cursor at its end stays held. */
void cursor_go_on(struct cursor *cursor);
/* Whether the unit before `until` was sent to it. */
bool cursor_at_end(const struct cursor *cursor);

/* Removes the cursor and counts the reason. Memory that a send under way refers to stays until
 * cursor_release(), which the sink's owner calls exactly once, when the sink does not use it any
 * more. */
void cursor_end(struct cursor *cursor, enum cursor_end why);
void cursor_release(struct cursor *cursor);

/* The sink's answer to send(). result: bytes taken (1..len), -EAGAIN (none now), or -errno (the
 * sink has failed). by_reference: they were not copied. */
void cursor_sent(struct cursor *cursor, int result, bool by_reference);
void cursor_writable(struct cursor *cursor);

/* Age in microseconds of the oldest unit that it has not received: the next one to be sent, unless
 * it waits for a key unit. 0: it has all units. */
int64_t cursor_lag_us(const struct cursor *cursor);
/* The part of this lag that the viewer caused by pausing. */
int64_t cursor_delay_us(const struct cursor *cursor);

#endif
