/* SPDX-License-Identifier: BSD-2-Clause */
/* What a receiver reports is within its bytes; and the datagrams of a unit, whatever is in it, are
 * parts of it, in order. */
#include <stdlib.h>

#include "daemon/rtsp/datagrams.h"
#include "media/rtcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check(const struct datagrams *d, const struct datagrams_options *options)
{
	const uint8_t *at = options->data, *end = at + options->len;
	unsigned packets = 0;

	require(d->taken > 0 && d->taken <= options->len && d->packets <= options->max);
	for (unsigned i = 0; i < d->n; i++) {
		const struct msghdr *message = &d->messages[i].msg_hdr;
		size_t bytes = 0;

		require(message->msg_iovlen > 0 && message->msg_iovlen <= DATAGRAMS_SEGMENTS_MAX);
		for (size_t j = 0; j < message->msg_iovlen; j++) {
			const struct iovec *piece = &message->msg_iov[j];
			const uint8_t *data = piece->iov_base;

			require(data >= at + 4 && piece->iov_len > 0 &&
				piece->iov_len <= (size_t)(end - data));
			require(piece->iov_len == message->msg_iov[0].iov_len ||
				(j + 1 == message->msg_iovlen &&
				 piece->iov_len < message->msg_iov[0].iov_len));
			at = data + piece->iov_len;
			bytes += piece->iov_len;
			packets++;
		}
		require(bytes <= DATAGRAMS_MESSAGE_MAX);
		require(d->ends[i] >= (size_t)(at - options->data) && d->ends[i] <= d->taken);
	}
	require(packets == d->packets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct datagrams datagrams;
	static uint64_t turn;
	struct rtcp_report report;
	bool found;

	if (size < 2)
		return 0;
	if (rtcp_read(data + 1, size - 1, 0x01020304, &report, &found))
		require((!found || (report.lost >= -0x800000 && report.lost < 0x800000)) &&
			(!rtcp_is_of_receiver(data + 1, size - 1, 0x01020304) || data[2] == 201));
	for (size_t at = 1; at < size;) {
		struct datagrams_options options = {
			.data = data + at,
			.len = size - at,
			.max = data[0] % DATAGRAMS_MAX + 1u,
			.segmented = data[0] & 1,
			.turn = turn,
		};

		datagrams_make(&datagrams, &options);
		turn++;
		check(&datagrams, &options);
		at += datagrams.taken;
	}
	return 0;
}
