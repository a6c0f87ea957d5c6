/* SPDX-License-Identifier: BSD-2-Clause */
/* A queue of bytes that grows as needed. A zeroed buffer is empty. Without memory the program ends
 * with a message, because there is nothing left to measure. One thread. */
#ifndef BENCH_LIB_BUFFER_H
#define BENCH_LIB_BUFFER_H

#include <stddef.h>
#include <stdint.h>

struct buffer {
	uint8_t *data;
	size_t len, room;
};

/* Makes room for size bytes after the last one, and returns a pointer to it. */
uint8_t *buffer_room(struct buffer *buffer, size_t size);
void buffer_append(struct buffer *buffer, const void *data, size_t len);
/* Removes the first len bytes. */
void buffer_drop(struct buffer *buffer, size_t len);
/* Frees the memory; the buffer is empty afterwards. */
void buffer_finish(struct buffer *buffer);

#endif
