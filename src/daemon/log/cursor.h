/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client: a cursor into a feed's log, and the policy of what it is sent next. Between feed.c,
 * which holds the index and the lists of clients, and client.c, which moves one client through
 * them. Loop thread only.
 */
#ifndef DAEMON_LOG_CURSOR_H
#define DAEMON_LOG_CURSOR_H

#include "base/diag.h"
#include "daemon/log/feed.h"
#include "daemon/log/index.h"

enum {
	/* One send takes at most this many bytes of units that lie behind each other, or one unit;
	 * who is further behind goes to the end of the loop's list in between. */
	CLIENT_RUN_MAX = 128 << 10,
	CLIENT_PEER_MAX = 64, /* "[39 characters%15 characters]:65535" */
};

/* A resync of a slow client asks for an IDR at most this often. Joins always ask. */
#define CLIENT_IDR_PERIOD_US 10000000

enum client_flags {
	CLIENT_MID_UNIT = 1 << 0, /* the unit at the cursor has begun and is not finished */
	/* Sources that cannot force an IDR: from a key unit of any age towards the head, and lag
	 * counts once it was there. */
	CLIENT_CATCHING_UP = 1 << 1,
	CLIENT_STARTED = 1 << 2, /* a unit has been begun: what it misses now is a drop */
	CLIENT_CLOSING = 1 << 3,
	CLIENT_DELAYED = 1 << 4, /* paused by itself: lag counts from delay_us */
};

struct client {
	/* What the fan-out and a completed send touch: two cache lines. */
	struct loop_conn conn;
	struct list link; /* in exactly one of the feed's lists */
	struct feed *feed;
	uint64_t cursor;	 /* sequence number of the next unit not sent completely */
	struct segment *segment; /* referred to by the send under way or the unit begun; or NULL */
	uint32_t at;		 /* offset in it of the next byte */
	uint32_t unit_end;	 /* offset in it behind the unit at the cursor */
	uint64_t sent_bytes;
	uint16_t flags;
	uint8_t state; /* enum client_state */

	/* What slow clients and the status touch. */
	uint32_t resyncs;
	uint64_t units_dropped, units_shed;
	int64_t begun_us;    /* when the unit was begun, valid with CLIENT_MID_UNIT */
	int64_t refused_us;  /* when the socket last took nothing */
	int64_t next_idr_us; /* when a resync may ask for an IDR again */
	int64_t since_us;
	struct feed_client_owner *owner;
	uint32_t delay_us;     /* how far behind it put itself, valid with CLIENT_DELAYED */
	uint32_t least_lag_us; /* since it came into CLIENT_SHED */
	char peer[CLIENT_PEER_MAX];
};

struct feed {
	struct loop *loop;
	struct feed_demand *demand;
	struct index index;
	int64_t join_burst_us, shed_lag_us, max_lag_us, stall_timeout_us;
	bool key_only, can_force_idr;
	bool need_key; /* non-key units are refused */
	bool draining;
	bool destroyed; /* goes when the loop has given the last client back */

	/* Every client is in one of these. */
	struct list idle;    /* has all there is; the fan-out walks these only */
	struct list waiting; /* for a key unit */
	struct list busy;    /* send under way */
	struct list mid;     /* in the middle of a unit, by begun_us */
	struct list full;    /* socket full, nothing begun, by refused_us */
	struct list closing; /* until the loop gives it back */

	/* Set while there is somebody in `mid` or `full`, not later than due. */
	struct loop_timer stall;
	void (*drained)(void *user);
	void *drained_user;
	struct loop_timer drain_done;
	struct diag_limit stall_log;
	struct feed_stats stats;
	struct feed_options options;
};

extern const struct loop_conn_ops client_conn_ops;

/* Begins the unit at the cursor. The caller puts the client into `busy`. */
static inline void client_begin(struct client *client, struct segment *segment, uint32_t offset,
				uint32_t unit_len, uint32_t run_len)
{
	client->segment = segment;
	segment_ref(segment);
	client->at = offset;
	client->unit_end = offset + unit_len;
	loop_conn_send(client->feed->loop, &client->conn, &segment->pages, offset, run_len);
}

/* Decides what a client that is between two units, with no send under way, gets: begins it, or puts
 * the client where it waits for it. */
void client_continue(struct client *client);
/* Sets the cursor of a client to be joined and continues. */
void client_join(struct client *client);
/* Ends the wait for a key unit: seq is one. The caller begins it. */
void client_end_wait(struct client *client, uint64_t seq);
void client_close(struct client *client, enum feed_out reason, bool reset);
/* Microseconds that the next unit has been waiting for; 0: nothing is. */
int64_t client_lag_us(const struct client *client);

/* In feed.c: a client has come into `mid` or `full` now. */
void feed_watch_stalls(struct feed *feed);
/* In feed.c: the loop is done with a client that was closed. */
void feed_client_closed(struct client *client);

static inline void client_move(struct client *client, struct list *list)
{
	list_remove(&client->link);
	list_append(list, &client->link);
}

#endif
