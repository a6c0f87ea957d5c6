/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A feed: the index of one log, and the clients that read it. The index is a ring of the newest
 * units; each refers to a segment, and a segment lives while a unit in the index or a client in the
 * middle of a unit refers to it. Loop thread only.
 */
#ifndef DAEMON_LOG_FEED_H
#define DAEMON_LOG_FEED_H

#include "daemon/loop/loop.h"

struct feed;
struct client;

/* What a feed wants of its stream. Called from feed_add_client() and, for what clients do later,
 * from the loop: never from inside feed_add_unit() and the other calls from the worker's side, in
 * which nothing happens to a client but that a send is begun. */
struct feed_demand {
	/* An IDR is wanted now. Coalescing to one a second happens behind this call. */
	void (*idr)(struct feed_demand *demand);
	/* The number of clients changed from none to some, or from some to none. */
	void (*watched)(struct feed_demand *demand, bool watched);
};

struct feed_options {
	const char *name;		    /* "front-h264/annexb", borrowed */
	const struct config_stream *policy; /* borrowed */
	bool key_only;	    /* every unit is a key unit (MJPEG): each begin takes the newest */
	bool can_force_idr; /* false for `copy`: join at the newest key whatever its age */
	uint32_t send_buffer, notsent_lowat; /* bytes, for each client's socket; 0: leave */
};

enum feed_out {			  /* why a client went */
		FEED_OUT_PEER,	  /* closed or failed by the peer */
		FEED_OUT_STALLED, /* a unit not finished, or nothing taken, within stall_timeout */
		FEED_OUT_SHUTDOWN,
		FEED_OUT_REASONS
};

struct feed_stats {
	uint64_t units, keys, bytes; /* published */
	uint64_t units_refused;	     /* not a key unit after a gap */
	uint64_t sent_bytes;	     /* to all clients that ever were */
	uint64_t sends;		     /* send() calls that took bytes */
	uint64_t sendfiles;	     /* sends by reference that took bytes */
	uint64_t units_dropped;	     /* for clients too slow, by drop-oldest */
	uint64_t units_shed;	     /* droppable ones skipped */
	uint64_t resyncs;	     /* jumps to a key unit */
	uint64_t idr_requests;
	uint64_t accepted;
	uint64_t out[FEED_OUT_REASONS];
	size_t segments;    /* open now */
	uint64_t log_bytes; /* their published bytes */
	size_t clients;
	int64_t last_unit_us; /* when the newest unit came; 0: none yet */
};

int feed_create(struct feed **out, struct loop *loop, const struct feed_options *options,
		struct feed_demand *demand);
/* Closes every client (reset) and segment. Neither gone() nor the demand is called any more; memory
 * that the kernel still uses goes when the loop has closed the clients, loop_destroy() at the
 * latest. */
void feed_destroy(struct feed *feed);
void feed_set_can_force_idr(struct feed *feed, bool can);

/* --- from the worker's side --- */

/* Takes fd on success. size is the segment's full size in bytes. The caller has checked seals and
 * numbers. The newest segment is the only one that units can still come to. Returns 0, -EEXIST (it
 * is the newest one's id), -EINVAL (empty, or an id smaller than the newest one's), -ENOMEM, -errno
 * of mmap. */
int feed_add_segment(struct feed *feed, uint32_t id, int fd, uint32_t size);
/* Whether it is the newest. */
bool feed_has_segment(const struct feed *feed, uint32_t id);
/* Publishes a unit and begins its send to whoever waits. flags: enum camcast_unit_flags. Returns 0,
 * -ENOENT (not in the newest segment), -EINVAL (outside the segment, or before the end of the
 * previous unit in it), -EAGAIN (not a key unit after a gap: refused and counted). */
int feed_add_unit(struct feed *feed, uint32_t segment, uint32_t offset, uint32_t len,
		  uint32_t flags, int64_t pts_us);
/* A unit was lost on the way here (its segment's fd was): until the next key unit all are refused.
 */
void feed_gap(struct feed *feed);
/* The worker is gone: ids start anew and the next unit must be a key unit. Clients stay. */
void feed_reset(struct feed *feed);

/* --- from the listeners' side --- */

/* Takes fd on success. peer is only shown, and copied. Returns 0 or -errno (-ESHUTDOWN: draining).
 * gone() is called from the loop once the client is out and its fd closed. */
struct feed_client_owner {
	void (*gone)(struct feed_client_owner *owner, const struct client *client);
};
int feed_add_client(struct feed *feed, int fd, const char *peer, struct feed_client_owner *owner);

/* Stops sending new units and closes each client when the unit under way is finished; `drained` is
 * called from the loop once none is left. */
void feed_drain(struct feed *feed, void (*drained)(void *user), void *user);

/* --- for the status --- */
const struct feed_stats *feed_stats(const struct feed *feed);

enum client_state { CLIENT_WAIT_KEY, CLIENT_LIVE, CLIENT_SHED };
struct client_info {
	const char *peer; /* "192.0.2.1:5000"; borrowed until the call returns */
	enum client_state state;
	int64_t lag_us;
	int64_t delay_us; /* of it, what a viewer that paused by itself wants */
	int64_t since_us; /* monotonic */
	uint64_t sent_bytes, units_dropped, units_shed;
	uint32_t resyncs;
};
void feed_for_each_client(const struct feed *feed,
			  void (*each)(const struct client_info *info, void *user), void *user);
/* Fixed bytes of memory per client (its loop_conn included). */
size_t feed_client_size(void);

#endif
