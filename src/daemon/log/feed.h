/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A feed: one stream in one framing. It owns a log, which a worker fills, and the audience whose
 * cursors read it. Loop thread only.
 */
#ifndef DAEMON_LOG_FEED_H
#define DAEMON_LOG_FEED_H

#include "config/config.h"
#include "daemon/log/cursor.h"

struct feed;

/* The requests of a feed to its stream. They are called from feed_join(), and later from the loop,
 * but never from inside feed_add_unit() and the other calls of the worker's side, which do no more
 * to a viewer than begin a send. */
struct feed_demand {
	/* An IDR is wanted now. Coalescing to one a second happens behind this call. */
	void (*idr)(struct feed_demand *demand);
	/* The number of cursors changed from none to some. */
	void (*watched)(struct feed_demand *demand);
	/* The number changed from some to none. viewed: a unit was sent to a viewer among them; if
	 * not, encoding may stop at once. */
	void (*unwatched)(struct feed_demand *demand, bool viewed);
};

/* Somebody who is called when the feed has new units. It keeps the feed wanted as a viewer does,
 * and reads the units from the index, feed_log(). The caller's memory, up to feed_unwait(). */
struct feed_waiter {
	/* At least one unit has come since feed_wait() or the last call. Called from the loop, and
	 * never from inside feed_add_unit(). The callee may call feed_unwait(). */
	void (*units)(struct feed_waiter *waiter);
	/* The feed is being destroyed; the waiter is in no list any more. */
	void (*gone)(struct feed_waiter *waiter);
	/* --- below: the feed's --- */
	struct list link;
};

struct feed_options {
	const char *name;		    /* "front-h264/annexb", borrowed */
	const struct config_stream *policy; /* borrowed */
	bool key_only;	     /* every unit is a key unit (MJPEG): each begin takes the newest */
	bool can_force_idr;  /* false for `copy`: join at the newest key whatever its age */
	bool preamble_apart; /* no preamble is sent to viewers, as they get it in another way */
};

struct feed_stats {
	uint64_t units, keys, bytes; /* published */
	uint64_t units_refused;	     /* not a key unit after a gap */
	int64_t last_unit_us;	     /* when the newest unit came; 0: none yet */
	uint32_t unit_duration_us;   /* of the newest unit; 0: not known */
	struct log_stats log;
	struct audience_stats audience;
};

int feed_create(struct feed **out, struct loop *loop, const struct feed_options *options,
		struct feed_demand *demand);
/* Closes every cursor and segment. The demand is not called any more; the last cursor_release()
 * frees the memory that cursors still refer to. */
void feed_destroy(struct feed *feed);
void feed_set_can_force_idr(struct feed *feed, bool can);
/* Another policy, from now on (borrowed). */
void feed_set_policy(struct feed *feed, const struct config_stream *policy);
/* Reports to another demand from now on; if the feed is wanted, at once. */
void feed_set_demand(struct feed *feed, struct feed_demand *demand);
/* Whether it is watched, or somebody waits for its units. */
bool feed_is_wanted(const struct feed *feed);
/* feed_drain() was called. */
bool feed_drains(const struct feed *feed);

/* --- from the worker's side --- */

/* A worker's description of a unit. */
struct feed_unit {
	uint32_t offset, len; /* bytes in the segment; len at least 1 */
	uint32_t flags;	      /* enum camcast_unit_flags */
	uint32_t track;	      /* 0..255 */
	uint32_t duration_us; /* 0: not known */
	int64_t pts_us;
};

/* As log_add_segment(). */
int feed_add_segment(struct feed *feed, uint32_t id, int fd, uint32_t size);
/* Sets the preamble of the next unit, which must be a key unit, and of the units after it: len
 * bytes, copied; len 0: no preamble. 0 or -ENOMEM: then units are refused until a key unit with
 * another preamble. */
int feed_set_preamble(struct feed *feed, const void *data, uint32_t len);
/* Publishes a unit and begins its send to each cursor that waits for it. Returns 0, -ENOENT (not in
 * the newest segment), -EINVAL (outside the segment, or before the end of the previous unit in it),
 * -EAGAIN (not a key unit after a gap: refused and counted). */
int feed_add_unit(struct feed *feed, uint32_t segment, const struct feed_unit *unit);
/* A unit was lost between the worker and camcastd (the fd of its segment was): units are refused
 * until the next key unit. */
void feed_gap(struct feed *feed);
/* Ends a pause of the feed: evicts the old units, so that a new viewer does not begin with them;
 * the next unit must be a key unit. */
void feed_forget(struct feed *feed);
/* The worker ended: segment ids start again, there is no preamble, and the next unit must be a key
 * unit. Cursors stay. */
void feed_reset(struct feed *feed);

/* --- from the viewers' side --- */

/* cursor_join() for this feed, with its `had`; cursor's memory is the caller's up to
 * cursor_release(). 0, or -ESHUTDOWN: it drains. */
int feed_join(struct feed *feed, struct cursor *cursor, const struct sink *sink, uint64_t had);
/* The same, cursor_join_range(). Also -ERANGE: `from` is 0 or beyond the head. */
int feed_join_range(struct feed *feed, struct cursor *cursor, const struct sink *sink,
		    uint64_t from, uint64_t until);

/* The unit at which a viewer that joined now would begin, which may be the log's head; 0: it would
 * wait for a key unit. */
uint64_t feed_join_at(const struct feed *feed, uint64_t had);

/* Adds a waiter. 0, or -ESHUTDOWN: the feed drains. */
int feed_wait(struct feed *feed, struct feed_waiter *waiter);
/* Removes it. A waiter that is in no list is left as it is. */
void feed_unwait(struct feed *feed, struct feed_waiter *waiter);
static inline bool feed_waits(const struct feed_waiter *waiter)
{
	return waiter->link.next && waiter->link.next != &waiter->link;
}
/* The index of the feed's units, to be read only; valid as long as the feed. */
const struct log *feed_log(const struct feed *feed);

/* Keeps units for at least this time, instead of history_ms alone; 0: no longer. The limit on bytes
 * grows with it, unless history_max sets one. Not for key-only feeds. */
void feed_keep_history(struct feed *feed, int64_t history_us);
bool feed_can_force_idr(const struct feed *feed);
/* Asks for an IDR where the source can force one. Not from inside feed_add_unit(). */
void feed_ask_key(struct feed *feed);

/* Stops sending new units and closes each cursor when its unit under way is finished; `drained` is
 * called from the loop when no cursor is left. */
void feed_drain(struct feed *feed, void (*drained)(void *user), void *user);

/* --- for the status --- */
const struct feed_stats *feed_stats(const struct feed *feed);
/* As audience_for_each(). */
void feed_for_each_cursor(const struct feed *feed,
			  void (*each)(const struct cursor *cursor, void *user), void *user);

#endif
