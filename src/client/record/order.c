/* SPDX-License-Identifier: BSD-2-Clause */
#include "client/record/order.h"

#include <string.h>

#define BETWEEN_MAX 16 /* B pictures between two others: x264's limit */

void order_init(struct order *order, int reorder)
{
	*order = (struct order){
		.reorder = reorder > 0 ? reorder : 0,
		.learning = reorder != 0,
		.step = 2, /* most streams count fields */
		.max_position = -1,
	};
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Begins a new order of output at the picture. */
static void restart(struct order *order, struct order_picture *picture)
{
	picture->index = later(picture->index, order->max_position + 1);
	picture->position = picture->index;
	order->base = picture->index;
	order->origin = picture->count;
}

/* Finds the picture's place in both orders. */
static void place(struct order *order, struct order_picture *picture)
{
	int64_t behind;

	picture->index = order->begun ? order->index + 1 : 0;
	picture->position = picture->index;
	if (order->reorder == 0 && !order->learning) {
		order->max_position = picture->position;
	} else if (picture->key || !order->begun) {
		restart(order, picture);
	} else {
		picture->position = order->base + (picture->count - order->origin) / order->step;
		/* All that are shown before the last one of the order so far have come, or were
		 * lost on the way. */
		if (picture->position > order->max_position)
			picture->index = later(picture->index, order->max_position + 1);
		behind = picture->index - picture->position;
		if (order->learning && behind > order->reorder && behind <= ORDER_REORDER_MAX)
			order->reorder = (int)behind;
		/* Damage, or the counts start again in the middle (8.2.1, operation 5). */
		if (behind > order->reorder || behind < -BETWEEN_MAX)
			restart(order, picture);
	}
	order->begun = true;
	order->index = picture->index;
	order->max_position = later(order->max_position, picture->position);
}

static void end_learning(struct order *order)
{
	for (size_t i = 0; i < order->n; i++)
		if ((order->held[i].count - order->held[0].count) % 2 != 0)
			order->step = 1;
	for (size_t i = 0; i < order->n; i++)
		place(order, &order->held[i]);
	order->learning = false;
}

void order_add(struct order *order, bool key, int64_t count, int64_t at_us)
{
	struct order_picture *picture = &order->held[order->n];

	*picture = (struct order_picture){.key = key, .count = count, .at_us = at_us};
	if (order->learning && key && order->n > 0)
		end_learning(order);
	if (!order->learning) {
		if (!key && (count - order->origin) % 2 != 0)
			order->step = 1;
		place(order, picture);
	}
	order->n++;
	if (order->learning && order->n == ORDER_HELD_MAX)
		end_learning(order);
}

/* When the picture with this index arrived or, for lost ones, would have. false: it is yet to come;
 * then *at_us is expected in steps of step_us. */
static bool arrival(const struct order *order, int64_t index, int64_t step_us, int64_t *at_us)
{
	const struct order_picture *last = &order->held[order->n - 1], *a, *b;

	if (index > last->index) {
		*at_us = last->at_us + (index - last->index) * step_us;
		return false;
	}
	*at_us = last->at_us;
	for (size_t i = 0; i + 1 < order->n; i++) {
		a = &order->held[i];
		b = a + 1;
		if (index < b->index) {
			*at_us = a->at_us +
				 (b->at_us - a->at_us) * (index - a->index) / (b->index - a->index);
			break;
		}
	}
	return true;
}

static bool take(struct order *order, bool force, int64_t step_us, struct order_times *times)
{
	const struct order_picture *first = &order->held[0];

	if (order->n == 0)
		return false;
	if (!arrival(order, first->position + order->reorder, step_us, &times->shown_us) && !force)
		return false;
	if (order->n < 2 && !force)
		return false;
	times->at_us = first->at_us;
	times->end_us = order->n > 1 ? order->held[1].at_us : first->at_us + step_us;
	order->n--;
	memmove(order->held, order->held + 1, order->n * sizeof order->held[0]);
	return true;
}

bool order_take(struct order *order, struct order_times *times)
{
	return !order->learning && take(order, false, 0, times);
}

bool order_force(struct order *order, int64_t step_us, struct order_times *times)
{
	if (order->learning)
		end_learning(order);
	return take(order, true, step_us, times);
}
