/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A log: a ring of the newest units of a feed, and the segments that contain them. A segment lives
 * while it is the newest, or while a unit in the ring or a cursor in the middle of a unit refers to
 * it. A preamble is data that a viewer needs before its first unit, such as an MP4 header; it may
 * change, and each unit says which preamble it needs. After a warm-up only a new preamble or a
 * longer history allocates memory; a segment costs an mmap and a close. Loop thread only.
 */
#ifndef DAEMON_LOG_LOG_H
#define DAEMON_LOG_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pages.h"
#include "camcast/worker.h"

/* Bytes that are sent from: a memfd of the worker's, or a preamble (memory alone). */
struct segment {
	struct pages pages; /* owned */
	uint32_t refs;
	uint32_t id;	      /* the worker's; of a preamble, the log's */
	uint32_t size;	      /* bytes */
	uint32_t end;	      /* offset behind the last unit in it */
	uint64_t published;   /* bytes of its units */
	struct segment *next; /* free ones, and the log's preambles, newest first */
};

/* A flag of a unit beside enum camcast_unit_flags: units before it are missing, its worker is
 * another one, or its preamble is. */
#define LOG_UNIT_AFTER_GAP (1u << 7)

struct unit {
	struct segment *segment;
	int64_t received_us; /* CLOCK_MONOTONIC, when camcastd received the message */
	int64_t pts_us;	     /* presentation time */
	uint32_t offset, len;
	uint32_t duration_us; /* 0: not known */
	uint16_t preamble;    /* the preamble that it needs, log_preamble(); 0: none */
	uint8_t flags;	      /* enum camcast_unit_flags, LOG_UNIT_AFTER_GAP */
	uint8_t track;
};

struct log_limits {
	int64_t history_us;
	uint64_t bytes_max;
	bool keep_gop; /* age alone evicts nothing from the newest key unit on */
};

struct log_stats {
	size_t segments; /* open now */
	uint64_t bytes;	 /* published in them */
};

struct log {
	struct unit *ring;
	uint64_t mask;		   /* entries - 1 */
	uint64_t head;		   /* sequence number that the next unit gets; from 1 */
	uint64_t tail;		   /* of the oldest unit; head if there is none */
	uint64_t newest_key;	   /* 0, or older than tail: none */
	struct segment *current;   /* the one that units go to; NULL: none */
	struct segment *preambles; /* those that units in the ring need, and the newest one */
	uint16_t preamble;	   /* that the next unit needs; 0: none */
	uint16_t newest_preamble;  /* the highest id so far; 0: there was none */
	bool preamble_used;	   /* a unit needs it */
	uint64_t bytes;		   /* of the units */
	struct log_limits limits;
	struct segment *free;	 /* structures to be used again */
	struct log_stats *stats; /* borrowed */
};

/* Entries are history times the highest rate that the protocol allows, a power of two between
 * LOG_ENTRIES_MIN and LOG_ENTRIES_MAX (40 bytes each: 320 KiB for 8 s, at most 2.5 MiB); units
 * beyond these limits are evicted by count. A ring that is full grows where `limits` were changed
 * since. 0 or -ENOMEM. */
enum { LOG_ENTRIES_MIN = 64, LOG_ENTRIES_MAX = 65536 };
int log_init(struct log *log, const struct log_limits *limits, struct log_stats *stats);
/* No cursor refers to a segment any more. */
void log_finish(struct log *log);

/* Takes fd on success. size is the segment's full size in bytes; the caller has checked its seals.
 * From now on units can be added to this segment only. 0, -EEXIST (it is the newest one's id),
 * -EINVAL (empty, or an id smaller than the newest one's), -ENOMEM, -errno of mmap. */
int log_add_segment(struct log *log, uint32_t id, int fd, uint32_t size);
/* No more units for the current segment: ids start again. */
void log_close_segment(struct log *log);

/* Sets the preamble of the units that follow: len bytes, copied. len 0: they need none. 0 or
 * -ENOMEM. */
int log_set_preamble(struct log *log, const void *data, uint32_t len);
/* The preamble that a unit needs (unit->preamble); NULL: none. */
struct segment *log_preamble(const struct log *log, uint16_t id);

/* Checks the place of a unit. 0, -ENOENT (not in the current segment), or -EINVAL (outside of it,
 * or overlapping the previous unit). */
int log_check(const struct log *log, uint32_t segment, uint32_t offset, uint32_t len);
/* Adds a unit that log_check() allows, evicts units above the limits (never the new one), and
 * returns its sequence number. The caller fills in all fields except `segment` and `preamble`;
 * received_us is the current time. */
uint64_t log_push(struct log *log, const struct unit *unit);

/* Evicts every unit. */
void log_clear(struct log *log);

void segment_destroy(struct log *log, struct segment *segment);

static inline void segment_ref(struct segment *segment)
{
	segment->refs++;
}

static inline void segment_unref(struct log *log, struct segment *segment)
{
	/* The analyzer takes the empty log of a failed log_init() for one with units. */
	if (--segment->refs == 0) /* NOLINT(clang-analyzer-core.NullDereference) */
		segment_destroy(log, segment);
}

/* The unit with this number, tail <= seq < head. */
static inline const struct unit *log_unit(const struct log *log, uint64_t seq)
{
	return &log->ring[seq & log->mask];
}

/* Length of a unit that may have been evicted: its entry is overwritten a whole ring later. 0: the
 * entry was overwritten. */
static inline uint32_t log_len(const struct log *log, uint64_t seq)
{
	return log->head - seq <= log->mask + 1 ? log_unit(log, seq)->len : 0;
}

/* Newest key unit in the log that is at or behind seq; 0: none. */
static inline uint64_t log_key_from(const struct log *log, uint64_t seq)
{
	return log->newest_key >= log->tail && log->newest_key >= seq ? log->newest_key : 0;
}

#endif
