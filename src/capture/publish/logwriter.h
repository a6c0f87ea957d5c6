/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes the log of one feed: each unit is written once into a memfd segment and announced to
 * camcastd. A segment is one or more GOPs; a new one starts at a key unit when the next GOP may not
 * fit, or inside a GOP when a unit does not fit. Published bytes never change. The camera never
 * waits: if the pair is full or memory is short, units up to the next key unit are dropped and
 * counted.
 *
 * Units are written with pwritev(), not through a mapping: no page is cleared only to be
 * overwritten and none is faulted in (14-18 us for 33 KB against 38 us through a mapping, 100 us
 * against 225 us for 200 KB, on 2 slow vCPUs), and no memory for a page is an error number,
 * where a mapping would end in SIGBUS. Pages never written cost nothing.
 *
 * One thread at a time (the stream's), except for logwriter_resend_segment().
 */
#ifndef CAPTURE_PUBLISH_LOGWRITER_H
#define CAPTURE_PUBLISH_LOGWRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct logwriter;

/* The description of a unit, without its place. */
struct logwriter_unit {
	uint32_t flags; /* CAMCAST_UNIT_KEY, CAMCAST_UNIT_DROPPABLE */
	int64_t pts_us;
	uint32_t duration_us; /* 0: not known */
	/* Of a key unit: the preamble that it needs, borrowed; preamble_len 0: none. A new one is
	 * announced before the unit. */
	const void *preamble;
	size_t preamble_len;
};

struct logwriter_stats {
	uint64_t units, bytes, segments;
	uint64_t dropped;  /* units that did not reach camcastd */
	uint64_t no_space; /* of those, for lack of memory, descriptors or room */
};

/* pair: the SOCK_SEQPACKET socket, borrowed. feed: its number (camcast/worker.h). segment_size in
 * bytes, rounded up to whole pages. */
int logwriter_create(struct logwriter **out, int pair, unsigned feed, uint32_t segment_size);
void logwriter_destroy(struct logwriter *writer);
/* Appends one unit (framing included). Returns 0, -EAGAIN (dropped: the pair was full, we wait for
 * a key unit, or preambles change more often than camcast/worker.h allows), -ENOSPC, -ENOMEM,
 * -EMFILE... (dropped), -EMSGSIZE (too large), -EPIPE (camcastd is gone). */
int logwriter_append(struct logwriter *writer, const struct iovec *iov, int iovcnt,
		     const struct logwriter_unit *unit);
/* Notes that units were skipped on purpose (the feed had no viewers): the next unit written is a
 * key unit. */
void logwriter_gap(struct logwriter *writer);
/* True before the first unit and after a drop or a gap, until a key unit is written: then ask the
 * encoder for an IDR. */
bool logwriter_needs_key(const struct logwriter *writer);
/* Answers GET_SEGMENT: sends the fd again if id is the newest segment. Any thread. */
void logwriter_resend_segment(struct logwriter *writer, uint32_t id);
const struct logwriter_stats *logwriter_stats(const struct logwriter *writer);

#endif
