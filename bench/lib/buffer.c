/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint8_t *buffer_room(struct buffer *buffer, size_t size)
{
	if (buffer->room - buffer->len < size) {
		buffer->room = 2 * (buffer->len + size);
		buffer->data = realloc(buffer->data, buffer->room);
		if (!buffer->data) {
			perror("buffer");
			exit(1);
		}
	}
	return buffer->data + buffer->len;
}

void buffer_append(struct buffer *buffer, const void *data, size_t len)
{
	memcpy(buffer_room(buffer, len), data, len);
	buffer->len += len;
}

void buffer_drop(struct buffer *buffer, size_t len)
{
	memmove(buffer->data, buffer->data + len, buffer->len - len);
	buffer->len -= len;
}

void buffer_finish(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){0};
}
