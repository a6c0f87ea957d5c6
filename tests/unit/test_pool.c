/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"

#define SIZE 200
#define OBJECTS 1000

static void objects_have_memory_of_their_own(void **state)
{
	static uint8_t *objects[OBJECTS];
	struct pool *pool;

	(void)state;
	assert_int_equal(pool_create(&pool, SIZE), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < OBJECTS; i++) {
			objects[i] = pool_take(pool);
			assert_non_null(objects[i]);
			assert_int_equal((uintptr_t)objects[i] % POOL_ALIGN, 0);
			memset(objects[i], i, SIZE);
		}
		for (int i = 0; i < OBJECTS; i++) {
			for (int at = 0; at < SIZE; at++)
				assert_int_equal(objects[i][at], (uint8_t)i);
		}
		for (int i = 0; i < OBJECTS; i++)
			pool_put(pool, objects[(i * 7) % OBJECTS]);
	}
	pool_close(pool);
}

static void an_object_that_comes_back_is_taken_again(void **state)
{
	struct pool *pool;
	void *first, *second;

	(void)state;
	assert_int_equal(pool_create(&pool, SIZE), 0);
	first = pool_take(pool);
	second = pool_take(pool);
	assert_true(first && second && first != second);
#ifndef __SANITIZE_ADDRESS__
	assert_ptr_equal((char *)first + 256, second);
	pool_put(pool, first);
	first = pool_take(pool);
	assert_ptr_equal((char *)first + 256, second);
#endif
	pool_put(pool, first);
	pool_put(pool, second);
	pool_close(pool);
}

static void a_closed_pool_goes_with_its_last_object(void **state)
{
	struct pool *pool;
	char *object;

	(void)state;
	pool_close(NULL);
	assert_int_equal(pool_create(&pool, SIZE), 0);
	object = pool_take(pool);
	assert_non_null(object);
	pool_close(pool);
	memset(object, 1, SIZE);
	pool_put(pool, object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_have_memory_of_their_own),
		cmocka_unit_test(an_object_that_comes_back_is_taken_again),
		cmocka_unit_test(a_closed_pool_goes_with_its_last_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
