/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Passes decoded pictures from a child to the viewer's window, through shared memory. The child's
 * decoder writes a picture once, into a slot of the ring, and publishes it; the viewer takes the
 * newest one, uploads it, and releases it. Neither waits for the other, and no picture is copied.
 *
 * A slot is written again only when the decoder has released it, it is not the newest one, and the
 * viewer does not read it. The viewer announces the slot that it reads, and then checks again that
 * it is still the newest: all four accesses are sequentially consistent, so that at least one side
 * sees the other's store.
 *
 * The viewer does not trust the child: the description of a picture is copied out of shared memory
 * and checked against the ring's bounds before it is used. A broken child can only show a broken
 * picture.
 */
#ifndef CLIENT_VIEW_RING_H
#define CLIENT_VIEW_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/children.h"

#define VIEW_RING_SLOTS 32
/* Of pictures, in bytes. Only pages that were written take memory: about five pictures. */
#define VIEW_RING_AREA (128u << 20)
#define VIEW_PICTURE_MAX 8192 /* pixels, width and height */

enum view_format { VIEW_I420, VIEW_NV12 };
enum view_colour { VIEW_REC601, VIEW_REC709, VIEW_JPEG };

struct view_picture {
	enum view_format format;
	enum view_colour colour;
	uint32_t width, height;
	uint32_t sar_width, sar_height; /* the shape of a pixel; 0: square */
	uint32_t offset[3], stride[3];	/* bytes; from the start of the area */
	int64_t since_us; /* CLOCK_MONOTONIC: its capture, or the arrival of its last byte */
	bool captured;	  /* which of the two */
};

/* A picture as the child wrote it. Each field is read once. */
struct view_slot {
	atomic_uint format, colour, width, height, sar_width, sar_height;
	atomic_uint offset[3], stride[3];
	atomic_llong since_us;
	atomic_uint captured;
};

/* How wide the picture is where pixels are square, 1..VIEW_PICTURE_MAX; its height stays. */
uint32_t view_picture_shown_width(const struct view_picture *picture);

/* The child's activity, for its tile. */
enum view_activity { VIEW_CONNECTING, VIEW_WAITING_KEY, VIEW_PLAYING, VIEW_RECONNECTING };

struct view_shared {
	struct child_header child;
	/* Written by the child: sequence number << 8 | slot + 1. 0: none yet. */
	_Alignas(64) atomic_ullong latest;
	atomic_uint turn; /* futex: changes with latest and activity */
	atomic_uint activity;
	atomic_uint hardware_trial;	/* a hardware decoder has not yet proved itself */
	atomic_ullong decoded, dropped; /* pictures */
	/* How far the camera's clock is ahead of ours; 0: the lag is known, or no clock is. */
	atomic_llong clock_offset_us;
	struct view_slot slots[VIEW_RING_SLOTS];
	/* Written by the viewer: slot + 1 that it reads, 0: none. */
	_Alignas(64) atomic_uint reading;
	_Alignas(4096) uint8_t area[VIEW_RING_AREA];
};

/* --- in the child; one thread, except for view_ring_give_back() --- */

struct view_ring {
	struct view_shared *shared;
	uint32_t slot_size;
	unsigned n;
	atomic_bool taken[VIEW_RING_SLOTS]; /* by the decoder; cleared with release, read with
					       acquire */
	uint64_t sequence;
};

/* The ring continues after the newest picture of the previous child. */
void view_ring_init(struct view_ring *ring, struct view_shared *shared);

/* Makes slots of at least `size` bytes. -EBUSY: a slot is in use, ask again; -E2BIG: fewer than
 * three would fit. */
int view_ring_fit(struct view_ring *ring, size_t size);

/* A slot to write to, or -ENOBUFS. for_decoder: leaves some, so that a picture that the decoder did
 * not put into the ring can still be copied there. Release it with view_ring_give_back(). */
int view_ring_take(struct view_ring *ring, bool for_decoder);
uint8_t *view_ring_data(struct view_ring *ring, unsigned slot);
/* Releases a slot to which nothing writes or refers any more. Any thread. */
void view_ring_give_back(struct view_ring *ring, unsigned slot);
/* The slot that holds this byte, or -ENOENT. */
int view_ring_slot_of(const struct view_ring *ring, const uint8_t *data);
/* Shows the picture that is complete in the slot; it stays there until the next is published, even
 * when the slot has been given back. */
void view_ring_publish(struct view_ring *ring, unsigned slot, const struct view_picture *picture);
void view_ring_set_activity(struct view_shared *shared, enum view_activity activity);

/* --- in the viewer; one thread, except for the wait --- */

/* How many pictures children have published since the ring was made. */
uint64_t view_ring_count(const struct view_shared *shared);
/* Takes the newest picture if it is not the one that *seen says, and then updates *seen; it stays
 * unchanged until view_ring_release(). 1: *out is one; 0: none; -EPROTO: the child wrote invalid
 * values. */
int view_ring_acquire(struct view_shared *shared, uint64_t *seen, struct view_picture *out);
void view_ring_release(struct view_shared *shared);
/* Waits until turn is not `turn` any more, or view_ring_wake() was called, at most timeout_ms.
 * Returns turn. Any thread. */
uint32_t view_ring_wait(struct view_shared *shared, uint32_t turn, int timeout_ms);
void view_ring_wake(struct view_shared *shared);

#endif
