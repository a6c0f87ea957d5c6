/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/view/ring.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ALIGNMENT 4096u
#define SLOTS_MIN 3
#define SLOT_MAX (VIEW_RING_AREA / SLOTS_MIN / ALIGNMENT * ALIGNMENT)
#define SPARE 2 /* slots that the decoder leaves */
/* After so many tries, a child that publishes faster than its picture can be taken is left for the
 * next call. */
#define ATTEMPTS 8

static unsigned slot_in(uint64_t latest)
{
	return (unsigned)(latest & 0xff) - 1; /* UINT_MAX: none */
}

static uint64_t count_in(uint64_t latest)
{
	return latest >> 8;
}

/* --- in the child --- */

void view_ring_init(struct view_ring *ring, struct view_shared *shared)
{
	*ring = (struct view_ring){.shared = shared};
	ring->sequence = count_in(atomic_load(&shared->latest));
}

int view_ring_fit(struct view_ring *ring, size_t size)
{
	struct view_shared *shared = ring->shared;

	if (size <= ring->slot_size)
		return 0;
	if (size > SLOT_MAX)
		return -E2BIG;
	for (unsigned i = 0; i < ring->n; i++)
		if (atomic_load_explicit(&ring->taken[i], memory_order_acquire))
			return -EBUSY;
	/* No slot can be taken while the slots move; users of the old ones finish first. */
	atomic_store(&shared->latest, ring->sequence << 8);
	if (atomic_load(&shared->reading))
		return -EBUSY;
	ring->slot_size = (uint32_t)((size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
	ring->n = VIEW_RING_AREA / ring->slot_size;
	if (ring->n > VIEW_RING_SLOTS)
		ring->n = VIEW_RING_SLOTS;
	return 0;
}

int view_ring_take(struct view_ring *ring, bool for_decoder)
{
	const unsigned latest = slot_in(atomic_load(&ring->shared->latest));
	const unsigned reading = atomic_load(&ring->shared->reading) - 1;
	unsigned free_slots = 0;
	int slot = -ENOBUFS;

	for (unsigned i = ring->n; i-- > 0;) {
		if (i == latest || i == reading ||
		    atomic_load_explicit(&ring->taken[i], memory_order_acquire))
			continue;
		free_slots++;
		slot = (int)i; /* the lowest: few pages are ever written */
	}
	if (for_decoder && free_slots <= SPARE)
		return -ENOBUFS;
	if (slot >= 0)
		atomic_store_explicit(&ring->taken[slot], true, memory_order_relaxed);
	return slot;
}

uint8_t *view_ring_data(struct view_ring *ring, unsigned slot)
{
	return ring->shared->area + (size_t)slot * ring->slot_size;
}

void view_ring_give_back(struct view_ring *ring, unsigned slot)
{
	atomic_store_explicit(&ring->taken[slot], false, memory_order_release);
}

int view_ring_slot_of(const struct view_ring *ring, const uint8_t *data)
{
	const uintptr_t area = (uintptr_t)ring->shared->area, at = (uintptr_t)data;

	if (!ring->n || at < area || at >= area + (size_t)ring->n * ring->slot_size)
		return -ENOENT;
	return (int)((at - area) / ring->slot_size);
}

static void set(atomic_uint *field, uint32_t value)
{
	atomic_store_explicit(field, value, memory_order_relaxed);
}

static void take_turn(struct view_shared *shared)
{
	atomic_fetch_add(&shared->turn, 1);
	view_ring_wake(shared);
}

void view_ring_publish(struct view_ring *ring, unsigned slot, const struct view_picture *picture)
{
	struct view_shared *shared = ring->shared;
	struct view_slot *to = &shared->slots[slot];

	set(&to->format, picture->format);
	set(&to->colour, picture->colour);
	set(&to->width, picture->width);
	set(&to->height, picture->height);
	set(&to->sar_width, picture->sar_width);
	set(&to->sar_height, picture->sar_height);
	for (unsigned i = 0; i < 3; i++) {
		set(&to->offset[i], picture->offset[i]);
		set(&to->stride[i], picture->stride[i]);
	}
	atomic_store_explicit(&to->since_us, picture->since_us, memory_order_relaxed);
	set(&to->captured, picture->captured);
	atomic_store(&shared->latest, ++ring->sequence << 8 | (slot + 1));
	take_turn(shared);
}

void view_ring_set_activity(struct view_shared *shared, enum view_activity activity)
{
	if (atomic_exchange_explicit(&shared->activity, activity, memory_order_relaxed) != activity)
		take_turn(shared);
}

/* --- in the viewer --- */

static uint32_t get(const atomic_uint *field)
{
	return atomic_load_explicit(field, memory_order_relaxed);
}

static bool plane_inside(const struct view_picture *picture, unsigned plane, uint32_t width,
			 uint32_t rows)
{
	const uint64_t stride = picture->stride[plane];

	return stride >= width && stride <= 4 * VIEW_PICTURE_MAX &&
	       picture->offset[plane] + stride * (rows - 1) + width <= VIEW_RING_AREA;
}

static bool picture_valid(const struct view_picture *picture)
{
	const uint32_t width = picture->width, height = picture->height;
	const uint32_t half_width = (width + 1) / 2, half_height = (height + 1) / 2;

	if (!width || !height || width > VIEW_PICTURE_MAX || height > VIEW_PICTURE_MAX ||
	    picture->colour > VIEW_JPEG || !plane_inside(picture, 0, width, height))
		return false;
	switch (picture->format) {
	case VIEW_I420:
		return plane_inside(picture, 1, half_width, half_height) &&
		       plane_inside(picture, 2, half_width, half_height);
	case VIEW_NV12:
		return plane_inside(picture, 1, 2 * half_width, half_height);
	default:
		return false;
	}
}

uint32_t view_picture_shown_width(const struct view_picture *picture)
{
	uint64_t width = picture->width;

	if (picture->sar_width && picture->sar_height)
		width = width * picture->sar_width / picture->sar_height;
	return width < 1 ? 1 : width > VIEW_PICTURE_MAX ? VIEW_PICTURE_MAX : (uint32_t)width;
}

static void read_slot(const struct view_slot *from, struct view_picture *to)
{
	to->format = (enum view_format)get(&from->format);
	to->colour = (enum view_colour)get(&from->colour);
	to->width = get(&from->width);
	to->height = get(&from->height);
	to->sar_width = get(&from->sar_width);
	to->sar_height = get(&from->sar_height);
	for (unsigned i = 0; i < 3; i++) {
		to->offset[i] = get(&from->offset[i]);
		to->stride[i] = get(&from->stride[i]);
	}
	to->since_us = atomic_load_explicit(&from->since_us, memory_order_relaxed);
	to->captured = get(&from->captured) != 0;
}

uint64_t view_ring_count(const struct view_shared *shared)
{
	return count_in(atomic_load_explicit(&shared->latest, memory_order_relaxed));
}

int view_ring_acquire(struct view_shared *shared, uint64_t *seen, struct view_picture *out)
{
	uint64_t latest = atomic_load(&shared->latest);

	for (unsigned i = 0; i < ATTEMPTS; i++) {
		const unsigned slot = slot_in(latest);
		uint64_t again;

		if (latest == *seen || slot == UINT_MAX)
			return 0;
		if (slot >= VIEW_RING_SLOTS)
			return -EPROTO;
		atomic_store(&shared->reading, slot + 1);
		again = atomic_load(&shared->latest);
		if (again == latest) {
			read_slot(&shared->slots[slot], out);
			*seen = latest;
			if (picture_valid(out))
				return 1;
			view_ring_release(shared);
			return -EPROTO;
		}
		view_ring_release(shared);
		latest = again;
	}
	return 0;
}

void view_ring_release(struct view_shared *shared)
{
	atomic_store(&shared->reading, 0);
}

uint32_t view_ring_wait(struct view_shared *shared, uint32_t turn, int timeout_ms)
{
	const struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

	/* Not FUTEX_PRIVATE_FLAG: the other side is another process. Whatever ends the wait, the
	 * caller looks for itself. */
	syscall(SYS_futex, &shared->turn, FUTEX_WAIT, turn, &timeout, NULL, 0);
	return atomic_load(&shared->turn);
}

void view_ring_wake(struct view_shared *shared)
{
	syscall(SYS_futex, &shared->turn, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
