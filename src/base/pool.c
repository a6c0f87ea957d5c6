/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/pool.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define OBJECTS 64 /* that are allocated at once */

#ifdef __SANITIZE_ADDRESS__
#define ALONE true
#else
#define ALONE false
#endif

/* Memory that is not taken. */
struct place {
	struct place *next;
};

/* Before its objects. */
struct chunk {
	_Alignas(POOL_ALIGN) struct chunk *next;
};

struct pool {
	size_t size; /* of an object, a multiple of POOL_ALIGN */
	size_t taken;
	struct place *free; /* NULL: none */
	struct chunk *chunks;
	bool closed;
};

int pool_create(struct pool **out, size_t size)
{
	struct pool *pool = calloc(1, sizeof *pool);

	if (!pool)
		return -ENOMEM;
	pool->size = (size + POOL_ALIGN - 1) / POOL_ALIGN * POOL_ALIGN;
	*out = pool;
	return 0;
}

/* The objects are taken in the order of their addresses. */
static void grow(struct pool *pool)
{
	struct chunk *chunk =
		aligned_alloc(POOL_ALIGN, sizeof(struct chunk) + OBJECTS * pool->size);

	if (!chunk)
		return;
	chunk->next = pool->chunks;
	pool->chunks = chunk;
	for (size_t i = OBJECTS; i-- > 0;) {
		struct place *place = (void *)((char *)(chunk + 1) + i * pool->size);

		place->next = pool->free;
		pool->free = place;
	}
}

void *pool_take(struct pool *pool)
{
	struct place *place;

	if (ALONE) {
		place = aligned_alloc(POOL_ALIGN, pool->size);
	} else {
		if (!pool->free)
			grow(pool);
		place = pool->free;
		if (place)
			pool->free = place->next;
	}
	if (place)
		pool->taken++;
	return place;
}

static void destroy(struct pool *pool)
{
	struct chunk *chunk = pool->chunks, *next;

	for (; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	free(pool);
}

void pool_put(struct pool *pool, void *object)
{
	struct place *place = object;

	if (ALONE) {
		free(object);
	} else {
		place->next = pool->free;
		pool->free = place;
	}
	if (--pool->taken == 0 && pool->closed)
		destroy(pool);
}

void pool_close(struct pool *pool)
{
	if (!pool)
		return;
	pool->closed = true;
	if (pool->taken == 0)
		destroy(pool);
}
