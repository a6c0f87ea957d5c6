/* SPDX-License-Identifier: BSD-2-Clause */
/* A list of ranges of addresses: what is accepted has canonical ranges that contain their own
 * first address, and an error leaves the list as it was. */
#include <stdlib.h>
#include <string.h>

#include "net/ranges.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(size + 1, 1);
	struct net_ranges ranges = {.n = 3}, again = {.n = 0};

	require(text);
	if (size > 0)
		memcpy(text, data, size);
	if (net_ranges_parse(&ranges, text)) {
		require(ranges.n == 3);
	} else {
		require(ranges.n <= NET_RANGES_MAX);
		for (size_t i = 0; i < ranges.n; i++) {
			const struct net_range *range = &ranges.items[i];
			struct net_peer peer = {.port = 1};

			memcpy(peer.address, range->address, sizeof peer.address);
			require(range->bits <= 128);
			require(net_ranges_add(&again, range->address, range->bits));
			require(memcmp(&again.items[i], range, sizeof *range) == 0);
			/* An address of IPv4 is in no range of IPv6. */
			require(net_ranges_contain(&ranges, &peer, NULL) ||
				(net_peer_is_ipv4(&peer) && range->bits < 96));
		}
	}
	free(text);
	return 0;
}
