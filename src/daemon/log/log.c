/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/log/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEGMENTS_READY 64 /* structures allocated in advance; further ones are kept for reuse */

static_assert(sizeof(struct unit) == 40, "log.h tells the size of a log");

static int add_free_segment(struct log *log)
{
	struct segment *segment = calloc(1, sizeof(*segment));

	if (!segment)
		return -ENOMEM;
	segment->next = log->free;
	log->free = segment;
	return 0;
}

static uint64_t entries_for(const struct log_limits *limits)
{
	uint64_t wanted = (uint64_t)limits->history_us * CAMCAST_UNIT_RATE_MAX / 1000000;
	uint64_t entries = LOG_ENTRIES_MIN;

	while (entries < wanted && entries < LOG_ENTRIES_MAX)
		entries *= 2;
	return entries;
}

/* Makes room in a full ring, where the history is longer than at first. False: it has the size that
 * goes with its limits, or there is no memory. */
static bool grow(struct log *log)
{
	const uint64_t entries = 2 * (log->mask + 1);
	struct unit *ring = NULL;

	if (entries <= entries_for(&log->limits))
		ring = calloc(entries, sizeof(*ring));
	if (!ring)
		return false;
	for (uint64_t seq = log->tail; seq < log->head; seq++)
		ring[seq & (entries - 1)] = *log_unit(log, seq);
	free(log->ring);
	log->ring = ring;
	log->mask = entries - 1;
	return true;
}

int log_init(struct log *log, const struct log_limits *limits, struct log_stats *stats)
{
	const uint64_t entries = entries_for(limits);

	*log = (struct log){
		.mask = entries - 1, .head = 1, .tail = 1, .limits = *limits, .stats = stats};
	log->ring = calloc(entries, sizeof(*log->ring));
	if (!log->ring)
		return -ENOMEM;
	for (int i = 0; i < SEGMENTS_READY; i++) {
		if (add_free_segment(log) < 0) {
			log_finish(log);
			return -ENOMEM;
		}
	}
	return 0;
}

/* --- preambles --- */

/* The newest one first. */
static void drop_preambles(struct log *log, struct segment **from)
{
	while (*from) {
		struct segment *preamble = *from;

		*from = preamble->next;
		segment_unref(log, preamble);
	}
}

int log_set_preamble(struct log *log, const void *data, uint32_t len)
{
	struct segment *preamble;
	uint8_t *copy;

	log->preamble = 0;
	if (log->preambles && !log->preamble_used) {
		struct segment *unused = log->preambles;

		log->preambles = unused->next;
		segment_unref(log, unused);
	}
	if (len == 0)
		return 0;
	if (!log->free && add_free_segment(log) < 0)
		return -ENOMEM;
	copy = malloc(len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, len);
	log->newest_preamble = log->newest_preamble % UINT16_MAX + 1;
	log->preamble = log->newest_preamble;
	log->preamble_used = false;
	preamble = log->free;
	log->free = preamble->next;
	*preamble = (struct segment){.pages = {.map = copy, .fd = -1},
				     .refs = 1,
				     .id = log->preamble,
				     .size = len,
				     .next = log->preambles};
	log->preambles = preamble;
	return 0;
}

struct segment *log_preamble(const struct log *log, uint16_t id)
{
	struct segment *preamble = id == 0 ? NULL : log->preambles;

	while (preamble && preamble->id != id)
		preamble = preamble->next;
	return preamble;
}

/* Preambles older than that of the oldest unit are not used any more. */
static void drop_old_preambles(struct log *log)
{
	struct segment *oldest;

	if (!log->preambles || !log->preambles->next || log->tail == log->head)
		return;
	oldest = log_preamble(log, log_unit(log, log->tail)->preamble);
	if (oldest)
		drop_preambles(log, &oldest->next);
}

/* --- units --- */

static void evict(struct log *log)
{
	struct unit *unit = &log->ring[log->tail++ & log->mask];

	log->bytes -= unit->len;
	segment_unref(log, unit->segment);
}

void log_clear(struct log *log)
{
	while (log->tail < log->head)
		evict(log);
}

void log_finish(struct log *log)
{
	log_clear(log);
	log_close_segment(log);
	drop_preambles(log, &log->preambles);
	assert(log->stats->segments == 0);
	while (log->free) {
		struct segment *segment = log->free;

		log->free = segment->next;
		free(segment);
	}
	free(log->ring);
	log->ring = NULL;
}

int log_add_segment(struct log *log, uint32_t id, int fd, uint32_t size)
{
	struct segment *segment;
	void *map;

	if (log->current && id == log->current->id)
		return -EEXIST;
	if (size == 0 || (log->current && id < log->current->id))
		return -EINVAL;
	if (!log->free && add_free_segment(log) < 0)
		return -ENOMEM;
	map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	/* Units are written in 4 KiB folios; a huge page would be pinned whole by a few bytes in a
	 * socket. Refused where the kernel has no huge pages. */
	(void)madvise(map, size, MADV_NOHUGEPAGE);

	segment = log->free;
	log->free = segment->next;
	*segment = (struct segment){
		.pages = {.fd = fd, .map = map}, .refs = 1, .id = id, .size = size};
	log->stats->segments++;
	log_close_segment(log);
	log->current = segment;
	return 0;
}

void log_close_segment(struct log *log)
{
	struct segment *segment = log->current;

	log->current = NULL;
	if (segment)
		segment_unref(log, segment);
}

void segment_destroy(struct log *log, struct segment *segment)
{
	void *map = (void *)(uintptr_t)segment->pages.map;

	if (segment->pages.fd < 0) {
		free(map);
	} else {
		munmap(map, segment->size);
		close(segment->pages.fd);
		log->stats->segments--;
		log->stats->bytes -= segment->published;
	}
	segment->next = log->free;
	log->free = segment;
}

int log_check(const struct log *log, uint32_t segment, uint32_t offset, uint32_t len)
{
	const struct segment *current = log->current;

	if (!current || current->id != segment)
		return -ENOENT;
	if (len == 0 || offset < current->end || offset > current->size ||
	    len > current->size - offset)
		return -EINVAL;
	return 0;
}

static bool over_limits(const struct log *log, int64_t now_us)
{
	const struct log_limits *limits = &log->limits;

	if (log->bytes > limits->bytes_max)
		return true;
	if (limits->keep_gop && log->tail == log->newest_key)
		return false;
	return now_us - log_unit(log, log->tail)->received_us > limits->history_us;
}

uint64_t log_push(struct log *log, const struct unit *unit)
{
	struct segment *segment = log->current;
	uint64_t seq = log->head;
	struct unit *entry;

	if (log->head - log->tail > log->mask && !grow(log))
		evict(log);
	entry = &log->ring[seq & log->mask];
	*entry = *unit;
	entry->segment = segment;
	entry->preamble = log->preamble;
	log->preamble_used = log->preamble_used || log->preamble != 0;
	log->head++;
	if (unit->flags & CAMCAST_UNIT_KEY)
		log->newest_key = seq;
	segment_ref(segment);
	segment->end = unit->offset + unit->len;
	segment->published += unit->len;
	log->stats->bytes += unit->len;
	log->bytes += unit->len;
	while (log->tail < seq && over_limits(log, unit->received_us))
		evict(log);
	drop_old_preambles(log);
	return seq;
}
