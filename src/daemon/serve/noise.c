/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/serve/noise.h"

#define PERIOD_S 60
#define LOG_PERIOD_US 1000000

/* The bytes of a peer within a period that begins with the first of them: bits 16 to 39 of *count
 * count them, and the bits above are the second in which it began. Returns their number. */
static uint32_t add(uint64_t *count, uint32_t now_s, size_t len)
{
	uint32_t since_s = (uint32_t)(*count >> 40), bytes = (uint32_t)(*count >> 16) & 0xffffff;

	if (bytes == 0 || ((now_s - since_s) & 0xffffff) >= PERIOD_S) {
		since_s = now_s;
		bytes = 0;
	}
	if (len < NOISE_READ_MIN)
		len = NOISE_READ_MIN;
	bytes += len < NOISE_MAX ? (uint32_t)len : NOISE_MAX;
	*count = (uint64_t)since_s << 40 | (uint64_t)bytes << 16 | (*count & 0xffff);
	return bytes;
}

static void log_noise(const struct connection *connection)
{
	struct endpoint *endpoint = connection->endpoint;
	char peer[NET_PEER_TEXT_MAX];
	uint64_t suppressed;

	if (!diag_allowed(&endpoint->noise_log, loop_now_us(endpoint->loop), LOG_PERIOD_US,
			  &suppressed))
		return;
	net_peer_format(&connection->peer, peer);
	diag_info("%s: client %s sent more than %d KiB within a minute, where a piece counts as %d "
		  "bytes at least, and is disconnected (%llu others since the last such line)",
		  endpoint->quota->name, peer, NOISE_MAX >> 10, NOISE_READ_MIN,
		  (unsigned long long)suppressed);
}

bool noise_exceeded(struct connection *connection, uint64_t *count, size_t len)
{
	uint32_t now_s = (uint32_t)(loop_now_us(connection_loop(connection)) / 1000000) & 0xffffff;

	if (add(count, now_s, len) <= NOISE_MAX)
		return false;
	log_noise(connection);
	connection_leave(connection, CURSOR_END_NOISE);
	connection_close(connection, true);
	return true;
}
