/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring of pictures that a child and the viewer share: here two threads, or one with both roles.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "client/view/ring.h"

#define WIDTH 64
#define HEIGHT 48
#define SIZE (WIDTH * HEIGHT * 3 / 2)

struct rig {
	struct view_shared *shared;
	struct view_ring ring;
};

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	if (!rig)
		return -1;
	rig->shared = mmap(NULL, sizeof(*rig->shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (rig->shared == MAP_FAILED) {
		free(rig);
		return -1;
	}
	view_ring_init(&rig->ring, rig->shared);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	munmap(rig->shared, sizeof(*rig->shared));
	free(rig);
	return 0;
}

/* A picture in that slot, all of its bytes `value`. */
static void publish(struct rig *rig, unsigned slot, uint8_t value)
{
	const uint32_t start = slot * rig->ring.slot_size;
	const struct view_picture picture = {
		.format = VIEW_I420,
		.width = WIDTH,
		.height = HEIGHT,
		.offset = {start, start + WIDTH * HEIGHT, start + WIDTH * HEIGHT * 5 / 4},
		.stride = {WIDTH, WIDTH / 2, WIDTH / 2},
		.since_us = value,
	};

	memset(view_ring_data(&rig->ring, slot), value, SIZE);
	view_ring_publish(&rig->ring, slot, &picture);
}

static int write_picture(struct rig *rig, uint8_t value)
{
	int slot = view_ring_take(&rig->ring, false);

	if (slot >= 0) {
		publish(rig, (unsigned)slot, value);
		view_ring_give_back(&rig->ring, (unsigned)slot);
	}
	return slot;
}

static void pictures_are_counted_as_they_are_published(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(view_ring_count(rig->shared), 0);
	assert_int_equal(view_ring_fit(&rig->ring, SIZE), 0);
	for (uint8_t value = 1; value <= 5; value++) {
		assert_true(write_picture(rig, value) >= 0);
		assert_int_equal(view_ring_count(rig->shared), value);
	}
	/* Another child: its first picture is the next one, and larger slots are none. */
	view_ring_init(&rig->ring, rig->shared);
	assert_int_equal(view_ring_fit(&rig->ring, SIZE), 0);
	assert_int_equal(view_ring_count(rig->shared), 5);
	assert_true(write_picture(rig, 6) >= 0);
	assert_int_equal(view_ring_count(rig->shared), 6);
}

static void the_newest_picture_is_taken_once(void **state)
{
	struct rig *rig = *state;
	struct view_picture picture;
	uint64_t seen = 0;

	assert_int_equal(view_ring_acquire(rig->shared, &seen, &picture), 0);
	assert_int_equal(view_ring_fit(&rig->ring, SIZE), 0);
	for (uint8_t value = 1; value <= 5; value++)
		assert_true(write_picture(rig, value) >= 0);
	assert_int_equal(view_ring_acquire(rig->shared, &seen, &picture), 1);
	assert_int_equal(picture.width, WIDTH);
	assert_int_equal(picture.since_us, 5);
	assert_int_equal(rig->shared->area[picture.offset[2]], 5);
	view_ring_release(rig->shared);
	assert_int_equal(view_ring_acquire(rig->shared, &seen, &picture), 0);
}

static void what_is_read_or_newest_is_not_written(void **state)
{
	struct rig *rig = *state;
	struct view_picture picture;
	uint64_t seen = 0;
	int read, newest;

	assert_int_equal(view_ring_fit(&rig->ring, SIZE), 0);
	read = write_picture(rig, 1);
	assert_int_equal(view_ring_acquire(rig->shared, &seen, &picture), 1);
	newest = write_picture(rig, 2);
	assert_int_not_equal(read, newest);
	for (unsigned i = 0; i < rig->ring.n - 2; i++) {
		int slot = view_ring_take(&rig->ring, false);

		assert_true(slot >= 0);
		assert_int_not_equal(slot, read);
		assert_int_not_equal(slot, newest);
	}
	assert_int_equal(view_ring_take(&rig->ring, false), -ENOBUFS);
	view_ring_release(rig->shared);
	assert_int_equal(view_ring_take(&rig->ring, false), read);
}

static void a_decoder_that_keeps_all_leaves_slots_for_copies(void **state)
{
	struct rig *rig = *state;
	unsigned taken = 0;

	assert_int_equal(view_ring_fit(&rig->ring, SIZE), 0);
	while (view_ring_take(&rig->ring, true) >= 0)
		taken++;
	assert_true(taken > 0 && taken < rig->ring.n);
	assert_true(write_picture(rig, 1) >= 0);
	assert_true(write_picture(rig, 2) >= 0);
	assert_true(write_picture(rig, 3) >= 0);
}

static void slots_grow_when_nobody_uses_them(void **state)
{
	struct rig *rig = *state;
	struct view_picture picture;
	uint64_t seen = 0;
	int slot;

	assert_int_equal(view_ring_fit(&rig->ring, SIZE), 0);
	slot = view_ring_take(&rig->ring, false);
	publish(rig, (unsigned)slot, 1);
	assert_int_equal(view_ring_fit(&rig->ring, 4 * SIZE), -EBUSY); /* the decoder's */
	view_ring_give_back(&rig->ring, (unsigned)slot);
	assert_int_equal(view_ring_acquire(rig->shared, &seen, &picture), 1);
	assert_int_equal(view_ring_fit(&rig->ring, 4 * SIZE), -EBUSY); /* the viewer's */
	view_ring_release(rig->shared);
	assert_int_equal(view_ring_fit(&rig->ring, 4 * SIZE), 0);
	assert_true(rig->ring.slot_size >= 4 * SIZE);
	assert_int_equal(view_ring_acquire(rig->shared, &seen, &picture), 0);
	assert_true(write_picture(rig, 2) >= 0);
	assert_int_equal(view_ring_acquire(rig->shared, &seen, &picture), 1);
	assert_int_equal(view_ring_fit(&rig->ring, VIEW_RING_AREA), -E2BIG);
}

static void the_largest_slots_stay_inside(void **state)
{
	struct rig *rig = *state;

	const uint32_t largest = VIEW_RING_AREA / 3 / 4096 * 4096;

	assert_int_equal(view_ring_fit(&rig->ring, largest + 1), -E2BIG);
	assert_int_equal(view_ring_fit(&rig->ring, largest), 0);
	assert_int_equal(rig->ring.slot_size, largest);
	assert_int_equal(rig->ring.n, 3);
	assert_int_equal(view_ring_slot_of(&rig->ring, view_ring_data(&rig->ring, 2)), 2);
	assert_int_equal(view_ring_slot_of(&rig->ring, (const uint8_t *)rig), -ENOENT);
}

static void a_new_child_goes_on_where_the_old_one_ended(void **state)
{
	struct rig *rig = *state;
	struct view_picture picture;
	uint64_t seen = 0;

	assert_int_equal(view_ring_fit(&rig->ring, SIZE), 0);
	assert_true(write_picture(rig, 1) >= 0);
	assert_int_equal(view_ring_acquire(rig->shared, &seen, &picture), 1);
	view_ring_release(rig->shared);
	view_ring_init(&rig->ring, rig->shared);
	assert_int_equal(view_ring_fit(&rig->ring, SIZE), 0);
	assert_int_equal(view_ring_acquire(rig->shared, &seen, &picture), 0);
	assert_true(write_picture(rig, 2) >= 0);
	assert_int_equal(view_ring_acquire(rig->shared, &seen, &picture), 1);
	assert_int_equal(picture.since_us, 2);
}

/* --- a child that lies --- */

static void lie(struct rig *rig, atomic_uint *field, uint32_t value)
{
	struct view_picture picture;
	uint64_t seen = 0;
	const uint32_t truth = atomic_load(field);

	assert_int_equal(view_ring_acquire(rig->shared, &seen, &picture), 1);
	view_ring_release(rig->shared);
	atomic_store(field, value);
	seen = 0;
	assert_int_equal(view_ring_acquire(rig->shared, &seen, &picture), -EPROTO);
	assert_int_equal(atomic_load(&rig->shared->reading), 0);
	atomic_store(field, truth);
}

static void pictures_that_cannot_be_are_refused(void **state)
{
	struct rig *rig = *state;
	struct view_slot *slot;

	assert_int_equal(view_ring_fit(&rig->ring, SIZE), 0);
	slot = &rig->shared->slots[write_picture(rig, 1)];
	lie(rig, &slot->width, 0);
	lie(rig, &slot->height, 0);
	lie(rig, &slot->width, WIDTH + 1);
	lie(rig, &slot->width, UINT32_MAX);
	lie(rig, &slot->height, UINT32_MAX);
	lie(rig, &slot->height, VIEW_PICTURE_MAX + 1);
	lie(rig, &slot->format, 2);
	lie(rig, &slot->colour, UINT32_MAX);
	for (unsigned i = 0; i < 3; i++) {
		lie(rig, &slot->offset[i], VIEW_RING_AREA - 1);
		lie(rig, &slot->offset[i], UINT32_MAX);
		lie(rig, &slot->stride[i], 0);
		lie(rig, &slot->stride[i], 0x80000000u);
		lie(rig, &slot->stride[i], UINT32_MAX);
	}
	/* NV12 has its chroma in lines as long as luma's. */
	lie(rig, &slot->format, VIEW_NV12);
}

static void slots_that_do_not_exist_are_refused(void **state)
{
	struct rig *rig = *state;
	struct view_picture picture;

	for (unsigned index = VIEW_RING_SLOTS + 1; index < 256; index++) {
		uint64_t seen = 0;

		atomic_store(&rig->shared->latest, 7 << 8 | index);
		assert_int_equal(view_ring_acquire(rig->shared, &seen, &picture), -EPROTO);
	}
}

/* An accepted picture lies within the area, whatever the slot contains: read all its corners. */
static void accepted_pictures_are_inside_whatever_was_written(void **state)
{
	static const uint32_t edges[] = {0,
					 1,
					 2,
					 63,
					 64,
					 VIEW_PICTURE_MAX,
					 VIEW_PICTURE_MAX + 1,
					 VIEW_RING_AREA - 1,
					 VIEW_RING_AREA,
					 UINT32_MAX,
					 0x7fffffff,
					 0x80000000};
	struct rig *rig = *state;
	struct view_slot *slot = &rig->shared->slots[0];
	atomic_uint *fields[] = {&slot->width,	   &slot->height,    &slot->offset[0],
				 &slot->offset[1], &slot->offset[2], &slot->stride[0],
				 &slot->stride[1], &slot->stride[2], &slot->format};
	unsigned accepted = 0;
	uint32_t random = 1;

	for (unsigned round = 1; round < 200000; round++) {
		struct view_picture p;
		uint64_t seen = 0;

		for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
			random = random * 1664525 + 1013904223;
			atomic_store_explicit(fields[i],
					      random >> 31 ? (random >> 8) % 129
							   : edges[(random >> 8) % 12],
					      memory_order_relaxed);
		}
		atomic_store(&rig->shared->latest, (uint64_t)round << 8 | 1);
		if (view_ring_acquire(rig->shared, &seen, &p) != 1)
			continue;
		accepted++;
		const uint64_t rows = (p.height + 1) / 2, columns = (p.width + 1) / 2;
		assert_true(p.offset[0] + (uint64_t)p.stride[0] * (p.height - 1) + p.width <=
			    VIEW_RING_AREA);
		for (unsigned i = 1; i < (p.format == VIEW_NV12 ? 2 : 3); i++)
			assert_true(p.offset[i] + (uint64_t)p.stride[i] * (rows - 1) +
					    columns * (p.format == VIEW_NV12 ? 2 : 1) <=
				    VIEW_RING_AREA);
		view_ring_release(rig->shared);
	}
	assert_true(accepted > 100);
}

/* --- two threads --- */

#define PICTURES 20000

static void *write_many(void *argument)
{
	struct rig *rig = argument;

	for (unsigned i = 1; i <= PICTURES; i++)
		while (write_picture(rig, (uint8_t)i) < 0)
			; /* the viewer has it for a moment */
	return NULL;
}

static void no_picture_changes_while_it_is_read(void **state)
{
	struct rig *rig = *state;
	const uint8_t last = (uint8_t)PICTURES;
	struct view_picture picture = {0};
	uint64_t seen = 0, before = 0;
	uint32_t turn = 0;
	pthread_t writer;

	assert_int_equal(view_ring_fit(&rig->ring, SIZE), 0);
	rig->ring.n = 3; /* so that slots are written again at once */
	assert_int_equal(pthread_create(&writer, NULL, write_many, rig), 0);
	while (seen >> 8 < PICTURES) {
		const uint8_t *area = rig->shared->area;

		turn = view_ring_wait(rig->shared, turn, 1000);
		if (view_ring_acquire(rig->shared, &seen, &picture) != 1)
			continue;
		assert_true(seen >> 8 > before);
		before = seen >> 8;
		for (size_t i = 0; i < SIZE; i++)
			assert_true(area[picture.offset[0] + i] == (uint8_t)picture.since_us);
		view_ring_release(rig->shared);
	}
	assert_int_equal(picture.since_us, last);
	assert_int_equal(pthread_join(writer, NULL), 0);
}

static void *wake(void *argument)
{
	struct rig *rig = argument;

	view_ring_set_activity(rig->shared, VIEW_PLAYING);
	return NULL;
}

static void a_change_of_activity_ends_the_wait(void **state)
{
	struct rig *rig = *state;
	pthread_t other;

	assert_int_equal(pthread_create(&other, NULL, wake, rig), 0);
	while (view_ring_wait(rig->shared, 0, 10000) == 0)
		;
	assert_int_equal(atomic_load(&rig->shared->activity), VIEW_PLAYING);
	assert_int_equal(pthread_join(other, NULL), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(pictures_are_counted_as_they_are_published),
		test(the_newest_picture_is_taken_once),
		test(what_is_read_or_newest_is_not_written),
		test(a_decoder_that_keeps_all_leaves_slots_for_copies),
		test(slots_grow_when_nobody_uses_them),
		test(the_largest_slots_stay_inside),
		test(a_new_child_goes_on_where_the_old_one_ended),
		test(pictures_that_cannot_be_are_refused),
		test(slots_that_do_not_exist_are_refused),
		test(accepted_pictures_are_inside_whatever_was_written),
		test(no_picture_changes_while_it_is_read),
		test(a_change_of_activity_ends_the_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
