/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <string.h>

#include "bench/lib/unit.h"

void unit_build_jpeg(uint8_t *out, size_t size)
{
	/* A server may look for the Huffman tables (DHT), to add those that it misses. */
	static const uint8_t head[] = {0xff, 0xd8, 0xff, 0xc4, 0, 2, 0xff, 0xda, 0, 2};
	static const uint8_t tail[] = {0xff, 0xd9};

	assert(size >= UNIT_MIN);
	memcpy(out, head, sizeof(head));
	memset(out + sizeof(head), 0xa5, size - sizeof(head) - sizeof(tail));
	memcpy(out + size - sizeof(tail), tail, sizeof(tail));
}
