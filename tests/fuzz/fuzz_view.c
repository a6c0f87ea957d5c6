/* SPDX-License-Identifier: BSD-2-Clause */
/* The viewer's input from others: SEI messages from the network, and pictures as a broken child
 * describes them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "client/view/lag.h"
#include "client/view/ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct view_shared *shared;

static void fuzz_ring(const uint8_t *data, size_t size)
{
	const size_t n = size < sizeof(shared->slots) ? size : sizeof(shared->slots);
	struct view_picture picture;

	for (uint64_t slot = 0; slot <= VIEW_RING_SLOTS; slot++) {
		uint64_t seen = 0;

		memcpy(shared->slots, data, n);
		atomic_store(&shared->latest, 1 << 8 | slot);
		if (view_ring_acquire(shared, &seen, &picture) <= 0)
			continue;
		/* Every byte of an accepted picture can be read: the area ends with the mapping. */
		for (unsigned i = 0; i < (picture.format == VIEW_NV12 ? 2 : 3); i++) {
			const uint64_t width = i && picture.format == VIEW_I420
						       ? (picture.width + 1) / 2
						       : picture.width;
			const uint64_t rows = i ? (picture.height + 1) / 2 : picture.height;
			const volatile uint8_t *last = shared->area + picture.offset[i] +
						       picture.stride[i] * (rows - 1) + width - 1;

			if (*last)
				abort(); /* nobody wrote there */
		}
		view_ring_release(shared);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sei_capture capture;
	int64_t since_us, offset_us;

	if (!shared) {
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (shared == MAP_FAILED)
			abort();
	}
	if (sei_find_capture(data, size, &capture))
		view_lag_capture_us(&capture, 1000000000, 1769860800000000LL, &since_us,
				    &offset_us);
	fuzz_ring(data, size);
	return 0;
}
