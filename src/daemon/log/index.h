/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The index of one log: a ring of the newest units, and the segments that they lie in. A segment
 * lives while it is the newest, or a unit in the index or a client in the middle of a unit refers
 * to it. Once it has warmed up nothing here allocates; a segment costs an mmap and a close. Loop
 * thread only.
 */
#ifndef DAEMON_LOG_INDEX_H
#define DAEMON_LOG_INDEX_H

#include "camcast/worker.h"
#include "daemon/log/feed.h"

struct index;

struct segment {
	struct loop_pages pages; /* owned */
	uint32_t refs;
	uint32_t id;	    /* the worker's */
	uint32_t size;	    /* bytes */
	uint32_t end;	    /* offset behind the last unit in it */
	uint64_t published; /* bytes of its units */
	struct segment *next_free;
};

struct unit {
	struct segment *segment;
	int64_t received_us; /* CLOCK_MONOTONIC, when camcastd got to know of it */
	uint32_t offset, len;
	uint32_t flags; /* enum camcast_unit_flags */
};

struct index_limits {
	int64_t history_us;
	uint64_t bytes_max;
	bool keep_gop; /* age alone evicts nothing from the newest key unit on */
};

struct index {
	struct unit *ring;
	uint64_t mask;		 /* entries - 1 */
	uint64_t head;		 /* sequence number that the next unit gets; from 1 */
	uint64_t tail;		 /* of the oldest unit; head if there is none */
	uint64_t newest_key;	 /* 0, or older than tail: none */
	struct segment *current; /* the one that units go to; NULL: none */
	uint64_t bytes;		 /* of the units */
	struct index_limits limits;
	struct segment *free;	  /* structures to be used again */
	struct feed_stats *stats; /* `segments` and `log_bytes` are kept here */
};

/* Entries are history times the highest rate that the protocol allows, a power of two between
 * INDEX_ENTRIES_MIN and INDEX_ENTRIES_MAX (32 bytes each: 256 KiB for 8 s, at most 2 MiB); what
 * comes faster than that or stays longer is evicted by count. 0 or -ENOMEM. */
enum { INDEX_ENTRIES_MIN = 64, INDEX_ENTRIES_MAX = 65536 };
int index_init(struct index *index, const struct index_limits *limits, struct feed_stats *stats);
/* No client refers to a segment any more. */
void index_finish(struct index *index);

/* As feed_add_segment(), and -EINVAL where id is smaller than the newest one's. */
int index_add_segment(struct index *index, uint32_t id, int fd, uint32_t size);
/* No more units for the current segment: ids begin anew. */
void index_close_segment(struct index *index);

/* Where a unit may lie: -ENOENT: not in the current segment, -EINVAL: outside of it or over the
 * previous unit. */
int index_check(const struct index *index, uint32_t segment, uint32_t offset, uint32_t len);
/* Adds a unit that index_check() allows, evicts what is over the limits (never the new unit), and
 * returns its sequence number. */
uint64_t index_push(struct index *index, uint32_t offset, uint32_t len, uint32_t flags,
		    int64_t now_us);

void segment_destroy(struct index *index, struct segment *segment);

static inline void segment_ref(struct segment *segment)
{
	segment->refs++;
}

static inline void segment_unref(struct index *index, struct segment *segment)
{
	/* The analyzer takes the empty index of a failed index_init() for one with units. */
	if (--segment->refs == 0) /* NOLINT(clang-analyzer-core.NullDereference) */
		segment_destroy(index, segment);
}

/* The unit with this number, tail <= seq < head. */
static inline const struct unit *index_unit(const struct index *index, uint64_t seq)
{
	return &index->ring[seq & index->mask];
}

/* Length of a unit that may have been evicted since: entries are overwritten a whole ring later
 * only. 0: that has happened. */
static inline uint32_t index_len(const struct index *index, uint64_t seq)
{
	return index->head - seq <= index->mask + 1 ? index_unit(index, seq)->len : 0;
}

/* Newest key unit at or behind seq that is in the index; 0: none. */
static inline uint64_t index_key_from(const struct index *index, uint64_t seq)
{
	return index->newest_key >= index->tail && index->newest_key >= seq ? index->newest_key : 0;
}

#endif
