/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/log/index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEGMENTS_READY 64 /* structures made in advance; more are kept once they were needed */

static_assert(sizeof(struct unit) == 32, "index.h tells the size of an index");

static int add_free_segment(struct index *index)
{
	struct segment *segment = calloc(1, sizeof(*segment));

	if (!segment)
		return -ENOMEM;
	segment->next_free = index->free;
	index->free = segment;
	return 0;
}

int index_init(struct index *index, const struct index_limits *limits, struct feed_stats *stats)
{
	uint64_t wanted = (uint64_t)limits->history_us * CAMCAST_UNIT_RATE_MAX / 1000000;
	uint64_t entries = INDEX_ENTRIES_MIN;

	while (entries < wanted && entries < INDEX_ENTRIES_MAX)
		entries *= 2;
	*index = (struct index){
		.mask = entries - 1, .head = 1, .tail = 1, .limits = *limits, .stats = stats};
	index->ring = calloc(entries, sizeof(*index->ring));
	if (!index->ring)
		return -ENOMEM;
	for (int i = 0; i < SEGMENTS_READY; i++) {
		if (add_free_segment(index) < 0) {
			index_finish(index);
			return -ENOMEM;
		}
	}
	return 0;
}

static void evict(struct index *index)
{
	struct unit *unit = &index->ring[index->tail++ & index->mask];

	index->bytes -= unit->len;
	segment_unref(index, unit->segment);
}

void index_finish(struct index *index)
{
	while (index->tail < index->head)
		evict(index);
	index_close_segment(index);
	assert(index->stats->segments == 0);
	while (index->free) {
		struct segment *segment = index->free;

		index->free = segment->next_free;
		free(segment);
	}
	free(index->ring);
	index->ring = NULL;
}

int index_add_segment(struct index *index, uint32_t id, int fd, uint32_t size)
{
	struct segment *segment;
	void *map;

	if (index->current && id == index->current->id)
		return -EEXIST;
	if (size == 0 || (index->current && id < index->current->id))
		return -EINVAL;
	if (!index->free && add_free_segment(index) < 0)
		return -ENOMEM;
	map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	/* Units are written in 4 KiB folios; a huge page would be pinned whole by a few bytes in a
	 * socket. Refused where the kernel has no huge pages. */
	(void)madvise(map, size, MADV_NOHUGEPAGE);

	segment = index->free;
	index->free = segment->next_free;
	*segment = (struct segment){
		.pages = {.fd = fd, .map = map}, .refs = 1, .id = id, .size = size};
	index->stats->segments++;
	index_close_segment(index);
	index->current = segment;
	return 0;
}

void index_close_segment(struct index *index)
{
	struct segment *segment = index->current;

	index->current = NULL;
	if (segment)
		segment_unref(index, segment);
}

void segment_destroy(struct index *index, struct segment *segment)
{
	munmap((void *)(uintptr_t)segment->pages.map, segment->size);
	close(segment->pages.fd);
	index->stats->segments--;
	index->stats->log_bytes -= segment->published;
	segment->next_free = index->free;
	index->free = segment;
}

int index_check(const struct index *index, uint32_t segment, uint32_t offset, uint32_t len)
{
	const struct segment *current = index->current;

	if (!current || current->id != segment)
		return -ENOENT;
	if (len == 0 || offset < current->end || offset > current->size ||
	    len > current->size - offset)
		return -EINVAL;
	return 0;
}

static bool over_limits(const struct index *index, int64_t now_us)
{
	const struct index_limits *limits = &index->limits;

	if (index->bytes > limits->bytes_max)
		return true;
	if (limits->keep_gop && index->tail == index->newest_key)
		return false;
	return now_us - index_unit(index, index->tail)->received_us > limits->history_us;
}

uint64_t index_push(struct index *index, uint32_t offset, uint32_t len, uint32_t flags,
		    int64_t now_us)
{
	struct segment *segment = index->current;
	uint64_t seq = index->head;

	if (index->head - index->tail > index->mask)
		evict(index);
	index->ring[seq & index->mask] = (struct unit){.segment = segment,
						       .received_us = now_us,
						       .offset = offset,
						       .len = len,
						       .flags = flags};
	index->head++;
	if (flags & CAMCAST_UNIT_KEY)
		index->newest_key = seq;
	segment_ref(segment);
	segment->end = offset + len;
	segment->published += len;
	index->stats->log_bytes += len;
	index->bytes += len;
	while (index->tail < seq && over_limits(index, now_us))
		evict(index);
	return seq;
}
