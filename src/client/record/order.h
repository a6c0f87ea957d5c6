/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When the pictures of a stream are shown, for streams that send them in another order (H.264 with
 * B pictures). A picture arrives at a known time and carries its place in the order of output, the
 * picture order count (H.264 8.2.1). The picture that is shown as number n is shown at the moment
 * at which number n + reorder arrives: no picture is then shown before it has come, every picture
 * has a time of its own, and times grow in the order of output whatever the rate does. Pure
 * functions; one thread.
 */
#ifndef CLIENT_RECORD_ORDER_H
#define CLIENT_RECORD_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORDER_REORDER_MAX 16 /* frames of the largest DPB: H.264 A.3.1 */
#define ORDER_HELD_MAX 40    /* pictures whose times are not known yet, at most */

struct order_picture {
	bool key;
	int64_t count; /* picture order count */
	int64_t at_us; /* of its arrival */
	int64_t index,
		position; /* among all in the order of arrival, and of output; lost ones too */
};

struct order {
	int reorder;   /* pictures that arrive before one and are shown after it, at most */
	bool learning; /* `reorder` and `step` follow from the pictures that are held */
	bool begun;
	int step;		     /* of the count, from picture to picture */
	int64_t index, max_position; /* of the last picture; the highest one so far */
	int64_t base, origin;	     /* position and count of the picture that counts start at */
	struct order_picture held[ORDER_HELD_MAX]; /* in the order of arrival */
	size_t n;
};

/* reorder: max_num_reorder_frames, 0..16; 0 means that count is not looked at. -1: the stream does
 * not say; the first pictures, up to a second key picture, tell. */
void order_init(struct order *order, int reorder);

/* Adds a picture at at_us, later than the one before. Take what is known then: room for the next
 * one is certain only if order_take() has returned false. */
void order_add(struct order *order, bool key, int64_t count, int64_t at_us);

struct order_times {
	int64_t at_us, shown_us, end_us; /* end_us: at_us of the next one */
};

/* The times of the oldest picture held, which is held no longer. false: they are not known yet, or
 * there is none. */
bool order_take(struct order *order, struct order_times *times);

/* The same, with pictures that have not come expected in steps of step_us. false: there is none. */
bool order_force(struct order *order, int64_t step_us, struct order_times *times);

#endif
