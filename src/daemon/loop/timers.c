/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/loop/timers.h"

static bool is_before(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

/* Two heaps, one of which may be NULL, become one. Neither has siblings. */
static struct loop_timer *merge(struct loop_timer *a, struct loop_timer *b)
{
	if (!a || !b)
		return a ? a : b;
	if (is_before(b, a)) {
		struct loop_timer *first = b;

		b = a;
		a = first;
	}
	b->prev = a;
	b->next = a->child;
	if (a->child)
		a->child->prev = b;
	a->child = b;
	return a;
}

static struct loop_timer *take_first(struct loop_timer **siblings)
{
	struct loop_timer *first = *siblings;

	if (first) {
		*siblings = first->next;
		first->next = NULL;
	}
	return first;
}

/* The children of a timer become one heap: in pairs, then all pairs from the last one on. */
static struct loop_timer *merge_siblings(struct loop_timer *siblings)
{
	struct loop_timer *pairs = NULL, *heap = NULL;

	while (siblings) {
		struct loop_timer *a = take_first(&siblings), *b = take_first(&siblings);
		struct loop_timer *pair = merge(a, b);

		pair->next = pairs;
		pairs = pair;
	}
	while (pairs)
		heap = merge(heap, take_first(&pairs));
	return heap;
}

static void set_first(struct timers *timers, struct loop_timer *first)
{
	timers->first = first;
	if (first)
		first->prev = first;
}

void timers_remove(struct timers *timers, struct loop_timer *timer)
{
	struct loop_timer *below;

	if (!timer->prev)
		return;
	below = merge_siblings(timer->child);
	if (timer == timers->first) {
		set_first(timers, below);
	} else {
		if (timer->prev->child == timer)
			timer->prev->child = timer->next;
		else
			timer->prev->next = timer->next;
		if (timer->next)
			timer->next->prev = timer->prev;
		set_first(timers, merge(timers->first, below));
	}
	timer->child = timer->next = timer->prev = NULL;
}

void timers_set(struct timers *timers, struct loop_timer *timer, int64_t at_us)
{
	timers_remove(timers, timer);
	timer->at_us = at_us;
	timer->order = timers->n_set++;
	set_first(timers, merge(timers->first, timer));
}
